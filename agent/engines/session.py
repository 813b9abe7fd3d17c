"""The engines of one conversation: the server's own, or others that its options name.

A voice, a pace of speech and a persona cost nothing. Another engine, or ears for another language, are loaded when
they are first asked for, on threads of their own, and stay: at most a few of each stage. They are kept by what a wish
comes to: whoever asks for the best, and whoever names what is the best here, share one.
"""

import asyncio
import dataclasses
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor
from contextlib import contextmanager
from typing import Any

from loguru import logger

from agent.engines.candidates import Candidate, Choice, choose
from agent.engines.host import ModelHost
from agent.engines.known_speeds import known_speeds
from agent.engines.lending import Lending
from agent.engines.llm import llm_candidates
from agent.engines.shelf import asked_model, path_of, serves
from agent.engines.stt import stt_candidates
from agent.engines.tts import check_pair, known_voice_language, tts_candidates
from agent.errors import InputError
from agent.settings.load import Settings
from agent.settings.sections import SttSettings, TtsSettings
from agent.settings.session import OptionError
from processors.engine_threads import EngineThreads
from processors.errors import EngineUnavailableError
from processors.tts.synthesizer import Synthesizer

MAX_MORE_OF_A_STAGE = 3
# How long what could not be loaded is not tried again, unless what there is has changed; and how many are remembered.
FAILED_SECS = 60.0
MAX_FAILED = 32
Key = tuple[str, str, str]


@dataclasses.dataclass
class _Loaded:
    """An engine; `variant` tells what it is loaded for, where one engine is not for all."""

    choice: Choice[Any]
    threads: Executor | None
    variant: str

    def is_of(self, candidate: Candidate[Any], variant: str) -> bool:
        """Whether loading a candidate would load the same."""
        choice = self.choice
        if (choice.engine, self.variant) != (candidate.engine, variant):
            return False
        if choice.candidate is None:
            return choice.stage == "tts" or candidate.model in (None, choice.model)
        # Of a voice all others can be had.
        same_model = choice.stage == "tts" or choice.candidate.model == candidate.model
        return same_model and choice.candidate.weights == candidate.weights


class _AlreadyLoadedError(Exception):
    """Instead of loading what is loaded."""

    def __init__(self, loaded: _Loaded) -> None:
        super().__init__()
        self.loaded = loaded


@dataclasses.dataclass(frozen=True)
class _Failed:
    """What could not be loaded: why, until when that counts, and of which candidates (all but how they are loaded)."""

    error: EngineUnavailableError
    until_secs: float
    offered: list[Candidate[Any]]


