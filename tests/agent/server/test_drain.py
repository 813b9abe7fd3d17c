"""The end of a server that is to cut nobody off: who gets in, what orchestrators are told, and when it is over."""

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest

from agent.engines.host import ModelHost
from agent.server.app import build_app
from agent.server.calls.sessions import STOPPING
from agent.server.draining import drain
from agent.server.state import ServerState
from agent.settings.load import Settings, load_settings
from agent.stopping import Stopping
from tests.support.llm_session import options
from tests.support.scripted_engines import ScriptedRecognizerEngine
from tests.support.scripted_llm import ScriptedLLM
from tests.support.served import ServedEngine, serving, serving_page
from tests.support.websocket_caller import calling

LONG_SECS = 3600.0


def socket_of(url: str) -> str:
    return f"{url.replace('http', 'ws')}/api/ws"


@asynccontextmanager
async def held() -> AsyncIterator[tuple[ServedEngine, httpx.AsyncClient]]:
    async with (
        ScriptedLLM() as llm,
        serving_page(ScriptedRecognizerEngine(), options(llm)) as served,
        httpx.AsyncClient(base_url=served.url) as web,
    ):
        yield served, web


async def health(web: httpx.AsyncClient, path: str) -> tuple[int, str]:
    answer = await web.get(path)
    return answer.status_code, answer.json()["status"]


async def test_while_it_drains_no_call_begins_and_those_that_are_held_go_on_to_their_end() -> None:
    async with held() as (served, web):
        assert await health(web, "/health/ready") == (200, "ready")
        async with calling(socket_of(served.url)) as caller:
            await caller.join()
            draining = asyncio.create_task(drain(served.state, asyncio.Event(), LONG_SECS))
            await asyncio.sleep(0)
            assert await health(web, "/health/ready") == (503, "draining")
            assert await health(web, "/health/live") == (200, "draining")
            # The page and a health check of the container still see a server that works.
            assert await health(web, "/health") == (200, "draining")
            async with calling(socket_of(served.url)) as late:
                refusal = await late.join()
            assert refusal["error"].startswith("the agent is about to stop")
            assert refusal["passing"] is True
            assert not caller.ended.is_set()
            assert not draining.done()
        await asyncio.wait_for(draining, 30)


async def test_a_page_that_comes_back_meanwhile_does_not_lose_the_call_that_it_has() -> None:
    async with held() as (served, _), calling(socket_of(served.url)) as caller:
        conversation = (await caller.join())["conversation"]
        served.state.sessions().is_draining = True
        async with calling(socket_of(served.url)) as again:
            assert (await again.join(conversation=conversation))["type"] == "refused"
        assert served.state.sessions().n_active == 1


@pytest.mark.parametrize("is_late", [False, True], ids=["its own call", "another's place"])
async def test_nor_where_the_server_is_told_to_stop_while_engines_are_loaded(is_late: bool) -> None:
    async with held() as (served, _), calling(socket_of(served.url)) as caller:
        conversation = (await caller.join())["conversation"]
        sessions = served.state.sessions()
        find_host = sessions.engines.host_for

        async def host_for(settings: Settings) -> ModelHost:
            sessions.is_draining = True
            return await find_host(settings)

        sessions.engines.host_for = host_for
        async with calling(socket_of(served.url)) as again:
            refusal = await again.join(**({} if is_late else {"conversation": conversation}))
        assert (refusal["error"], refusal["passing"]) == (STOPPING, True)
        assert sessions.n_active == 1
        assert not caller.ended.is_set()


async def test_a_second_signal_and_the_end_of_the_time_end_the_wait() -> None:
    async with held() as (served, _), calling(socket_of(served.url)) as caller:
        await caller.join()
        at_once = asyncio.Event()
        waiting = asyncio.create_task(drain(served.state, at_once, LONG_SECS))
        await asyncio.sleep(0)
        at_once.set()
        await asyncio.wait_for(waiting, 30)
        await asyncio.wait_for(drain(served.state, asyncio.Event(), 0.01), 30)
        assert served.state.sessions().n_active == 1


async def test_a_written_answer_and_a_transcription_are_waited_for() -> None:
    async with held() as (served, _):
        with served.state.questions.taken():
            waiting = asyncio.create_task(drain(served.state, asyncio.Event(), LONG_SECS))
            await asyncio.sleep(0)
            assert not waiting.done()
        await asyncio.wait_for(waiting, 30)


async def test_a_key_ends_it_at_once_and_sigterm_lets_it_drain() -> None:
    for number, may_drain in ((signal.SIGINT, False), (signal.SIGTERM, True)):
        stopping = Stopping()
        stopping.stop(number)
        assert (stopping.may_drain, stopping.at_once.is_set()) == (may_drain, False)
        stopping.stop(number)
        assert stopping.at_once.is_set()
        assert stopping.exit_status == 128 + number


async def test_orchestrators_need_no_token_and_learn_nothing_else() -> None:
    app = build_app(ServerState(load_settings({"server.token": "open sesame"})))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://127.0.0.1:7860") as web:
        live, ready = await web.get("/health/live"), await web.get("/health/ready")
        other = await web.get("/health/other")
    assert (live.status_code, live.json()) == (200, {"status": "starting"})
    assert (ready.status_code, ready.json()) == (503, {"status": "starting"})
    assert other.status_code == 401


@pytest.mark.apart
@pytest.mark.parametrize("ends_by", ["the caller", "a second signal"])
async def test_a_server_that_is_told_to_end_ends_after_its_last_call(tmp_path: Path, ends_by: str) -> None:
    with serving(tmp_path, "--set", f"server.drain_secs={LONG_SECS:.0f}") as server:
        async with httpx.AsyncClient(base_url=server.url) as web, calling(socket_of(server.url)) as caller:
            await caller.join()
            server.process.send_signal(signal.SIGTERM)
            async with asyncio.timeout(30):
                while await health(web, "/health/ready") != (503, "draining"):
                    await asyncio.sleep(0.05)
            assert server.process.poll() is None
            if ends_by == "a second signal":
                server.process.send_signal(signal.SIGTERM)
                await asyncio.wait_for(caller.ended.wait(), 30)
        assert await asyncio.to_thread(server.process.wait, 30) == 0
