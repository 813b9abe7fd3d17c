"""Models fetched from the page: what is told of them, how a pull goes, and who may not begin one.

Faked, at the edge of the house: the catalogue (small files on a loopback server that can misbehave) and the engines.
"""

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest

import agent.models.catalogue
from agent.models.catalogue import Model, is_installed
from agent.models.lock import hold
from agent.models.pull import LOCK_NAME
from agent.models.sources.file import ModelFile
from agent.server.app import build_app
from agent.server.state import ServerState
from agent.settings.load import load_settings
from tests.support.file_server import Fault, FileServer
from tests.support.llm_session import options
from tests.support.scripted_engines import ScriptedSynthesizer
from tests.support.scripted_llm import ScriptedLLM
from tests.support.served import ServedEngine, serving_page
from tests.support.small_model import (
    ARCHIVE_PATH,
    CONFIG,
    CONFIG_PATH,
    PACKED,
    UNPACKED,
    WEIGHTS,
    WEIGHTS_PATH,
    WHOLE,
    archive_at,
    contents,
    model_at,
    put_part,
    serve_small,
    sha256,
)
from tests.support.speech_callers import NotingEngine

BUNDLED = agent.models.catalogue.find("tiny.en")
PATIENCE_SECS = 60
POLL_SECS = 0.02


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


@pytest.fixture
def server() -> Iterator[FileServer]:
    with serve_small() as state:
        state.files[ARCHIVE_PATH] = PACKED
        yield state


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "stt" / "small"


def lay_out(monkeypatch: pytest.MonkeyPatch, *models: Model) -> None:
    """Make these the catalogue, with what comes with sotto."""
    all_of_them = (*models, BUNDLED)
    monkeypatch.setattr(agent.models.catalogue, "CATALOGUE", all_of_them)
    monkeypatch.setattr("agent.engines.shelf.CATALOGUE", all_of_them)


@pytest.fixture
def models(server: FileServer, monkeypatch: pytest.MonkeyPatch) -> tuple[Model, ...]:
    found = (model_at(server.url), archive_at(server.url))
    lay_out(monkeypatch, *found)
    return found


@asynccontextmanager
async def serving(models_dir: Path, **settings: Any) -> AsyncIterator[tuple[httpx.AsyncClient, ServedEngine]]:
    """The server, and a client at this machine."""
    given = {"models_dir": models_dir, **settings}
    async with (
        ScriptedLLM() as llm,
        serving_page(NotingEngine(), options(llm), ScriptedSynthesizer(), settings=given) as served,
        httpx.AsyncClient(base_url=served.url, trust_env=False) as client,
    ):
        try:
            yield client, served
        finally:
            await served.state.pulls.close()


async def pulls(client: httpx.AsyncClient) -> dict[str, dict[str, Any]]:
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


def is_laid_out(directory: Path) -> bool:
    return directory.exists()


async def halfway(server: FileServer) -> None:
    assert await asyncio.to_thread(server.halfway.wait, PATIENCE_SECS)


@pytest.mark.usefixtures("models")
async def test_a_model_is_told_with_its_size_licence_and_place_before_anything_is_fetched(
    server: FileServer, tmp_path: Path
) -> None:
    async with serving(tmp_path) as (client, _):
        model = await told(client)
        assert (model["size_bytes"], model["licence"], model["origins"]) == (
            len(WEIGHTS) + len(CONFIG),
            "MIT",
            ["127.0.0.1"],
        )
        assert (model["state"], model["in_use"], model["done_bytes"]) == ("absent", False, 0)
        assert model["choice"] == {"stt.engine": "whisper", "stt.model": "small", "stt.language": "en"}
        assert (await client.get("/api/options")).json()["models"] is True
        assert server.requests == []
        assert not is_laid_out(tmp_path / "stt")


