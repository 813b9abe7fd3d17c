"""Models fetched from the page: what is told of them, how a pull goes, and who may not begin one.

Faked, at the edge of the house: the catalogue (small files on a loopback server that can misbehave) and the engines.
"""

import asyncio
import threading
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from agent.models.catalogue import Model, is_installed
from agent.models.lock import hold
from agent.models.pull import LOCK_NAME
from agent.models.sources.file import ModelFile
from tests.support.file_server import Fault, FileServer
from tests.support.page_models import PATIENCE_SECS, POLL_SECS, halfway, lay_out, pulls, serving, told, until
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


@pytest.fixture
def server() -> Iterator[FileServer]:
    with serve_small() as state:
        state.files[ARCHIVE_PATH] = PACKED
        yield state


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "stt" / "small"


@pytest.fixture
def models(server: FileServer, monkeypatch: pytest.MonkeyPatch) -> tuple[Model, ...]:
    found = (model_at(server.url), archive_at(server.url))
    lay_out(monkeypatch, *found)
    return found


def is_laid_out(directory: Path) -> bool:
    return directory.exists()


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
