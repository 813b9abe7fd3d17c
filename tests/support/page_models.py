"""The server with a small catalogue on a loopback file server that can misbehave: what tests of its models share."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

import agent.models.catalogue
from agent.models.catalogue import Model
from processors.tts.synthesizer import Synthesizer
from tests.support.file_server import FileServer
from tests.support.llm_session import options
from tests.support.scripted_engines import ScriptedSynthesizer
from tests.support.scripted_llm import ScriptedLLM
from tests.support.served import ServedEngine, serving_page
from tests.support.speech_callers import NotingEngine

BUNDLED = agent.models.catalogue.find("tiny.en")
PATIENCE_SECS = 120
POLL_SECS = 0.02


def lay_out(monkeypatch: pytest.MonkeyPatch, *models: Model) -> None:
    """Make these the catalogue, with what comes with sotto; proxies have no part in it."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    all_of_them = (*models, BUNDLED)
    for module in ("agent.models.catalogue", "agent.engines.shelf", "agent.engines.tts", "agent.engines.stt"):
        monkeypatch.setattr(f"{module}.CATALOGUE", all_of_them)


@asynccontextmanager
async def serving(
    models_dir: Path, voice: Synthesizer | None = None, **settings: Any
) -> AsyncIterator[tuple[httpx.AsyncClient, ServedEngine]]:
    """The server, and a client at this machine."""
    given = {"models_dir": models_dir, **settings}
    async with (
        ScriptedLLM() as llm,
        serving_page(NotingEngine(), options(llm), voice or ScriptedSynthesizer(), settings=given) as served,
        httpx.AsyncClient(base_url=served.url, trust_env=False) as client,
    ):
        try:
            yield client, served
        finally:
            await served.state.pulls.close()


async def pulls(client: httpx.AsyncClient) -> dict[str, dict[str, Any]]:
    """Each pull, by the model's name."""
    return {pull["name"]: pull for pull in (await client.get("/api/models/pulls")).json()["pulls"]}


async def until(client: httpx.AsyncClient, name: str, *states: str) -> dict[str, Any]:
    """The pull, once it is in one of these states."""
    async with asyncio.timeout(PATIENCE_SECS):
        while (pull := (await pulls(client))[name])["state"] not in states:
            await asyncio.sleep(POLL_SECS)
    return pull


async def told(client: httpx.AsyncClient, name: str = "small") -> dict[str, Any]:
    """What is told of a model."""
    return next(model for model in (await client.get("/api/models")).json()["models"] if model["name"] == name)


async def halfway(server: FileServer) -> None:
    """Wait until an answer that holds has sent its first half."""
    assert await asyncio.to_thread(server.halfway.wait, PATIENCE_SECS)
