"""Who may use the speech API, when, and what those are told who may not; which models it names."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from agent.server.app import build_app
from agent.server.state import ServerState
from agent.settings.load import load_settings
from tests.support.served import ServedEngine, serving_engine
from tests.support.speech_callers import TALK, TRANSCRIPTIONS, NotingEngine, error_of, post, until


@pytest.fixture
async def engine() -> NotingEngine:
    return NotingEngine()


@pytest.fixture
async def served(engine: NotingEngine) -> AsyncIterator[ServedEngine]:
    async with serving_engine(engine) as server:
        yield server


@pytest.fixture
async def client(served: ServedEngine) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=served.url, timeout=20) as client:
        yield client


async def test_the_loaded_model_is_the_only_one_listed(client: httpx.AsyncClient) -> None:
    listing = (await client.get("/v1/models")).json()
    assert listing["object"] == "list"
    (model,) = listing["data"]
    assert (model["id"], model["object"], model["owned_by"]) == ("scripted", "model", "sotto")
    assert isinstance(model["created"], int)
    assert (await client.get("/v1/models/scripted")).json() == model
    unknown = await client.get("/v1/models/openai/whisper-9")
    assert unknown.status_code == 404
    assert error_of(unknown)["code"] == "model_not_found"


@pytest.mark.parametrize(
    ("method", "path", "status", "message"),
    [
        ("GET", "/v1/nothing", 404, "there is no /v1/nothing here"),
        ("POST", "/v1/embeddings", 404, "there is no /v1/embeddings here"),
        ("GET", "/v1/", 404, "there is no /v1/ here"),
        ("GET", TRANSCRIPTIONS, 405, f"{TRANSCRIPTIONS} does not take GET"),
        ("DELETE", "/v1/models", 405, "/v1/models does not take DELETE"),
        ("GET", "/", 404, "there is no / here"),
        ("POST", "/api/offer", 404, "there is no /api/offer here"),
    ],
)
async def test_what_is_not_there_is_said_in_the_same_shape(
    client: httpx.AsyncClient, method: str, path: str, status: int, message: str
) -> None:
    response = await client.request(method, path)
    assert (response.status_code, error_of(response)["message"]) == (status, message)


@pytest.fixture
async def locked() -> AsyncIterator[httpx.AsyncClient]:
    async with (
        serving_engine(NotingEngine(), api_key="sesame") as served,
        httpx.AsyncClient(base_url=served.url) as client,
    ):
        yield client


async def test_the_right_key_opens(locked: httpx.AsyncClient) -> None:
    for header in ("Bearer sesame", "bearer  sesame", "BEARER sesame"):
        locked.headers["Authorization"] = header
        assert (await post(locked)).status_code == 200
        assert (await locked.get("/v1/models")).status_code == 200


@pytest.fixture(autouse=True)
def _no_delay(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of wrong keys; `test_guesses.py` is about that."""
    monkeypatch.setattr("agent.server.guard.guesses.MOST_DELAY_SECS", 0.0)


async def test_any_other_key_does_not(locked: httpx.AsyncClient) -> None:
    for header in (b"", b"Bearer", b"Bearer sesam", b"Bearer sesame2", b"Basic sesame", b"sesame", b"Bearer \xe9"):
        headers = [(b"Authorization", header)]
        listed = await locked.get("/v1/models", headers=headers)
        posted = await locked.post(TRANSCRIPTIONS, files={"file": ("a.wav", TALK)}, headers=headers)
        for response in (listed, posted, await locked.get("/v1/nothing")):
            assert response.status_code == 401
            assert response.headers["www-authenticate"] == 'Bearer realm="sotto"'
            assert error_of(response)["code"] == "invalid_api_key"
            assert "sesame" not in response.text


@pytest.mark.parametrize(
    ("keys", "named"),
    [
        ({"api_key": "sesame"}, "server.api_key"),
        ({"token": "open sesame"}, "server.token"),
        ({"api_key": "sesame", "token": "open sesame"}, "server.api_key or server.token"),
    ],
)
async def test_a_wrong_key_is_told_of_the_setting_that_holds_the_right_one(keys: dict[str, Any], named: str) -> None:
    async with serving_engine(NotingEngine(), **keys) as served, httpx.AsyncClient(base_url=served.url) as client:
        response = await client.get("/v1/models", headers={"Authorization": "Bearer wrong"})
    assert error_of(response)["message"] == f"the API key is not the one of the setting {named}"


async def test_health_needs_no_key(locked: httpx.AsyncClient) -> None:
    assert (await locked.get("/health")).status_code == 200


async def test_while_the_engine_is_loaded_callers_are_told_to_come_back() -> None:
    transport = httpx.ASGITransport(build_app(ServerState(load_settings())))
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
        for response in (await post(client), await client.get("/v1/models")):
            assert (response.status_code, response.headers["retry-after"]) == (503, "1")
            assert error_of(response) == {
                "message": "the models are still being loaded; try again in a moment",
                "type": "server_error",
                "param": None,
                "code": "loading",
            }


@pytest.mark.parametrize("headers", [{"Host": "evil.example"}, {"Origin": "https://evil.example"}, {"Origin": "null"}])
async def test_pages_of_other_sites_cannot_use_it(
    client: httpx.AsyncClient, engine: NotingEngine, headers: dict[str, str]
) -> None:
    response = await client.post(TRANSCRIPTIONS, files={"file": ("a.wav", TALK)}, headers=headers)
    assert (response.status_code, error_of(response)["code"]) == (403, "forbidden")
    assert "access-control-allow-origin" not in response.headers
    assert engine.asked == []


async def test_one_request_too_many_is_told_to_come_back_and_health_counts_them(
    client: httpx.AsyncClient, engine: NotingEngine, served: ServedEngine
) -> None:
    engine.may_go_on.clear()
    under_way = [asyncio.create_task(post(client)) for _ in range(8)]
    await until(lambda: served.jobs.n_active == 8)
    assert (await client.get("/health")).json()["transcriptions"] == {"active": 8, "max": 8}
    refused = await post(client)
    assert (refused.status_code, refused.headers["retry-after"]) == (429, "1")
    assert error_of(refused)["type"] == "rate_limit_error"
    engine.may_go_on.set()
    assert [response.status_code for response in await asyncio.gather(*under_way)] == [200] * 8
    assert (await client.get("/health")).json()["transcriptions"] == {"active": 0, "max": 8}
