"""The model host: loads each engine once per process, warms it up, and owns the threads it runs on.

Shared by all conversations. Nothing here runs inference on the event loop.
"""

import asyncio
import time
from collections.abc import Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import onnxruntime
from loguru import logger

from agent.engines.candidates import Choice, choose
from agent.engines.compute import check_device
from agent.engines.llm import LlmBackend, llm_candidates
from agent.engines.stt import stt_candidates
from agent.engines.tts import tts_candidates
from agent.settings.load import Settings
from processors.ear.silero import SharedSilero, load_silero
from processors.llm.service import LLMOptions
from processors.stt.recognizer import RecognizerEngine
from processors.tts.synthesizer import Synthesizer
from processors.turns.smart_turn import load_smart_turn

# A VAD window takes 0.14 ms, so one thread serves many conversations; a turn decision takes about 100 ms.
VAD_THREADS = 1
TURN_THREADS = 1
# Whole recordings are transcribed beside the conversations, this many at a time.
FILE_THREADS = 2


@dataclass
class EarsHost:
    """The speech-to-text engine alone, for recordings; `start_ears_host` makes it, `close` ends it."""

    stt: Choice[RecognizerEngine]
    file_threads: Executor

    def engines(self) -> dict[str, Any]:
        """Which engine it is, and why better ones were passed over."""
        return {"stt": self.stt.as_json()}

    async def close(self) -> None:
        """End threads and processes; no transcription may be under way."""
        self.file_threads.shutdown(wait=False, cancel_futures=True)
        await asyncio.to_thread(self.stt.loaded.close)


@dataclass
class ModelHost:
    """The loaded engines and their threads; `start_model_host` makes it, `close` ends it."""

    stt: Choice[RecognizerEngine]
    llm: Choice[LlmBackend]
    tts: Choice[Synthesizer]
    silero: SharedSilero
    turn_session: onnxruntime.InferenceSession
    stt_threads: Executor
    tts_threads: Executor
    vad_threads: Executor
    turn_threads: Executor
    file_threads: Executor

    @property
    def llm_options(self) -> LLMOptions:
        """How conversations ask the language model."""
        return self.llm.loaded.options

    def engines(self) -> dict[str, Any]:
        """Which engine serves each stage, and why better ones were passed over."""
        return {
            "stt": self.stt.as_json(),
            "llm": self.llm.as_json(),
            "tts": self.tts.as_json(),
            "vad": {"engine": "silero", "model": "v6", "passed_over": []},
            "turn": {"engine": "smart-turn", "model": "v3.2", "passed_over": []},
        }

    async def close(self) -> None:
        """End threads, processes and servers; conversations must have ended."""
        await asyncio.to_thread(self._close)

    def _close(self) -> None:
        for threads in (self.stt_threads, self.tts_threads, self.vad_threads, self.turn_threads, self.file_threads):
            threads.shutdown(wait=False, cancel_futures=True)
        self.stt.loaded.close()
        self.tts.loaded.close()
        self.llm.loaded.close()


async def start_model_host(settings: Settings) -> ModelHost:
    """Choose, load and warm up every engine, side by side.

    Raises:
        EngineUnavailableError: There is no `compute.device`, or a stage has no usable engine; what had been loaded is
            closed again.
    """
    started_secs = time.monotonic()
    check_device(settings.compute.device)
    llm_offers = asyncio.create_task(llm_candidates(settings))
    results = await asyncio.gather(
        asyncio.to_thread(lambda: choose("stt", settings.stt.engine, stt_candidates(settings))),
        asyncio.to_thread(lambda: choose("tts", settings.tts.engine, tts_candidates(settings))),
        _choose_llm(settings, llm_offers),
        asyncio.to_thread(load_silero),
        asyncio.to_thread(load_smart_turn),
        return_exceptions=True,
    )
    failures = [result for result in results if isinstance(result, BaseException)]
    if failures:
        for result in results:
            if isinstance(result, Choice):
                await asyncio.to_thread(result.loaded.close)
        raise failures[0]
    stt, tts, llm, silero, turn_session = results
    host = ModelHost(
        stt,  # pyright: ignore[reportArgumentType]
        llm,  # pyright: ignore[reportArgumentType]
        tts,  # pyright: ignore[reportArgumentType]
        silero,  # pyright: ignore[reportArgumentType]
        turn_session,  # pyright: ignore[reportArgumentType]
        ThreadPoolExecutor(stt.loaded.max_threads, "stt"),  # pyright: ignore
        ThreadPoolExecutor(tts.loaded.max_threads, "tts"),  # pyright: ignore
        ThreadPoolExecutor(VAD_THREADS, "vad"),
        ThreadPoolExecutor(TURN_THREADS, "turn"),
        ThreadPoolExecutor(FILE_THREADS, "files"),
    )
    try:
        await _warm_up(host)
    except BaseException:
        await host.close()
        raise
    _log_choices((host.stt, host.llm, host.tts), time.monotonic() - started_secs)
    return host


async def start_ears_host(settings: Settings) -> EarsHost:
    """Choose, load and warm up the speech-to-text engine.

    Raises:
        EngineUnavailableError: None is usable, or there is no `compute.device`.
    """
    started_secs = time.monotonic()
    check_device(settings.compute.device)
    stt = await asyncio.to_thread(lambda: choose("stt", settings.stt.engine, stt_candidates(settings)))
    host = EarsHost(stt, ThreadPoolExecutor(FILE_THREADS, "files"))
    try:
        stt.note = await asyncio.get_running_loop().run_in_executor(host.file_threads, stt.loaded.warm_up)
    except BaseException:
        await host.close()
        raise
    _log_choices((stt,), time.monotonic() - started_secs)
    return host


async def _choose_llm(settings: Settings, offers: "asyncio.Task[Any]") -> Choice[LlmBackend]:
    candidates = await offers
    return await asyncio.to_thread(lambda: choose("llm", settings.llm.engine, candidates))


async def _warm_up(host: ModelHost) -> None:
    loop = asyncio.get_running_loop()
    host.stt.note, *_ = await asyncio.gather(
        loop.run_in_executor(host.stt_threads, host.stt.loaded.warm_up),
        loop.run_in_executor(host.tts_threads, host.tts.loaded.warm_up),
        asyncio.to_thread(host.llm.loaded.warm_up),
    )


def _log_choices(choices: Sequence[Choice[Any]], took_secs: float) -> None:
    for choice in choices:
        for passed in choice.passed_over:
            logger.debug(f"{choice.stage}: passed over {passed.engine}: {passed.reason} ({passed.mend})")
        logger.info(f"{choice.stage}: {choice.engine} with {choice.model}")
        if choice.note:
            logger.warning(f"{choice.stage}: {choice.note}")
    logger.info(f"models ready in {took_secs:.1f} s")
