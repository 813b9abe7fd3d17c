"""Records a conversation while it is held, on any transport: a stereo WAV, left the user's side, right the agent's.

In:  InputAudioRawFrame that leave a transport's input, OutputAudioRawFrame that its output has sent.
Out: a file that grows by a second at a time; sample 0 is the first sample of the user's side.

Memory stays the same however long it goes on. A file that cannot be written ends the recording, not the conversation.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import numpy as np
import soxr
from pipecat.frames.frames import Frame, InputAudioRawFrame, InterruptionFrame, OutputAudioRawFrame
from pipecat.processors.frame_processor import FrameProcessor
from pipecat.transports.base_transport import BaseTransport

from transports.errors import RecordingError
from transports.params import IN_RATE_HZ
from transports.recorded_sides import InputSide, OutputSide
from transports.sound_file import Pcm16
from transports.stereo_file import StereoFile

# A network that holds sound back for longer has lost the call.
HOLD_SECS = 8.0
WRITE_EVERY_SECS = 1.0
# Seconds of sound that a slow disk may be behind.
MAX_UNWRITTEN = 10
CLOSE_TIMEOUT_SECS = 5.0
# Of Pipecat.
PASSES = "on_before_push_frame"
TOO_SLOW = "the recording cannot be written: the disk is too slow"


class SessionRecorder:
    """Writes what passes through one transport.

    Args:
        path: The WAV file; replaced if it is there.
        rate_hz: Of the agent's voice, and of the file.
        on_failure: Called once, on the event loop, with one line, when the file can no longer be written.
        thread: Writes, one thing after the other; default: one of its own.
        after_secs: The file that is there goes on behind so much silence; None: it is replaced.
        at_secs: When it begins, on the timeline of a transport that has been talked on before.

    Attributes:
        start_secs: Where in the file it goes on; 0 in a new one.
        failure: That line; None while all goes well.
        input_is_silent: Whether silence is written in place of what the user's side sends.

    Raises:
        RecordingError: The file cannot be written at all.
    """

    def __init__(
        self,
        path: Path,
        rate_hz: int,
        on_failure: Callable[[str], None] = lambda failure: None,
        thread: ThreadPoolExecutor | None = None,
        *,
        after_secs: float | None = None,
        at_secs: float = 0.0,
    ) -> None:
        self._at_secs = at_secs
        self._file = StereoFile(path, rate_hz, after_secs=after_secs)
        self.start_secs = self._file.start_secs
        self._on_failure = on_failure
        self.failure: str | None = None
        self._input = InputSide(IN_RATE_HZ)
        self._output = OutputSide(rate_hz)
        self._resampler = soxr.ResampleStream(IN_RATE_HZ, rate_hz, 1, dtype="int16") if rate_hz != IN_RATE_HZ else None
        self._left = bytearray()
        self._origin_secs: float | None = None
        self._written_at_secs = 0.0
        self._closed = False
        self.input_is_silent = False
        self._owns_thread = thread is None
        self._thread = thread or ThreadPoolExecutor(1, "recorder")
        self._unwritten: list[Future[None]] = []
        self._taps: list[tuple[FrameProcessor, Callable[[FrameProcessor, Frame], Awaitable[None]]]] = []

    def attach(self, transport: BaseTransport) -> None:
        """Record what passes through this transport from now on."""
        self._taps = [(transport.input(), self._on_input), (transport.output(), self._on_output)]
        for step, handler in self._taps:
            step.add_event_handler(PASSES, handler)

    async def close(self) -> None:
        """Write what waits and close the file; nothing is recorded after that."""
        if self._closed:
            return
        self._write(float("inf"), last=True)
        self._closed = True
        for step, handler in self._taps:
            step.remove_event_handler(PASSES, handler)
        loop = asyncio.get_running_loop()
        closing = loop.run_in_executor(self._thread, self._file.close)
        _, pending = await asyncio.wait([closing], timeout=CLOSE_TIMEOUT_SECS)
        if pending:
            self._fail(TOO_SLOW)
        self._look_for_failure()
        if self._owns_thread:
            self._thread.shutdown(wait=False)

    async def _on_input(self, _: FrameProcessor, frame: Frame) -> None:
        if not isinstance(frame, InputAudioRawFrame) or self._closed:
            return
        now_secs = time.monotonic()
        if self._origin_secs is None:
            self._origin_secs = now_secs - frame.num_frames / frame.sample_rate
        end_secs = now_secs - self._origin_secs
        self._input.add(end_secs, bytes(len(frame.audio)) if self.input_is_silent else frame.audio)
        self._write_if_due(end_secs)

    async def _on_output(self, _: FrameProcessor, frame: Frame) -> None:
        # What is played before the first sample of the user's side has no place on its timeline.
        if self._origin_secs is None or self._closed:
            return
        now_secs = time.monotonic() - self._origin_secs
        if isinstance(frame, InterruptionFrame):
            self._output.cut(now_secs)
        elif isinstance(frame, OutputAudioRawFrame):
            playout_secs: float | None = frame.metadata.get("playout_secs")
            start_secs = now_secs if playout_secs is None else max(0.0, playout_secs - self._at_secs)
            self._output.add(start_secs, frame.audio, exactly=playout_secs is not None)
            self._write_if_due(now_secs)

    def _write_if_due(self, now_secs: float) -> None:
        if now_secs - self._written_at_secs >= WRITE_EVERY_SECS:
            self._written_at_secs = now_secs
            self._write(now_secs - HOLD_SECS)

    def _write(self, until_secs: float, *, last: bool = False) -> None:
        self._left += self._resampled(self._input.take(until_secs), last=last)
        n_samples = len(self._left) // 2
        if last:
            n_samples = max(n_samples, self._output.n_waiting)
        size = n_samples * 2
        left_s16 = np.frombuffer(bytes(self._left[:size]).ljust(size, b"\0"), "<i2")
        right_s16 = np.frombuffer(self._output.take(n_samples), "<i2")
        del self._left[:size]
        self._look_for_failure()
        if n_samples and self.failure is None:
            self._unwritten.append(self._thread.submit(self._file.write, left_s16, right_s16))

    def _resampled(self, pcm16: bytes, *, last: bool) -> bytes:
        if self._resampler is None:
            return pcm16
        audio_s16: Pcm16 = np.frombuffer(pcm16, "<i2")
        return self._resampler.resample_chunk(audio_s16, last=last).astype("<i2").tobytes()

    def _look_for_failure(self) -> None:
        done = [writing for writing in self._unwritten if writing.done()]
        self._unwritten = [writing for writing in self._unwritten if not writing.done()]
        for writing in done:
            error = writing.exception()
            if isinstance(error, RecordingError):
                self._fail(str(error))
            elif error is not None:
                raise error
        if len(self._unwritten) > MAX_UNWRITTEN:
            self._fail(TOO_SLOW)

    def _fail(self, failure: str) -> None:
        if self.failure is None:
            self.failure = failure
            self._on_failure(failure)
