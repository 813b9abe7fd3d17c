"""Sound files put into words for the page: the speech API's own work, in the page's shape."""

import asyncio
from collections.abc import AsyncIterator

import httpx
import pytest

from agent.server.app import build_app
from agent.server.state import ServerState
from agent.settings.load import load_settings
from processors.errors import EngineError
from processors.llm.options import LLMOptions
from tests.support.served import ServedEngine, serving_page
from tests.support.speech_callers import TALK_SECS, NotingEngine, post, until

URL = "/api/transcribe"
NO_MODEL = LLMOptions("http://127.0.0.1:9/v1", "none")


@pytest.fixture
async def engine() -> NotingEngine:
    return NotingEngine()


@pytest.fixture
async def served(engine: NotingEngine) -> AsyncIterator[ServedEngine]:
    async with serving_page(engine, NO_MODEL, max_upload_mb=1, max_transcriptions=1) as server:
        yield server


@pytest.fixture
async def client(served: ServedEngine) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=served.url, timeout=20) as client:
        yield client


async def test_a_file_is_answered_with_text_language_and_duration(
    client: httpx.AsyncClient, engine: NotingEngine
) -> None:
    response = await post(client, URL, stream="true", response_format="srt", prompt="ignored")
    assert response.status_code == 200
    assert response.json() == {"text": "Good day. Café?", "language": "en", "duration_secs": TALK_SECS}
    ((_, request),) = engine.asked
    assert (request.language, request.prompt, request.task) == (None, None, "transcribe")
    await post(client, URL, language="German")
    assert engine.asked[1][1].language == "de"


async def test_what_is_wrong_is_one_line(client: httpx.AsyncClient, engine: NotingEngine, served: ServedEngine) -> None:
    broken = await client.post(URL, files={"file": ("talk.wav", b"RIFFnonsense")})
    large = await client.post(URL, files={"file": ("talk.wav", b"\0" * 1_200_000)})
    nothing = await client.post(URL, data={"language": "en"}, files={"other": b""})
    plain = await client.post(URL, content=b"x")
    for response, status, message in (
        (broken, 400, "the file "),
        (large, 413, "the file is larger than 1 MB (setting server.max_upload_mb)"),
        (nothing, 400, "a sound file is missing: the form has no field file"),
        (plain, 415, "the body must be multipart/form-data with a file in it"),
    ):
        assert (response.status_code, set(response.json())) == (status, {"error"})
        assert response.json()["error"].startswith(message)
    engine.failure = EngineError("the engine broke")
    failed = await post(client, URL)
    assert (failed.status_code, failed.json()) == (500, {"error": "the engine broke"})
    engine.failure = None
    engine.may_go_on.clear()
    under_way = asyncio.create_task(post(client, URL))
    await until(lambda: served.jobs.n_active == 1)
    busy = await post(client, URL)
    assert (busy.status_code, busy.headers["retry-after"]) == (429, "1")
    assert busy.json()["error"].startswith("1 transcription is under way, which is as many as may be ")
    engine.may_go_on.set()
    assert (await under_way).status_code == 200
    await until(lambda: served.jobs.n_active == 0)


async def test_while_the_models_are_loaded_it_says_so() -> None:
    transport = httpx.ASGITransport(build_app(ServerState(load_settings())))
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
        response = await post(client, URL)
    assert response.status_code == 503
    assert response.json() == {"error": "the models are still being loaded; try again in a moment"}
