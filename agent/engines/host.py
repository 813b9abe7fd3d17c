"""The model host: loads each engine once per process, warms it up, and owns the threads it runs on.

Shared by all conversations. Nothing here runs inference on the event loop.
"""

import asyncio
import time
from collections.abc import Awaitable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from loguru import logger

from agent.engines.addresses import groups_in
from agent.engines.candidates import Candidate, Choice, choose
from agent.engines.compute import check_device
from agent.engines.known_speeds import known_speeds
from agent.engines.large import STAGE, beside, choose_large
from agent.engines.llm import LlmAddress, LlmBackend, llm_candidates
from agent.engines.speed import answer_secs
from agent.engines.standby import StageStandby, after
from agent.engines.stt import stt_candidates
from agent.engines.tool_probe import probed
from agent.engines.tts import tts_candidates
from agent.engines.wake import WakeHost, load_wake
from agent.settings.load import Settings, without_effect
from processors.addresses import AddressGroup
from processors.ear.silero import SharedSilero, load_silero
from processors.engine_threads import EngineThreads, Standby
from processors.errors import EngineUnavailableError
from processors.llm.answers import Answers
from processors.llm.options import LLMOptions
from processors.stt.recognizer import RecognizerEngine
from processors.tts.kept_speech import KeptSpeech
from processors.tts.synthesizer import Synthesizer
from processors.turns.smart_turn import load_smart_turn

if TYPE_CHECKING:
    import onnxruntime

# A VAD window takes 0.14 ms, so one thread serves many conversations; a turn decision takes about 100 ms.
VAD_THREADS = 1
TURN_THREADS = 1
# Whole recordings are transcribed beside the conversations, this many at a time.
FILE_THREADS = 2


@dataclass
class MindlessHost:
    """Ears and voice without a mind, for the speech API; `start_mindless_host` makes it, `close` ends it.

    Attributes:
        tts: None where no voice can be used.
    """

    stt: Choice[RecognizerEngine]
    file_threads: EngineThreads
    stt_standby: Standby[RecognizerEngine] | None = None
    tts: Choice[Synthesizer] | None = None
    tts_threads: Executor | None = None
    tts_standby: Standby[Synthesizer] | None = None

    @property
    def answer_secs(self) -> float | None:
        """None: it holds no conversations."""
        return None

    def engines(self) -> dict[str, Any]:
        """Which engines they are, and why better ones were passed over."""
        return {"stt": self.stt.as_json(), **({"tts": self.tts.as_json()} if self.tts else {})}

    def addresses(self) -> list[AddressGroup]:
        """Those of each engine that has several."""
        return groups_in(one.loaded for one in (self.stt, self.tts) if one)

    def threads(self) -> list[Executor]:
        """Those of all engines, those that took over among them."""
        own = [threads for threads in (self.file_threads, self.tts_threads) if threads]
        return [*own, *_taken_over(self.stt_standby, self.tts_standby)]

    async def close(self) -> None:
        """End threads and processes; no transcription may be under way."""
        await asyncio.to_thread(self._close)

    def _close(self) -> None:
        for threads in (self.file_threads, self.tts_threads):
            if threads:
                threads.shutdown(wait=False, cancel_futures=True)
        for standby in (self.stt_standby, self.tts_standby):
            if isinstance(standby, StageStandby):
                standby.close()
        self.stt.loaded.close()
        if self.tts:
            self.tts.loaded.close()


