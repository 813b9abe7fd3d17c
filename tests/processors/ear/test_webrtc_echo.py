"""A caller with an open loudspeaker and no canceller, as Safari and speakerphones may be: the text guard alone stands
between the agent and its own words, over real WebRTC.

Scripted at the edge: the language model, and a recognizer that hears the agent perfectly
(tests/support/eavesdropper.py).
"""

import asyncio
from collections.abc import Callable

import pytest

from agent.conversation.event_log import Event
from agent.conversation.histories import Histories
from agent.server.calls.plans import SessionRequest
from agent.server.calls.sessions import LiveSessions
from agent.server.calls.webrtc import WebSessions
from agent.settings.load import Settings
from processors.tts.espeak import EspeakSynthesizer
from tests.support.eavesdropper import Eavesdropper
from tests.support.house import SPEECH, hosting
from tests.support.llm_session import options
from tests.support.scripted_llm import Reply, ScriptedLLM
from tests.support.webrtc_peer import Peer, RoomMicrophone
from transports.recording import load_recording
from transports.room import Room, RoomSpec

PATIENCE_SECS = 120.0
ANSWERS = {
    "tell me a story": (
        "Rivers carry water from the mountains toward the sea. Along their banks grow willows, reeds and tall grasses. "
        "Many animals drink there every morning before sunrise."
    ),
    "what is the capital of germany": "The capital of Germany is Berlin, which lies on the river Spree.",
}
RECORDINGS = {"tell me a story": "tell_me_a_story.wav", "what is the capital of germany": "capital_of_germany.wav"}


@pytest.mark.long
@pytest.mark.realtime
async def test_a_caller_without_a_canceller_is_heard_and_the_agent_does_not_answer_itself() -> None:
    ears, tts = Eavesdropper(), EspeakSynthesizer(voice="en-us+f3")
    peer = Peer(microphone=RoomMicrophone(Room(RoomSpec(echo_db=-3), agent_dbfs=-20.3)))
    async with (
        ScriptedLLM(answers={words: Reply(answer) for words, answer in ANSWERS.items()}) as server,
        hosting(ears, options(server), tts) as host,
    ):
        sessions = LiveSessions(host, Settings(), Histories())
        peers = WebSessions(sessions)
        try:
            await peer.accept(await peers.join(await peer.offer(), "offer", SessionRequest()))
            peer.on_event = ears
            await peer.until("session_started")
            for words, answer in ANSWERS.items():
                await until(lambda: is_quiet(peer))
                ears.asked = words
                peer.microphone.say(load_recording(SPEECH / RECORDINGS[words]).audio_s16)
                await until(lambda said=answer: " ".join(texts(peer, "bot_word")).endswith(said))
            requests = [str(request.messages[-1]["content"]) for request in server.requests]
        finally:
            await peer.leave()
            await sessions.close()
            await peers.close()
    assert [text for text in texts(peer, "turn_ended") if text] == list(ANSWERS)
    assert set(requests) == set(ANSWERS)
    assert texts(peer, "bot_word") == " ".join(ANSWERS.values()).split()
    # It did hear itself.
    assert "echo" in [event["cause"] for event in named(peer, "false_interruption")]


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE_SECS):
        while not condition():
            await asyncio.sleep(0.01)


def is_quiet(peer: Peer) -> bool:
    """Whether neither side speaks."""
    return all(
        len(named(peer, f"{who}_started_speaking")) == len(named(peer, f"{who}_stopped_speaking"))
        for who in ("user", "bot")
    )


def named(peer: Peer, name: str) -> list[Event]:
    return [event for event in peer.events if event["event"] == name]


def texts(peer: Peer, name: str) -> list[str]:
    return [event["text"] for event in named(peer, name)]
