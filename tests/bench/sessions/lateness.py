"""How late sound is heard: the frames of each microphone, on the clock of their own samples.

In:  every microphone frame, when all of the input side has heard it.   Out: lateness and completeness of each session.

A frame is due when its last sample has been spoken, plus the time that the way takes at its fastest: the frame of the
session that was the least behind its samples sets that time, and is not late. A queue that builds up, an event loop
that is busy and a caller that sends late all make frames late.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from pipecat.audio.turn.smart_turn.local_smart_turn_v3 import LocalSmartTurnAnalyzerV3
from pipecat.frames.frames import Frame, InputAudioRawFrame
from pipecat.processors.aggregators.llm_response_universal import LLMUserAggregator
from pipecat.processors.frame_processor import FrameDirection

from tests.bench.table import percentile

# Of the timestamps that frames carry: RTP's, for Opus.
RTP_RATE_HZ = 48_000
PERCENT = 95.0


@dataclass
class Arrivals:
    """The frames of one session.

    Attributes:
        heard_secs: When each was heard, on the monotonic clock.
        spoken_secs: When its first sample was spoken, on the microphone's clock.
        duration_secs: How long each is.
    """

    heard_secs: list[float] = field(default_factory=list)
    spoken_secs: list[float] = field(default_factory=list)
    duration_secs: list[float] = field(default_factory=list)

    def add(self, heard_secs: float, spoken_secs: float, duration_secs: float) -> None:
        """One more frame."""
        self.heard_secs.append(heard_secs)
        self.spoken_secs.append(spoken_secs)
        self.duration_secs.append(duration_secs)


@dataclass(frozen=True)
class Heard:
    """What one session heard in a window of time.

    Attributes:
        lateness_p95_ms: 95 of 100 frames were no later than this; None without frames.
        heard_percent: How much of the sound that was due in that time was heard; above 100 where a queue was emptied.
    """

    lateness_p95_ms: float | None
    heard_percent: float


def heard_between(arrivals: Arrivals, start_secs: float, end_secs: float) -> Heard:
    """What was heard from then till then, measured against the fastest frame of the whole session.

    Args:
        arrivals: All frames of the session.
        start_secs: Where the window begins, on the monotonic clock.
        end_secs: Where it ends.
    """
    behind_secs = [heard - spoken for heard, spoken in zip(arrivals.heard_secs, arrivals.spoken_secs, strict=True)]
    inside = [index for index, heard in enumerate(arrivals.heard_secs) if start_secs <= heard < end_secs]
    if not inside:
        return Heard(None, 0.0)
    fastest_secs = min(behind_secs)
    late_ms = [(behind_secs[index] - fastest_secs) * 1000 for index in inside]
    duration_secs = sum(arrivals.duration_secs[index] for index in inside)
    return Heard(percentile(late_ms, PERCENT), 100 * duration_secs / (end_secs - start_secs))


def worst_ms(sessions: Sequence[Heard]) -> float | None:
    """The lateness of the worst session; None where one heard nothing at all."""
    late_ms = [session.lateness_p95_ms for session in sessions]
    known = [late for late in late_ms if late is not None]
    return max(known) if known and len(known) == len(late_ms) else None


class Probe:
    """Notes the frames of all sessions of this process; made once, before the first session.

    It stands behind Pipecat's user aggregator, which both wirings have: when that is done with a frame, voice activity,
    speech-to-text and the turn strategies have had it.

    Attributes:
        sessions: The frames of each session, in the order in which they began.
        judged_secs: When smart-turn judged a pause, on the monotonic clock.
    """

    def __init__(self, now_secs: Callable[[], float] = time.monotonic) -> None:
        self.sessions: dict[int, Arrivals] = {}
        self.judged_secs: list[float] = []
        self._now_secs = now_secs

    def watch(self) -> None:
        """Note from now on."""
        process_frame = LLMUserAggregator.process_frame
        judge = LocalSmartTurnAnalyzerV3._predict_endpoint

        async def process_and_note(aggregator: LLMUserAggregator, frame: Frame, direction: FrameDirection) -> None:
            await process_frame(aggregator, frame, direction)
            if isinstance(frame, InputAudioRawFrame):
                self.note(aggregator.id, frame)

        def judge_and_count(analyzer: LocalSmartTurnAnalyzerV3, audio: Any) -> Any:
            self.judged_secs.append(self._now_secs())
            return judge(analyzer, audio)

        LLMUserAggregator.process_frame = process_and_note  # pyright: ignore[reportAttributeAccessIssue]
        LocalSmartTurnAnalyzerV3._predict_endpoint = judge_and_count  # pyright: ignore[reportAttributeAccessIssue]

    def note(self, session: int, frame: InputAudioRawFrame) -> None:
        """One frame has been heard.

        Args:
            session: Whose it is.
            frame: Its `pts` is RTP's timestamp since the beginning of the session.
        """
        if frame.pts is None:
            raise ValueError("a microphone frame without a timestamp cannot be late or in time")
        arrivals = self.sessions.setdefault(session, Arrivals())
        arrivals.add(self._now_secs(), frame.pts / RTP_RATE_HZ, frame.num_frames / frame.sample_rate)

    def heard(self, start_secs: float, end_secs: float) -> list[Heard]:
        """What each session heard in that time."""
        return [heard_between(arrivals, start_secs, end_secs) for arrivals in self.sessions.values()]

    def n_judged(self, start_secs: float, end_secs: float) -> int:
        """How many pauses smart-turn judged in that time."""
        return sum(start_secs <= judged < end_secs for judged in self.judged_secs)
