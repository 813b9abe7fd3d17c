"""A picture that is shown with one turn, and two language models: the one that sees is asked, and sees it."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from processors.llm.options import LargeModel
from processors.llm.routing import NO_IMAGE, Rules
from processors.llm.service import LocalLLMService
from tests.support.llm_session import options, question, session, text_of
from tests.support.scripted_llm import Failure, Reply, ScriptedLLM
from tests.support.virtual_time import in_virtual_time

URL = "data:image/png;base64,AA=="


class Shown:
    """One picture, taken once its turn has begun, until it has been answered."""

    def __init__(self) -> None:
        self.due, self.left = [URL], list[str]()

    def urls(self) -> Sequence[str]:
        return self.left

    def drop(self) -> None:
        self.due, self.left = [], self.due


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


@pytest.mark.parametrize("sees", [True, False])
@in_virtual_time
async def test_what_could_not_be_answered_is_not_shown_with_the_next_turn(sees: bool) -> None:
    async with ScriptedLLM() as small, ScriptedLLM() as large:
        small.otherwise, large.otherwise = Reply("Small."), Failure(500)
        big = replace(options(large), model="big", takes_images=True)
        asked = replace(options(small), large=LargeModel(big, Rules()), takes_images=sees)
        shown: Any = Shown()
        async with session(LocalLLMService(asked, pictures=shown)) as running:
            frames, _ = await running.ask(question("What is this?"))
            # The other one stands in; a picture that it does not see is not told as if it had been.
            assert text_of(frames) == "Small."
            assert shows(large) == [True]
            assert shows(small) == [sees]
            assert (NO_IMAGE in str(small.requests[-1].messages)) is not sees
            assert not big.rest.is_on
            frames, _ = await running.ask(question("Write a Python function."))
            assert shows(large)[-1] is False


@in_virtual_time
async def test_a_picture_whose_turn_failed_is_not_shown_with_the_next_one() -> None:
    async with ScriptedLLM(Failure(500), Reply("Fine.")) as llm:
        shown: Any = Shown()
        async with session(LocalLLMService(options(llm), pictures=shown)) as running:
            _, errors = await running.ask(question("What is this?"))
            assert errors
            frames, _ = await running.ask(question("How are you?"))
            assert text_of(frames) == "Fine."
        assert shows(llm) == [True, False]
