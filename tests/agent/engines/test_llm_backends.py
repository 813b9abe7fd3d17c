"""Which language model is chosen, and how each kind of server is asked."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from agent.engines import llm
from agent.engines.candidates import Candidate, choose
from agent.engines.llm import LlmBackend
from agent.engines.llm_servers import FoundServer
from agent.errors import SettingsError
from agent.settings.load import Settings, load_settings
from processors.errors import EngineUnavailableError
from processors.llm.options import LLMOptions
from tests.support.scripted_llm import Failure, ScriptedLLM


def nothing_runs() -> list[FoundServer]:
    return [
        FoundServer(name, "http://127.0.0.1:1/v1", (), "nothing listens there")
        for name in ("ollama", "vllm", "llamacpp", "lmstudio")
    ]


@pytest.fixture
def running(monkeypatch: pytest.MonkeyPatch) -> list[FoundServer]:
    """The servers that are found; a test changes the list."""
    servers = nothing_runs()

    async def find() -> list[FoundServer]:
        return servers

    monkeypatch.setattr(llm, "find_servers", find)
    return servers


def settings(tmp_path: Path, **values: Any) -> Settings:
    return load_settings({"models_dir": tmp_path, **{key.replace("__", "."): value for key, value in values.items()}})


async def test_the_order_is_endpoint_then_servers_then_embedded(running: list[FoundServer], tmp_path: Path) -> None:
    async with ScriptedLLM() as server:
        offers = await llm.llm_candidates(settings(tmp_path, llm__base_url=server.base_url))
    assert [offer.engine for offer in offers] == ["endpoint", "ollama", "vllm", "llamacpp", "lmstudio", "embedded"]
    assert offers[0].usable
    assert not offers[1].usable
    assert offers[-1].usable
    assert "SmolLM2" in str(offers[-1].model)


async def test_a_running_server_beats_the_embedded_model(running: list[FoundServer], tmp_path: Path) -> None:
    running[0] = FoundServer("ollama", "http://127.0.0.1:11434/v1", ("nomic-embed-text", "qwen3:1.7b"))
    offers = await llm.llm_candidates(settings(tmp_path))
    chosen = choose("llm", "auto", offers)
    assert (chosen.engine, chosen.model) == ("ollama", "qwen3:1.7b")
    assert chosen.loaded.options.extra_body == {"reasoning_effort": "none"}


async def test_an_answer_may_be_as_long_as_suits_the_question_and_the_context(
    running: list[FoundServer], tmp_path: Path
) -> None:
    async with ScriptedLLM() as server:
        wanted = settings(tmp_path, llm__base_url=server.base_url, llm__model="scripted", llm__max_tokens="auto")
        (endpoint, *_) = await llm.llm_candidates(wanted)
        # The server answers on this loop, while it is asked on a thread.
        asked = (await asyncio.to_thread(endpoint.load)).options
        assert (asked.by_question, asked.max_tokens) == (True, 2048)
        # A quarter of what the server says that the context is, is the reply's.
        server.models_answer = Failure(200, {"data": [{"id": "scripted", "max_model_len": 4096}]})
        asked = (await asyncio.to_thread(endpoint.load)).options
        assert (asked.by_question, asked.max_tokens) == (True, 1024)
        (endpoint, *_) = await llm.llm_candidates(settings(tmp_path, llm__base_url=server.base_url))
        plain = (await asyncio.to_thread(endpoint.load)).options
        assert (plain.by_question, plain.max_tokens) == (False, 512)


@pytest.mark.parametrize("value", ["0", "40000", "many", "1.5", True])
def test_a_limit_that_is_none_is_told_in_one_line(tmp_path: Path, value: Any) -> None:
    with pytest.raises(SettingsError, match=r"llm\.max_tokens = .*: expected auto, or a whole number from 1 to 32768$"):
        settings(tmp_path, llm__max_tokens=value)


async def test_a_model_may_think_when_the_user_wants_it_to(running: list[FoundServer], tmp_path: Path) -> None:
    running[1] = FoundServer("vllm", "http://127.0.0.1:8000/v1", ("m",))
    quiet = choose("llm", "vllm", await llm.llm_candidates(settings(tmp_path, llm__engine="vllm")))
    assert quiet.loaded.options.extra_body == {"chat_template_kwargs": {"enable_thinking": False}}
    wanted = settings(tmp_path, llm__engine="vllm", llm__thinking=True)
    assert choose("llm", "vllm", await llm.llm_candidates(wanted)).loaded.options.extra_body == {}


async def test_the_key_goes_to_the_configured_endpoint_only(running: list[FoundServer], tmp_path: Path) -> None:
    running[0] = FoundServer("ollama", "http://127.0.0.1:11434/v1", ("m",))
    async with ScriptedLLM() as server:
        wanted = settings(tmp_path, llm__base_url=server.base_url, llm__api_key="secret")
        offers = await llm.llm_candidates(wanted)
    assert offers[0].load().options.api_key == "secret"
    assert offers[1].load().options.api_key == "none"


async def test_a_server_at_another_address_is_asked_in_its_own_way(running: list[FoundServer], tmp_path: Path) -> None:
    async with ScriptedLLM() as server:
        wanted = settings(tmp_path, llm__engine="ollama", llm__base_url=server.base_url)
        offers = await llm.llm_candidates(wanted)
        chosen = choose("llm", "ollama", offers)
        assert chosen.loaded.options.base_url == server.base_url
    assert [offer.engine for offer in offers].count("ollama") == 1
    assert chosen.loaded.options.extra_body == {"reasoning_effort": "none"}


async def test_a_named_model_at_an_endpoint_that_is_away_is_waited_for(
    running: list[FoundServer], tmp_path: Path
) -> None:
    wanted = settings(tmp_path, llm__base_url="http://127.0.0.1:1/v1", llm__model="mine")
    offers = await llm.llm_candidates(wanted)
    assert offers[0].usable
    unnamed = await llm.llm_candidates(settings(tmp_path, llm__base_url="http://127.0.0.1:1/v1"))
    assert not unnamed[0].usable
    # Another one in its place is told, since its address was named; those that were merely looked for are not.
    offers = [unnamed[0], Candidate("small", None, lambda: LlmBackend(LLMOptions("", "small")))]
    chosen = choose("llm", "auto", offers)
    assert [one.named for one in chosen.passed_over] == [True]
    found = await llm.llm_candidates(settings(tmp_path))
    assert not any(one.named for one in found)


async def test_an_unknown_embedded_model_is_named(running: list[FoundServer], tmp_path: Path) -> None:
    wanted = settings(tmp_path, llm__engine="embedded", llm__model="nothing")
    with pytest.raises(EngineUnavailableError, match="model nothing is neither installed nor a GGUF file"):
        choose("llm", "embedded", await llm.llm_candidates(wanted))


async def test_a_file_that_is_named_is_embedded_and_no_other_one_in_its_place(
    running: list[FoundServer], tmp_path: Path
) -> None:
    offers = await llm.llm_candidates(settings(tmp_path, llm__model="none.gguf"))
    with pytest.raises(EngineUnavailableError, match=r"model none\.gguf is neither installed nor a GGUF file"):
        choose("llm", "auto", offers)
    (tmp_path / "mine.gguf").touch()
    offers = await llm.llm_candidates(settings(tmp_path, llm__model=str(tmp_path / "mine.gguf")))
    assert [(offer.engine, offer.model) for offer in offers if offer.usable] == [("embedded", "mine.gguf")]
    running[2] = FoundServer("llamacpp", "http://127.0.0.1:8080/v1", ("none.gguf",))
    offers = await llm.llm_candidates(settings(tmp_path, llm__model="none.gguf"))
    assert [(offer.engine, offer.model) for offer in offers if offer.usable] == [("llamacpp", "none.gguf")]


def test_auto_takes_the_next_one_when_loading_fails() -> None:
    def broken() -> str:
        raise EngineUnavailableError("its file is broken", "pull it again")

    offers = [
        Candidate("best", None, broken),
        Candidate("better", None, str, "not installed", "install it"),
        Candidate("good", "m", lambda: "loaded"),
    ]
    chosen = choose("stt", "auto", offers)
    assert (chosen.engine, chosen.loaded) == ("good", "loaded")
    assert chosen.as_json()["passed_over"] == [
        {"engine": "best", "reason": "its file is broken", "mend": "pull it again"},
        {"engine": "better", "reason": "not installed", "mend": "install it"},
    ]
    with pytest.raises(EngineUnavailableError, match=r"stt\.engine = best: its file is broken: pull it again"):
        choose("stt", "best", offers)
    with pytest.raises(EngineUnavailableError, match=r"no stt engine is usable \(.*\): sotto doctor$"):
        choose("stt", "auto", offers[:2])
    waiting = [Candidate(name, None, str, "no model", f"sotto models pull {name}") for name in ("big", "base", "base")]
    with pytest.raises(EngineUnavailableError, match=r"\): sotto models pull base$"):
        choose("stt", "auto", [*offers[:2], *waiting])
