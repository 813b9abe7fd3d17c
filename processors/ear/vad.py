"""Voice activity: Silero VAD v6 on one model session that all conversations share.

In:  InputAudioRawFrame, 16 kHz mono s16.   Out: the same, and VADUserStartedSpeakingFrame, VADUserStoppedSpeakingFrame.

Pipecat's analyzer loads a session and starts a thread per conversation; see `silero` for what is shared instead.
"""

from collections import deque
from concurrent.futures import Executor

import numpy as np
from pipecat.audio.vad.silero import SileroVADAnalyzer
from pipecat.audio.vad.vad_analyzer import VADAnalyzer, VADParams, VADState

from processors.ear.silero import SAMPLE_RATE_HZ, WINDOW_BYTES, SharedSilero, SileroState, load_silero

__all__ = ["SUSPICION", "SUSPICION_OVER_ECHO", "WAVERING", "SharedSileroVADAnalyzer", "load_silero"]

# One window as probable as this may be the beginning of speech: enough to be careful, not to act.
SUSPICION = 0.2
# Where the agent's own voice comes back: being quieter is what lets an echo canceller hear the user at all.
SUSPICION_OVER_ECHO = 0.1
# Voice that is surer than this goes on; below it a pause may have begun. The end of a word comes below it 30 ms before
# it reaches the threshold of voice activity; within speech it happens about once a second.
WAVERING = 0.95
# A voice that has begun with so many windows goes on in others half as probable: of a short word in an echoing room, no
# 0.2 s on end are as probable as its vowel. Fewer windows are often a noise's.
BEGUN_WINDOWS, GOING_ON = 3, 0.5
# Between two syllables a voice is quieter for less than this.
LOUDEST_OF_WINDOWS = 5


class SharedSileroVADAnalyzer(SileroVADAnalyzer):
    """Pipecat's Silero analyzer on a shared session and shared threads.

    Args:
        silero: From `load_silero`.
        threads: Threads that the analyzers of all conversations share.
        params: Thresholds and times.
        suspicion: The probability from which a window may have been voice.

    Attributes:
        n_heard: How many windows the model has judged.
    """

    def __init__(
        self,
        silero: SharedSilero,
        threads: Executor,
        params: VADParams | None = None,
        *,
        suspicion: float = SUSPICION,
    ) -> None:
        # The parent's constructor would load a session of its own.
        VADAnalyzer.__init__(self, sample_rate=SAMPLE_RATE_HZ, params=params)
        self._executor.shutdown(wait=False)
        self._silero = silero
        self._model = SileroState(silero.session)
        self._windows_since_reset = 0
        self._low_confidence_windows = 0
        self._threads = threads
        self._gathered = bytearray()
        self.n_heard = 0
        self._confidence = 0.0
        self._suspicion = suspicion
        self._powers: deque[float] = deque(maxlen=LOUDEST_OF_WINDOWS)

    @property
    def suspects(self) -> bool:
        """Whether the latest window may have been voice."""
        return self._confidence >= self._suspicion and self._prev_volume >= self._params.min_volume

    @property
    def wavers(self) -> bool:
        """Whether speech that goes on may have ended with the latest window."""
        return self._confidence < WAVERING or self._prev_volume < self._params.min_volume

    def _get_smoothed_volume(self, audio: bytes) -> float:
        """Loudness of the loudest of the latest windows, on Pipecat's scale: 0 is -110 dBFS, 1 is -10 dBFS.

        Pipecat measures BS.1770 loudness over 400 ms and smooths it, so that a voice that breaks a digital silence
        counts as silent for two more windows.
        """
        samples_f32 = np.frombuffer(audio, "<i2").astype(np.float32)
        power = float(samples_f32 @ samples_f32) / max(1, len(samples_f32)) / 32768**2
        self._powers.append(power)
        return float(np.clip((10 * np.log10(max(self._powers) + 1e-12) + 110) / 100, 0.0, 1.0))

    def voice_confidence(self, buffer: bytes) -> float:
        """How probably one window (32 ms) is voice, 0 to 1; within a voice that has just begun, more easily."""
        self._confidence = float(np.squeeze(super().voice_confidence(buffer)))
        wanted = self._params.confidence
        has_begun = self._vad_state is VADState.STARTING and self._vad_starting_count >= BEGUN_WINDOWS
        return (
            max(self._confidence, wanted) if has_begun and self._confidence >= wanted * GOING_ON else self._confidence
        )

    @property
    def state(self) -> VADState:
        """What it sees now; STARTING and STOPPING are not certain yet."""
        return self._vad_state

    async def analyze_audio(self, buffer: bytes) -> VADState:
        """Analyse audio; the threads are asked only once a whole model window (32 ms) has gathered.

        Args:
            buffer: Little-endian s16 mono at 16 kHz, any length.

        Returns:
            The state after this audio.
        """
        self._gathered += buffer
        n_bytes = len(self._gathered) // WINDOW_BYTES * WINDOW_BYTES
        if n_bytes:
            windows = [bytes(self._gathered[at : at + WINDOW_BYTES]) for at in range(0, n_bytes, WINDOW_BYTES)]
            del self._gathered[:n_bytes]
            await self._silero.hear(self._threads, self._model, windows, self._run_analyzer)
            self.n_heard += len(windows)
        return self._vad_state

    async def cleanup(self) -> None:
        """Nothing to release: session and threads are shared."""
