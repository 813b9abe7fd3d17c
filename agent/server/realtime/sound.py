"""The protocol's three formats of sound, and the rates between them and the pipeline.

In:  base64 of 24 kHz s16, or of 8 kHz G.711; the agent's voice at its own rate.   Out: 16 kHz mono s16; base64.
Source: ITU-T G.711 (its tables are computed here), RFC 3551.
"""

import base64
import binascii

import numpy as np
import soxr

from agent.server.realtime.problems import RealtimeProblem
from agent.server.realtime.session_config import Format, Pcm, Pcmu
from transports.desktop_rate import RateConverter

PIPELINE_RATE_HZ = 16_000
G711_RATE_HZ = 8_000
PCM_RATE_HZ = 24_000
# Half a minute at once would take 200 MB in the converter.
BLOCK_SAMPLES = 4_800


def _ulaw_table() -> np.ndarray:
    """What each byte of µ-law stands for, as s16."""
    code = ~np.arange(256, dtype=np.int64) & 0xFF
    magnitude = (((code & 0x0F) << 3) + 0x84 << ((code >> 4) & 7)) - 0x84
    return np.where(code & 0x80, -magnitude, magnitude).astype(np.int16)


def _alaw_table() -> np.ndarray:
    """What each byte of A-law stands for, as s16."""
    code = np.arange(256, dtype=np.int64) ^ 0x55
    segment, mantissa = (code >> 4) & 7, code & 0x0F
    magnitude = np.where(segment == 0, (mantissa << 4) + 8, ((mantissa << 4) + 0x108) << np.maximum(segment - 1, 0))
    return np.where(code & 0x80, magnitude, -magnitude).astype(np.int16)


class _Law:
    """One of G.711's two laws."""

    def __init__(self, table: np.ndarray) -> None:
        self._table = table
        self._order = np.argsort(table, kind="stable").astype(np.uint8)
        levels = table[self._order].astype(np.int32)
        # Halfway between neighbours the nearer byte changes.
        self._edges = (levels[1:] + levels[:-1]) / 2

    def decode(self, data: bytes) -> np.ndarray:
        """Bytes as s16."""
        return self._table[np.frombuffer(data, np.uint8)]

    def encode(self, audio_s16: np.ndarray) -> bytes:
        """S16 as bytes, each sample by the nearest."""
        return self._order[np.searchsorted(self._edges, audio_s16)].tobytes()


ULAW, ALAW = _Law(_ulaw_table()), _Law(_alaw_table())


def rate_of(form: Format) -> int:
    """Samples a second of a format."""
    return PCM_RATE_HZ if isinstance(form, Pcm) else G711_RATE_HZ


def length_ms(data_base64: str, form: Format) -> int:
    """How long the sound is that base64 of so many characters stands for, about; nothing is decoded."""
    n_bytes = len(data_base64) * 3 // 4
    return n_bytes * 1000 // (rate_of(form) * (2 if isinstance(form, Pcm) else 1))


def _law_of(form: Format) -> _Law:
    return ULAW if isinstance(form, Pcmu) else ALAW


class SoundDecoder:
    """A client's sound, as the pipeline takes it.

    Args:
        form: What the client sends.
    """

    def __init__(self, form: Format) -> None:
        self.form = form
        # soxr's streams hold back up to 40 ms, by which every answer would come later.
        self._converter = RateConverter(rate_of(form), PIPELINE_RATE_HZ)
        self._odd = b""

    def decode(self, data_base64: object) -> bytes:
        """One piece; half a sample at its end waits for the next one.

        Args:
            data_base64: What the client sent, anything at all.

        Returns:
            16 kHz mono s16.

        Raises:
            RealtimeProblem: It is no base64.
        """
        if not isinstance(data_base64, str):
            raise RealtimeProblem("audio must be base64", code="invalid_type", param="audio")
        try:
            data = base64.b64decode(data_base64, validate=True)
        except (binascii.Error, ValueError) as error:
            raise RealtimeProblem("audio is no base64", param="audio") from error
        if isinstance(self.form, Pcm):
            data = self._odd + data
            whole = len(data) // 2 * 2
            self._odd = data[whole:]
            audio_s16 = np.frombuffer(data[:whole], "<i2")
        else:
            audio_s16 = _law_of(self.form).decode(data)
        blocks = [audio_s16[at : at + BLOCK_SAMPLES] for at in range(0, len(audio_s16), BLOCK_SAMPLES)]
        return b"".join(self._converter.convert(block[np.newaxis]).astype("<i2").tobytes() for block in blocks)


class SoundEncoder:
    """The agent's sound, as a client takes it; one an item.

    Args:
        form: What the client takes.
        rate_hz: Of the agent's voice.

    Attributes:
        sent_ms: How much has been given out.
    """

    def __init__(self, form: Format, rate_hz: int) -> None:
        self._form = form
        self._rate_hz = rate_hz
        # From the first sample of a stretch of sound to its last.
        self._resampler: soxr.ResampleStream | None = None
        self._n_samples = 0

    @property
    def sent_ms(self) -> int:
        return self._n_samples * 1000 // rate_of(self._form)

    def encode(self, pcm16: bytes, *, last: bool = False) -> str:
        """One piece, in base64; it may be empty, as the resampler waits for what follows.

        Args:
            pcm16: Mono s16 at the voice's rate.
            last: Whether nothing follows for now.
        """
        audio_s16 = np.frombuffer(pcm16, "<i2")
        rates_hz = self._rate_hz, rate_of(self._form)
        if rates_hz[0] != rates_hz[1] and (pcm16 or self._resampler):
            resampler = self._resampler or soxr.ResampleStream(*rates_hz, 1, dtype="int16")
            audio_s16 = resampler.resample_chunk(audio_s16, last=last)
            self._resampler = None if last else resampler
        self._n_samples += len(audio_s16)
        data = (
            audio_s16.astype("<i2").tobytes() if isinstance(self._form, Pcm) else _law_of(self._form).encode(audio_s16)
        )
        return base64.b64encode(data).decode()
