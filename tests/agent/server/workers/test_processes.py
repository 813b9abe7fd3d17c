"""Real processes: a front, two workers, their engines; calls by WebSocket, a worker that is killed, and the end."""

import asyncio
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import httpx
import psutil
import pytest

from agent.own_names import home_of
from agent.server.worker_process import ENGINES_NAME
from agent.server.workers.mould import IS_POSSIBLE
from tests.support.served import Served, serving
from tests.support.websocket_caller import Caller, calling

WAIT_SECS = 120
pytestmark = pytest.mark.realtime


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    limits = ("--set", "server.workers=2", "--set", "server.max_sessions=3")
    with serving(tmp_path_factory.mktemp("workers"), *limits) as server:
        yield server


def socket_of(server: Served) -> str:
    return f"{server.url.replace('http', 'ws')}/api/ws"


def process_of(server: Served, number: int) -> psutil.Process:
    """The process of a worker; the one that was started anew comes last."""
    parent = psutil.Process(server.process.pid)
    if IS_POSSIBLE:
        [parent] = _workers_below(parent)
    return sorted(_workers_below(parent), key=lambda one: one.create_time())[number]


def _workers_below(process: psutil.Process) -> list[psutil.Process]:
    below = [one for one in process.children() if "agent.server.worker_process" in " ".join(one.cmdline())]
    return [one for one in below if one.name() != ENGINES_NAME]


def engines_of(server: Served) -> psutil.Process:
    """The engine process, which comes from the same mould."""
    [mould] = _workers_below(psutil.Process(server.process.pid))
    [engines] = [one for one in mould.children() if one.name() == ENGINES_NAME]
    return engines


async def until_whole(web: httpx.AsyncClient) -> None:
    async with asyncio.timeout(WAIT_SECS):
        while (await web.get("/health")).json()["workers"]["ready"] < 2:
            await asyncio.sleep(0.1)


async def joined(caller: Caller, **wishes: object) -> str:
    answer = await caller.join(**wishes)
    assert answer["type"] == "joined", answer
    caller.begin_to_speak()
    return answer["conversation"]


async def test_two_calls_are_on_two_workers_and_what_is_asked_of_each_reaches_it(server: Served) -> None:
    async with httpx.AsyncClient(base_url=server.url, timeout=WAIT_SECS) as web:
        async with calling(socket_of(server)) as one, calling(socket_of(server)) as other:
            conversations = [await joined(one), await joined(other)]
            assert {home_of(name, 2) for name in conversations} == {0, 1}
            for name in conversations:
                told = await web.get(f"/api/conversations/{name}")
                assert (told.status_code, told.json()["conversation"]) == (200, name)
                refused = await web.post("/api/chat", json={"text": "hi", "conversation": name})
                assert (refused.status_code, "is in a call" in refused.text) == (409, True)
            health = (await web.get("/health")).json()
            assert health["sessions"] == {"active": 2, "max": 3}
            lines = (await web.get("/metrics")).text.splitlines()
            assert 'sotto_sessions_active{door="websocket"} 2.0' in lines
            assert 'sotto_places{kind="session"} 3.0' in lines
        for name in conversations:
            # The call is over, and its history goes on in writing.
            async with asyncio.timeout(WAIT_SECS):
                while (answer := await web.post("/api/chat", json={"text": "hi", "conversation": name})).is_error:
                    await asyncio.sleep(0.1)
            assert f'"conversation": "{name}"' in answer.text
            async with calling(socket_of(server)) as again:
                assert await joined(again, conversation=name) == name


async def test_a_conversation_that_begins_anew_belongs_to_the_worker_that_holds_the_call(server: Served) -> None:
    async with httpx.AsyncClient(base_url=server.url, timeout=WAIT_SECS) as web:
        async with calling(socket_of(server)) as one, calling(socket_of(server)) as other:
            for caller in (one, other):
                old = await joined(caller)
                await caller.tell({"type": "text", "text": "hi", "spoken": False})
                await caller.until_event("llm_done")
                await caller.tell({"type": "start_over"})
                new = (await caller.until_event("started_over"))["conversation"]
                assert new != old
                assert home_of(new, 2) == home_of(old, 2)
                refused = await web.post("/api/chat", json={"text": "hi", "conversation": new})
                assert (refused.status_code, "is in a call" in refused.text) == (409, True)
            # A page that is loaded anew finds it, and a call keeps one place however often it begins anew.
            assert (await web.get("/health")).json()["sessions"]["active"] == 2
            async with calling(socket_of(server)) as again:
                assert await joined(again, conversation=new) == new
                assert (await other.until_closed())[1] == "the page joined again"
        async with asyncio.timeout(WAIT_SECS):
            while (await web.get("/health")).json()["sessions"]["active"]:
                await asyncio.sleep(0.1)


async def test_all_workers_together_hold_as_many_calls_as_may_be(server: Served) -> None:
    async with (
        calling(socket_of(server)) as first,
        calling(socket_of(server)) as second,
        calling(socket_of(server)) as third,
        calling(socket_of(server)) as fourth,
    ):
        for caller in (first, second, third):
            await joined(caller)
        refusal = await fourth.join()
    assert (refusal["type"], refusal["passing"]) == ("refused", True)
    assert refusal["error"] == "the agent is busy with 3 conversations; try again later"


