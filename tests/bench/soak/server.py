"""The server of the soak, alone in a process of its own: everything real but the engines, which keep nothing."""

import asyncio
import gc
import threading
from array import array
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Literal

import psutil
from loguru import logger
from pipecat.frames.frames import InputAudioRawFrame

from agent.server.calls.garbage import set_aside_what_stays
from processors.llm.options import LLMOptions
from processors.stt.recognizer import Transcript
from processors.tts.synthesizer import SpeechChunk
from tests.bench.sessions.lateness import RTP_RATE_HZ, Probe
from tests.bench.table import percentile
from tests.support.scripted_engines import ScriptedRecognizer, ScriptedRecognizerEngine, ScriptedSynthesizer
from tests.support.served import serving_page

WORDS = "What is the capital of Germany?"
Ask = Literal["lateness", "rest"]


@dataclass(frozen=True)
class AtRest:
    """What the server holds.

    Attributes:
        n_descriptors: Open files and sockets.
        n_tasks: Of the event loop.
        n_children: Processes.
        tasks: Their names.
        threads: Their names.
    """

    n_descriptors: int
    n_tasks: int
    n_children: int
    tasks: tuple[str, ...]
    threads: tuple[str, ...]


class SteadyEars(ScriptedRecognizerEngine):
    """Hears the same words for ever."""

    def recognizer(self) -> ScriptedRecognizer:
        return _SteadyRecognizer(self)


class _SteadyRecognizer(ScriptedRecognizer):
    def pause(self) -> Transcript:
        # As many as there are threads, and nothing is noted.
        self._engine.texts[:] = [WORDS] * 8
        self._engine.said.clear()
        self._engine.heard_bytes.clear()
        return super().pause()


class SteadyVoice(ScriptedSynthesizer):
    """A tone a word, for ever."""

    def in_voice(self, voice: str | None, *, language: str, speed: float) -> ScriptedSynthesizer:
        self.voices_taken.clear()
        return super().in_voice(voice, language=language, speed=speed)

    def synthesize(self, text: str) -> Iterator[SpeechChunk]:
        # Conversations speak in the voice as it is: what was noted is forgotten with each text, not with each voice.
        self.spoken.clear()
        self.said_in.clear()
        return super().synthesize(text)


class Lateness(Probe):
    """Notes how late microphone frames are, and forgets them when asked: it must not be what grows."""

    def __init__(self) -> None:
        super().__init__()
        self._fastest_secs: dict[int, float] = {}
        self._late_secs = array("d")

    def note(self, session: int, frame: InputAudioRawFrame) -> None:
        if frame.pts is None:
            return
        behind_secs = self._now_secs() - frame.pts / RTP_RATE_HZ
        fastest_secs = min(behind_secs, self._fastest_secs.get(session, behind_secs))
        self._fastest_secs[session] = fastest_secs
        self._late_secs.append(behind_secs - fastest_secs)
        self.judged_secs.clear()

    def take_p95_ms(self) -> float | None:
        """Since the last question; None without frames."""
        late_secs, self._late_secs = self._late_secs, array("d")
        while len(self._fastest_secs) > 32:
            del self._fastest_secs[next(iter(self._fastest_secs))]
        return percentile(late_secs, 95) * 1000 if late_secs else None


def serve(llm_url: str, log_path: str, line: Connection) -> None:
    """Serve until the other end of the line says None.

    Args:
        llm_url: A scripted language model in another process.
        log_path: Gets what is logged.
        line: Gets the address, then an answer for each Ask: milliseconds or None, or AtRest.
    """
    logger.remove()
    logger.add(log_path, level="INFO")
    asyncio.run(_serve(llm_url, line))


async def _serve(llm_url: str, line: Connection) -> None:
    lateness = Lateness()
    lateness.watch()
    loop = asyncio.get_running_loop()
    options = LLMOptions(llm_url, "scripted")
    with ThreadPoolExecutor(1, "line") as waiting:
        async with serving_page(SteadyEars(), options, SteadyVoice(), max_sessions=8) as running:
            set_aside_what_stays()
            line.send(running.url)
            while (ask := await loop.run_in_executor(waiting, line.recv)) is not None:
                line.send(lateness.take_p95_ms() if ask == "lateness" else _at_rest())


def _at_rest() -> AtRest:
    gc.collect()
    process = psutil.Process()
    tasks = sorted(task.get_name() for task in asyncio.all_tasks())
    threads = sorted(thread.name for thread in threading.enumerate())
    return AtRest(
        n_descriptors=process.num_fds(),
        n_tasks=len(tasks),
        n_children=len(process.children()),
        tasks=tuple(tasks),
        threads=tuple(threads),
    )
