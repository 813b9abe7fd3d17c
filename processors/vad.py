"""Voice activity: Silero VAD v6 on one model session that all conversations share.

In:  InputAudioRawFrame, 16 kHz mono s16.   Out: the same, and VADUserStartedSpeakingFrame, VADUserStoppedSpeakingFrame.

Pipecat's analyzer loads a session and starts a thread per conversation; only the recurrent state (1 kB) is a
conversation's own. Model: Silero VAD, MIT; the file of the silero-vad package and Pipecat's copy are byte-identical.
"""

import asyncio
from collections import deque
from concurrent.futures import Executor
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import onnxruntime
from pipecat.audio.vad.silero import SileroOnnxModel, SileroVADAnalyzer
from pipecat.audio.vad.vad_analyzer import VADAnalyzer, VADParams, VADState

SAMPLE_RATE_HZ = 16_000
# One window as probable as this may be the beginning of speech: enough to be careful, not to act.
SUSPICION = 0.2
# Where the agent's own voice comes back: being quieter is what lets an echo canceller hear the user at all.
SUSPICION_OVER_ECHO = 0.1
# Voice that is surer than this goes on; below it a pause may have begun. The end of a word comes below it 30 ms before
# it reaches the threshold of voice activity; within speech it happens about once a second.
WAVERING = 0.95
# Between two syllables a voice is quieter for less than this.
LOUDEST_OF_WINDOWS = 5
MODEL_FILE = "silero_vad.onnx"


def silero_weights() -> Path:
    """The ONNX weights: the silero-vad package's, else Pipecat's identical copy.

    Neither package is imported: silero-vad's own import needs PyTorch.
    """
    spec = find_spec("silero_vad")
    if spec is not None:
        for location in spec.submodule_search_locations or ():
            path = Path(location) / "data" / MODEL_FILE
            if path.is_file():
                return path
    import pipecat.audio.vad

    return Path(pipecat.audio.vad.__path__[0]) / "data" / MODEL_FILE


def load_silero(path: Path | None = None) -> onnxruntime.InferenceSession:
    """Load the model once; a session may run in several threads at a time."""
    options = onnxruntime.SessionOptions()
    options.inter_op_num_threads = 1
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(
        str(path or silero_weights()), sess_options=options, providers=["CPUExecutionProvider"]
    )


class _SharedSileroModel(SileroOnnxModel):
    """The recurrent state of one conversation on a shared session."""

    def __init__(self, session: onnxruntime.InferenceSession) -> None:
        self.session = session
        self.sample_rates = [8000, SAMPLE_RATE_HZ]
        self.reset_states()


class SharedSileroVADAnalyzer(SileroVADAnalyzer):
    """Pipecat's Silero analyzer on a shared session and shared threads.

    Args:
        session: From `load_silero`.
        threads: Threads that the analyzers of all conversations share.
        params: Thresholds and times.
        suspicion: The probability from which a window may have been voice.
    """

    def __init__(
        self,
        session: onnxruntime.InferenceSession,
        threads: Executor,
        params: VADParams | None = None,
        *,
        suspicion: float = SUSPICION,
    ) -> None:
        # The parent's constructor would load a session of its own.
        VADAnalyzer.__init__(self, sample_rate=SAMPLE_RATE_HZ, params=params)
        self._executor.shutdown(wait=False)
        self._model = _SharedSileroModel(session)
        self._windows_since_reset = 0
        self._low_confidence_windows = 0
        self._threads = threads
        self._gathered = bytearray()
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
        """How probably one window (32 ms) is voice, 0 to 1."""
        self._confidence = float(np.squeeze(super().voice_confidence(buffer)))
        return self._confidence

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
        if len(self._vad_buffer) + len(self._gathered) < self._vad_frames_num_bytes:
            return self._vad_state
        audio, self._gathered = bytes(self._gathered), bytearray()
        return await asyncio.get_running_loop().run_in_executor(self._threads, self._run_analyzer, audio)

    async def cleanup(self) -> None:
        """Nothing to release: session and threads are shared."""
