"""The fault table's transports, held: a peer fails in the middle of an answer; another call goes on, and so does it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from agent.server.calls.session import LiveSession
from agent.server.calls.sessions import LiveSessions
from tests.support.fault_table import transport_cells
from tests.support.faulty_peers import CALLS, Call, SocketCall
from tests.support.house import SPEECH
from tests.support.left_over import leaving_nothing
from tests.support.llm_session import options
from tests.support.scripted_engines import WORD_SECS, ScriptedRecognizerEngine
from tests.support.scripted_llm import Reply, ScriptedLLM
from tests.support.served import ServedEngine, serving_page
from tests.support.virtual_time import in_virtual_time
from transports.recording import load_recording

ASKED, AGAIN, OTHER = "tell me all", "are you there", "and you"
REPLY = "One two three four five six seven eight nine ten eleven twelve."
INTO_SECS = 1.0
# A peer that vanishes is missed after 6 s at the latest, one that reads nothing after 15.
WITHIN_SECS = 25.0

# Why the call ends; what is not here goes on.
ENDS = {
    ("websocket", "error"): "the connection failed within the server",
    ("websocket", "hang"): "the client left",
    ("websocket", "crash"): "the client left",
    ("websocket", "garbage"): "a sound message of 641 bytes is no whole number of 16-bit samples",
    ("websocket", "endless"): "more sound than time: 16000 samples a second are taken",
    ("websocket", "none"): "nothing came from the client for 6 s",
    ("webrtc", "hang"): "the peer does not read what it is sent",
    ("webrtc", "crash"): "the peer vanished",
    ("webrtc", "endless"): "the peer sends more sound than time",
}
# What the user reads of it where the call goes on.
TOLD = {
    ("webrtc", "error"): [
        "the loudspeaker: ValueError('no such sound')",
        "the microphone: ValueError('no such frame')",
    ]
}


def named(call: Call, name: str) -> list[dict[str, Any]]:
    return [event for event in call.events if event["event"] == name]


async def until(condition: Any) -> None:
    async with asyncio.timeout(WITHIN_SECS):
        while not condition():
            await asyncio.sleep(0.05)


async def answered(call: Call, text: str) -> list[str]:
    """Type a question; the words of the answer."""
    n_stopped, n_words = len(named(call, "bot_stopped_speaking")), len(named(call, "bot_word"))
    await call.type(text)
    await until(lambda: len(named(call, "bot_stopped_speaking")) > n_stopped)
    return [event["text"] for event in named(call, "bot_word")[n_words:]]


def session_of(sessions: LiveSessions, conversation: str) -> LiveSession:
    return next(one for one in sessions._running if one.plan.history.id == conversation)


@asynccontextmanager
async def serving() -> AsyncIterator[ServedEngine]:
    """The page's server on scripted engines."""
    answers = {ASKED: Reply(REPLY), AGAIN: Reply("Second."), OTHER: Reply("Third.")}
    async with (
        ScriptedLLM(answers=answers) as llm,
        serving_page(ScriptedRecognizerEngine(ASKED), options(llm)) as served,
    ):
        yield served


def check_history(turns: list[dict[str, str]], is_whole: bool) -> None:
    """It is what was heard: all of the answer, or what came before the end of the call."""
    heard = turns[1].pop("text").split()
    assert turns == [
        {"role": "user", "text": ASKED},
        {"role": "assistant"},
        {"role": "user", "text": AGAIN},
        {"role": "assistant", "text": "Second."},
    ]
    assert heard == REPLY.split()[: len(heard)]
    # A word takes a quarter of a second; one may have been on its way when the peer failed.
    assert len(heard) == len(REPLY.split()) if is_whole else len(heard) >= INTO_SECS / WORD_SECS - 1


@pytest.mark.long
@pytest.mark.parametrize(("transport", "fault"), transport_cells())
@in_virtual_time
async def test_fault_of_a_peer_costs_no_later_turn_and_no_other_call(transport: str, fault: str) -> None:
    async with leaving_nothing(), serving() as served:
        sessions = served.state.sessions()
        other, call = SocketCall(served), CALLS[transport](served)
        await other.join(None)
        conversation = await call.join(None)
        session = session_of(sessions, conversation)
        call.say(load_recording(SPEECH / "days_in_a_week.wav").audio_s16)
        await until(lambda: named(call, "bot_started_speaking"))
        await asyncio.sleep(INTO_SECS)
        await call.strike(fault, session)
        if (transport, fault) in ENDS:
            await until(lambda: session not in sessions._running)
            assert session.conversation.end_reason == ENDS[transport, fault]
            await call.leave()
            call = CALLS[transport](served)
            assert await call.join(conversation) == conversation
        else:
            await until(lambda: named(call, "bot_stopped_speaking"))
            assert sorted(event["message"] for event in named(call, "error")) == TOLD.get((transport, fault), [])
        assert await answered(other, OTHER) == ["Third."]
        assert await answered(call, AGAIN) == ["Second."]
        check_history(session.plan.history.turns(), session.conversation.end_reason == "ended")
        await other.leave()
        await call.leave()
        await until(lambda: sessions.n_active == 0)
