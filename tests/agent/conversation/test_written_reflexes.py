"""Reflexes of questions that are answered in writing alone, one set for all who ask: they only read."""

from pathlib import Path

import pytest

from agent.conversation.abilities import written_reflexes
from agent.settings.load import load_settings


@pytest.mark.parametrize("files", ["on", "ask"])
@pytest.mark.parametrize("text", ["create a file named a saying one", "set a timer for one minute", "cancel the timer"])
def test_nothing_is_done_for_one_that_another_could_agree_to(text: str, files: str, tmp_path: Path) -> None:
    find = written_reflexes(load_settings({"tools.folder": str(tmp_path), "tools.files": files}))
    assert find(text, []) is None
    assert find("yes", []) is None
    assert list(tmp_path.iterdir()) == []


async def test_what_is_read_is_answered() -> None:
    reflex = written_reflexes(load_settings())("what is twelve times seven", [])
    assert reflex
    assert await reflex.answer() == "That's 84."
