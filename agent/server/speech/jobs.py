"""Recordings under way: how many at a time, in which threads, and how they end early.

In:  a sound file in memory.   Out: Segments while decoding goes on.
Decoding the file and the engine's work run in the model host's threads for recordings; the event loop only waits. An
engine that does not come back is given up, and the next one in the stage's order does what comes after.
"""

import asyncio
import threading
from collections.abc import AsyncGenerator, Callable, Coroutine, Generator
from concurrent.futures import wait
from contextlib import AbstractContextManager
from typing import Any, BinaryIO, Protocol

from loguru import logger

from agent.engines.candidates import Choice
from agent.server.wire.errors import TooBusyError
from agent.server.wire.slots import Slots
from agent.server.wire.upload_budget import MEGABYTE, UploadBudget
from processors.engine_threads import EngineThreads, Job, Standby
from processors.errors import EngineError, EngineHungError, one_line
from processors.stt.recognizer import SAMPLE_RATE_HZ, Pcm16, RecognizerEngine, Segment, TranscriptionRequest
from transports.sound_file import decode_sound

FILE_NAME = "the file"
UPLOAD_MEMORY_BYTES = 256 * MEGABYTE
# A file is decoded far faster than this, and an engine that takes longer than a recording lasts is of no use. Until its
# next segment it may take so long and as long as the recording, for all of it may be silence.
DECODE_SECS, PATIENCE_SECS = 60.0, 30.0


class SpeechHost(Protocol):
    """What transcribing recordings needs of a model host."""

    stt: Choice[RecognizerEngine]
    file_threads: EngineThreads
    stt_standby: Standby[RecognizerEngine] | None


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
        try:
            work, back = self._jobs.submit(self, lambda segment: loop.call_soon_threadsafe(found.put_nowait, segment))
        except EngineError:
            self._source.close()
            raise
        # Whether it was done, failed, never begun or given up.
        work.future.add_done_callback(lambda _: self._source.close())
        ended = asyncio.create_task(back, name="recording")
        ended.add_done_callback(lambda _: found.put_nowait(None))
        try:
            while (segment := await found.get()) is not None:
                yield segment
            ended.result()
        finally:
            self.stop()
            ended.cancel()
            await asyncio.gather(ended, return_exceptions=True)

    def stop(self) -> None:
        """End the work at its next segment, or before it starts."""
        self._stopping.set()

    def work(self, engine: RecognizerEngine, max_secs: float, tell: Callable[[Segment], object], job: Job) -> None:
        """All of it, in a thread.

        Args:
            engine: Shared with everyone.
            max_secs: A longer recording is refused.
            tell: Called with each segment.
            job: Is given signs of life.
        """
        self._check()
        with self._source as source:
            audio_s16 = decode_sound(source, max_secs=max_secs, name=FILE_NAME)
        self.duration_secs = len(audio_s16) / SAMPLE_RATE_HZ
        job.live(PATIENCE_SECS + self.duration_secs)
        segments = _engine_work(engine, audio_s16, self._request)
        try:
            for segment in segments:
                job.live()
                self._check()
                tell(segment)
        finally:
            segments.close()

    def _check(self) -> None:
        if self._stopping.is_set():
            raise EngineError("the transcription was stopped before its end")


def _engine_work(
    engine: RecognizerEngine, audio_s16: Pcm16, request: TranscriptionRequest
) -> Generator[Segment, None, None]:
    """What an engine finds; whatever it raises is an EngineError, and it is left in the thread that it runs in."""
    try:
        found = engine.transcribe(audio_s16, request)
        try:
            yield from found
        finally:
            # Only generators can be left early.
            if isinstance(found, Generator):
                found.close()
    except EngineError:
        raise
    except Exception as error:
        raise EngineError(f"{engine.name}: {one_line(error)}") from error


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
        self.slots = Slots(max_jobs, lambda: TooBusyError(max_jobs, "transcription", "server.max_transcriptions"))
        self._working: dict[TranscriptionJob, Job] = {}
        self._engine, self._engine_model = host.stt.loaded, host.stt.model
        self._threads, self._standby = host.file_threads, host.stt_standby

    @property
    def engine(self) -> RecognizerEngine:
        """What transcribes now."""
        return self._engine

    @property
    def model(self) -> str:
        """The model that transcribes."""
        return self._engine_model

    @property
    def n_active(self) -> int:
        """How many requests are being answered, uploads included."""
        return self.slots.n_active

    def slot(self) -> AbstractContextManager[None]:
        """A place for one request, from its upload to the end of its answer.

        Raises:
            TooBusyError: All places are taken, as soon as it is entered.
        """
        return self.slots.taken()

    def job(self, source: BinaryIO, request: TranscriptionRequest) -> TranscriptionJob:
        """A recording to be transcribed; nothing happens before its segments are asked for.

        Args:
            source: The file, which the job closes.
            request: What is wanted.
        """
        return TranscriptionJob(self, source, request)

    def submit(self, job: TranscriptionJob, tell: Callable[[Segment], object]) -> tuple[Job, Coroutine[Any, Any, None]]:
        """Put a job's work into the threads.

        Returns:
            The work, and what waits until it is done: it raises an EngineError if it failed or did not come back.

        Raises:
            EngineError: The engine is given up, and there is no other.
        """
        engine, threads = self._engine, self._threads
        work = Job(lambda: job.work(engine, self._max_audio_secs, tell, work), DECODE_SECS)
        try:
            threads.put(work)
        except EngineHungError as error:
            message = f"{engine.name} hangs in {threads.n_abandoned} threads and is asked no more: restart the server"
            raise EngineError(message) from error
        self._working[job] = work
        work.future.add_done_callback(lambda _: self._working.pop(job, None))
        return work, self._back(work, engine, threads)

    async def _back(self, work: Job, engine: RecognizerEngine, threads: EngineThreads) -> None:
        try:
            await threads.back(work)
        except EngineHungError as hung:
            await self._replace(engine)
            raise EngineError(f"{engine.name} did not come back from its work: send the recording again") from hung

    async def _replace(self, hung: RecognizerEngine) -> None:
        """Have the stage's next engine do what comes from now on, unless another request has seen to it."""
        other = await self._standby.next() if self._standby else None
        if other is None or self._engine is not hung or other[0] is hung:
            return
        # It works beside the conversations here, too.
        self._engine, self._engine_model = other[0], other[0].model
        self._threads = EngineThreads(self._threads.max_workers, self._threads.name)
        logger.warning(f"stt: recordings are transcribed by {self._engine.name} from now on")

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
        _, left = await asyncio.to_thread(wait, [work.future for work in working.values()], timeout_secs)
        self._threads.shutdown(wait=False, cancel_futures=True)
        return not left
