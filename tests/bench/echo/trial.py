"""One trial: the closed loop of loudspeaker, room, microphone, canceller, voice activity and ducking, faster than life.

The agent is ducked by 20 dB on suspicion, which takes effect 80 ms later as in the playout gate and the device; it
falls silent when the user has been heard to cut in. Everything is what the pipeline uses, driven block by block.
"""

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from loguru import logger
from pipecat.audio.vad.vad_analyzer import VADParams, VADState

from processors.ear.echo import EchoControl
from processors.ear.echo_cancellers import WebRtcCanceller
from processors.ear.echo_tiers import EchoMode
from processors.ear.input_gain import GainControl
from processors.ear.vad import SharedSileroVADAnalyzer, load_silero
from tests.bench.echo.material import BLOCK, RATE_HZ, Audio, Stretch, Timeline
from tests.bench.echo.rooms import room_spec
from transports.room import Room, RoomSpec

DUCK_GAIN = 0.1
DUCK_LATENCY_BLOCKS = 8
HOLD_BLOCKS = 60
# Sentences pause for less; within it the agent counts as speaking.
AGENT_TAIL_BLOCKS = 40
# Half a second after the utterance it still counts as heard.
LATE_SAMPLES = RATE_HZ // 2


@dataclass(frozen=True)
class Row:
    """A way of dealing with the echo.

    Attributes:
        name: In the table.
        mode: Of the canceller's tiers.
        noise_suppression_level: Of the canceller.
        duck_at: Voice probability from which the agent is ducked; None for never.
        proof: Whether voice over the agent must be more than the echo can account for.
        confidence: Voice probability that counts as speech while the agent speaks.
    """

    name: str
    mode: EchoMode
    noise_suppression_level: int | None = 1
    duck_at: float | None = None
    proof: bool = False
    confidence: float = 0.7


@dataclass
class Heard:
    """What came of one stretch.

    Attributes:
        stretch: What was to happen.
        decisions_secs: When the user was heard, from the stretch's start.
        erle_db: Echo reduction of each second in which the agent spoke alone.
        ducked: Share of the time.
        mic_f32: What the microphone heard.
        clean_f32: What was left of it.
    """

    stretch: Stretch
    decisions_secs: list[float] = field(default_factory=list)
    erle_db: list[float] = field(default_factory=list)
    ducked: float = 0.0
    mic_f32: Audio = field(default_factory=lambda: np.zeros(0, np.float32))
    clean_f32: Audio = field(default_factory=lambda: np.zeros(0, np.float32))


@dataclass
class Trial:
    """The result of one timeline in one room."""

    spec: RoomSpec
    voice: str
    heard: list[Heard]
    cpu_ms_per_sec: float
    tiers: list[tuple[float, str, bool]]


class _Ears(SharedSileroVADAnalyzer):
    """The pipeline's voice activity, with the gain in front of it, driven directly."""

    def __init__(self, confidence: float) -> None:
        params = VADParams(confidence=0.7, start_secs=0.2, stop_secs=0.2, min_volume=0.3)
        super().__init__(load_silero(), ThreadPoolExecutor(1), params)
        self.set_sample_rate(RATE_HZ)
        self._gain = GainControl(-20, 30)
        self._easier = 0.7 - confidence
        self._over_agent = False
        self.probability = 0.0

    def voice_confidence(self, buffer: bytes) -> Any:
        self.probability = float(np.squeeze(super().voice_confidence(buffer)))
        return self.probability + self._easier if self._over_agent else self.probability

    def hear(self, clean_s16: Any, agent_speaks: bool) -> bool:
        """Take one block; whether a window of 32 ms was complete."""
        self._over_agent = agent_speaks
        raised_s16 = self._gain.apply(clean_s16, RATE_HZ, measure=not agent_speaks)
        before = len(self._vad_buffer)
        self._run_analyzer(raised_s16.astype("<i2").tobytes())
        return len(self._vad_buffer) < before + 2 * BLOCK


class _Loudspeaker:
    """The agent's voice on its way to the device: ducked a little later than told, or silent."""

    def __init__(self) -> None:
        self._gains = [1.0] * DUCK_LATENCY_BLOCKS
        self._gain = 1.0

    def play(self, agent_f32: Audio, wanted_gain: float) -> Any:
        """The block that is played now, int16; gains are ramped."""
        self._gains.append(wanted_gain)
        before, self._gain = self._gain, self._gains.pop(0)
        ramp = np.linspace(before, self._gain, len(agent_f32))
        return np.clip(np.round(agent_f32 * ramp * 32768), -32768, 32767).astype(np.int16)

    @property
    def ducked(self) -> bool:
        return self._gain < 1