@dataclass
class ModelHost:
    """The loaded engines and their threads; `start_model_host` makes it, `close` ends it."""

    stt: Choice[RecognizerEngine]
    llm: Choice[LlmBackend]
    tts: Choice[Synthesizer]
    silero: SharedSilero
    turn_session: "onnxruntime.InferenceSession"
    stt_threads: Executor
    tts_threads: Executor
    vad_threads: Executor
    turn_threads: Executor
    file_threads: EngineThreads
    stt_standby: Standby[RecognizerEngine] | None = None
    tts_standby: Standby[Synthesizer] | None = None
    # The language model for what is hard, if there is one; how it is asked stands in the options of the other.
    large: Choice[LlmBackend] | None = None
    # What `llm.keep_answers` keeps.
    answers: Answers = field(default_factory=Answers)
    speech: KeptSpeech = field(default_factory=KeptSpeech)
    # What hears the wake words, where there are any.
    wake: WakeHost | None = None
    # Finds out which models call tools; what came of it counts for the conversations that begin after it.
    probing: asyncio.Task[None] | None = None

    @property
    def llm_options(self) -> LLMOptions:
        """How conversations ask the language model."""
        return self.llm.loaded.options

    def engines(self) -> dict[str, Any]:
        """Which engine serves each stage, and why better ones were passed over."""
        return {
            "stt": self.stt.as_json(),
            "llm": self.llm.as_json(),
            **({STAGE: self.large.as_json()} if self.large else {}),
            "tts": self.tts.as_json(),
            "vad": {"engine": "silero", "model": "v6", "passed_over": []},
            "turn": {"engine": "smart-turn", "model": "v3.2", "passed_over": []},
        }

    @property
    def answer_secs(self) -> float | None:
        """What a person waits for an answer with these engines, as measured on this machine; None where unknown."""
        return answer_secs(self.stt.speed, self.llm.speed, self.tts.speed)

    def addresses(self) -> list[AddressGroup]:
        """Those of each engine that has several."""
        return groups_in(one.loaded for one in (self.stt, self.llm, self.large, self.tts) if one)

    def threads(self) -> list[Executor]:
        """Those of all engines, those that took over among them."""
        own = [self.stt_threads, self.tts_threads, self.vad_threads, self.turn_threads, self.file_threads]
        wake = [self.wake.threads] if self.wake else []
        return [*own, *wake, *_taken_over(self.stt_standby, self.tts_standby)]

    async def probe_tools(self) -> None:
        """Find out whether the models call tools, where their servers do not tell; see `tool_probe`."""
        self.llm.loaded.options = await probed(self.llm_options)

    async def close(self) -> None:
        """End threads, processes and servers; conversations must have ended."""
        if self.probing:
            self.probing.cancel()
            await asyncio.wait([self.probing])
        await asyncio.to_thread(self._close)

    def _close(self) -> None:
        for threads in (self.stt_threads, self.tts_threads, self.vad_threads, self.turn_threads, self.file_threads):
            threads.shutdown(wait=False, cancel_futures=True)
        if self.wake:
            self.wake.close()
        for standby in (self.stt_standby, self.tts_standby):
            if isinstance(standby, StageStandby):
                standby.close()
        self.stt.loaded.close()
        self.tts.loaded.close()
        self.llm.loaded.close()
        if self.large:
            self.large.loaded.close()


def _taken_over(*standbys: Standby[Any] | None) -> list[Executor]:
    return [one.threads for one in standbys if isinstance(one, StageStandby) and one.threads]


async def start_model_host(
    settings: Settings,
    *,
    silero: Awaitable[SharedSilero] | None = None,
    turn_session: "Awaitable[onnxruntime.InferenceSession] | None" = None,
    address: LlmAddress | None = None,
) -> ModelHost:
    """Choose, load and warm up every engine, side by side.

    Args:
        settings: Which engines.
        silero: Where that is being loaded already.
        turn_session: Where smart-turn is.
        address: Where a language model of our own is to be served; default: anywhere.

    Raises:
        EngineUnavailableError: There is no `compute.device`, or a stage has no usable engine; what had been loaded is
            closed again.
    """
    started_secs = time.monotonic()
    check_device(settings.compute.device)
    wake = await asyncio.to_thread(load_wake, settings)
    chosen = asyncio.create_task(_choose_engines(settings, address))
    results = await asyncio.gather(
        *(silero or asyncio.to_thread(load_silero), turn_session or asyncio.to_thread(load_smart_turn)),
        *(choose_large(settings), chosen),
        return_exceptions=True,
    )
    loaded_silero, loaded_turn, large, choices = results
    results = [loaded_silero, loaded_turn, large, *(choices if isinstance(choices, list) else [choices])]
    failures = [result for result in results if isinstance(result, BaseException)]
    if failures:
        for result in results:
            if isinstance(result, Choice):
                await asyncio.to_thread(result.loaded.close)
        raise failures[0]
    _, _, _, stt, tts, llm = results
    host = ModelHost(
        stt,  # pyright: ignore[reportArgumentType]
        llm,  # pyright: ignore[reportArgumentType]
        tts,  # pyright: ignore[reportArgumentType]
        loaded_silero,  # pyright: ignore[reportArgumentType]
        loaded_turn,  # pyright: ignore[reportArgumentType]
        EngineThreads(stt.loaded.max_threads, "stt"),  # pyright: ignore
        EngineThreads(tts.loaded.max_threads, "tts"),  # pyright: ignore
        EngineThreads(VAD_THREADS, "vad"),
        EngineThreads(TURN_THREADS, "turn"),
        EngineThreads(FILE_THREADS, "files"),
        StageStandby("stt", lambda: after(stt, stt_candidates(settings))),  # pyright: ignore[reportArgumentType]
        StageStandby("tts", lambda: after(tts, tts_candidates(settings))),  # pyright: ignore[reportArgumentType]
        large=large,  # pyright: ignore[reportArgumentType]
        wake=wake,
    )
    host.llm.loaded.options = beside(host.llm_options, host.large, settings)
    chosen_ones = [choice for choice in (host.stt, host.llm, host.large, host.tts) if choice]
    _log_choices(chosen_ones, time.monotonic() - started_secs)
    for line in without_effect(settings):
        logger.warning(line)
    if settings.tools.choice != "off":
        # Who calls no tools chooses: only then is it of use to know before a conversation asks.
        host.probing = asyncio.create_task(host.probe_tools(), name="tool-probe")
    return host


