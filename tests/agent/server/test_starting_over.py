"""Starting over within a call: a new conversation begins under a name of its own, and the old one stays what it was."""

import asyncio
import io
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import soundfile

from agent.conversation.histories import Histories, HistoryInUseError
from tests.agent.memory.test_memory_routes import ANNA, serving
from tests.support.house import SPEECH
from tests.support.scripted_llm import Reply
from tests.support.virtual_time import in_virtual_time
from tests.support.websocket_caller import Caller, calling
from transports.recording import load_recording

KEPT = "/api/memory/conversations"
WAIT_SECS = 60.0


@pytest.fixture(autouse=True)
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))


@asynccontextmanager
async def held(
    *replies: str, turns: bool = True, **wishes: Any
) -> AsyncIterator[tuple[httpx.AsyncClient, Caller, str, str]]:
    """A call of Anna's: the server, the call, where others join, the conversation's id."""
    async with serving(*map(Reply, replies), turns=turns) as (client, _):
        url = f"{str(client.base_url).replace('http', 'ws').rstrip('/')}/api/ws"
        async with calling(url) as caller:
            joined = await caller.join(browser=ANNA, **wishes)
            caller.begin_to_speak()
            yield client, caller, url, joined["conversation"]


async def ask(caller: Caller, text: str) -> None:
    n_before = len(caller.named("llm_done"))
    await caller.tell({"type": "text", "text": text, "spoken": False})
    await caller.until_event("llm_done", n_before + 1)


async def start_over(caller: Caller) -> str:
    """The new conversation's id."""
    n_before = len(caller.named("started_over"))
    await caller.tell({"type": "start_over"})
    return (await caller.until_event("started_over", n_before + 1))["conversation"]


async def said_in(client: httpx.AsyncClient, conversation: str) -> list[str]:
    told = (await client.get(f"/api/conversations/{conversation}")).json()
    return [turn["text"] for turn in told["history"]]


async def until(client: httpx.AsyncClient, path: str, status: int, method: str = "GET") -> httpx.Response:
    async with asyncio.timeout(WAIT_SECS):
        while (answer := await client.request(method, path)).status_code != status:
            await asyncio.sleep(0.1)
    return answer


async def kept(client: httpx.AsyncClient, n_turns: int) -> list[tuple[str, str, int]]:
    """Id, title and turns of each conversation in the list, the latest first; once they have so many turns in all."""
    async with asyncio.timeout(WAIT_SECS):
        while True:
            listed = (await client.get(KEPT)).json()["conversations"]
            if sum(one["turns"] for one in listed) == n_turns:
                return [(one["id"], one["title"], one["turns"]) for one in listed]
            await asyncio.sleep(0.05)


@in_virtual_time
async def test_the_list_shows_the_old_and_the_new_conversation_as_two() -> None:
    async with held("Hello Ann.", "With water.", "Once.") as (client, caller, url, old):
        await ask(caller, "I am Ann")
        await ask(caller, "how is tea made")
        new = await start_over(caller)
        assert new != old
        assert await kept(client, 2) == [(old, "I am Ann", 2)]
        await ask(caller, "tell me a story")
        # What the server still has of each, whoever knows its name.
        assert await said_in(client, old) == ["I am Ann", "Hello Ann.", "how is tea made", "With water."]
        assert await said_in(client, new) == ["tell me a story", "Once."]
        # A page that is loaded anew takes the call over by the new name.
        async with calling(url) as again:
            assert (await again.join(browser=ANNA, conversation=new))["conversation"] == new
            started = await again.until_event("session_started")
            assert [turn["text"] for turn in started["history"]] == ["tell me a story", "Once."]
            assert (await caller.until_closed())[1] == "the page joined again"
        assert await kept(client, 3) == [(new, "tell me a story", 1), (old, "I am Ann", 2)]


@in_virtual_time
async def test_the_old_one_is_renamed_gone_on_with_and_deleted_while_the_call_goes_on() -> None:
    async with held("Hello Ann.", "Once.", "Ann.", "Twice.") as (client, caller, url, old):
        await ask(caller, "I am Ann")
        new = await start_over(caller)
        await ask(caller, "tell me a story")
        assert (await client.patch(f"{KEPT}/{old}", json={"title": "Ann"})).status_code == 204
        assert await kept(client, 1) == [(old, "Ann", 1)]
        assert (await client.post(f"{KEPT}/{old}", json={})).json()["history"][0]["text"] == "I am Ann"
        # In writing, in another call: it is nobody's now.
        answer = await client.post("/api/chat", json={"text": "who am I", "conversation": old, "browser": ANNA})
        assert f'"conversation": "{old}"' in answer.text
        async with calling(url) as other:
            await other.join(browser=ANNA, conversation=old)
            assert len((await other.until_event("session_started"))["history"]) == 4
        await until(client, f"{KEPT}/{old}", 204, "DELETE")
        await ask(caller, "and another")
        assert await kept(client, 1) == [(new, "tell me a story", 1)]
        assert (await client.get(f"/api/conversations/{old}")).status_code == 404
        # The one that is held is deleted by whoever ends it first.
        assert (await client.delete(f"{KEPT}/{new}")).status_code == 409
        assert not caller.ended.is_set()


