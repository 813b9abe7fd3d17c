"""Engines are kept by what a wish comes to: nobody loads a second time what another name has loaded."""

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import pytest

from agent.engines.candidates import Candidate, choose
from agent.engines.session import SessionEngines
from agent.settings.load import Settings
from agent.settings.session import session_settings
from processors.errors import EngineUnavailableError
from tests.support.house import hosting
from tests.support.llm_session import options
from tests.support.scripted_engines import ScriptedRecognizerEngine, ScriptedSynthesizer
from tests.support.scripted_llm import ScriptedLLM

Install = Callable[..., list[str]]


@pytest.fixture
def install(monkeypatch: pytest.MonkeyPatch) -> Install:
    """Lets engines be found; gives those that are loaded, each time."""

    def found(stage: str, *engines: Any, weights: str = "") -> list[str]:
        loaded: list[str] = []

        def load(engine: Any) -> Any:
            loaded.append(engine.name)
            return engine

        offered = [
            Candidate(one.name, one.model, lambda one=one: load(one), weights=weights, measurable=False)
            for one in engines
        ]
        monkeypatch.setattr(f"agent.engines.session.{stage}_candidates", lambda _: offered)
        return loaded

    return found


class Ears(ScriptedRecognizerEngine):
    name = "whisper"
    model = "tiny.en"


class Voice(ScriptedSynthesizer):
    name = "kokoro"


async def test_ears_of_the_server_are_not_loaded_again_for_a_page_that_wants_the_best(install: Install) -> None:
    ears = Ears()
    settings = Settings.model_validate({"stt": {"engine": "whisper"}})
    async with ScriptedLLM() as server, hosting(ears, options(server), ScriptedSynthesizer()) as host:
        loaded = install("stt", Ears())
        found = await SessionEngines(host, settings).host_for(session_settings(settings, {"stt.engine": "auto"}))
        assert loaded == []
        assert (found.stt.loaded, found.stt_threads) == (ears, host.stt_threads)


async def test_a_voice_of_the_server_is_not_loaded_again_for_a_page_that_wants_the_best(install: Install) -> None:
    voice = Voice()
    settings = Settings.model_validate({"tts": {"engine": "kokoro"}})
    async with ScriptedLLM() as server, hosting(ScriptedRecognizerEngine(), options(server), voice) as host:
        loaded = install("tts", Voice())
        found = await SessionEngines(host, settings).host_for(session_settings(settings, {"tts.engine": "auto"}))
        assert loaded == []
        assert found.tts_threads is host.tts_threads


async def test_two_names_for_the_same_ears_load_them_once_and_other_languages_do_not_share(install: Install) -> None:
    settings = Settings.model_validate({"stt": {"engine": "nemotron"}})
    async with (
        ScriptedLLM() as server,
        hosting(ScriptedRecognizerEngine(), options(server), ScriptedSynthesizer()) as host,
    ):
        german = Ears()
        loaded = install("stt", german)
        engines = SessionEngines(host, settings)

        async def ears(engine: str, language: str) -> Any:
            wish = {"stt.engine": engine, "stt.language": language}
            return (await engines.host_for(session_settings(settings, wish))).stt.loaded

        assert await ears("auto", "de") is await ears(german.name, "de") is await ears("auto", "de")
        assert loaded == [german.name]
        await ears("auto", "fr")
        assert loaded == [german.name, german.name]
        await engines.close()


async def test_a_voice_that_is_shared_by_two_names_is_listed_and_closed_once(install: Install) -> None:
    closed: list[str] = []

    class Counted(Voice):
        def close(self) -> None:
            closed.append(self.name)

    settings = Settings.model_validate({"tts": {"engine": "espeak"}})
    async with (
        ScriptedLLM() as server,
        hosting(ScriptedRecognizerEngine(), options(server), ScriptedSynthesizer()) as host,
    ):
        loaded = install("tts", Counted(), weights="int8")
        engines = SessionEngines(host, settings)
        for engine in ("auto", "kokoro"):
            await engines.host_for(session_settings(settings, {"tts.engine": engine}))
        assert loaded == ["kokoro"]
        assert list(engines.voices()) == [host.tts.engine, "kokoro"]
        voice = engines.voice_of("kokoro")
        assert voice
        assert voice[0].engine == "kokoro"
        assert engines.voice_of("piper") is None
        await engines.close()
        assert closed == ["kokoro"]


async def test_what_is_loaded_stays_while_the_rest_of_a_wish_is_waited_for(install: Install) -> None:
    begun, may_end = threading.Event(), threading.Event()

    class Slow(Voice):
        def in_voice(self, voice: str | None, *, language: str, speed: float) -> ScriptedSynthesizer:
            begun.set()
            assert may_end.wait(60)
            return self

    settings = Settings.model_validate({"stt": {"engine": "nemotron"}, "tts": {"engine": "espeak"}})
    async with (
        ScriptedLLM() as server,
        hosting(ScriptedRecognizerEngine(), options(server), ScriptedSynthesizer()) as host,
    ):
        install("stt", Ears())
        install("tts", Slow())
        engines = SessionEngines(host, settings)
        wish = {"stt.engine": "auto", "stt.language": "de", "tts.engine": "kokoro", "tts.voice": "ton"}
        finding = asyncio.create_task(engines.host_for(session_settings(settings, wish)))
        assert await asyncio.to_thread(begun.wait, 20)
        # Somebody else asks for room.
        await engines.let_go(lambda _: True)
        may_end.set()
        found = await finding
        for threads in (found.stt_threads, found.tts_threads):
            assert await asyncio.wrap_future(threads.submit(lambda: "at work")) == "at work"
        # Nobody has taken them.
        assert engines.in_use == []
        await engines.close()


def test_what_was_loaded_on_the_way_to_an_error_is_closed() -> None:
    class Slow(ScriptedSynthesizer):
        is_closed = False

        def close(self) -> None:
            self.is_closed = True

    class Known:
        def known(self, stage: str, candidate: Candidate[Any]) -> None:
            return None

        def of(self, stage: str, candidate: Candidate[Any], engine: Any) -> Any:
            from agent.engines.speed import Speed

            return Speed(first_secs=100.0, factor=100.0)

        def are_doubtful(self) -> bool:
            return False

    def fail() -> Any:
        raise RuntimeError("the disk is gone")

    slow = Slow()
    with pytest.raises(RuntimeError, match="the disk is gone"):
        choose("tts", "auto", [Candidate("kokoro", None, lambda: slow), Candidate("piper", None, fail)], Known())
    assert slow.is_closed


def test_an_engine_that_cannot_be_used_is_still_refused() -> None:
    with pytest.raises(EngineUnavailableError, match=r"tts\.engine = kokoro: no model"):
        choose("tts", "kokoro", [Candidate("kokoro", None, ScriptedSynthesizer, "no model")])
