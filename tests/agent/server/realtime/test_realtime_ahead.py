"""Sound that a Realtime client is sent as fast as it takes it in: it plays by itself, and says what it has played."""

import asyncio
import json
from typing import Any

import numpy as np
import pytest

from agent.server.calls.plan import SessionRequest
from agent.server.realtime.connection import RealtimeConnection
from agent.server.realtime.item_places import cut_to
from agent.server.realtime.items import Item
from agent.server.realtime.session_config import SessionConfig
from processors.llm.history import InterruptedReply
from tests.agent.server.realtime.order import in_order, told_of
from tests.agent.server.realtime.stage import Stage, staged
from tests.agent.server.realtime.test_realtime_apart import SlowClient
from tests.agent.server.realtime.test_realtime_conversations import LONG_REPLY, QUESTION, STOP
from tests.support.realtime_caller import RATE_HZ, RealtimeCaller, calling_realtime
from tests.support.scripted_engines import WORD_SECS
from tests.support.scripted_llm import Reply, ToolCall
from tests.support.virtual_time import in_virtual_time

AHEAD = {"server.realtime_sound": "ahead"}
SOUND, WORD = "response.output_audio.delta", "response.output_audio_transcript.delta"
N_WORDS = len(LONG_REPLY.split())


def loud_secs(caller: RealtimeCaller, response_id: str | None = None) -> float:
    """A sine is below the threshold near its zeros."""
    return (np.abs(caller.heard_s16(response_id).astype(int)) > 1000).sum() / RATE_HZ


async def all_sound(caller: RealtimeCaller, n_words: int) -> None:
    """Wait until the sound of so many words has come."""
    async with asyncio.timeout(60):
        while len(caller.heard_s16()) < n_words * WORD_SECS * RATE_HZ:
            await asyncio.sleep(0.02)


