"""The page's files as a browser gets them: compressed, marked with their version, open to a service worker."""

from collections.abc import AsyncIterator

import httpx
import pytest_asyncio

from agent import __version__
from agent.server.app import web_directory
from agent.server.state import ServerState
from agent.settings.load import load_settings
from tests.support.served import listening

TOKEN = "open-sesame-open"
MARK = "sotto-version"


@pytest_asyncio.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    settings = load_settings({"server.token": TOKEN})
    bearer = {"Authorization": f"Bearer {TOKEN}"}
    async with listening(ServerState(settings)) as url, httpx.AsyncClient(base_url=url, headers=bearer) as client:
        yield client


async def test_a_file_of_the_page_is_compressed_marked_and_asked_for_anew(client: httpx.AsyncClient) -> None:
    answer = await client.get("/app.js")
    source = (web_directory() / "app.js").read_bytes()
    assert answer.content == source
    assert answer.headers["content-encoding"] == "gzip"
    assert answer.num_bytes_downloaded < len(source) / 2
    assert answer.headers[MARK] == __version__
    assert answer.headers["cache-control"] == "no-cache"
    unchanged = await client.get("/app.js", headers={"If-None-Match": answer.headers["etag"]})
    # The browser's copy gets the mark of now, too.
    assert (unchanged.status_code, unchanged.headers[MARK]) == (304, __version__)
    plain = await client.get("/app.js", headers={"Accept-Encoding": "identity"})
    assert plain.content == source
    assert "content-encoding" not in plain.headers


async def test_the_page_may_have_a_manifest_and_a_worker_of_its_own_and_no_others(client: httpx.AsyncClient) -> None:
    for path, kind in (
        ("/", "text/html; charset=utf-8"),
        ("/service_worker.js", "text/javascript; charset=utf-8"),
        ("/manifest.webmanifest", "application/manifest+json"),
        ("/icons/icon-192.png", "image/png"),
    ):
        answer = await client.get(path)
        assert (answer.status_code, answer.headers["content-type"]) == (200, kind)
        policy = answer.headers["content-security-policy"].split("; ")
        assert {"default-src 'none'", "manifest-src 'self'", "worker-src 'self'"} <= set(policy)


async def test_only_files_of_the_page_are_marked(client: httpx.AsyncClient) -> None:
    for path in ("/health", "/api/options", "/v1/models", "/no_such_file.js"):
        assert MARK not in (await client.get(path)).headers
    client.headers.pop("Authorization")
    refused = await client.get("/service_worker.js")
    assert (refused.status_code, MARK in refused.headers) == (401, False)
