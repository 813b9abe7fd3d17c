"""What one conversation adds to the metrics: from its event log, and from the sound that it hears.

In:  events of the log; microphone frames when all of the input side has had them.   Out: counts and times.
"""

from collections.abc import Callable
from typing import Any

from pipecat.frames.frames import InputAudioRawFrame

from agent.server.metrics.lateness import Lateness
from agent.server.metrics.meters import LATENCIES, Meters

# Stages as the event log names them; whatever else reports one is `other`, so that no message becomes a label.
STAGES = frozenset(
    "stt llm tts vad wake turn transport pipeline tool tools timers memory recording camera picture history"
    " interpreter".split()
)
CAUSES = frozenset(("echo", "noise", "backchannel"))
OTHER = "other"
Event = dict[str, Any]


class ConversationMeter:
    """Counts for one conversation; a sink of its events.

    Args:
        meters: Where it counts.
        door: How its user came in: webrtc, websocket, realtime or telephone.
    """

    def __init__(self, meters: Meters, door: str) -> None:
        self._meters, self._door = meters, door
        self._lateness = Lateness()
        self._late = meters.audio_lateness.labels(door)
        self._lost = meters.audio_lost.labels(door)
        self._received = meters.audio_received.labels(door)
        self._interrupted = meters.interruptions.labels(door)
        self._answers = {name: meters.answers[name].labels(door) for name in LATENCIES}
        self._counts: dict[str, Callable[[Event], None]] = {
            "session_started": lambda _: meters.sessions.labels(door).inc(),
            "turn_ended": self._turn,
            "latency": self._latency,
            "interruption": lambda _: self._interrupted.inc(),
            "false_interruption": lambda event: meters.false_interruptions.labels(_known(event["cause"], CAUSES)).inc(),
            "speculation": lambda event: meters.speculations.labels(event["outcome"]).inc(),
            "reflex": lambda _: meters.reflexes.inc(),
            "tool_call": lambda _: meters.tool_calls.inc(),
            "tool_cancelled": lambda _: meters.tool_calls_cancelled.inc(),
            "error": lambda event: meters.errors.labels(_known(event["stage"], STAGES)).inc(),
        }

    def __call__(self, event: Event) -> None:
        """Count one event; what is not counted is passed over."""
        if count := self._counts.get(event["event"]):
            count(event)

    def heard(self, frame: InputAudioRawFrame, at_ns: int) -> None:
        """Count a frame of the microphone.

        Args:
            frame: Its `pts`, where it has any, is RTP's timestamp.
            at_ns: When all of the input side had had it, on the pipeline's clock.
        """
        duration_secs = frame.num_frames / frame.sample_rate
        self._received.inc(duration_secs)
        if frame.pts is None:
            return
        late_secs, lost_secs = self._lateness.of(at_ns / 1e9, frame.pts, duration_secs)
        self._late.observe(late_secs)
        if lost_secs:
            self._lost.inc(lost_secs)

    def _turn(self, event: Event) -> None:
        self._meters.turns.labels(self._door, event.get("source", "spoken")).inc()

    def _latency(self, event: Event) -> None:
        for name, answers in self._answers.items():
            if name in event:
                answers.observe(event[name] / 1000)


def _known(name: str, names: frozenset[str]) -> str:
    return name if name in names else OTHER