@pytest.mark.usefixtures("models")
async def test_a_pull_goes_on_without_the_page_and_ends_with_the_files_of_the_catalogue(
    server: FileServer, tmp_path: Path, directory: Path
) -> None:
    go_on = threading.Event()
    server.faults = [Fault(), Fault(hold=go_on)]
    async with serving(tmp_path) as (client, _):
        assert (await client.post("/api/models/small/pull")).status_code == 202
        await halfway(server)
        async with httpx.AsyncClient(base_url=str(client.base_url), trust_env=False) as reloaded:
            running = await until(reloaded, "small", "running")
            async with asyncio.timeout(PATIENCE_SECS):
                while running["done_bytes"] < len(CONFIG) + len(WEIGHTS) // 2:
                    running = (await pulls(reloaded))["small"]
            assert running["total_bytes"] == len(CONFIG) + len(WEIGHTS)
            go_on.set()
            assert (await until(reloaded, "small", "done", "failed"))["state"] == "done"
            assert contents(directory) == WHOLE
            assert (await told(reloaded))["state"] == "here"


@pytest.mark.usefixtures("models")
async def test_the_second_pull_waits_for_the_first_and_an_archive_is_unpacked(
    server: FileServer, tmp_path: Path
) -> None:
    go_on = threading.Event()
    server.faults = [Fault(), Fault(hold=go_on)]
    async with serving(tmp_path) as (client, _):
        await client.post("/api/models/small/pull")
        await client.post("/api/models/small-archive/pull")
        # Again is no second pull.
        await client.post("/api/models/small/pull")
        await halfway(server)
        assert {name: pull["state"] for name, pull in (await pulls(client)).items()} == {
            "small": "running",
            "small-archive": "waiting",
        }
        go_on.set()
        done = await until(client, "small-archive", "done", "failed")
        assert (done["state"], done["total_bytes"]) == ("done", len(PACKED) + sum(map(len, UNPACKED.values())))
        assert contents(tmp_path / "stt" / "small-archive") == UNPACKED
        assert [request.path for request in server.requests] == [CONFIG_PATH, WEIGHTS_PATH, ARCHIVE_PATH]


@pytest.mark.usefixtures("models")
async def test_a_pause_takes_effect_while_the_server_is_silent_and_what_has_come_is_not_fetched_again(
    server: FileServer, tmp_path: Path, directory: Path
) -> None:
    never = threading.Event()
    server.faults = [Fault(), Fault(hold=never)]
    async with serving(tmp_path) as (client, _):
        await client.post("/api/models/small/pull")
        await halfway(server)
        async with asyncio.timeout(PATIENCE_SECS):
            while not (directory / "model.bin.part").exists() or not (await told(client))["done_bytes"] > len(CONFIG):
                await asyncio.sleep(POLL_SECS)
        paused = (await client.post("/api/models/small/pause")).json()["pulls"][0]
        assert paused["state"] == "paused"
        assert (await told(client))["state"] == "partly"
        here = (directory / "model.bin.part").stat().st_size
        assert 0 < here <= len(WEIGHTS) // 2
        await client.post("/api/models/small/pull")
        assert (await until(client, "small", "done", "failed"))["state"] == "done"
        assert server.requests[-1].range == f"bytes={here}-"
        assert contents(directory) == WHOLE
        never.set()


@pytest.mark.usefixtures("models")
async def test_a_pull_that_is_called_off_halfway_leaves_nothing(server: FileServer, tmp_path: Path) -> None:
    never = threading.Event()
    server.faults = [Fault(), Fault(hold=never)]
    async with serving(tmp_path) as (client, _):
        await client.post("/api/models/small/pull")
        await client.post("/api/models/small-archive/pull")
        await halfway(server)
        assert (await client.delete("/api/models/small/pull")).status_code == 200
        assert (await told(client))["state"] == "absent"
        assert not is_laid_out(tmp_path / "stt" / "small")
        # The next one has its turn.
        assert (await until(client, "small-archive", "done", "failed"))["state"] == "done"
        assert "small" not in await pulls(client)
        never.set()


