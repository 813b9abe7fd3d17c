"""Engines of one conversation: the server's own, another voice of them, or another engine, loaded once."""

from pathlib import Path

import pytest

from agent.engines.session import SessionEngines
from agent.settings.load import Settings
from agent.settings.session import OptionError, session_settings
from processors.errors import EngineUnavailableError
from processors.tts.kokoro import KokoroSynthesizer
from tests.support.house import FIXTURES, hosting
from tests.support.llm_session import options
from tests.support.scripted_engines import ScriptedRecognizerEngine, ScriptedSynthesizer
from tests.support.scripted_llm import ScriptedLLM


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
