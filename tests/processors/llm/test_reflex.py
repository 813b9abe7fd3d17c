"""What finds replies that need no language model, and what becomes of a turn in which that fails."""

from collections.abc import Sequence
from typing import cast

from pipecat.processors.aggregators.llm_context import LLMContextMessage

from processors.llm.reflex import Reflex, reflex_for


def test_where_the_reading_of_words_fails_the_language_model_answers() -> None:
    asked: list[str] = []

    def find(text: str, _: Sequence[LLMContextMessage]) -> Reflex | None:
        asked.append(text)
        raise ValueError("zip() argument 2 is longer than argument 1")

    messages = [cast(LLMContextMessage, {"role": "user", "content": "Cancel timer."})]
    assert reflex_for(find, messages) is None
    assert asked == ["Cancel timer."]
