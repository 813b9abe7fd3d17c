"""What a page may choose and do in its session, over the real server: options, typed turns, leaving and coming back."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest

from tests.support.served import Served, serving
from tests.support.webrtc_peer import Peer

QUESTION = "What is the capital of France?"


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serving(tmp_path_factory.mktemp("controlled"), "--set", "server.max_sessions=2") as server:
        yield server


@asynccontextmanager
async def joined(served: Served, **wish: Any) -> AsyncIterator[Peer]:
    """A peer whose conversation has begun."""
    peer, n_before = Peer(served.url), await n_active(served)
    try:
        await peer.join(**wish)
        await peer.until("session_started")
        yield peer
    finally:
        await peer.leave()
        # The server has noticed, and the next one finds a place.
        async with asyncio.timeout(60):
            while await n_active(served) > n_before:
                await asyncio.sleep(0.05)


async def n_active(served: Served) -> int:
    async with httpx.AsyncClient() as client:
        return (await client.get(f"{served.url}/health")).json()["sessions"]["active"]


async def refusal(served: Served, **wish: Any) -> tuple[int, str]:
    peer = Peer(served.url)
    body = {"sdp": await peer.offer(), "type": "offer", **wish}
    async with httpx.AsyncClient() as client:
        response = await client.post(f"{served.url}/api/offer", content=json.dumps(body), timeout=60)
    await peer.leave()
    return response.status_code, response.json()["error"]


async def test_a_typed_question_is_answered_in_writing_and_goes_on_after_leaving(served: Served) -> None:
    async with joined(served) as peer:
        started = await peer.until("session_started")
        assert (started["conversation"], started["history"]) == (peer.answer["conversation"], [])
        peer.send({"type": "text", "text": QUESTION, "spoken": False})
        answer = (await peer.until("llm_done"))["text"]
        assert "Paris" in answer
        assert "".join(event["text"] for event in peer.events if event["event"] == "reply_text").strip() == answer
        assert [event["source"] for event in peer.events if event["event"] == "turn_ended"] == ["typed"]
        assert [event for event in peer.events if event["event"] == "bot_started_speaking"] == []
    async with joined(served, conversation=started["conversation"]) as again:
        came_back = await again.until("session_started")
        assert came_back["conversation"] == started["conversation"]
        assert came_back["history"] == [{"role": "user", "text": QUESTION}, {"role": "assistant", "text": answer}]
        again.send({"type": "start_over"})
        await again.until("started_over")
    async with joined(served, conversation=started["conversation"]) as anew:
        assert (await anew.until("session_started"))["history"] == []


async def test_a_page_that_joins_again_takes_its_conversation_over(served: Served) -> None:
    async with joined(served) as lost, joined(served) as other:
        async with joined(served, conversation=lost.answer["conversation"]) as back:
            assert back.answer["conversation"] == lost.answer["conversation"]
            # It is told, so that two pages of one conversation do not take it from each other for ever.
            ended = await lost.until("session_ended")
            assert (ended["code"], ended["reason"]) == ("taken_over", "the page joined again")
        assert not [event for event in other.events if event["event"] == "session_ended"]


async def test_settings_change_in_a_call_by_webrtc_without_another_offer(served: Served) -> None:
    async with joined(served) as peer:
        wish = {"tts.voice": "en-gb", "tts.language": "en-gb", "turn.pace": "brisk"}
        peer.send({"type": "settings", "options": wish})
        changed = await peer.until("settings_changed")
        assert changed["changed"] == ["tts.voice", "tts.language", "turn.pace"]
        assert changed["engines"]["tts"]["model"] == "en-gb"
        peer.send({"type": "settings", "options": {"tts.language": "klingon"}})
        assert "'klingon' is no language that is known" in (await peer.until("settings_refused"))["message"]
        assert not [event for event in peer.events if event["event"] == "session_ended"]


async def test_a_session_has_its_own_voice_pace_and_persona(served: Served) -> None:
    options = {"tts.voice": "en-gb", "tts.speed": 1.5, "turn.mode": "push_to_talk", "llm.system_prompt": "You are Ann."}
    async with joined(served, options=options) as peer:
        started = await peer.until("session_started")
        assert started["engines"]["tts"]["model"] == "en-gb"
        assert started["push_to_talk"] is True
        assert "settings" not in started
        peer.send({"type": "text", "text": QUESTION, "spoken": True})
        await peer.until("bot_stopped_speaking")
        assert peer.loud_samples > 0
    # The next one has the server's.
    async with joined(served) as peer:
        started = await peer.until("session_started")
        assert (started["engines"]["tts"]["model"], started["push_to_talk"]) == ("en-us", False)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"tts.speed": 9}, "invalid option tts.speed = '9': Input should be less than or equal to 2"),
        ({"llm.base_url": "http://evil"}, "'llm.base_url' cannot be chosen for a conversation (see /api/options)"),
        ({"tts.voice": "nobody"}, "espeak does not know the voice tts.voice = 'nobody'"),
        ({"stt.language": "xx"}, "stt.language = 'xx'"),
        ({"stt.language": "de"}, "no stt engine is usable"),
        ({"stt.engine": "foundry"}, "stt.engine = foundry is not known"),
        ({"llm.system_prompt": "\ud800"}, "llm.system_prompt holds characters that are no text"),
        ({"tts.voice": "en-us\0"}, "tts.voice holds characters that are no text"),
        ({"llm.system_prompt": "x" * 9000}, "llm.system_prompt is longer than 8000 characters"),
        ("fast", "options must be an object of settings"),
    ],
)
async def test_an_option_that_cannot_be_had_is_named_and_costs_no_place(
    served: Served, options: Any, message: str
) -> None:
    status, error = await refusal(served, options=options)
    assert status == 400
    assert message in error
    assert "\n" not in error
    async with httpx.AsyncClient() as client:
        assert (await client.get(f"{served.url}/health")).json()["sessions"]["active"] == 0


async def test_what_may_be_chosen_is_told_with_what_stands_against_it(served: Served) -> None:
    async with httpx.AsyncClient() as client:
        offered = (await client.get(f"{served.url}/api/options", timeout=30)).json()
    assert offered["settings"]["tts.speed"] == {
        "value": 1.0,
        "default": 1.0,
        "description": "1 is the voice's natural pace",
        "choices": None,
        "min": 0.5,
        "max": 2.0,
    }
    assert offered["settings"]["turn.pace"]["choices"] == ["brisk", "normal", "patient"]
    engines = {one["engine"]: one for one in offered["engines"]["stt"]}
    assert engines["pocketsphinx"]["usable"]
    assert (engines["whisper"]["usable"], engines["whisper"]["model"]) == (True, "tiny.en")
    assert engines["nemotron"]["mend"] == "sotto models pull nemotron-en-560ms"
    assert "foundry" not in engines
    assert (offered["ice_servers"], offered["recording"]) == ([], True)
    assert {"name": "en-gb", "language": "en-gb", "label": "English (Great Britain)"} in offered["voices"]["espeak"]
    assert not {key for key in offered["settings"] if "base_url" in key or "api_key" in key}
