"""Engines of one conversation: the server's own, another voice of them, or another engine, loaded once."""

import asyncio
from functools import partial
from pathlib import Path

import pytest

from agent.engines.candidates import Candidate
from agent.engines.session import FAILED_SECS, MAX_FAILED, SessionEngines
from agent.settings.interpreter import InterpreterSettings
from agent.settings.load import Settings
from agent.settings.session import OptionError, session_settings
from processors.errors import EngineUnavailableError
from processors.tts.kokoro import KokoroSynthesizer
from processors.tts.synthesizer import Synthesizer
from tests.support.house import FIXTURES, hosting
from tests.support.llm_session import options
from tests.support.scripted_engines import ScriptedRecognizerEngine, ScriptedSynthesizer
from tests.support.scripted_llm import ScriptedLLM
from tests.support.virtual_time import in_virtual_time


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """A micro Kokoro is installed, and nothing else."""
    tts = {"engine": "espeak", "model": str(FIXTURES / "micro_kokoro")}
    return Settings.model_validate({"tts": tts, "models_dir": tmp_path})


async def test_a_conversation_without_wishes_has_the_engines_of_the_server(settings: Settings) -> None:
    tts = ScriptedSynthesizer()
    async with ScriptedLLM() as server, hosting(ScriptedRecognizerEngine(), options(server), tts) as host:
        engines = SessionEngines(host, settings)
        assert await engines.host_for(settings) is host
        plain = await engines.host_for(session_settings(settings, {"turn.pace": "brisk"}))
        assert (plain.stt, plain.llm, plain.tts, tts.voices_taken) == (host.stt, host.llm, host.tts, [])


async def test_a_voice_and_a_persona_need_no_other_engine(settings: Settings) -> None:
    tts = ScriptedSynthesizer()
    async with ScriptedLLM() as server, hosting(ScriptedRecognizerEngine(), options(server), tts) as host:
        engines = SessionEngines(host, settings)
        wish = {"tts.voice": "ton", "tts.language": "de", "tts.speed": 1.5, "llm.system_prompt": "You are Ann."}
        other = await engines.host_for(session_settings(settings, wish))
        assert tts.voices_taken == [("ton", "de", 1.5)]
        assert other.llm_options.system_prompt == "You are Ann."
        assert host.llm_options.system_prompt != "You are Ann."
        with pytest.raises(EngineUnavailableError, match="does not know the voice 'nobody'"):
            await engines.host_for(session_settings(settings, {"tts.voice": "nobody"}))


async def test_another_engine_is_loaded_once_and_stays(settings: Settings) -> None:
    async with (
        ScriptedLLM() as server,
        hosting(ScriptedRecognizerEngine(), options(server), ScriptedSynthesizer()) as host,
    ):
        engines = SessionEngines(host, settings)
        first = await engines.host_for(session_settings(settings, {"tts.engine": "kokoro"}))
        second = await engines.host_for(session_settings(settings, {"tts.engine": "kokoro", "tts.speed": 2.0}))
        assert isinstance(first.tts.loaded, KokoroSynthesizer)
        assert isinstance(second.tts.loaded, KokoroSynthesizer)
        assert first.tts.loaded._kokoro is second.tts.loaded._kokoro
        assert first.tts_threads is second.tts_threads
        assert first.tts_threads is not host.tts_threads
        assert [voice["name"] for voice in engines.voices()["kokoro"]] == ["af_heart", "bm_george"]
        # British English has a voice of its own.
        british = await engines.host_for(session_settings(settings, {"tts.engine": "kokoro", "tts.language": "en-gb"}))
        assert british.tts.model == "bm_george"
        await engines.close()