@in_virtual_time
async def test_a_call_that_was_taken_over_starts_over_for_itself_and_the_first_page_has_the_old_one() -> None:
    async with held("Hello Ann.", "Once.") as (client, first, url, old):
        await ask(first, "I am Ann")
        async with calling(url) as second, calling(url) as third:
            await second.join(browser=ANNA, conversation=old)
            second.begin_to_speak()
            await first.until_closed()
            new = await start_over(second)
            await ask(second, "tell me a story")
            # The first page knows the old name; what the second one holds is not taken from it.
            assert (await third.join(browser=ANNA, conversation=old))["conversation"] == old
            started = await third.until_event("session_started")
            assert [turn["text"] for turn in started["history"]] == ["I am Ann", "Hello Ann."]
            assert not second.ended.is_set()
            health = (await client.get("/health")).json()
            assert health["sessions"]["active"] == 2
        assert await kept(client, 2) == [(new, "tell me a story", 1), (old, "I am Ann", 1)]
        async with asyncio.timeout(WAIT_SECS):
            while (await client.get("/health")).json()["sessions"]["active"]:
                await asyncio.sleep(0.1)


@in_virtual_time
async def test_each_part_has_a_recording_of_its_own() -> None:
    async with held("Hello Ann.", "Once upon a time.", record=True) as (client, caller, _, old):
        caller.say(load_recording(SPEECH / "days_in_a_week.wav").audio_s16)
        await ask(caller, "I am Ann")
        await asyncio.sleep(8)
        new = await start_over(caller)
        # That of the old one is whole, and that of the new one goes on.
        events = (await until(client, f"/api/conversations/{old}/events.jsonl", 200)).text
        sound = await client.get(f"/api/conversations/{old}/recording.wav")
        assert (await client.get(f"/api/conversations/{new}/recording.wav")).status_code == 409
        before_secs = len(caller.heard) / 2 / 24_000
        await caller.tell({"type": "text", "text": "tell me a story", "spoken": True})
        await caller.until_event("bot_stopped_speaking")
        await caller.leave()
        later = (await until(client, f"/api/conversations/{new}/events.jsonl", 200)).text
        taken = await client.get(f"/api/conversations/{new}/recording.wav")
        assert (await client.delete(f"/api/conversations/{old}")).status_code == 204
        assert (await client.get(f"/api/conversations/{new}/recording.wav")).status_code == 200
    old_lines, new_lines = (list(map(json.loads, text.splitlines())) for text in (events, later))
    assert (old_lines[0]["conversation"], old_lines[-1]["event"]) == (old, "started_over")
    assert "I am Ann" in events
    assert "I am Ann" not in later
    first = new_lines[0]
    assert (first["event"], first["t"], first["conversation"], first["history"]) == ("session_started", 0, new, [])
    assert first["engines"]["llm"]
    assert new_lines[-1]["event"] == "session_ended"
    assert before_secs == 0
    stereo_s16, rate_hz = soundfile.read(io.BytesIO(sound.content), dtype="int16")
    assert 8 < len(stereo_s16) / rate_hz < 20
    assert np.abs(stereo_s16[:, 0].astype(int)).max() > 1000
    stereo_s16, rate_hz = soundfile.read(io.BytesIO(taken.content), dtype="int16")
    assert np.abs(stereo_s16[:, 0].astype(int)).max() < 10
    loud_secs = np.flatnonzero(np.abs(stereo_s16[:, 1].astype(int)) > 1000) / rate_hz
    started_secs = next(line["t"] for line in new_lines if line["event"] == "bot_started_speaking")
    # Sound and events of the new one have one timeline, which begins with it.
    assert started_secs < 8
    assert loud_secs[0] == pytest.approx(started_secs, abs=0.03)


@in_virtual_time
async def test_where_no_conversations_are_kept_the_old_one_is_forgotten_at_once() -> None:
    async with held("Hello Ann.", "Once.", turns=False) as (client, caller, _, old):
        await ask(caller, "I am Ann")
        new = await start_over(caller)
        assert new != old
        assert (await client.get(f"/api/conversations/{old}")).status_code == 404
        assert (await client.get(f"/api/conversations/{new}")).json()["history"] == []


@in_virtual_time
async def test_where_no_conversations_are_kept_the_old_ones_recording_is_deleted() -> None:
    async with held("Hello Ann.", "Once.", turns=False, record=True) as (client, caller, _, old):
        await ask(caller, "I am Ann")
        new = await start_over(caller)
        await ask(caller, "A story")
        await asyncio.sleep(WAIT_SECS)
        assert (await client.get(f"/api/conversations/{old}/recording.wav")).status_code == 404
        # The new one goes on being written.
        assert (await client.get(f"/api/conversations/{new}/recording.wav")).status_code == 409


@in_virtual_time
async def test_one_in_which_nothing_was_said_has_nothing_to_begin_anew() -> None:
    async with held("Hello Ann.") as (client, caller, _, old):
        assert await start_over(caller) == old
        await ask(caller, "I am Ann")
        new = await start_over(caller)
        assert await start_over(caller) == new != old
        assert await kept(client, 1) == [(old, "I am Ann", 1)]


def test_a_history_that_begins_anew_leaves_the_old_one_free_and_keeps_the_call_out_of_others_hands() -> None:
    histories = Histories(max_histories=1)
    old = histories.open(owner=("a",))
    histories.hold(old, "call")
    live = old.context
    live.add_message({"role": "user", "content": "hello"})
    new = histories.begin_anew(old)
    assert new.context is live
    live.set_messages([])
    # The same person's room: the old one goes first where there is none.
    assert (new.owner, new.used_by, old.used_by) == (("a",), "call", None)
    assert (old.turns(), new.turns()) == ([{"role": "user", "text": "hello"}], [])
    with pytest.raises(HistoryInUseError):
        histories.hold(new, "question")
    histories.open(owner=("a",))
    assert histories.find(old.id) is None
    assert histories.find(new.id) is new