class SessionEngines(Lending):
    """Gives every conversation its engines.

    Args:
        host: The server's own.
        settings: The server's.
    """

    def __init__(self, host: ModelHost, settings: Settings) -> None:
        super().__init__()
        self._host = host
        self._settings = settings
        self._more: dict[Key, _Loaded] = {}
        self._failed: dict[Key, _Failed] = {}
        self._loading = asyncio.Lock()

    async def host_for(self, settings: Settings) -> ModelHost:
        """The engines of a conversation; loads what is not loaded yet.

        Args:
            settings: The conversation's.

        Raises:
            EngineUnavailableError: An engine cannot be used, or lacks the voice or language.
            OptionError: Too many engines are loaded already.
        """
        if settings == self._settings:
            return self._host
        settings = await asyncio.to_thread(self._with_paths, settings)
        stt, stt_threads = await self._stt(settings)
        # What is there must not be ended while the rest is waited for.
        with self._held(stt=stt, stt_threads=stt_threads) as host:
            llm = await self._llm(settings)
            with self._held(host, llm=llm) as host:
                tts, tts_threads = await self._tts(settings)
                return dataclasses.replace(host, tts=tts, tts_threads=tts_threads)

    async def offers(self) -> dict[str, list[dict[str, Any]]]:
        """Every engine that a conversation may name, with what stands against it: {stage: engines}."""
        anything = _of_any_engine(self._settings)
        llm = await llm_candidates(anything)
        stt, tts = await asyncio.to_thread(lambda: (stt_candidates(anything), tts_candidates(anything)))
        return {stage: _offers(found) for stage, found in (("stt", stt), ("llm", llm), ("tts", tts))}

    def voices(self) -> dict[str, list[dict[str, str]]]:
        """The voices of every synthesizer that is loaded: {engine: voices}; blocks for some milliseconds."""
        loaded = [self._host.tts, *(more.choice for more in self._loaded_more("tts"))]
        return {choice.engine: [vars(voice) for voice in choice.loaded.voices()] for choice in loaded}

    def voice_of(self, engine: str) -> tuple[Choice[Any], Executor] | None:
        """A synthesizer that is loaded, with its threads; None where that one is not.

        Args:
            engine: Its name.
        """
        if engine == self._host.tts.engine:
            return self._host.tts, self._host.tts_threads
        found = next((more for more in self._loaded_more("tts") if more.choice.engine == engine), None)
        return (found.choice, found.threads) if found and found.threads else None

    def threads(self) -> list[Executor]:
        """Those of all engines that are loaded, the server's own among them."""
        more = [loaded.threads for loaded in self._loaded_more() if loaded.threads]
        return [*self._host.threads(), *more]

    async def close(self) -> None:
        """End what was loaded beside the server's own; conversations must have ended."""
        more, self._more = self._loaded_more(), {}
        for loaded in more:
            await _end(loaded)

    async def let_go(self, is_meant: Callable[[Choice[Any]], bool]) -> None:
        """End engines that no conversation uses.

        Args:
            is_meant: Whether one of these is meant.
        """
        async with self._loading:
            for loaded in self._unused():
                if is_meant(loaded.choice):
                    await self._drop(loaded)

    @contextmanager
    def _held(self, host: ModelHost | None = None, **engines: Any) -> Iterator[ModelHost]:
        """Lends engines while others are waited for."""
        host = dataclasses.replace(host or self._host, **engines)
        with self.lent(host):
            yield host

    def _unused(self) -> list[_Loaded]:
        """Those that were loaded for conversations that have ended, the oldest first."""
        return [loaded for loaded in self._loaded_more() if not any(_uses(host, loaded) for host in self.in_use)]

    def _with_paths(self, settings: Settings) -> Settings:
        """The settings with the folders of models that a conversation has asked for by name."""
        changed: dict[str, Any] = {}
        for stage in ("stt", "llm", "tts"):
            wanted, own = getattr(settings, stage), getattr(self._settings, stage)
            if wanted.model and wanted.model != own.model:
                try:
                    model = asked_model(settings, stage, wanted.engine, wanted.model)
                except InputError as error:
                    raise OptionError(str(error)) from error
                is_own = serves(getattr(self._host, stage), model)
                changed[stage] = wanted.model_copy(update={"model": own.model if is_own else path_of(settings, model)})
        return settings.model_copy(update=changed)

    async def _stt(self, settings: Settings) -> tuple[Choice[Any], Executor]:
        wanted, own = settings.stt, self._settings.stt
        same_engine = wanted.engine in (own.engine, self._host.stt.engine) and wanted.model == own.model
        if same_engine and (wanted.language, wanted.task) == (own.language, own.task):
            return self._host.stt, self._host.stt_threads
        loaded = await self._load(
            ("stt", wanted.engine, _hearing(wanted) + _other(wanted.model, own.model)),
            settings,
            lambda: asyncio.to_thread(stt_candidates, _of_any_engine(settings)),
        )
        assert loaded.threads is not None  # noqa: S101 - only language models have none
        return loaded.choice, loaded.threads

    async def _llm(self, settings: Settings) -> Choice[Any]:
        wanted, own = settings.llm, self._settings.llm
        choice = self._host.llm
        if wanted.engine not in (own.engine, choice.engine) or wanted.model != own.model:
            # A file belongs to the engine that is named; to any other, it is no model at all.
            asked = settings if wanted.model and wanted.model != own.model else _of_any_engine(settings)
            key = ("llm", wanted.engine, _other(wanted.model, own.model))
            choice = (await self._load(key, settings, lambda: llm_candidates(asked))).choice
        options = dataclasses.replace(choice.loaded.options, large=self._host.llm_options.large)
        if wanted.system_prompt != own.system_prompt:
            options = options.changed(system_prompt=wanted.system_prompt)
        if options == choice.loaded.options:
            return choice
        return dataclasses.replace(choice, loaded=dataclasses.replace(choice.loaded, options=options))

    async def _tts(self, settings: Settings) -> tuple[Choice[Any], Executor]:
        choice, threads = await self._one_voice(settings)
        try:
            with self._held(tts=choice, tts_threads=threads):
                await asyncio.to_thread(check_pair, choice.loaded, settings)
        except EngineUnavailableError:
            if settings.tts.engine != "auto":
                raise
        else:
            return choice, threads
        pair = " ".join(sorted(settings.interpreter.pair or ()))
        return await self._more_voices(settings, ("tts", "auto", pair))

    async def _one_voice(self, settings: Settings) -> tuple[Choice[Any], Executor]:
        wanted, own = settings.tts, self._settings.tts
        choice, threads = self._host.tts, self._host.tts_threads
        if wanted.engine not in (own.engine, choice.engine) or wanted.model != own.model:
            key = ("tts", wanted.engine, _other(wanted.model, own.model))
            choice, threads = await self._more_voices(settings, key)
        elif (wanted.voice, wanted.language, wanted.speed) == (own.voice, own.language, own.speed):
            return choice, threads
        with self._held(tts=choice, tts_threads=threads):
            voice = await asyncio.to_thread(in_voice, choice.loaded, wanted)
        return dataclasses.replace(choice, model=voice.model, loaded=voice), threads

    async def _more_voices(self, settings: Settings, key: Key) -> tuple[Choice[Any], Executor]:
        plain = _of_any_engine(settings.model_copy(update={"tts": settings.tts.model_copy(update={"voice": None})}))
        loaded = await self._load(key, settings, lambda: asyncio.to_thread(tts_candidates, plain))
        assert loaded.threads is not None  # noqa: S101 - only language models have none
        return loaded.choice, loaded.threads

    async def _load(self, key: Key, settings: Settings, candidates: Callable[[], Any]) -> _Loaded:
        stage, engine, _ = key
        async with self._loading:
            if key in self._more:
                return self._more[key]
            await self._make_room(stage)
            offered: Sequence[Candidate[Any]] = await candidates()
            self._check_untried(key, offered)
            wanted = [self._unless_loaded(key, candidate, settings) for candidate in offered]
            try:
                choice = await asyncio.to_thread(choose, stage, engine, wanted, known_speeds(self._settings))
            except _AlreadyLoadedError as there:
                self._more[key] = there.loaded
                return there.loaded
            except EngineUnavailableError as error:
                self._remember(key, offered, error)
                raise
            threads = None if stage == "llm" else EngineThreads(choice.loaded.max_threads, f"{stage}-{engine}")
            loaded = _Loaded(choice, threads, _variant(key))
            self._more[key] = loaded
            logger.info(f"{stage}: {choice.engine} with {choice.model}, for conversations that ask for it")
            return loaded

    async def _make_room(self, stage: str) -> None:
        """Where as many engines of a stage are loaded as may be, end the one that has been unused for longest."""
        unused = [loaded for loaded in self._unused() if loaded.choice.stage == stage]
        if unused and len(self._loaded_more(stage)) >= MAX_MORE_OF_A_STAGE:
            await self._drop(unused[0])

    async def _drop(self, loaded: _Loaded) -> None:
        self._more = {key: one for key, one in self._more.items() if one.choice is not loaded.choice}
        await _end(loaded)

    def _own(self, stage: str) -> _Loaded:
        host, stt = self._host, self._settings.stt
        if stage == "stt":
            return _Loaded(host.stt, host.stt_threads, _hearing(stt))
        return _Loaded(host.tts, host.tts_threads, "") if stage == "tts" else _Loaded(host.llm, None, "")

    def _loaded_more(self, stage: str | None = None) -> list[_Loaded]:
        """What is loaded beside the server's own, each once."""
        own = [self._own(one).choice for one in ("stt", "llm", "tts")]
        found = {
            id(loaded.choice): loaded
            for loaded in self._more.values()
            if stage in (None, loaded.choice.stage) and not any(loaded.choice is one for one in own)
        }
        return list(found.values())

    def _unless_loaded(self, key: Key, candidate: Candidate[Any], settings: Settings) -> Candidate[Any]:
        """The same, but that what is loaded already, and what there is no room for, is not loaded."""
        stage, engine, _ = key
        there = [self._own(stage), *self._loaded_more(stage)]

        def load() -> Any:
            for loaded in there:
                if loaded.is_of(candidate, _variant(key)):
                    if stage == "tts":
                        check_pair(loaded.choice.loaded, settings)
                    raise _AlreadyLoadedError(loaded)
            if len(there) > MAX_MORE_OF_A_STAGE:
                raise OptionError(f"{stage}.engine = {engine}: too many engines are loaded; restart sotto serve")
            return candidate.load()

        return dataclasses.replace(candidate, load=load)

    def _check_untried(self, key: Key, offered: Sequence[Candidate[Any]]) -> None:
        """Whoever asks for what nobody has costs the others no load after load of every engine."""
        failed = self._failed.get(key)
        now_secs = asyncio.get_running_loop().time()
        if failed and now_secs < failed.until_secs and failed.offered == _without_load(offered):
            raise EngineUnavailableError(failed.error.reason, failed.error.mend)

    def _remember(self, key: Key, offered: Sequence[Candidate[Any]], error: EngineUnavailableError) -> None:
        until_secs = asyncio.get_running_loop().time() + FAILED_SECS
        self._failed.pop(key, None)
        self._failed[key] = _Failed(error, until_secs, _without_load(offered))
        if len(self._failed) > MAX_FAILED:
            del self._failed[next(iter(self._failed))]


