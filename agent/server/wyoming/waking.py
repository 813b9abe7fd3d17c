"""Wake words for a Wyoming client: its sound goes to a detector of its own, beside the event loop.

In:  detect, then sound in any format that a WAV holds.   Out: detection for each word, as soon as it is heard;
not-detected where the sound ends without one.
"""

import time
from collections.abc import Sequence

import numpy as np
import soxr
from wyoming.event import Event
from wyoming.wake import Detection, NotDetected

from agent.engines.host import ModelHost
from agent.engines.wake import WakeHost, installed_wake
from agent.server.state import ServerState
from agent.server.wire.errors import ApiError
from agent.server.wyoming.events import bad_event, texts_of
from agent.server.wyoming.hearing import GRACE_SECS, SLOWEST, Format
from agent.server.wyoming.line import Line
from processors.errors import EngineError, EngineUnavailableError, one_line
from processors.wake.detector import SAMPLE_RATE_HZ, HeardWake, WakeDetector, WakeEngine
from processors.wake.listener import WakeListener

# A detector is asked about no less than this at once, and no more: others' sound waits meanwhile.
LEAST_SECS, MOST_SECS = 0.04, 1.0
MAX_SHOWN_CHARS = 60


class WakeService:
    """The engine of all satellites: that of the conversations, if they have one.

    Args:
        state: What is loaded.
    """

    def __init__(self, state: ServerState) -> None:
        self._state = state
        self._own: WakeHost | None = None

    def engine(self) -> WakeEngine | None:
        """What is installed; None where nothing is. Blocks for a moment."""
        try:
            return self._host().engine
        except EngineUnavailableError:
            return None

    def host(self) -> WakeHost:
        """The engine with its threads.

        Raises:
            ApiError: None is installed.
        """
        try:
            return self._host()
        except EngineUnavailableError as error:
            raise ApiError(501, str(error), code="no_wake_engine_installed") from None

    def close(self) -> None:
        """End what is its own; every session has ended."""
        if self._own:
            self._own.close()

    def _host(self) -> WakeHost:
        host = self._state.loaded.host if self._state.loaded else None
        if isinstance(host, ModelHost) and host.wake:
            return host.wake
        self._own = self._own or installed_wake()
        return self._own


class Detecting:
    """One stretch of sound, from `detect` to its end.

    Args:
        host: What hears words.
        event: detect.
        threshold: The probability from which a word counts; None: each word's own.

    Attributes:
        format: Of the sound, once it has begun.

    Raises:
        ApiError: It asks for a word that nobody knows.
    """

    def __init__(self, host: WakeHost, event: Event, threshold: float | None) -> None:
        self.format: Format | None = None
        self._host = host
        self._threshold = threshold
        self._names = _names_of(event, host.engine)
        self._listener: WakeListener | None = None
        self._begun_secs = time.monotonic()
        self._waiting = bytearray()
        self._n_bytes = 0
        self._has_heard = False

    def begin(self, format: Format) -> None:
        """The sound begins.

        Args:
            format: Its own.
        """
        self.format = format
        self._begun_secs = time.monotonic()
        engine, names, threshold = self._host.engine, self._names, self._threshold
        self._listener = WakeListener(lambda: _Converted(engine.detector(names, threshold), format), self._host.threads)

    async def take(self, pcm: bytes, timestamp: object, line: Line) -> None:
        """Take more of the sound, and tell what is heard in it.

        Args:
            pcm: Of `format`, little-endian.
            timestamp: The client's, in milliseconds; what is none is made up.
            line: Takes the detections.

        Raises:
            ApiError: It comes too slowly, or the detector failed.
            ClientGoneError: The client hung up.
        """
        assert self.format  # noqa: S101 - the session begins it
        self._n_bytes += len(pcm)
        secs = self._n_bytes / self.format.bytes_per_sec
        if time.monotonic() - self._begun_secs > GRACE_SECS + SLOWEST * secs:
            raise ApiError(408, "the sound comes at less than half its pace", code="upload_timeout")
        at_ms = timestamp if isinstance(timestamp, int) and not isinstance(timestamp, bool) else round(secs * 1000)
        self._waiting += pcm
        if len(self._waiting) >= LEAST_SECS * self.format.bytes_per_sec:
            await self._ask(at_ms, line)

    async def finish(self, line: Line) -> None:
        """The sound is over.

        Raises:
            ApiError: The detector failed.
            ClientGoneError: The client hung up.
        """
        if self.format and self._waiting:
            await self._ask(round(self._n_bytes / self.format.bytes_per_sec * 1000), line)
        if not self._has_heard:
            await line.send(NotDetected())

    def close(self) -> None:
        """Let go of the detector; a second time changes nothing."""
        if self._listener:
            self._listener.let_go()

    async def _ask(self, at_ms: int, line: Line) -> None:
        format, listener = self.format, self._listener
        if format is None or listener is None:
            return
        frame_bytes = format.width_bytes * format.n_channels
        whole = bytes(self._waiting[: len(self._waiting) // frame_bytes * frame_bytes])
        del self._waiting[: len(whole)]
        step = max(1, int(MOST_SECS * format.rate_hz)) * frame_bytes
        for at in range(0, len(whole), step):
            try:
                heard = await listener.hear(whole[at : at + step])
            except EngineError as error:
                raise ApiError(500, f"wake word: {one_line(error)}", code="engine_failed") from error
            for one in heard:
                self._has_heard = True
                await line.send(Detection(name=one.word.name, timestamp=at_ms))


class _Converted:
    """A detector that takes sound of any format.

    Args:
        detector: Takes 16 kHz mono s16.
        format: Of what comes.
    """

    def __init__(self, detector: WakeDetector, format: Format) -> None:
        self._detector = detector
        self._format = format
        same = format.rate_hz == SAMPLE_RATE_HZ
        self._resampler = None if same else soxr.ResampleStream(format.rate_hz, SAMPLE_RATE_HZ, 1, dtype="float32")

    def hear(self, pcm16: bytes) -> list[HeardWake]:
        """Whole samples of all channels."""
        mono_f32 = _mono(pcm16, self._format)
        if self._resampler:
            mono_f32 = self._resampler.resample_chunk(mono_f32)
        return self._detector.hear(np.clip(np.round(mono_f32 * 32768), -32768, 32767).astype("<i2").tobytes())

    def reset(self) -> None:
        """See `WakeDetector`."""
        self._detector.reset()

    def close(self) -> None:
        """See `WakeDetector`."""
        self._detector.close()


def _mono(pcm: bytes, format: Format) -> "np.ndarray[tuple[int], np.dtype[np.float32]]":
    """All channels together; shape (n_samples,), -1 to 1."""
    width = format.width_bytes
    raw = np.frombuffer(pcm, np.uint8).reshape(-1, format.n_channels, width)
    if width == 1:
        samples_f32 = (raw[..., 0].astype(np.float32) - 128) / 128
    else:
        # Into the upper bytes of 32 bits, so that the sign is where it belongs.
        wide = np.zeros((*raw.shape[:2], 4), np.uint8)
        wide[..., 4 - width :] = raw
        samples_f32 = wide.view("<i4")[..., 0].astype(np.float32) / 2**31
    return samples_f32.mean(axis=1, dtype=np.float32)


def _names_of(event: Event, engine: WakeEngine) -> Sequence[str]:
    names = texts_of(event, "names")
    for name in names:
        if name not in engine.words:
            known = ", ".join(sorted(engine.words))
            raise bad_event(f"detect: {name[:MAX_SHOWN_CHARS]} is no word of this server; it knows {known}")
    return list(dict.fromkeys(names)) or sorted(engine.words)