async def test_a_worker_that_is_killed_takes_its_own_calls_alone(server: Served) -> None:
    async with httpx.AsyncClient(base_url=server.url, timeout=WAIT_SECS) as web:
        await until_whole(web)
        async with calling(socket_of(server)) as one, calling(socket_of(server)) as other:
            homes = {home_of(await joined(caller), 2): caller for caller in (one, other)}
            process_of(server, 0).kill()
            async with asyncio.timeout(WAIT_SECS):
                while not (one.ended.is_set() or other.ended.is_set()):
                    await asyncio.sleep(0.01)
            [(lost, _)] = [(home, caller) for home, caller in homes.items() if caller.ended.is_set()]
            # The port answers all the while, and a new call is held.
            async with calling(socket_of(server)) as again:
                assert home_of(await joined(again), 2) == 1 - lost
                await until_whole(web)
                assert (homes[1 - lost].close_reason, again.close_reason) == ("", "")
            async with calling(socket_of(server)) as later:
                assert home_of(await joined(later), 2) == lost
        assert "sotto_worker_restarts_total 1.0" in (await web.get("/metrics")).text


@pytest.mark.skipif(not IS_POSSIBLE, reason="the engine process is forked on Linux alone")
async def test_an_engine_process_that_is_killed_is_forked_anew_and_calls_go_on(server: Served) -> None:
    async with httpx.AsyncClient(base_url=server.url, timeout=WAIT_SECS) as web:
        await until_whole(web)
        restarts = "\nsotto_engine_process_restarts_total "
        before = float((await web.get("/metrics")).text.split(restarts)[1].split()[0])
        async with calling(socket_of(server)) as caller:
            await joined(caller)
            killed = engines_of(server)
            killed.kill()
            async with asyncio.timeout(WAIT_SECS):
                while f"{restarts}{before + 1}" not in (await web.get("/metrics")).text:
                    await asyncio.sleep(0.05)
            wish = {"model": "tts-1", "voice": "alloy", "input": "Back again.", "response_format": "wav"}
            spoken = await web.post("/v1/audio/speech", json=wish)
            assert (spoken.status_code, len(spoken.content) > 10_000) == (200, True)
            assert engines_of(server).pid != killed.pid
            assert not caller.ended.is_set()


@pytest.mark.skipif(not IS_POSSIBLE, reason="workers are forked on Linux alone")
async def test_the_process_that_workers_come_from_may_end_too(server: Served) -> None:
    async with httpx.AsyncClient(base_url=server.url, timeout=WAIT_SECS) as web:
        await until_whole(web)
        worker = process_of(server, 0)
        async with calling(socket_of(server)) as one, calling(socket_of(server)) as other:
            for caller in (one, other):
                await joined(caller)
            mould = worker.parent()
            assert mould
            mould.kill()
            worker.kill()
            async with asyncio.timeout(WAIT_SECS):
                while not (one.ended.is_set() or other.ended.is_set()):
                    await asyncio.sleep(0.05)
            await until_whole(web)
            assert one.ended.is_set() != other.ended.is_set()
        async with calling(socket_of(server)) as one, calling(socket_of(server)) as other:
            assert {home_of(await joined(caller), 2) for caller in (one, other)} == {0, 1}


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL], ids=lambda one: one.name)
async def test_nothing_is_left_however_the_front_ends(tmp_path: Path, number: signal.Signals) -> None:
    with serving(tmp_path, "--set", "server.workers=2") as server:
        family = psutil.Process(server.process.pid).children(recursive=True)
        async with calling(socket_of(server)) as caller:
            await joined(caller)
            os.kill(server.process.pid, number)
            await caller.until_closed()
            status = await asyncio.to_thread(server.process.wait, WAIT_SECS)
        gone, alive = await asyncio.to_thread(psutil.wait_procs, family, WAIT_SECS)
    assert len(gone) >= 2
    assert [one.pid for one in alive] == []
    assert status == (-signal.SIGKILL if number is signal.SIGKILL else 0)


async def test_a_server_that_is_told_to_end_lets_each_worker_end_its_calls(tmp_path: Path) -> None:
    with serving(tmp_path, "--set", "server.workers=2", "--set", "server.drain_secs=3600") as server:
        async with (
            httpx.AsyncClient(base_url=server.url, timeout=WAIT_SECS) as web,
            calling(socket_of(server)) as one,
            calling(socket_of(server)) as other,
        ):
            callers = [one, other]
            assert {home_of(await joined(caller), 2) for caller in callers} == {0, 1}
            server.process.send_signal(signal.SIGTERM)
            async with asyncio.timeout(WAIT_SECS):
                while (await web.get("/health/ready")).json() != {"status": "draining"}:
                    await asyncio.sleep(0.05)
            async with calling(socket_of(server)) as late:
                refusal = await late.join()
            assert refusal["error"].startswith("the agent is about to stop")
            assert [caller.ended.is_set() for caller in callers] == [False, False]
            await one.leave()
            assert not other.ended.is_set()
            assert server.process.poll() is None
        assert await asyncio.to_thread(server.process.wait, WAIT_SECS) == 0


def test_a_worker_that_cannot_begin_ends_the_command_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(AssertionError) as failure, serving(tmp_path, "--set", "server.workers=2", "--stt", "openai"):
        pass
    lines = str(failure.value).splitlines()
    assert "stt.engine" in lines[-1] or "stt.base_url" in lines[-1]
    assert sum("Traceback" in line for line in lines) == 0