async def start_mindless_host(settings: Settings) -> MindlessHost:
    """Choose, load and warm up speech-to-text and text-to-speech, one after the other.

    Raises:
        EngineUnavailableError: No speech-to-text is usable, nor the voice that is named, or there is no
            `compute.device`. Where `auto` finds no voice, there is none.
    """
    started_secs = time.monotonic()
    check_device(settings.compute.device)
    speeds = known_speeds(settings)
    stt = await asyncio.to_thread(choose, "stt", settings.stt.engine, stt_candidates(settings), speeds)
    try:
        tts = await asyncio.to_thread(choose, "tts", settings.tts.engine, tts_candidates(settings), speeds)
    except EngineUnavailableError as error:
        if settings.tts.engine != "auto":
            await asyncio.to_thread(stt.loaded.close)
            raise
        logger.warning(f"there is no voice, and ears alone: {error}")
        tts = None
    host = MindlessHost(
        stt,
        EngineThreads(FILE_THREADS, "files"),
        StageStandby("stt", lambda: after(stt, stt_candidates(settings))),
        tts,
    )
    if tts:
        host.tts_threads = EngineThreads(tts.loaded.max_threads, "tts")
        host.tts_standby = StageStandby("tts", lambda: after(tts, tts_candidates(settings)))
    _log_choices([choice for choice in (stt, tts) if choice], time.monotonic() - started_secs)
    return host


async def _choose_engines(settings: Settings, address: LlmAddress | None = None) -> list[Choice[Any] | BaseException]:
    """Choose, load and warm up speech-to-text, text-to-speech and the language model, in this order.

    Side by side where their speeds are known; what is measured is measured alone.

    Returns:
        For each the choice, or why there is none.
    """
    speeds = known_speeds(settings)
    offered: dict[str, tuple[str, Sequence[Candidate[Any]]]] = {
        "stt": (settings.stt.engine, stt_candidates(settings)),
        "tts": (settings.tts.engine, tts_candidates(settings)),
        "llm": (settings.llm.engine, await llm_candidates(settings, address)),
    }

    async def chosen(stage: str) -> Choice[Any] | BaseException:
        job = asyncio.to_thread(choose, stage, *offered[stage], speeds)
        return (await asyncio.gather(job, return_exceptions=True))[0]

    decided = [
        speeds.decides(stage, [one for one in candidates if wanted in ("auto", one.engine)])
        for stage, (wanted, candidates) in offered.items()
    ]
    if all(decided):
        return await asyncio.gather(*map(chosen, offered))
    logger.info("how fast the engines are on this machine is measured once; this start takes longer")
    return [await chosen(stage) for stage in offered]


def _log_choices(choices: Sequence[Choice[Any]], took_secs: float) -> None:
    for choice in choices:
        choice.log_passed_over()
        logger.info(f"{choice.stage}: {choice.engine} with {choice.model}")
        if choice.note:
            logger.warning(f"{choice.stage}: {choice.note}")
    logger.info(f"models ready in {took_secs:.1f} s")
