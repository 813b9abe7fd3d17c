"""Runs a synthesizer on its threads: its chunks come to the event loop one by one, and leaving early stops its work."""

import asyncio
import threading
from collections.abc import AsyncGenerator
from concurrent.futures import Executor

from processors.engine_threads import HUNG_SECS, EngineThreads, Job
from processors.tts.at_rate import speech_at_rate
from processors.tts.synthesizer import SpeechChunk, StoppableSpeech, Synthesizer

# Of speech that an engine makes at half the pace at which it is spoken.
PATIENCE_SECS_A_CHAR = 0.15


async def speech_chunks(
    engine: Synthesizer, text: str, threads: Executor, rate_hz: int
) -> AsyncGenerator[SpeechChunk, None]:
    """Speak a text on the engine's threads.

    Args:
        engine: Speaks.
        text: Speakable words and punctuation.
        threads: The engine's.
        rate_hz: Of the chunks.

    Yields:
        Chunks in order, as they come. Closing the generator stops the work.

    Raises:
        EngineError: The engine failed, or did not come back from its work.
    """
    loop = asyncio.get_running_loop()
    arrived: asyncio.Queue[SpeechChunk | None] = asyncio.Queue()
    cancelled = threading.Event()
    under_way: list[StoppableSpeech] = []

    def synthesize() -> None:
        if cancelled.is_set():
            return
        chunks = speech_at_rate(engine, text, rate_hz)
        if isinstance(chunks, StoppableSpeech):
            under_way.append(chunks)
        for chunk in chunks:
            job.live()
            if cancelled.is_set():
                break
            loop.call_soon_threadsafe(arrived.put_nowait, chunk)

    job = Job(synthesize, HUNG_SECS + PATIENCE_SECS_A_CHAR * len(text))
    if isinstance(threads, EngineThreads):
        work: asyncio.Future[None] = asyncio.ensure_future(threads.back(threads.put(job)))
    else:
        work = loop.run_in_executor(threads, synthesize)
    work.add_done_callback(lambda _: arrived.put_nowait(None))
    try:
        while (chunk := await arrived.get()) is not None:
            yield chunk
        await work
    finally:
        cancelled.set()
        for speech in under_way:
            speech.stop()
        work.cancel()
