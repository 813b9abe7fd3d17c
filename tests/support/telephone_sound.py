"""A telephone's sound for tests: µ-law by its definition, and 16 kHz as a telephone has it."""

import numpy as np

from transports.recording import Pcm16


def to_ulaw(audio_s16: Pcm16) -> bytes:
    """G.711 µ-law, by its definition."""
    sign = np.where(audio_s16 < 0, 0x80, 0)
    magnitude = np.minimum(np.abs(audio_s16.astype(np.int32)), 32635) + 0x84
    exponent = np.floor(np.log2(magnitude)).astype(np.int32) - 7
    mantissa = (magnitude >> (exponent + 3)) & 0x0F
    return (~(sign | (exponent << 4) | mantissa) & 0xFF).astype(np.uint8).tobytes()


def from_ulaw(ulaw: bytes) -> Pcm16:
    """The inverse of `to_ulaw`."""
    code = ~np.frombuffer(ulaw, np.uint8).astype(np.int32) & 0xFF
    magnitude = (((code & 0x0F) << 3) + 0x84 << ((code >> 4) & 0x07)) - 0x84
    return np.where(code & 0x80, -magnitude, magnitude).astype(np.int16)


def at_telephone_rate(audio_s16: Pcm16) -> Pcm16:
    """16 kHz as a telephone has it."""
    spectrum = np.fft.rfft(audio_s16.astype(float))
    spectrum[int(len(spectrum) * 3700 / 8000) :] = 0
    return np.clip(np.fft.irfft(spectrum, len(audio_s16))[::2], -32768, 32767).astype(np.int16)