@pytest.mark.usefixtures("models")
async def test_a_pull_ends_with_the_server_and_the_next_one_goes_on(
    server: FileServer, tmp_path: Path, directory: Path
) -> None:
    never = threading.Event()
    server.faults = [Fault(), Fault(hold=never)]
    async with serving(tmp_path) as (client, _):
        await client.post("/api/models/small/pull")
        await halfway(server)
    # Nobody holds the model's lock any more: its process is gone.
    with hold(directory / LOCK_NAME):
        pass
    async with serving(tmp_path) as (client, _):
        assert await pulls(client) == {}
        await client.post("/api/models/small/pull")
        assert (await until(client, "small", "done", "failed"))["state"] == "done"
    never.set()


def cut(n_bytes: int) -> Fault:
    return Fault(cut_after_bytes=n_bytes)


@pytest.mark.parametrize(
    ("faults", "problem", "press"),
    [
        ([Fault(status=404)], "config.json: 404 Not Found at http://127.0.0.1:", "see to that, then try again"),
        (
            [Fault(), Fault(body=bytes(len(WEIGHTS)))],
            "model.bin: wrong checksum from http://127.0.0.1:",
            "see to that, then try again",
        ),
        (
            [Fault(), Fault(body=b"<html>please log in</html>")],
            "offers 26 bytes where 262144 are expected, so it is not this file",
            "see to that, then try again",
        ),
    ],
    ids=["gone", "wrong checksum", "login page"],
)
@pytest.mark.usefixtures("models")
async def test_a_pull_that_fails_says_why_and_what_mends_it(
    server: FileServer, tmp_path: Path, faults: Sequence[Fault], problem: str, press: str
) -> None:
    server.faults = list(faults)
    async with serving(tmp_path) as (client, _):
        await client.post("/api/models/small/pull")
        failed = await until(client, "small", "failed", "done")
        assert problem in failed["problem"]
        assert (failed["press"], "\n" in failed["problem"], "`" in failed["problem"]) == (press, False, False)
        # Where the fault has gone, the same button does it.
        await client.post("/api/models/small/pull")
        assert (await until(client, "small", "failed", "done"))["state"] == "done"


