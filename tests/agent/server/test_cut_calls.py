"""Interrupting an answer that is being written, on a call: nothing of it follows, and the next question is answered."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import numpy as np
import pytest

from agent.conversation.histories import Histories
from agent.server.calls.sessions import LiveSessions
from agent.settings.load import Settings
from tests.support.cuts import cut_index, of_the_cut_reply, slow_reply
from tests.support.house import hosting
from tests.support.llm_session import options
from tests.support.scripted_engines import ScriptedRecognizerEngine, ScriptedSynthesizer
from tests.support.scripted_llm import Reply, ScriptedLLM
from tests.support.served import serving_page
from tests.support.virtual_time import in_virtual_time, run_in_virtual_time
from tests.support.webrtc_peer import Peer
from tests.support.websocket_caller import calling, serving_sessions

TIMES = [pytest.param(3, id="three times"), pytest.param(20, id="twenty times", marks=pytest.mark.long)]
ASK, AGAIN = {"type": "text", "text": "tell me all"}, {"type": "text", "text": "are you there"}
INTO_SECS = 1.5
# Of sound that has left the server: what the network and the peer's buffers hold of it.
UNDER_WAY_SECS = 0.5


@asynccontextmanager
async def slow_model() -> AsyncIterator[ScriptedLLM]:
    async with ScriptedLLM() as llm:
        llm.otherwise = Reply("Yes ", "I ", "am.", delay_secs=0.05)
        yield llm


def prepare(llm: ScriptedLLM, n_time: int) -> None:
    # Each time another pace, so that each time other work is under way when it is cut.
    llm.answers[ASK["text"]] = slow_reply(token_secs=0.03 + 0.0037 * n_time)


def check(events: list[dict[str, Any]]) -> None:
    told = events[cut_index(events) + 1 :]
    assert of_the_cut_reply(told) == []
    assert [event["text"] for event in told if event["event"] == "bot_word"] == ["Yes", "I", "am."]


async def cut_over_a_websocket(n_times: int) -> None:
    async with slow_model() as llm:
        patient = options(llm, token_stall_timeout_secs=9.0, first_token_timeout_secs=9.0)
        async with hosting(ScriptedRecognizerEngine(), patient, ScriptedSynthesizer()) as host:
            sessions = LiveSessions(host, Settings(), Histories())
            async with serving_sessions(sessions) as url, calling(url) as caller:
                await caller.join()
                caller.begin_to_speak()
                for n_time in range(n_times):
                    prepare(llm, n_time)
                    before, n_started = len(caller.events), len(caller.named("bot_started_speaking"))
                    await caller.tell(ASK)
                    await caller.until_event("bot_started_speaking", n_started + 1)
                    await asyncio.sleep(INTO_SECS)
                    await caller.tell({"type": "interrupt"})
                    await caller.until_event("interruption", n_time + 1)
                    n_bytes = len(caller.heard)
                    await asyncio.sleep(1.0)
                    assert not np.frombuffer(bytes(caller.heard[n_bytes:]), "<i2").any()
                    await caller.tell(AGAIN)
                    await caller.until_event("bot_stopped_speaking", 2 * n_time + 2)
                    check(caller.events[before:])
            await sessions.close()


@pytest.mark.parametrize("n_times", TIMES)
def test_nothing_of_a_cut_answer_follows_over_a_websocket(n_times: int) -> None:
    run_in_virtual_time(lambda: cut_over_a_websocket(n_times))


@pytest.mark.parametrize("n_times", TIMES)
@in_virtual_time
async def test_nothing_of_a_cut_answer_follows_over_webrtc(n_times: int) -> None:
    async with slow_model() as llm:
        patient = options(llm, token_stall_timeout_secs=9.0, first_token_timeout_secs=9.0)
        async with serving_page(ScriptedRecognizerEngine(), patient) as served:
            peer = Peer(served.url)
            try:
                await peer.join()
                await peer.until("session_started")
                for n_time in range(n_times):
                    prepare(llm, n_time)
                    before = len(peer.events)
                    peer.send(ASK)
                    await peer.until("bot_started_speaking", 2 * n_time + 1)
                    await asyncio.sleep(INTO_SECS)
                    peer.send({"type": "interrupt"})
                    await peer.until("interruption", n_time + 1)
                    await asyncio.sleep(UNDER_WAY_SECS)
                    n_loud = peer.loud_samples
                    await asyncio.sleep(1.0)
                    assert peer.loud_samples == n_loud
                    peer.send(AGAIN)
                    await peer.until("bot_stopped_speaking", 2 * n_time + 2)
                    check(peer.events[before:])
            finally:
                await peer.leave()
