"""Runs a synthesizer on its threads: its chunks come to the event loop one by one, and leaving early stops its work."""

import asyncio
import re
import threading
from collections.abc import AsyncGenerator
from concurrent.futures import Executor

from processors.engine_threads import HUNG_SECS, EngineThreads, Job
from processors.errors import EngineError
from processors.tts.at_rate import speech_at_rate
from processors.tts.synthesizer import SpeechChunk, StoppableSpeech, Synthesizer

# Of speech that an engine makes at half the pace at which it is spoken.
PATIENCE_SECS_A_CHAR = 0.15
# The slowest voice needs less: a digit is a word, and a word takes less than two seconds.
MOST_SECS, MOST_SECS_A_CHAR = 10.0, 2.0
BYTES_PER_SAMPLE = 2
_SPEAKABLE = re.compile(r"[A-Za-z0-9]")


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
        EngineError: The engine failed, did not come back from its work, makes no sound, half a sample or no end; what
            came before stands.
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
        n_bytes = 0
        for chunk in chunks:
            job.live()
            if cancelled.is_set():
                break
            n_bytes += len(chunk.pcm16)
            if len(chunk.pcm16) % BYTES_PER_SAMPLE:
                # All that follows would be noise.
                raise EngineError(f"{engine.name} made half a sample")
            # Counted here, for an engine may be quicker than whoever listens.
            if n_bytes > most_bytes:
                raise EngineError(f"{engine.name} does not end its speech")
            loop.call_soon_threadsafe(arrived.put_nowait, chunk)

    most_bytes = BYTES_PER_SAMPLE * rate_hz * (MOST_SECS + MOST_SECS_A_CHAR * len(text))
    job = Job(synthesize, HUNG_SECS + PATIENCE_SECS_A_CHAR * len(text))
    if isinstance(threads, EngineThreads):
        work: asyncio.Future[None] = asyncio.ensure_future(threads.back(threads.put(job)))
    else:
        work = loop.run_in_executor(threads, synthesize)
    work.add_done_callback(lambda _: arrived.put_nowait(None))
    has_sound = False
    try:
        while (chunk := await arrived.get()) is not None:
            yield chunk
            has_sound = has_sound or bool(chunk.pcm16)
        await work
        if not has_sound and _SPEAKABLE.search(text):
            raise EngineError(f"{engine.name} makes no sound")
    finally:
        cancelled.set()
        for speech in under_way:
            speech.stop()
        work.cancel()