@pytest.mark.usefixtures("models")
async def test_a_server_that_is_not_there_is_said_and_the_next_pull_still_has_its_turn(
    server: FileServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = replace(model_at("http://127.0.0.1:9"), name="gone")
    lay_out(monkeypatch, gone, model_at(server.url))
    async with serving(tmp_path) as (client, _):
        await client.post("/api/models/gone/pull")
        await client.post("/api/models/small/pull")
        assert (await until(client, "small", "failed", "done"))["state"] == "done"
        assert "127.0.0.1 cannot be reached" in (await pulls(client))["gone"]["problem"]


async def test_a_full_disk_is_told_before_anything_is_fetched(
    server: FileServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    vast = ModelFile("model.bin", server.url + WEIGHTS_PATH, 10**17, sha256(WEIGHTS))
    lay_out(monkeypatch, replace(model_at(server.url), files=(vast,)))
    async with serving(tmp_path) as (client, _):
        answer = await client.post("/api/models/small/pull")
        assert answer.status_code == 507
        assert answer.json()["error"].startswith("small needs 100000000000.0 MB more in ")
        assert answer.json()["error"].endswith(" MB are free: free some space, then try again")
        assert (await pulls(client), server.requests) == ({}, [])


async def test_what_waits_already_counts_against_the_free_space(
    server: FileServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    room = 64 * 1024 * 1024 + len(WEIGHTS) + len(CONFIG) + 1000
    monkeypatch.setattr("agent.models.pull.free_bytes", lambda _: room)
    first, second = model_at(server.url), replace(model_at(server.url), name="other")
    lay_out(monkeypatch, first, second)
    server.faults = [Fault(), Fault(hold=(never := threading.Event()))]
    async with serving(tmp_path) as (client, _):
        assert (await client.post("/api/models/small/pull")).status_code == 202
        await halfway(server)
        assert (await client.post("/api/models/other/pull")).status_code == 507
        never.set()


@pytest.mark.usefixtures("models")
async def test_a_model_that_another_program_pulls_is_left_to_it(tmp_path: Path, directory: Path) -> None:
    put_part(directory, WEIGHTS[:1000])
    async with serving(tmp_path) as (client, _):
        with hold(directory / LOCK_NAME):
            await client.post("/api/models/small/pull")
            failed = await until(client, "small", "failed", "done")
            assert "small is being pulled by process" in failed["problem"]
            assert (await client.delete("/api/models/small/pull")).status_code == 409


@pytest.mark.usefixtures("models")
async def test_a_model_is_removed_and_what_is_not_there_or_not_known_is_said(
    models: tuple[Model, ...], tmp_path: Path, directory: Path
) -> None:
    put_part(directory, WEIGHTS[:1000])
    async with serving(tmp_path) as (client, _):
        assert (await told(client))["done_bytes"] == len(CONFIG) + 1000
        answer = await client.delete("/api/models/small")
        assert (answer.status_code, answer.json()["error"]) == (409, "small is not here")
        await client.post("/api/models/small/pull")
        await until(client, "small", "done", "failed")
        again = await client.post("/api/models/small/pull")
        assert (again.status_code, again.json()["error"]) == (409, "small is here already")
        assert (await client.delete("/api/models/small/pull")).status_code == 409
        assert is_installed(tmp_path, models[0])
        assert (await client.delete("/api/models/small")).status_code == 204
        assert not is_laid_out(directory)
        assert (await client.post("/api/models/small/pause")).status_code == 409
        for name in ("nobody", "..%2f..%2fetc", "%00", "x" * 3000, "SMALL"):
            for method, path in (("POST", "/pull"), ("POST", "/pause"), ("DELETE", "/pull"), ("DELETE", "")):
                answer = await client.request(method, f"/api/models/{name}{path}")
                assert (answer.status_code, len(answer.content) < 600) in ((404, True), (405, True))


def requests() -> list[tuple[str, str]]:
    paths = [("GET", ""), ("GET", "/pulls"), ("POST", "/small/pull"), ("POST", "/small/pause")]
    return [*paths, ("DELETE", "/small/pull"), ("DELETE", "/small")]


@pytest.mark.usefixtures("models")
@pytest.mark.parametrize(
    "headers",
    [{"Origin": "http://evil.example"}, {"Origin": "null"}, {"Sec-Fetch-Site": "cross-site"}, {"Host": "evil.example"}],
    ids=["origin", "no origin to name", "no-cors", "rebound name"],
)
async def test_no_other_site_can_look_or_begin_a_pull(
    server: FileServer, tmp_path: Path, headers: dict[str, str]
) -> None:
    async with serving(tmp_path) as (client, _):
        for method, path in requests():
            assert (await client.request(method, f"/api/models{path}", headers=headers)).status_code == 403
        assert (await pulls(client), server.requests) == ({}, [])


@pytest.mark.usefixtures("models")
@pytest.mark.parametrize(
    ("address", "token", "shown", "status"),
    [
        ("192.0.2.7", None, None, 403),
        ("192.0.2.7", "sesame-sesame-sesame", None, 401),
        ("192.0.2.7", "sesame-sesame-sesame", "wrong", 401),
        ("127.0.0.1", "sesame-sesame-sesame", None, 401),
        ("192.0.2.7", "sesame-sesame-sesame", "sesame-sesame-sesame", 202),
        ("127.0.0.1", None, None, 202),
        ("::1", None, None, 202),
    ],
)
async def test_models_are_for_whoever_sits_here_or_has_the_token(
    tmp_path: Path, address: str, token: str | None, shown: str | None, status: int
) -> None:
    state = ServerState(load_settings({"server.host": "0.0.0.0", "server.token": token, "models_dir": tmp_path}))
    transport = httpx.ASGITransport(build_app(state), client=(address, 50_000))  # pyright: ignore[reportArgumentType]
    headers = {"Authorization": f"Bearer {shown}"} if shown else {}
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1", headers=headers) as client:
        for method, path in requests():
            answer = await client.request(method, f"/api/models{path}")
            if status != 202:
                assert answer.status_code == status
        assert bool(state.pulls.all()) is False
        if status == 202:
            assert (await client.post("/api/models/small/pull")).status_code == 202
    await state.pulls.close()