@in_virtual_time
async def test_all_sound_of_an_answer_comes_before_its_time_and_its_words_at_their_time() -> None:
    async with staged("count please", replies=(LONG_REPLY,), **AHEAD) as stage, calling_realtime(stage.url) as caller:
        await caller.say(QUESTION)
        await caller.until(SOUND)
        begun_secs = asyncio.get_running_loop().time()
        await all_sound(caller, N_WORDS)
        came_secs = asyncio.get_running_loop().time() - begun_secs
        n_words = len(caller.named(WORD))
        done = (await caller.until("response.done"))["response"]
        took_secs = asyncio.get_running_loop().time() - begun_secs
        history = [message["content"] for message in stage.history()]
    assert came_secs < 2 * WORD_SECS
    assert n_words <= 2
    assert took_secs == pytest.approx(N_WORDS * WORD_SECS, abs=2 * WORD_SECS)
    assert done["output"][0]["content"] == [{"type": "output_audio", "transcript": LONG_REPLY}]
    assert len(caller.heard_s16()) == pytest.approx(N_WORDS * WORD_SECS * RATE_HZ, abs=RATE_HZ // 100)
    assert loud_secs(caller) == pytest.approx(N_WORDS * WORD_SECS, rel=0.08)
    assert (types := told_of(caller.events, done["id"])) == in_order(types)
    assert history == ["count please", LONG_REPLY]


async def cut_off(stage: Stage, caller: RealtimeCaller) -> dict[str, Any]:
    """The item of an answer whose sound was all sent when the user cut in; no words of it come any more."""
    await caller.say(QUESTION)
    await caller.until(WORD, 3)
    await caller.say(STOP)
    cut = (await caller.until("response.done"))["response"]
    await caller.until("response.done", 2)
    assert (cut["status"], cut["status_details"]["reason"]) == ("cancelled", "turn_detected")
    assert loud_secs(caller, cut["id"]) == pytest.approx(N_WORDS * WORD_SECS, rel=0.08)
    assert (types := told_of(caller.events, cut["id"])) == in_order(types)
    heard = cut["output"][0]["content"][0]["transcript"].split()
    assert 3 <= len(heard) < N_WORDS
    assert heard == LONG_REPLY.split()[: len(heard)] == stage.history()[1]["content"].split()
    return cut["output"][0]


@pytest.mark.parametrize("n_played", [1, N_WORDS - 1])
def test_what_was_played_of_a_cut_answer_is_what_the_client_says_be_it_less_or_more(n_played: int) -> None:
    @in_virtual_time
    async def talk() -> None:
        async with (
            staged("count please", "stop", replies=(LONG_REPLY, "Fine."), **AHEAD) as stage,
            calling_realtime(stage.url) as caller,
        ):
            item = await cut_off(stage, caller)
            # A word counts from its half on.
            truncate = {"type": "conversation.item.truncate", "item_id": item["id"], "content_index": 0}
            await caller.tell({**truncate, "audio_end_ms": round((n_played - 0.4) * WORD_SECS * 1000)})
            await caller.until("conversation.item.truncated")
            await caller.tell({"type": "conversation.item.retrieve", "item_id": item["id"]})
            retrieved = (await caller.until("conversation.item.retrieved"))["item"]
            history = [message["content"] for message in stage.history()]
        played = " ".join(LONG_REPLY.split()[:n_played])
        assert retrieved["content"] == [{"type": "output_audio", "transcript": played}]
        assert history == ["count please", played, "stop", "Fine."]
        assert caller.named("error") == []

    talk()


def test_an_answer_that_was_not_taken_for_heard_stands_before_what_was_said_next() -> None:
    def said(role: str, text: str) -> dict[str, Any]:
        return {"role": role, "content": text}

    unheard = Item({"id": "b", "role": "assistant", "content": [{"transcript": ""}]})
    items = [
        Item({"id": "a", "role": "user", "content": [{"transcript": "hello"}]}),
        unheard,
        Item({"id": "c", "role": "user", "content": [{"transcript": "stop"}]}),
    ]
    messages = [said("user", "hello"), said("user", "stop")]
    assert cut_to(messages, unheard, items, ["Hi."], InterruptedReply) == messages
    grown = cut_to(messages, unheard, items, ["Hi."], InterruptedReply, may_grow=True)
    assert grown == [messages[0], said("assistant", "Hi."), messages[1]]
    assert isinstance(grown[1], InterruptedReply)
    # What stands there together with something else is left as it is.
    joined = [said("assistant", "Yes. No.")]
    item = Item({"id": "d", "role": "assistant", "content": [{"transcript": "Yes."}]})
    assert cut_to(joined, item, [item], ["Yes.", "Or", "not."], InterruptedReply, may_grow=True) == joined


@in_virtual_time
async def test_what_is_no_interruption_holds_nothing_up_that_the_client_plays() -> None:
    async with (
        staged("count please", "mm-hm", replies=(LONG_REPLY,), **AHEAD) as stage,
        calling_realtime(stage.url) as caller,
    ):
        await caller.say(QUESTION)
        await caller.until(WORD)
        begun_secs = asyncio.get_running_loop().time()
        await caller.say(STOP)
        done = (await caller.until("response.done"))["response"]
        took_secs = asyncio.get_running_loop().time() - begun_secs
    assert done["status"] == "completed"
    assert took_secs == pytest.approx((N_WORDS - 0.5) * WORD_SECS, abs=2 * WORD_SECS)
    assert loud_secs(caller) == pytest.approx(N_WORDS * WORD_SECS, rel=0.08)


@in_virtual_time
async def test_a_reply_that_goes_on_behind_a_tool_is_one_answer_in_its_order() -> None:
    replies = (
        Reply("Let me see.", tool_calls=[ToolCall("calculate", ('{"expression": "6*7"}',))]),
        "Forty two.",
        "Bye.",
    )
    async with (
        staged("six times seven", "thank you", replies=replies, **AHEAD) as stage,
        calling_realtime(stage.url) as caller,
    ):
        for turn in (1, 2):
            await caller.say(QUESTION)
            await caller.until("response.done", turn)
    first, second = (one["response"] for one in caller.named("response.done"))
    for response, text in ((first, "Let me see. Forty two."), (second, "Bye.")):
        assert response["output"][0]["content"][0]["transcript"] == text
        assert loud_secs(caller, response["id"]) == pytest.approx(len(text.split()) * WORD_SECS, rel=0.08)
        assert (types := told_of(caller.events, response["id"])) == in_order(types)


@in_virtual_time
async def test_a_client_on_a_slow_link_is_sent_no_more_than_it_takes_in() -> None:
    item = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "count"}]}
    said = [{"type": "conversation.item.create", "item": item}, {"type": "response.create"}]
    async with staged(replies=(" ".join([LONG_REPLY] * 8),), **AHEAD) as stage:
        # 24 s of sound, which this link takes 16 s for.
        client = SlowClient(*said, bytes_per_sec=96_000)
        async with stage.live.planned(SessionRequest()) as plan:
            ending = await RealtimeConnection(client, stage.live, plan, SessionConfig()).run()
    assert ending == "the client left"
    done = client.heard[-1]
    assert (done["type"], done["response"]["status"]) == ("response.done", "completed")
    assert json.dumps(done).count("twelve.") == 8