async def test_an_engine_that_cannot_be_had_is_named_with_what_mends_it(settings: Settings) -> None:
    async with (
        ScriptedLLM() as server,
        hosting(ScriptedRecognizerEngine(), options(server), ScriptedSynthesizer()) as host,
    ):
        engines = SessionEngines(host, settings)
        with pytest.raises(EngineUnavailableError, match=r"stt\.engine = nemotron: no model for stt\.language = en"):
            await engines.host_for(session_settings(settings, {"stt.engine": "nemotron"}))
        offered = {one["engine"]: one for one in (await engines.offers())["tts"]}
        assert (offered["kokoro"]["usable"], offered["espeak"]["usable"]) == (True, True)


async def test_only_so_many_engines_are_loaded_for_conversations(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agent.engines.session.MAX_MORE_OF_A_STAGE", 0)
    async with (
        ScriptedLLM() as server,
        hosting(ScriptedRecognizerEngine(), options(server), ScriptedSynthesizer()) as host,
    ):
        with pytest.raises(
            OptionError, match=r"tts\.engine = kokoro: too many engines are loaded; restart sotto serve"
        ):
            await SessionEngines(host, settings).host_for(session_settings(settings, {"tts.engine": "kokoro"}))


@pytest.fixture
def loads(monkeypatch: pytest.MonkeyPatch, settings: Settings) -> list[str]:
    """Which voices are loaded, each time; kokoro's and espeak's speak no Luxembourgish here."""
    loaded: list[str] = []

    def candidates(wanted: Settings) -> list[Candidate[Synthesizer]]:
        def load(engine: str) -> Synthesizer:
            loaded.append(engine)
            raise EngineUnavailableError("no voice of it speaks lb", "--tts espeak")

        installed = ["kokoro", *(path.name for path in sorted(settings.models_dir.glob("*")))]
        return [Candidate(engine, None, partial(load, engine), measurable=False) for engine in installed]

    monkeypatch.setattr("agent.engines.session.tts_candidates", candidates)
    return loaded


@in_virtual_time
async def test_a_pair_of_languages_that_nobody_speaks_is_tried_once_until_what_there_is_changes(
    settings: Settings, loads: list[str]
) -> None:
    wanted = settings.model_copy(
        update={
            "interpreter": InterpreterSettings.model_validate({"languages": "lb,yo"}),
            "tts": settings.tts.model_copy(update={"engine": "auto"}),
        }
    )
    async with (
        ScriptedLLM() as server,
        hosting(ScriptedRecognizerEngine(), options(server), ScriptedSynthesizer()) as host,
    ):
        engines = SessionEngines(host, settings)
        told: set[str] = set()
        for _ in range(5):
            with pytest.raises(EngineUnavailableError) as error:
                await engines.host_for(wanted)
            told.add(str(error.value))
        assert loads == ["kokoro"]
        assert told == {"no tts engine is usable (kokoro: no voice of it speaks lb): sotto doctor"}
        (settings.models_dir / "piper").mkdir()
        for _ in range(2):
            with pytest.raises(EngineUnavailableError, match="piper: no voice of it speaks lb"):
                await engines.host_for(wanted)
        assert loads == ["kokoro", "kokoro", "piper"]
        # What failed may have been of the moment.
        await asyncio.sleep(FAILED_SECS)
        with pytest.raises(EngineUnavailableError):
            await engines.host_for(wanted)
        assert loads == ["kokoro", "kokoro", "piper", "kokoro", "piper"]


@in_virtual_time
async def test_of_what_could_not_be_loaded_only_so_much_is_remembered(settings: Settings, loads: list[str]) -> None:
    async with (
        ScriptedLLM() as server,
        hosting(ScriptedRecognizerEngine(), options(server), ScriptedSynthesizer()) as host,
    ):
        engines = SessionEngines(host, settings)
        for n in range(MAX_FAILED + 5):
            wanted = settings.model_copy(update={"tts": settings.tts.model_copy(update={"engine": f"e{n}"})})
            with pytest.raises(EngineUnavailableError):
                await engines.host_for(wanted)
        assert len(engines._failed) == MAX_FAILED
