"""The large model of the settings: where it is looked for, what its errors say, and what conversations get of it."""

from pathlib import Path
from typing import Any

import pytest

from agent.engines import llm
from agent.engines.candidates import Choice
from agent.engines.large import beside, choose_large, large_candidates
from agent.engines.llm import LlmBackend
from agent.engines.llm_servers import FoundServer
from agent.engines.session import SessionEngines
from agent.settings.load import Settings, effective_values, load_settings, public_values
from agent.settings.servers import servers_named
from agent.settings.session import session_settings
from processors.errors import EngineUnavailableError
from tests.support.house import hosting
from tests.support.llm_session import options
from tests.support.scripted_engines import ScriptedRecognizerEngine, ScriptedSynthesizer
from tests.support.scripted_llm import Failure, ScriptedLLM


@pytest.fixture
def servers(monkeypatch: pytest.MonkeyPatch) -> list[FoundServer]:
    """The servers that are found on this machine; a test changes the list."""
    found: list[FoundServer] = []

    async def find() -> list[FoundServer]:
        return found

    monkeypatch.setattr(llm, "find_servers", find)
    return found


def settings(tmp_path: Path, **values: Any) -> Settings:
    plain = {key.replace("__", "."): value for key, value in values.items()}
    return load_settings({"models_dir": tmp_path, **plain}, alone=True)


async def test_without_settings_there_is_none(servers: list[FoundServer], tmp_path: Path) -> None:
    servers.append(FoundServer("ollama", "http://127.0.0.1:11434/v1", ("qwen3:32b",)))
    assert await large_candidates(settings(tmp_path)) == []
    assert await choose_large(settings(tmp_path)) is None


async def test_a_name_alone_is_looked_for_where_the_small_model_is(servers: list[FoundServer], tmp_path: Path) -> None:
    servers.append(FoundServer("ollama", "http://127.0.0.1:11434/v1", ("qwen3:1.7b", "qwen3:32b")))
    chosen = await choose_large(settings(tmp_path, large__model="qwen3:32b"))
    assert chosen
    assert (chosen.stage, chosen.engine, chosen.model) == ("large", "ollama", "qwen3:32b")
    async with ScriptedLLM(models=("tiny", "huge")) as server:
        wanted = settings(tmp_path, llm__base_url=server.base_url, llm__api_key="key-of-it", large__model="huge")
        chosen = await choose_large(wanted)
        assert chosen
        asked = chosen.loaded.options
        assert (asked.base_url, asked.model, asked.api_key) == (server.base_url, "huge", "key-of-it")


async def test_a_file_is_taken_by_its_name_alone_and_named_where_it_is_not_there(
    servers: list[FoundServer], tmp_path: Path
) -> None:
    with pytest.raises(
        EngineUnavailableError, match=r"^large\.model = none\.gguf: .*neither installed nor a GGUF file"
    ):
        await choose_large(settings(tmp_path, large__model="none.gguf"))
    (tmp_path / "mine.gguf").touch()
    mine = await large_candidates(settings(tmp_path, large__model=str(tmp_path / "mine.gguf")))
    assert [(one.engine, one.model, one.usable) for one in mine] == [("embedded", "mine.gguf", True)]
    servers.append(FoundServer("llamacpp", "http://127.0.0.1:8080/v1", ("none.gguf",)))
    chosen = await choose_large(settings(tmp_path, large__model="none.gguf"))
    assert chosen
    assert (chosen.engine, chosen.model) == ("llamacpp", "none.gguf")


async def test_a_server_of_its_own_gets_its_own_key_alone(servers: list[FoundServer], tmp_path: Path) -> None:
    async with ScriptedLLM(models=("huge",)) as server:
        wanted = settings(tmp_path, llm__api_key="key-of-the-small-one", large__base_url=server.base_url)
        chosen = await choose_large(wanted)
        assert chosen
        assert (chosen.engine, chosen.model, chosen.loaded.options.api_key) == ("endpoint", "huge", "none")
        assert all("authorization" not in request.headers for request in server.all_requests)


async def test_what_is_missing_is_told_by_the_names_of_its_settings(servers: list[FoundServer], tmp_path: Path) -> None:
    async with ScriptedLLM(models_answer=Failure(401, "no")) as server:
        with pytest.raises(EngineUnavailableError, match=r"refused the API key .*: set large\.api_key$"):
            await choose_large(settings(tmp_path, large__base_url=server.base_url))
    with pytest.raises(EngineUnavailableError, match=r"^large\.engine = embedded: large\.model is not set"):
        await choose_large(settings(tmp_path, large__engine="embedded"))
    servers.append(FoundServer("ollama", "http://127.0.0.1:1/v1", (), "nothing listens there"))
    with pytest.raises(EngineUnavailableError, match=r"^large\.engine = ollama: nothing listens there: ollama serve$"):
        await choose_large(settings(tmp_path, large__engine="ollama"))


async def test_one_that_may_come_up_later_lets_the_conversation_begin(
    servers: list[FoundServer], tmp_path: Path
) -> None:
    chosen = await choose_large(settings(tmp_path, large__base_url="http://127.0.0.1:1/v1", large__model="huge"))
    assert chosen
    assert (chosen.engine, chosen.model) == ("endpoint", "huge")


def test_the_rules_and_the_limit_are_settings(tmp_path: Path) -> None:
    wanted = settings(tmp_path, large__model="huge", large__code=False, large__min_words=7)
    small, huge = options(ScriptedLLM()), options(ScriptedLLM(), model="huge", apology="Another.")
    made = beside(small, Choice("large", "endpoint", "huge", LlmBackend(huge)), wanted)
    assert made.large
    assert (made.large.rules.code, made.large.rules.min_words, made.large.rules.tools) == (False, 7, True)
    # There is one way to apologise.
    assert (made.large.options.model, made.large.options.apology) == ("huge", small.apology)
    assert beside(small, None, wanted) is small


def test_its_key_and_the_password_in_its_address_are_shown_to_nobody(tmp_path: Path) -> None:
    wanted = settings(tmp_path, large__base_url="http://me:secret@box/v1", large__api_key="secret")
    assert "secret" not in str(dict(effective_values(wanted)))
    assert "secret" not in str(public_values(wanted))
    assert servers_named(wanted)[0] == "large.base_url"


async def test_a_conversation_with_another_engine_or_persona_keeps_the_large_model(tmp_path: Path) -> None:
    own = settings(tmp_path, large__model="huge")
    async with ScriptedLLM() as server:
        large = Choice("large", "endpoint", "huge", LlmBackend(options(server, model="huge")))
        asked = beside(options(server), large, own)
        async with hosting(ScriptedRecognizerEngine(), asked, ScriptedSynthesizer()) as host:
            engines = SessionEngines(host, own)
            other = await engines.host_for(session_settings(own, {"llm.system_prompt": "You are Ann."}))
            assert [one.system_prompt for one in other.llm_options.models] == ["You are Ann.", "You are Ann."]
            assert [one.model for one in other.llm_options.models] == ["scripted", "huge"]
            # Both are left alone where they failed, whichever conversation it was.
            assert [one.rest for one in other.llm_options.models] == [one.rest for one in asked.models]
