"""Foundry Local's chat models as a language model.

The SDK is `tests/support/scripted_foundry.py`, a fake at the edge with the signatures of foundry-local-sdk 2.2.1; where
its server would listen is a scripted one. No real model of Foundry Local was asked for these tests.
"""

import sys
from pathlib import Path
from typing import Any

import pytest

from agent.engines.candidates import choose
from agent.engines.large import choose_large
from agent.engines.llm import llm_candidates, pull_foundry_chat
from agent.settings.load import Settings, load_settings
from processors.errors import EngineUnavailableError
from processors.foundry_runtime import PRIVACY_NOTE
from processors.llm.foundry import FoundryChat
from processors.llm.service import LocalLLMService
from processors.stt.foundry import FoundryEngine
from tests.support.llm_session import question, session, text_of
from tests.support.scripted_foundry import FakeModel, FakeSdk, FoundryLocalException
from tests.support.scripted_llm import Reply, ScriptedLLM


@pytest.fixture
def sdk(monkeypatch: pytest.MonkeyPatch) -> FakeSdk:
    fake = FakeSdk()
    fake.models.append(FakeModel("phi-4-mini", "chat-completion"))
    monkeypatch.setitem(sys.modules, "foundry_local_sdk", fake)
    return fake


def settings(tmp_path: Path, **values: Any) -> Settings:
    plain = {key.replace("__", "."): value for key, value in values.items()}
    return load_settings({"models_dir": tmp_path, **plain}, alone=True)


async def test_the_model_is_loaded_served_asked_and_let_go(sdk: FakeSdk, tmp_path: Path) -> None:
    async with ScriptedLLM(Reply("Hello.")) as server:
        sdk.web_url = server.base_url.removesuffix("v1")
        candidates = await llm_candidates(settings(tmp_path, llm__engine="foundry"))
        assert [(one.engine, one.model, one.usable) for one in candidates] == [("foundry", "phi-4-mini", True)]
        backend = choose("llm", "foundry", candidates).loaded
        assert (backend.options.base_url, backend.options.model) == (server.base_url, "phi-4-mini:1")
        assert backend.warm_up() == PRIVACY_NOTE
        async with session(LocalLLMService(backend.options)) as running:
            assert text_of((await running.ask(question()))[0]) == "Hello."
        assert server.requests[0].body["model"] == "phi-4-mini:1"
        backend.close()
    assert sdk.models[1].calls == ["load", "unload"]
    assert (sdk.n_web_stops, sdk.FoundryLocalManager.instance) == (1, None)
    assert sdk.configurations == [("sotto", str(tmp_path / "foundry"), "Fatal", True)]


def test_ears_and_chat_share_one_runtime_that_ends_with_the_last(sdk: FakeSdk) -> None:
    ears = FoundryEngine()
    chat = FoundryChat()
    assert len(sdk.configurations) == 1
    ears.close()
    assert sdk.FoundryLocalManager.instance is not None
    chat.close()
    assert sdk.FoundryLocalManager.instance is None


async def test_it_may_be_the_large_model_and_is_never_chosen_unless_it_is_named(sdk: FakeSdk, tmp_path: Path) -> None:
    assert "foundry" not in [one.engine for one in await llm_candidates(settings(tmp_path))]
    chosen = await choose_large(settings(tmp_path, large__engine="foundry"))
    assert chosen
    assert (chosen.engine, chosen.model, chosen.note) == ("foundry", "phi-4-mini:1", PRIVACY_NOTE)
    chosen.loaded.close()


async def test_what_is_missing_is_told_in_one_line(
    sdk: FakeSdk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def reason() -> str:
        with pytest.raises(EngineUnavailableError) as caught:
            FoundryChat()
        assert sdk.FoundryLocalManager.instance is None
        return str(caught.value)

    sdk.models[1].is_cached = False
    assert reason() == "Foundry Local's model phi-4-mini is not downloaded: sotto models pull foundry-llm"
    sdk.models[1].is_cached = True
    sdk.web_error = FoundryLocalException("port\nin use")
    told = "Foundry Local's server does not start (port in use): see its log, or use another llm.engine"
    assert reason() == told
    assert sdk.models[1].calls == ["load", "unload"]
    sdk.models[1].alias = "qwen2.5-0.5b"
    assert reason() == "Foundry Local's catalogue has no model phi-4-mini: set llm.model to one of qwen2.5-0.5b"
    sdk.models.clear()
    assert reason() == (
        "Foundry Local's catalogue cannot be reached, and it keeps no copy of it: "
        "connect this machine to the internet and run `sotto models pull foundry-llm`"
    )
    monkeypatch.setitem(sys.modules, "foundry_local_sdk", None)
    monkeypatch.setattr("agent.engines.llm.find_spec", lambda _: None)
    with pytest.raises(EngineUnavailableError) as caught:
        choose("llm", "foundry", await llm_candidates(settings(tmp_path, llm__engine="foundry")))
    assert str(caught.value) == (
        "llm.engine = foundry: the foundry-local-sdk package is not installed: uv sync --extra foundry"
    )


def test_the_model_is_downloaded_when_the_user_says_so(sdk: FakeSdk, tmp_path: Path) -> None:
    percents: list[float] = []
    assert pull_foundry_chat(settings(tmp_path), percents.append) == "phi-4-mini"
    assert (sdk.models[1].calls, percents) == (["download"], [100.0])
