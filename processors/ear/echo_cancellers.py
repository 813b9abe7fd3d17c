"""Echo cancellers behind one small interface.

In:  10 ms of the microphone and the 10 ms that were played meanwhile, 16 kHz.   Out: the microphone without the echo.

Both are WebRTC's AEC3, which finds the delay itself, up to about half a second, and needs to be told of every sample
that is played, zeros while the agent is silent. A high-pass filter and the mildest noise suppression run behind it:
more of it hides a quiet user from voice activity. No gain control: it raises what is left of the echo.
"""

from functools import cache
from typing import Any, Literal, Protocol

import numpy as np

from processors.errors import EngineUnavailableError

SAMPLE_RATE_HZ = 16_000
BLOCK_SAMPLES = SAMPLE_RATE_HZ // 100
# WebRTC's levels are 0 (6 dB) to 3 (21 dB).
NOISE_SUPPRESSION_LEVEL = 0
# What the delay is measured with: noise in bursts, which no noise suppression takes for noise.
_PROBE_BLOCKS = 60
_PROBE_BURST_BLOCKS = 7
_PROBE_RMS = 3000.0
_MOST_DELAY_SAMPLES = 4 * BLOCK_SAMPLES

Pcm16 = np.ndarray[Any, np.dtype[np.int16]]
CancellerName = Literal["webrtc", "livekit"]


class Canceller(Protocol):
    """Removes what was played from what was heard; keeps its own idea of the room from block to block."""

    def process(self, mic_s16: Pcm16, far_s16: Pcm16) -> Pcm16:
        """Clean one block.

        Args:
            mic_s16: shape (160,), int16, what the microphone heard.
            far_s16: shape (160,), int16, what was played meanwhile.

        Returns:
            shape (160,), int16, some milliseconds late: see `measured_delay_samples`.

        Raises:
            ValueError: A block has another length; the message shows both.
        """
        ...


class WebRtcCanceller:
    """AEC3 of the `pywebrtc-audio` package: one call takes both directions.

    Args:
        noise_suppression_level: 0 to 3; None for none.

    Raises:
        EngineUnavailableError: The package cannot be imported.
    """

    def __init__(self, *, noise_suppression_level: int | None = NOISE_SUPPRESSION_LEVEL) -> None:
        try:
            from pywebrtc_audio import AudioProcessor
        except ImportError as error:
            raise EngineUnavailableError(f"echo cancelling needs pywebrtc-audio ({error})", "uv sync") from error
        self._processor = AudioProcessor(
            sample_rate=SAMPLE_RATE_HZ,
            echo_cancellation=True,
            high_pass_filter=True,
            noise_suppression=noise_suppression_level is not None,
            ns_level=noise_suppression_level or 0,
        )

    def process(self, mic_s16: Pcm16, far_s16: Pcm16) -> Pcm16:
        """See `Canceller.process`."""
        _check_lengths(mic_s16, far_s16)
        return self._processor.process(np.ascontiguousarray(mic_s16), np.ascontiguousarray(far_s16))


class LivekitCanceller:
    """AEC3 of the `livekit` package. A block of another length would abort the process, so none is let through.

    Raises:
        EngineUnavailableError: The package cannot be imported.
    """

    def __init__(self) -> None:
        try:
            from livekit import rtc
        except ImportError as error:
            raise EngineUnavailableError(f"this canceller needs livekit ({error})", "uv pip install livekit") from error
        self._module = rtc.AudioProcessingModule(echo_cancellation=True, noise_suppression=True, high_pass_filter=True)
        self._frame = rtc.AudioFrame

    def process(self, mic_s16: Pcm16, far_s16: Pcm16) -> Pcm16:
        """See `Canceller.process`."""
        _check_lengths(mic_s16, far_s16)
        far = self._frame(far_s16.astype("<i2").tobytes(), SAMPLE_RATE_HZ, 1, BLOCK_SAMPLES)
        mic = self._frame(mic_s16.astype("<i2").tobytes(), SAMPLE_RATE_HZ, 1, BLOCK_SAMPLES)
        self._module.process_reverse_stream(far)
        self._module.process_stream(mic)
        return np.frombuffer(bytes(mic.data), "<i2").copy()


def make_canceller(name: CancellerName = "webrtc") -> Canceller:
    """The canceller of that name.

    Raises:
        EngineUnavailableError: Its package cannot be imported.
    """
    return LivekitCanceller() if name == "livekit" else WebRtcCanceller()


@cache
def delay_samples(name: CancellerName = "webrtc") -> int:
    """How late a canceller that `make_canceller` makes answers, at 16 kHz, measured on another of its kind.

    Raises:
        EngineUnavailableError: Its package cannot be imported.
    """
    return measured_delay_samples(make_canceller(name))


def measured_delay_samples(canceller: Canceller) -> int:
    """How late a canceller answers, at 16 kHz, found by sending 0.6 s of noise through it.

    No library tells: WebRTC's filter bank and its noise suppression each add to it.

    Args:
        canceller: Any; it hears the noise, so a fresh one of the same kind is best.

    Returns:
        0 to 640 samples; 0 for one that lets nothing through.
    """
    noise = np.random.default_rng(0)
    blocks = noise.normal(0.0, _PROBE_RMS, (_PROBE_BLOCKS, BLOCK_SAMPLES))
    blocks[np.arange(_PROBE_BLOCKS) // _PROBE_BURST_BLOCKS % 2 == 0] *= 0.01
    sent_s16 = np.clip(blocks, -32768, 32767).astype(np.int16)
    silence_s16 = np.zeros(BLOCK_SAMPLES, np.int16)
    heard = np.concatenate([canceller.process(block_s16, silence_s16) for block_s16 in sent_s16]).astype(np.float64)
    sent = sent_s16.ravel().astype(np.float64)
    n_compared = len(sent) - _MOST_DELAY_SAMPLES
    alike = [float(sent[:n_compared] @ heard[late : late + n_compared]) for late in range(_MOST_DELAY_SAMPLES + 1)]
    return int(np.argmax(alike)) if max(alike) > 0 else 0


def _check_lengths(mic_s16: Pcm16, far_s16: Pcm16) -> None:
    if mic_s16.shape != (BLOCK_SAMPLES,) or far_s16.shape != (BLOCK_SAMPLES,):
        raise ValueError(
            f"a canceller takes blocks of {BLOCK_SAMPLES} samples, not {mic_s16.shape} heard and {far_s16.shape} played"
        )
