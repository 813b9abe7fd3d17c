"""Who may fetch models by the page, use and remove them: who sits at the server or has its token, from its own page.

Faked, at the edge of the house: the catalogue (small files on a loopback server) and the engines.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from agent.engines.candidates import Choice
from agent.engines.shelf import serves
from agent.models.catalogue import find, model_dir
from agent.server.app import build_app
from agent.server.calls.plan import SessionRequest
from agent.server.state import ServerState
from agent.settings.load import load_settings
from agent.settings.session import session_settings
from tests.agent.server.test_live_settings import in_call
from tests.support.file_server import FileServer
from tests.support.house import FIXTURES
from tests.support.page_models import lay_out, pulls, serving, told
from tests.support.small_model import model_at, serve_small
from tests.support.virtual_time import in_virtual_time

JOE, CORI = find("piper-joe"), find("piper-cori")


@pytest.fixture
def server() -> Iterator[FileServer]:
    with serve_small() as state:
        yield state


@pytest.fixture
def models(server: FileServer, monkeypatch: pytest.MonkeyPatch) -> None:
    lay_out(monkeypatch, model_at(server.url), JOE, CORI)


@pytest.fixture
def voices(models: None, tmp_path: Path) -> None:
    """Two small voices in place of real ones, under the names of the catalogue."""
    for model in (JOE, CORI):
        directory = model_dir(tmp_path, model)
        directory.mkdir(parents=True)
        for file in model.files:
            ending = ".onnx.json" if file.name.endswith(".json") else ".onnx"
            (directory / file.name).write_bytes((FIXTURES / "micro_piper" / f"one{ending}").read_bytes())


def requests() -> list[tuple[str, str]]:
    paths = [("GET", ""), ("GET", "/pulls"), ("POST", "/small/pull"), ("POST", "/small/pause")]
    return [*paths, ("DELETE", "/small/pull"), ("DELETE", "/small"), ("POST", "/load")]


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


@pytest.mark.usefixtures("models")
@pytest.mark.parametrize(
    "headers",
    [
        {"X-Forwarded-For": "192.0.2.7"},
        {"X-Forwarded-For": "127.0.0.1"},
        {"X-Forwarded-Proto": "https"},
        {"X-Real-IP": "192.0.2.7"},
        {"Forwarded": "for=192.0.2.7"},
        {"Via": "1.1 proxy"},
        {"Host": "sotto.example"},
    ],
    ids=lambda headers: ": ".join(*headers.items()),
)
async def test_whom_a_proxy_on_this_machine_lets_in_does_not_sit_at_it(tmp_path: Path, headers: dict[str, str]) -> None:
    state = ServerState(load_settings({"models_dir": tmp_path, "server.allowed_hosts": ["sotto.example"]}))
    transport = httpx.ASGITransport(build_app(state), client=("127.0.0.1", 50_000))
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
        answers = [await client.request(method, f"/api/models{path}", headers=headers) for method, path in requests()]
        assert {answer.status_code for answer in answers} == {403}
        assert bool(state.pulls.all()) is False
        # Without one it is who sits here.
        assert (await client.get("/api/models/pulls")).status_code == 200
    await state.pulls.close()


@pytest.mark.usefixtures("voices")
async def test_a_model_that_a_conversation_uses_is_not_removed_and_one_that_was_used_is(tmp_path: Path) -> None:
    wish = {"tts.engine": "piper", "tts.model": "piper-joe"}
    async with serving(tmp_path) as (client, served):
        assert (await client.post("/api/models/load", json={"options": wish})).status_code == 204
        engines = served.state.sessions().engines
        assert [voice["name"] for voice in engines.voices()["piper"]] == ["piper-joe"]
        assert (await told(client, "piper-joe"))["in_use"] is False
        async with served.state.sessions().planned(SessionRequest(options=wish)):
            assert (await told(client, "piper-joe"))["in_use"] is True
            answer = await client.delete("/api/models/piper-joe")
            assert (answer.status_code, answer.json()["error"].startswith("piper-joe is in use")) == (409, True)
            # The other one is nobody's.
            assert (await client.delete("/api/models/piper-cori")).status_code == 204
        assert (await client.delete("/api/models/piper-joe")).status_code == 204
        assert "piper" not in engines.voices()
        assert (await told(client, "piper-joe"))["state"] == "absent"
        answer = await client.post("/api/models/load", json={"options": wish})
        assert (answer.status_code, "piper-joe is not here" in answer.json()["error"]) == (409, True)


@pytest.mark.usefixtures("voices")
async def test_a_model_that_is_asked_for_while_its_engine_is_ended_is_not_removed(tmp_path: Path) -> None:
    wish = {"tts.engine": "piper", "tts.model": "piper-joe"}
    async with serving(tmp_path) as (client, served):
        engines = served.state.sessions().engines
        let_go = engines.let_go

        async def let_go_late(is_meant: Callable[[Choice[Any]], bool]) -> None:
            await let_go(is_meant)
            engines.lend(await engines.host_for(session_settings(served.state.settings, wish)))

        engines.let_go = let_go_late
        assert (await client.delete("/api/models/piper-joe")).status_code == 409
        assert (await told(client, "piper-joe"))["state"] == "here"


@pytest.mark.usefixtures("voices")
@pytest.mark.parametrize("options", [{"tts.model": "/etc"}, {"server.token": "x"}, [1], {"tts.model": "small"}])
async def test_what_cannot_be_loaded_is_refused_in_one_line(tmp_path: Path, options: object) -> None:
    async with serving(tmp_path) as (client, _):
        answer = await client.post("/api/models/load", json={"options": options})
        assert answer.status_code == 409
        assert "\n" not in answer.json()["error"]


@pytest.mark.usefixtures("voices")
@in_virtual_time
async def test_a_call_goes_on_with_a_model_that_has_come_meanwhile_and_gives_it_back(tmp_path: Path) -> None:
    async with in_call(replies=("Hello.", "Fine.", "Good."), models_dir=tmp_path) as house:
        await house.ask("hi", 1)
        engines = house.sessions.engines
        for n, name in enumerate(("piper-joe", "piper-cori")):
            changed = await house.change(tts__engine="piper", tts__model=name)
            assert changed["engines"]["tts"]["model"] == name
            assert [host.tts.model for host in engines.in_use][1:] == [name]
            await house.ask("and now?", 2 + n)
        # Only the first answer is in the voice that the call began with.
        assert [text for text, _ in house.voice.said_in] == ["Hello."]
        assert [one["event"] for one in house.caller.events].count("session_started") == 1
        # What was under way at a change is finished on the engines before it, of which the next change knows no more.
        await engines.let_go(lambda choice: serves(choice, JOE))
        joe = next(more for more in engines._loaded_more("tts") if more.choice.model == "piper-joe")
        assert joe.threads
        assert joe.threads.submit(lambda: "spoken to its end").result(60)
        await house.change(tts__engine="piper", tts__model="piper-cori", tts__speed=1.5)
        await engines.let_go(lambda choice: serves(choice, JOE))
        assert [voice["name"] for voice in engines.voices()["piper"]] == ["piper-cori"]
    assert engines.in_use == []