class _Loop:
    def __init__(self, row: Row, spec: RoomSpec, seed: int, timeline: Timeline) -> None:
        self._row, self._timeline = row, timeline
        level = row.noise_suppression_level
        self.control = EchoControl(row.mode, WebRtcCanceller(noise_suppression_level=level))
        self._room = Room(spec, seed=seed)
        self._ears = _Ears(row.confidence)
        self._loudspeaker = _Loudspeaker()
        n_blocks = len(timeline.user_f32) // BLOCK
        self.mic_f32, self.clean_f32 = (np.zeros(n_blocks * BLOCK, np.float32) for _ in range(2))
        self.ducked = np.zeros(n_blocks, bool)
        self.decisions: list[int] = []
        self.tiers: list[tuple[float, str, bool]] = []
        self.cpu_secs = 0.0
        self._hold = 0
        self._since_agent = AGENT_TAIL_BLOCKS
        self._alone_from = {stretch.start for stretch in timeline.stretches if stretch.kind == "agent"}
        self._silent_until = 0
        self._decided = False

    def step(self, index: int) -> None:
        """10 ms of everything."""
        at = slice(index * BLOCK, (index + 1) * BLOCK)
        silent = at.start < self._silent_until
        agent_f32 = np.zeros(BLOCK, np.float32) if silent else self._timeline.agent_f32[at]
        self._since_agent = 0 if np.abs(agent_f32).max() > 1e-4 else self._since_agent + 1
        far_s16 = self._loudspeaker.play(agent_f32, DUCK_GAIN if self._hold > 0 else 1.0)
        self._hold -= 1
        mic_f32 = self._room.hear(self._timeline.user_f32[at], far_s16.astype(np.float32) / 32768)
        mic_s16 = np.clip(np.round(mic_f32 * 32768), -32768, 32767).astype(np.int16)
        started = time.process_time()
        clean_s16, changed = self.control.process(mic_s16, far_s16)
        self.cpu_secs += time.process_time() - started
        if changed:
            state = self.control.state()
            self.tiers.append((at.start / RATE_HZ, state.tier.value, state.warmed_up))
        self.mic_f32[at], self.clean_f32[at] = mic_s16 / 32768, clean_s16 / 32768
        self.ducked[index] = self._loudspeaker.ducked
        self._listen(clean_s16, at.stop)

    def _listen(self, clean_s16: Any, now: int) -> None:
        speaks = self._since_agent < AGENT_TAIL_BLOCKS
        complete = self._ears.hear(clean_s16, speaks)
        row = self._row
        if complete and speaks and row.duck_at is not None and self._ears.probability >= row.duck_at:
            self._hold = HOLD_BLOCKS
        if now - BLOCK in self._alone_from or self._ears.state not in (VADState.SPEAKING, VADState.STOPPING):
            # Speech that it has heard since before the stretch counts too.
            self._decided = False
        elif not self._decided and not (row.proof and self.control.may_be_echo):
            self._decided = True
            self._decide(now)

    def _decide(self, now: int) -> None:
        self.decisions.append(now)
        for stretch in self._timeline.stretches:
            if stretch.kind == "barge_in" and stretch.start < now <= stretch.end + LATE_SAMPLES:
                self._silent_until = stretch.slot_end


def trial_of(row: Row, index: int, timeline: Timeline, voice: str) -> Trial:
    """A trial in the room of that number, in a process of its own."""
    logger.remove()
    return run_trial(row, room_spec(index), voice, index, timeline)


def run_trial(row: Row, spec: RoomSpec, voice: str, seed: int, timeline: Timeline) -> Trial:
    """Hold one trial.

    Args:
        row: What is done about the echo.
        spec: The room.
        voice: The agent's.
        seed: Of the room's reflections and noise.
        timeline: What both sides say.
    """
    loop = _Loop(row, spec, seed, timeline)
    n_blocks = len(timeline.user_f32) // BLOCK
    for index in range(n_blocks):
        loop.step(index)
    heard = [_heard(loop, stretch) for stretch in timeline.stretches]
    return Trial(spec, voice, heard, loop.cpu_secs * 1000 / (n_blocks / 100), loop.tiers)


def _heard(loop: _Loop, stretch: Stretch) -> Heard:
    late = 0 if stretch.kind == "agent" else LATE_SAMPLES
    at = slice(stretch.start, stretch.end)
    result = Heard(
        stretch,
        [(now - stretch.start) / RATE_HZ for now in loop.decisions if stretch.start < now <= stretch.end + late],
        ducked=float(loop.ducked[stretch.start // BLOCK : stretch.end // BLOCK].mean()),
    )
    if stretch.kind == "agent":
        mic, clean = (np.square(side[at]).reshape(-1, RATE_HZ).mean(axis=1) for side in (loop.mic_f32, loop.clean_f32))
        result.erle_db = list(10 * np.log10((mic + 1e-12) / (clean + 1e-12)))
    else:
        end = min(stretch.slot_end, stretch.end + LATE_SAMPLES)
        result.mic_f32, result.clean_f32 = loop.mic_f32[stretch.start : end], loop.clean_f32[stretch.start : end]
    return result
