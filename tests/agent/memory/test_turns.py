"""What is kept of turns while they go on: nothing that is deleted meanwhile comes back with the rest of its turn."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from agent.memory.item import Item
from agent.memory.memory import Memory
from agent.memory.store import MemoryStore
from agent.memory.turns import Turns
from agent.memory.user_memory import UserMemory
from tests.support.virtual_time import in_virtual_time

HEARD = {"event": "latency"}
END = {"event": "bot_stopped_speaking"}


@pytest.fixture
async def mine(tmp_path: Path) -> AsyncIterator[UserMemory]:
    memory = Memory(MemoryStore(tmp_path / "memory" / "memory.sqlite3"), keeps_turns=True)
    yield UserMemory(memory, "anna", "here")
    await memory.close()


def turn(text: str) -> list[dict[str, Any]]:
    return [{"event": "turn_started"}, {"event": "turn_ended", "text": text}]


def call(name: str) -> dict[str, Any]:
    return {"event": "tool_call", "name": name}


def says(*words: str) -> list[dict[str, Any]]:
    return [{"event": "bot_word", "text": word} for word in words]


def note(turns: Turns, *events: dict[str, Any]) -> None:
    for event in events:
        turns.note(event)


async def kept(mine: UserMemory) -> list[tuple[str, str]]:
    return [(item.kind, item.text) for item in await mine.memory.ask(lambda store: store.items(mine.owner))]


def refuse(message: str) -> None:
    raise AssertionError(message)


async def remembering(mine: UserMemory) -> tuple[Turns, Item]:
    """A turn in which a fact was kept, and whose answer is being spoken."""
    turns = Turns(mine, refuse)
    note(turns, *turn("how are you"), HEARD, *says("Fine."), END)
    note(turns, *turn("my PIN is 4711, remember that"), call("remember"))
    fact, _ = await mine.remember("The PIN is 4711.")
    note(turns, HEARD, *says("Kept,"))
    return turns, fact


@pytest.mark.parametrize("end", [END, {"event": "session_ended"}])
@in_virtual_time
async def test_a_fact_deleted_while_the_agent_speaks_takes_its_turn_along(
    mine: UserMemory, end: dict[str, Any]
) -> None:
    turns, fact = await remembering(mine)
    assert await mine.forget([fact.number]) == 1
    note(turns, *says("4711."), end)
    assert await kept(mine) == [("user", "how are you"), ("agent", "Fine.")]
    note(turns, *turn("and you"), HEARD, *says("Me, too."), END)
    assert (await kept(mine))[2:] == [("user", "and you"), ("agent", "Me, too.")]


@in_virtual_time
async def test_a_fact_changed_while_the_agent_speaks_takes_the_old_words_along(mine: UserMemory) -> None:
    turns, fact = await remembering(mine)
    assert await mine.memory.ask(lambda store: store.change("anna", fact.number, "The PIN is secret."))
    note(turns, *says("4711."), END)
    assert [one for one in await kept(mine) if "4711" in one[1]] == []
    assert ("fact", "The PIN is secret.") in await kept(mine)


@in_virtual_time
async def test_everything_forgotten_while_the_agent_speaks_is_the_turn_that_goes_on_too(mine: UserMemory) -> None:
    turns, _ = await remembering(mine)
    await mine.memory.ask(lambda store: store.forget("ben", None))
    note(turns, *says("4711."), END)
    assert len(await kept(mine)) == 5
    note(turns, *turn("and my name is Anna"), HEARD, *says("Hello,"))
    await mine.memory.ask(lambda store: store.forget("anna", None))
    note(turns, *says("Anna."), END)
    assert await kept(mine) == []
    note(turns, *turn("and you"), HEARD, *says("Me, too."), END)
    assert await kept(mine) == [("user", "and you"), ("agent", "Me, too.")]


@in_virtual_time
async def test_everything_forgotten_before_anything_was_kept_is_the_first_turn_too(mine: UserMemory) -> None:
    turns = Turns(mine, refuse)
    note(turns, *turn("my name is Anna"), HEARD, *says("Hello,"))
    assert await mine.memory.ask(lambda store: store.forget("anna", None)) == 0
    note(turns, *says("Anna."), END)
    assert await kept(mine) == []


@in_virtual_time
async def test_a_failed_answer_to_a_wish_to_forget_does_not_cost_the_next_turn(mine: UserMemory) -> None:
    turns = Turns(mine, refuse)
    note(turns, *turn("forget my PIN"), call("forget"), {"event": "error", "stage": "llm", "message": "away"})
    note(turns, *turn("how is the weather"), HEARD, *says("Rain."), END)
    assert await kept(mine) == [("user", "how is the weather"), ("agent", "Rain.")]


@in_virtual_time
async def test_what_is_added_to_a_wish_to_forget_is_not_kept(mine: UserMemory) -> None:
    turns = Turns(mine, refuse)
    note(turns, *turn("forget my PIN"), call("forget"), *turn("forget my PIN, the 4711"), HEARD, *says("Gone."), END)
    assert await kept(mine) == []


@in_virtual_time
async def test_a_sentence_that_ends_while_the_last_one_is_interpreted_loses_neither(mine: UserMemory) -> None:
    turns = Turns(mine, refuse)
    note(turns, *turn("Satz eins."), HEARD, *says("Sentence"))
    note(turns, {"event": "turn_ended", "text": "Satz zwei."}, *says("one."), END, HEARD, *says("Two."), END)
    assert sorted(await kept(mine)) == [
        ("agent", "Sentence one."),
        ("agent", "Two."),
        ("user", "Satz eins."),
        ("user", "Satz zwei."),
    ]


@in_virtual_time
async def test_words_that_are_added_before_the_answer_stand_once(mine: UserMemory) -> None:
    turns = Turns(mine, refuse)
    note(turns, *turn("what time"), *turn("what time is it"), HEARD, *says("Noon."), END)
    assert await kept(mine) == [("user", "what time is it"), ("agent", "Noon.")]


@in_virtual_time
async def test_what_a_turn_takes_back_that_is_asked_again_is_kept_no_more(mine: UserMemory) -> None:
    turns = Turns(mine, refuse)
    note(turns, *turn("how are you"), HEARD, *says("Fine."), END)
    note(turns, *turn("and my cat"), HEARD, *says("Asleep."), END)
    note(turns, *turn("and my dog"), HEARD, *says("Barking", "at"))
    note(turns, {"event": "went_back", "text": "and my cat", "later": 1, "taken": True})
    note(turns, *turn("and my bird"), HEARD, *says("Singing."), END)
    assert await kept(mine) == [
        ("user", "how are you"),
        ("agent", "Fine."),
        ("user", "and my bird"),
        ("agent", "Singing."),
    ]
