"""How fast a Wyoming client may send events, on the real server; time passes on a clock of the test's."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from wyoming.audio import AudioStop
from wyoming.event import Event

from agent.server.wyoming.events import read_event
from agent.server.wyoming.pace import EVENT_BURST, SOUND_BURST, SOUNDS_PER_SEC
from processors.llm.options import LLMOptions
from tests.support.hostile import watching
from tests.support.served import serving_page
from tests.support.speech_callers import NotingEngine
from tests.support.virtual_time import in_virtual_time
from tests.support.wyoming_peer import ServedWyoming, serving_wyoming

NO_MODEL = LLMOptions("http://127.0.0.1:9/v1", "none")
START = {"rate": 16_000, "width": 2, "channels": 1}


@asynccontextmanager
async def wyoming_alone() -> AsyncIterator[ServedWyoming]:
    """The server; nothing goes wrong unseen."""
    with watching():
        async with (
            serving_page(NotingEngine(), NO_MODEL, wyoming_port=0) as served,
            serving_wyoming(served.state) as wyoming,
        ):
            yield wyoming


def event(kind: str, data: Any = None, **head: Any) -> bytes:
    return json.dumps({"type": kind, "data": data, **head}).encode() + b"\n"


def last_of(answer: bytes) -> dict[str, Any]:
    """The data of the last event, which has no payload."""
    return json.loads(answer.rpartition(b"\n")[2])


async def test_each_event_of_a_flood_leaves_everybody_else_a_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    n_read = n_turns = most_between_turns = 0

    def turn() -> None:
        nonlocal n_turns
        n_turns = n_read

    async def noted(reader: asyncio.StreamReader, patience_secs: float) -> Event | None:
        nonlocal n_read, most_between_turns
        one = await read_event(reader, patience_secs)
        n_read += 1
        most_between_turns = max(most_between_turns, n_read - n_turns)
        asyncio.get_running_loop().call_soon(turn)
        return one

    monkeypatch.setattr("agent.server.wyoming.session.read_event", noted)
    async with wyoming_alone() as wyoming:
        error = last_of(await wyoming.tell(event("x") * 1000 + b"\n"))
        # What cannot be read is no event.
        assert (n_read, most_between_turns, error["code"]) == (1000, 1, "invalid_event")


@in_virtual_time
@pytest.mark.parametrize("sent", [event("x"), event("audio-chunk", START)])
async def test_too_many_events_end_the_connection_with_one_line(sent: bytes) -> None:
    async with wyoming_alone() as wyoming:
        error = last_of(await wyoming.tell(sent * int(EVENT_BURST), sent * 100))
    assert (error["text"], error["code"]) == ("too many events: 200 a second are taken", "rate_limit_exceeded")


@in_virtual_time
async def test_a_recording_that_comes_at_once_waits_and_is_heard_to_its_end() -> None:
    loop = asyncio.get_running_loop()
    n_late = 2000
    chunk = event("audio-chunk", START, payload_length=2) + bytes(2)
    async with wyoming_alone() as wyoming, wyoming.caller() as caller:
        begun_secs = loop.time()
        writer = caller.client._writer
        assert writer
        writer.write(chunk * (int(SOUND_BURST) + n_late))
        await caller.send(AudioStop())
        events = await caller.until("transcript-stop")
        took_secs = loop.time() - begun_secs
    assert [one.type for one in events][-2:] == ["transcript", "transcript-stop"]
    assert took_secs == pytest.approx(n_late / SOUNDS_PER_SEC, abs=0.1)