async def _end(loaded: _Loaded) -> None:
    if loaded.threads:
        loaded.threads.shutdown(wait=False, cancel_futures=True)
    await asyncio.to_thread(loaded.choice.loaded.close)


def _uses(host: ModelHost, loaded: _Loaded) -> bool:
    if loaded.threads:
        return loaded.threads in (host.stt_threads, host.tts_threads)
    # A conversation's language model has options of its own, over the same process or server.
    backend = loaded.choice.loaded
    return (host.llm.engine, host.llm.loaded.embedded) == (loaded.choice.engine, backend.embedded)


def _other(model: str | None, own: str | None) -> str:
    """What tells a model from the server's own in a key; it stands in a line of its own."""
    return f"\n{model or ''}" if model != own else ""


def _hearing(stt: SttSettings) -> str:
    """What ears are loaded for."""
    return f"{stt.language} {stt.task}"


def _variant(key: Key) -> str:
    """A voice for a pair of languages is one like any other."""
    stage, _, variant = key
    return variant.partition("\n")[0] if stage == "stt" else ""


def _nothing() -> None:
    """In place of a function that is another one each time."""


def _without_load(offered: Sequence[Candidate[Any]]) -> list[Candidate[Any]]:
    return [dataclasses.replace(candidate, load=_nothing) for candidate in offered]


