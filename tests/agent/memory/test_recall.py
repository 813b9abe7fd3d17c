"""Which of what is remembered a conversation recalls: by words and dates, but not what it is told of anyway."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from agent.memory.item import Item
from agent.memory.memory import Memory
from agent.memory.store import MemoryStore
from agent.memory.user_memory import UserMemory
from tests.support.virtual_time import in_virtual_time

FOREVER = float("inf")


@pytest.fixture
async def mine(tmp_path: Path) -> AsyncIterator[UserMemory]:
    memory = Memory(MemoryStore(tmp_path / "memory" / "memory.sqlite3"), keeps_turns=True)
    yield UserMemory(memory, "anna", "here")
    await memory.close()


async def keep(mine: UserMemory, *items: Item) -> None:
    await mine.memory.ask(lambda store: store.add(items))


async def recalled(mine: UserMemory, about: str, since_secs: float = 0.0, until_secs: float = FOREVER) -> list[str]:
    return [item.text for item in await mine.recall(about, since_secs, until_secs)]


@in_virtual_time
async def test_of_very_many_those_of_the_wanted_days_are_found(mine: UserMemory) -> None:
    old = Item("anna", "fact", "the dentist key is blue", 100.0)
    # More than are ranked say "dentist", all later.
    later = [Item("anna", "user", f"the dentist key {number}", 1_000.0 + number, "old/1") for number in range(1_100)]
    await keep(mine, old, *later, Item("anna", "user", "the key", 2_500.0, "old/1"))
    assert await recalled(mine, "dentist key", 50.0, 200.0) == [old.text]
    assert await recalled(mine, "", 50.0, 200.0) == [old.text]


@in_virtual_time
async def test_however_long_this_conversation_is_others_and_facts_are_found(mine: UserMemory) -> None:
    await keep(mine, Item("anna", "user", "milk of old", 1.0, "old/1"), Item("anna", "fact", "milk is dear", 2.0))
    turns = [Item("anna", "user", f"milk {number}", 10.0 + number, mine.conversation, number) for number in range(99)]
    await keep(mine, *turns, Item("anna", "fact", "milk is white", 3.0, mine.conversation, 98))
    assert await recalled(mine, "") == ["milk is white", "milk is dear", "milk of old"]
    assert set(await recalled(mine, "milk")) == {"milk is white", "milk is dear", "milk of old"}
    assert [item.text for item in await mine.having("milk")] == ["milk is white", "milk is dear"]


@in_virtual_time
async def test_turns_of_this_conversation_that_left_the_history_are_found_again(mine: UserMemory) -> None:
    for number in range(1, 6):
        said = [Item("anna", who, f"{who} {number}", number, mine.conversation, number) for who in ("user", "agent")]
        await keep(mine, *said)
    assert await recalled(mine, "") == []
    mine.n_turns_told = lambda: 2
    assert await recalled(mine, "") == ["agent 3", "user 3", "agent 2", "user 2", "agent 1", "user 1"]
    assert await recalled(mine, "agent", 0.0, 3.0) == ["agent 2", "agent 1"]
    mine.n_turns_told = lambda: 0
    assert (await recalled(mine, ""))[:2] == ["agent 5", "user 5"]
