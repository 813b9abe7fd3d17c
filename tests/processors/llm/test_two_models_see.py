"""A picture that is shown with one turn, and two language models: the one that sees is asked, and sees it."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from processors.llm.options import LargeModel
from processors.llm.routing import Rules
from processors.llm.service import LocalLLMService
from tests.support.llm_session import options, question, session, text_of
from tests.support.scripted_llm import Reply, ScriptedLLM
from tests.support.virtual_time import in_virtual_time

URL = "data:image/png;base64,AA=="


class Shown:
    """One picture, until it has been answered."""

    def __init__(self) -> None:
        self.left = [URL]

    def urls(self) -> Sequence[str]:
        return self.left

    def drop(self) -> None:
        self.left = []


def shows(llm: ScriptedLLM) -> list[bool]:
    return [URL in str(request.messages) for request in llm.requests]


@pytest.mark.parametrize(
    ("small_sees", "large_sees", "images", "by"),
    [
        (False, True, True, "Large."),
        (True, True, True, "Large."),
        # The rule is for the model that sees.
        (True, False, True, "Small."),
        (True, True, False, "Small."),
    ],
)
@in_virtual_time
async def test_the_model_that_sees_is_shown_a_picture_with_its_turn_alone(
    small_sees: bool, large_sees: bool, images: bool, by: str
) -> None:
    async with ScriptedLLM() as small, ScriptedLLM() as large:
        small.otherwise, large.otherwise = Reply("Small."), Reply("Large.")
        big = replace(options(large), model="big", takes_images=large_sees)
        asked = replace(options(small), large=LargeModel(big, Rules(images=images)), takes_images=small_sees)
        shown: Any = Shown()
        async with session(LocalLLMService(asked, pictures=shown)) as running:
            frames, _ = await running.ask(question("What is this?"))
            assert text_of(frames) == by
            assert (shows(small), shows(large)) == (([], [True]) if by == "Large." else ([True], []))
            frames, _ = await running.ask(question("And what is that?"))
            assert text_of(frames) == "Small."
            assert shows(small)[-1] is False
