"""The order of the events of a response, held to one table: in text, in sound, with a call, cancelled, failed."""

import asyncio
from typing import Any

import pytest

from tests.agent.server.realtime.order import BEGIN, CREATED, DELTAS, DONE, DONES, END, ORDER, in_order, told_of
from tests.agent.server.realtime.stage import talking
from tests.agent.server.realtime.test_realtime_conversations import LONG_REPLY, WEATHER, weather_call
from tests.support.realtime_caller import RealtimeCaller
from tests.support.scripted_llm import Answer, Drop, Failure, Hang, Reply, ToolCall
from tests.support.virtual_time import in_virtual_time

READ = {"output_modalities": ["text"]}
APART = {"conversation": "none", "input": []}
BOTH = Reply("Let me look.", tool_calls=[ToolCall("get_weather", ('{"city": ', '"Oslo"}'), "call_1")])
# What is asked for, what the model does, when the client cancels; how it ends, and what comes between.
CASES: dict[str, tuple[dict[str, Any], Answer, str, str, tuple[str, ...]]] = {
    "text": (READ, Reply("Berlin", "."), "", "completed", ("text", "message")),
    "audio": ({}, Reply("Berlin."), "", "completed", ("audio", "message")),
    "call": ({}, weather_call(), "", "completed", ("call",)),
    "text and call": (READ, BOTH, "", "completed", ("text", "message", "call")),
    "audio and call": ({}, BOTH, "", "completed", ("audio", "message", "call")),
    "cancelled in sound": ({}, Reply(LONG_REPLY), "response.output_audio.delta", "cancelled", ("audio", "message")),
    "cancelled before a word": ({}, Hang(), "response.created", "cancelled", ()),
    "failed after a word": (
        {**APART, **READ},
        Reply("One", " two", drop_after=1),
        "",
        "failed",
        ("text", "message"),
    ),
    "failed": ({**APART, **READ}, Failure(500, "broken"), "", "failed", ()),
    "failed without an answer": (APART, Drop(), "", "failed", ()),
    "text apart": ({**APART, **READ}, Reply("Berlin", "."), "", "completed", ("text", "message")),
    "audio apart": (APART, Reply("Berlin."), "", "completed", ("audio", "message")),
    "call apart": ({**APART, "tools": [WEATHER]}, weather_call(), "", "completed", ("call",)),
}


@pytest.mark.parametrize("sound", ["paced", "ahead"])
@pytest.mark.parametrize("case", CASES)
@in_virtual_time
async def test_the_events_of_a_response_come_in_the_order_of_the_table(case: str, sound: str) -> None:
    response, answer, cancel_at, status, holds = CASES[case]
    settings: dict[str, Any] = {"server.realtime_sound": sound}
    async with talking(replies=(answer,), **settings) as (caller, _):
        await caller.update(tools=[WEATHER])
        await caller.tell({"type": "response.create", "response": response})
        created = await caller.until("response.created")
        if cancel_at:
            await caller.until(cancel_at)
            await caller.tell({"type": "response.cancel", "response_id": created["response"]["id"]})
        done = (await caller.until("response.done"))["response"]
        # Nothing comes behind the end.
        await asyncio.sleep(2)
    assert caller.named("error") == []
    assert done["status"] == status
    assert (status == "completed") == (done["status_details"] is None)
    types = told_of(caller.events, done["id"])
    assert types == in_order(types, is_apart=response.get("conversation") == "none")
    assert held_in(caller, types) == holds
    assert [item["id"] for item in done["output"]] == [
        event["item"]["id"] for event in caller.named("response.output_item.done")
    ]
    assert [event["output_index"] for event in caller.named("response.output_item.added")] == [
        *range(len(done["output"]))
    ]


def held_in(caller: RealtimeCaller, types: list[str]) -> tuple[str, ...]:
    """What a response's events tell of: its message's way, its message, its calls."""
    parts = {
        "text": "response.output_text.delta" in types,
        "audio": "response.output_audio.delta" in types and "response.output_audio_transcript.done" in types,
        "message": set(END) <= set(types) | {"conversation.item.done"} and "response.content_part.done" in types,
        "call": len(caller.named("response.function_call_arguments.done")) == 1,
    }
    return tuple(name for name, is_there in parts.items() if is_there)


def test_the_table_names_every_event_of_a_response_once_a_line() -> None:
    assert all(len(set(line)) == len(line) for line in ORDER)
    assert (CREATED, DONE) == (("response.created",), ("response.done",))
    whole = [*CREATED, *BEGIN, DELTAS[2], DONES[2], *END, *DONE]
    assert in_order(whole) == whole
    for at in range(len(whole) - 1):
        swapped = [*whole[:at], whole[at + 1], whole[at], *whole[at + 2 :]]
        assert in_order(swapped) == whole
