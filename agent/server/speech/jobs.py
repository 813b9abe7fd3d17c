"""Recordings under way: how many at a time, in which threads, and how they end early.

In:  a sound file in memory.   Out: Segments while decoding goes on.
Decoding the file and the engine's work run in the model host's threads for recordings; the event loop only waits.
"""

import asyncio
import threading
from collections.abc import AsyncGenerator, Callable, Generator, Iterator
from concurrent.futures import Executor, Future, wait
from contextlib import contextmanager
from typing import BinaryIO, Protocol

from agent.engines.candidates import Choice
from agent.server.wire.errors import TooBusyError
from agent.server.wire.upload_budget import MEGABYTE, UploadBudget
from processors.errors import EngineError
from processors.stt.recognizer import SAMPLE_RATE_HZ, RecognizerEngine, Segment, TranscriptionRequest
from transports.sound_file import decode_sound

FILE_NAME = "the file"
UPLOAD_MEMORY_BYTES = 256 * MEGABYTE


class SpeechHost(Protocol):
    """What transcribing recordings needs of a model host."""

    stt: Choice[RecognizerEngine]
    file_threads: Executor


class TranscriptionJob:
    """One recording on its way through the engine.

    Attributes:
        duration_secs: Of the recording, as soon as it is decoded.
    """

    def __init__(self, jobs: "TranscriptionJobs", source: BinaryIO, request: TranscriptionRequest) -> None:
        self.duration_secs = 0.0
        self._jobs = jobs
        self._source = source
        self._request = request
        self._stopping = threading.Event()

    async def segments(self) -> AsyncGenerator[Segment, None]:
        """The segments as they are found. Leaving (`aclose`) frees the thread at the next one.

        Raises:
            RecordingError: The file cannot be decoded.
            UnsupportedRequestError: The engine cannot do what is asked.
            EngineError: The engine failed, or the server stops.
        """
        loop = asyncio.get_running_loop()
        found: asyncio.Queue[Segment | None] = asyncio.Queue()
        work = self._jobs.submit(self, lambda segment: loop.call_soon_threadsafe(found.put_nowait, segment))
        # Whether it was done, failed or never begun.
        work.add_done_callback(lambda _: self._source.close())
        ended = asyncio.wrap_future(work)
        ended.add_done_callback(lambda _: found.put_nowait(None))
        try:
            while (segment := await found.get()) is not None:
                yield segment
            ended.result()
        finally:
            self.stop()
            if not ended.cancel() and not ended.cancelled():
                ended.exception()

    def stop(self) -> None:
        """End the work at its next segment, or before it starts."""
        self._stopping.set()

    def work(self, engine: RecognizerEngine, max_secs: float, tell: Callable[[Segment], object]) -> None:
        """All of it, in a thread.

        Args:
            engine: Shared with everyone.
            max_secs: A longer recording is refused.
            tell: Called with each segment.
        """
        self._check()
        with self._source as source:
            audio_s16 = decode_sound(source, max_secs=max_secs, name=FILE_NAME)
        self.duration_secs = len(audio_s16) / SAMPLE_RATE_HZ
        segments = engine.transcribe(audio_s16, self._request)
        try:
            for segment in segments:
                self._check()
                tell(segment)
        finally:
            _close(segments)

    def _check(self) -> None:
        if self._stopping.is_set():
            raise EngineError("the transcription was stopped before its end")


def _close(segments: Iterator[Segment]) -> None:
    """End an engine's work in the thread that it runs in; only generators can be left early."""
    if isinstance(segments, Generator):
        segments.close()


class TranscriptionJobs:
    """All recordings under way.

    Args:
        host: The engine and its threads.
        max_jobs: One more at a time is refused.
        max_audio_secs: A longer recording is refused.
        upload_memory_bytes: What may be held of uploads at a time.

    Attributes:
        max_jobs: As given.
        uploads: Counts what is held of uploads.
    """

    def __init__(
        self,
        host: SpeechHost,
        *,
        max_jobs: int,
        max_audio_secs: float,
        upload_memory_bytes: int = UPLOAD_MEMORY_BYTES,
    ) -> None:
        self.max_jobs = max_jobs
        self.uploads = UploadBudget(upload_memory_bytes)
        self._host = host
        self._max_audio_secs = max_audio_secs
        self._n_active = 0
        self._working: dict[TranscriptionJob, Future[None]] = {}

    @property
    def model(self) -> str:
        """The model that transcribes."""
        return self._host.stt.model

    @property
    def n_active(self) -> int:
        """How many requests are being answered, uploads included."""
        return self._n_active

    @contextmanager
    def slot(self) -> Iterator[None]:
        """A place for one request, from its upload to the end of its answer.

        Raises:
            TooBusyError: All places are taken.
        """
        if self._n_active >= self.max_jobs:
            raise TooBusyError(self.max_jobs)
        self._n_active += 1
        try:
            yield
        finally:
            self._n_active -= 1

    def job(self, source: BinaryIO, request: TranscriptionRequest) -> TranscriptionJob:
        """A recording to be transcribed; nothing happens before its segments are asked for.

        Args:
            source: The file, which the job closes.
            request: What is wanted.
        """
        return TranscriptionJob(self, source, request)

    def submit(self, job: TranscriptionJob, tell: Callable[[Segment], object]) -> "Future[None]":
        """Put a job's work into the threads."""
        work = self._host.file_threads.submit(job.work, self._host.stt.loaded, self._max_audio_secs, tell)
        self._working[job] = work
        work.add_done_callback(lambda _: self._working.pop(job, None))
        return work

    async def close(self, timeout_secs: float) -> bool:
        """End all work; engines cannot be closed before that.

        Args:
            timeout_secs: An engine may be long in finding its next segment; it is left alone after this.

        Returns:
            Whether all threads are done.
        """
        working = dict(self._working)
        for job in working:
            job.stop()
        _, left = await asyncio.to_thread(wait, list(working.values()), timeout_secs)
        return not left