def in_voice(synthesizer: Synthesizer, wanted: TtsSettings) -> Synthesizer:
    """The same loaded model in the voice, language and pace of settings.

    Args:
        synthesizer: Loaded.
        wanted: Says how it is to speak.

    Raises:
        EngineUnavailableError: It has no such voice or language.
    """
    language = wanted.language if wanted.voice else known_voice_language(synthesizer, wanted.language)
    return synthesizer.in_voice(wanted.voice, language=language, speed=wanted.speed)


def _of_any_engine(settings: Settings) -> Settings:
    """The settings without the name of an engine: those that are only there when named are the server's to name."""
    return settings.model_copy(
        update={name: getattr(settings, name).model_copy(update={"engine": "auto"}) for name in ("stt", "llm", "tts")}
    )


def _offers(candidates: Sequence[Candidate[Any]]) -> list[dict[str, Any]]:
    """One offer an engine: its first model that is usable, else its first."""
    offers: dict[str, dict[str, Any]] = {}
    for candidate in candidates:
        if candidate.engine not in offers or (candidate.usable and not offers[candidate.engine]["usable"]):
            offers[candidate.engine] = _offer(candidate)
    return list(offers.values())


def _offer(candidate: Candidate[Any]) -> dict[str, Any]:
    return {
        "engine": candidate.engine,
        "model": candidate.model or "",
        "usable": candidate.usable,
        "reason": candidate.reason or "",
        "mend": candidate.mend,
    }
