"""Gain for quiet microphones: speech reaches the ears at one level, whatever the microphone gives.

In:  InputAudioRawFrame, mono s16.   Out: the same frame, raised; everything else untouched.

Only what stands out of the background counts as speech, so steady noise is not raised; nothing is measured while the
agent speaks, so that what is left of its echo is not either. Gain is never below 0 dB, and never so high that a
sample is clipped.
"""

import math
from collections import deque
from typing import Any

import numpy as np
from pipecat.frames.frames import BotStartedSpeakingFrame, BotStoppedSpeakingFrame, Frame, InputAudioRawFrame
from pipecat.processors.frame_processor import FrameDirection

from processors.sound_step import SoundStep

# Raised samples stay below full scale.
CEILING = 0.95 * 32767
# The background is the quietest that was heard within this time.
FLOOR_SECS = 3.0
# Without so much of it there is nothing to compare with.
MIN_FLOOR_SECS = 0.2
SPEECH_MARGIN_DB = 10.0
# Below this there is no speech, only the converter's own noise.
QUIETEST_SPEECH_DBFS = -65.0
# How fast the estimate follows louder and quieter speech, and how fast the gain rises. It falls at once.
LOUDER_DB_PER_SEC = 200.0
QUIETER_DB_PER_SEC = 6.0
RISE_DB_PER_SEC = 80.0
SILENCE_DBFS = -100.0

Samples = np.ndarray[Any, np.dtype[np.int16]]


class GainControl:
    """Finds the gain, frame by frame.

    Args:
        target_dbfs: Level (RMS) that speech is raised to.
        max_gain_db: The most that it is raised by.
    """

    def __init__(self, target_dbfs: float, max_gain_db: float) -> None:
        self._target_dbfs = target_dbfs
        self._max_gain_db = max_gain_db
        # When and how loud, each louder than those before it: what came before a quieter one is not the quietest.
        self._recent_dbfs: deque[tuple[float, float]] = deque()
        self._heard_secs = 0.0
        self._speech_dbfs: float | None = None
        self.gain_db = 0.0

    def apply(self, audio_s16: Samples, sample_rate_hz: int, *, measure: bool = True) -> Samples:
        """Raise one frame.

        Args:
            audio_s16: shape (n_samples,), int16, mono.
            sample_rate_hz: Its rate.
            measure: Whether it may be the user's speech.

        Returns:
            The raised frame, of the same shape.
        """
        if audio_s16.size == 0:
            return audio_s16
        duration_secs = len(audio_s16) / sample_rate_hz
        audio_f64 = audio_s16.astype(np.float64)
        self._heard_secs += duration_secs
        if measure:
            self._follow(_level_dbfs(audio_f64), duration_secs)
        before_db = self.gain_db
        self.gain_db = min(self._wanted_db(), before_db + RISE_DB_PER_SEC * duration_secs)
        peak = max(int(audio_s16.max()), -int(audio_s16.min()))
        if peak:
            self.gain_db = min(self.gain_db, max(0.0, 20 * math.log10(CEILING / peak)))
        if self.gain_db <= 0 and before_db <= 0:
            return audio_s16
        # Rising gain comes gradually within the frame; a falling one at once, as its reason is in this frame.
        if self.gain_db > before_db:
            audio_f64 *= 10 ** (np.linspace(before_db, self.gain_db, len(audio_s16)) / 20)
        else:
            audio_f64 *= 10 ** (self.gain_db / 20)
        return np.rint(audio_f64, out=audio_f64).clip(-32768, 32767, out=audio_f64).astype(np.int16)

    def _wanted_db(self) -> float:
        if self._speech_dbfs is None:
            return 0.0
        return min(self._max_gain_db, max(0.0, self._target_dbfs - self._speech_dbfs))

    def _follow(self, level_dbfs: float, duration_secs: float) -> None:
        floor_dbfs = self._recent_dbfs[0][1] if self._recent_dbfs else SILENCE_DBFS
        while self._recent_dbfs and self._recent_dbfs[-1][1] >= level_dbfs:
            self._recent_dbfs.pop()
        self._recent_dbfs.append((self._heard_secs, level_dbfs))
        while self._recent_dbfs[0][0] < self._heard_secs - FLOOR_SECS:
            self._recent_dbfs.popleft()
        if self._heard_secs < MIN_FLOOR_SECS or level_dbfs < max(floor_dbfs + SPEECH_MARGIN_DB, QUIETEST_SPEECH_DBFS):
            return
        if self._speech_dbfs is None:
            self._speech_dbfs = level_dbfs
        elif level_dbfs > self._speech_dbfs:
            self._speech_dbfs = min(level_dbfs, self._speech_dbfs + LOUDER_DB_PER_SEC * duration_secs)
        else:
            self._speech_dbfs = max(level_dbfs, self._speech_dbfs - QUIETER_DB_PER_SEC * duration_secs)


class InputGain(SoundStep):
    """Raises the user's sound before anything listens to it.

    Args:
        target_dbfs: Level (RMS) that speech is raised to.
        max_gain_db: The most that it is raised by.
    """

    def __init__(self, *, target_dbfs: float, max_gain_db: float) -> None:
        # It is done at once with a frame, within the step before it.
        super().__init__(enable_direct_mode=True)
        self._control = GainControl(target_dbfs, max_gain_db)
        self._bot_speaking = False

    async def process_audio_frame(self, frame: InputAudioRawFrame, direction: FrameDirection) -> None:
        """Raise sound."""
        audio_s16 = np.frombuffer(frame.audio, "<i2")
        raised_s16 = self._control.apply(audio_s16, frame.sample_rate, measure=not self._bot_speaking)
        if raised_s16 is not audio_s16:
            frame.audio = raised_s16.astype("<i2").tobytes()

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        """Pass everything on, sound raised."""
        await super().process_frame(frame, direction)
        if isinstance(frame, InputAudioRawFrame):
            return
        if isinstance(frame, BotStartedSpeakingFrame):
            self._bot_speaking = True
        elif isinstance(frame, BotStoppedSpeakingFrame):
            self._bot_speaking = False
        await self.push_frame(frame, direction)


def _level_dbfs(audio_f64: np.ndarray[Any, np.dtype[np.float64]]) -> float:
    return max(SILENCE_DBFS, 10 * math.log10(float(audio_f64 @ audio_f64) / len(audio_f64) / 32768**2 + 1e-12))
