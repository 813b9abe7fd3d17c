"""Reflexes of questions that are answered in writing alone, one set for all who ask: they only read."""

from pathlib import Path

import pytest

from agent.conversation.abilities import written_reflexes
from agent.settings.load import load_settings

ONLY_IN_CALL = "I can do that only in a call: start one, and say it or type it there."
REMEMBER = "remember that my cat is called Tom"
ACTING = [
    "create a file named a saying one",
    "set a timer for one minute",
    "cancel the timer",
    REMEMBER,
    "undo that",
    "set an alarm for seven",
    "delete the file a.txt",
    "rename the file a to b",
    "which files are there",
]


OTHERS = [
    "create a list of ten fruits",
    "add two and two",
    "delete the second paragraph",
    "rename the variable x to y",
    "what is a timer",
    "the alarm woke me up at seven",
    "put the words into a list",
]


@pytest.mark.parametrize("files", ["on", "ask"])
@pytest.mark.parametrize("text", ACTING)
async def test_what_only_a_call_can_do_is_not_done_and_said_so(text: str, files: str, tmp_path: Path) -> None:
    settings = {"tools.folder": str(tmp_path), "tools.files": files, "memory.keep": True}
    find = written_reflexes(load_settings(settings))
    reflex = find(text, [])
    assert reflex
    assert (await reflex.answer(), reflex.acts) == (ONLY_IN_CALL, False)
    assert find("yes", []) is None
    assert [*tmp_path.iterdir()] == []  # noqa: ASYNC240 - it takes no time


@pytest.mark.parametrize(
    "text", [*(one for one in ACTING if one != REMEMBER), "write a poem about a file", "how do I set a timer"]
)
def test_what_no_call_could_do_either_is_the_models(text: str) -> None:
    find = written_reflexes(load_settings({"tools.timers": "off", "tools.files": "off", "memory.keep": False}))
    assert find(text, []) is None


async def test_who_asks_to_remember_reads_how_the_memory_is_switched_on() -> None:
    reflex = written_reflexes(load_settings({"memory.keep": False}))(REMEMBER, [])
    assert reflex
    assert reflex.written
    assert "memory.keep = true" in await reflex.written()
    reflex = written_reflexes(load_settings({"memory.keep": True}))("forget everything", [])
    assert reflex
    assert await reflex.answer() == ONLY_IN_CALL


@pytest.mark.parametrize("text", ["write a poem about a file", "how do I set a timer", "remember that", *OTHERS])
def test_what_is_merely_like_it_is_the_models(text: str, tmp_path: Path) -> None:
    find = written_reflexes(load_settings({"tools.folder": str(tmp_path), "memory.keep": True}))
    assert find(text, []) is None


async def test_what_is_read_is_answered() -> None:
    reflex = written_reflexes(load_settings())("what is twelve times seven", [])
    assert reflex
    assert await reflex.answer() == "That's 84."
