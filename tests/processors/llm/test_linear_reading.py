"""However a reply is made up, reading it copies no more than a bounded number of characters for each that came."""

import pytest

from processors.llm.reply_cursor import ReplyCursor
from processors.llm.thinking import ThinkFilter

# What decides about a mark lies within so many characters.
COPIED_MAX_CHARS = 300
SHAPES = [
    "`",
    "`a",
    "``a",
    "`{`\n",
    "```\n",
    "~~\n",
    "{",
    "{\n",
    "[\n",
    '{"name": "x"}\n',
    "<",
    "< a",
    "<think>",
    "<|x|>",
]
SHAPES += ["</think>", "<tool_call>", "[TOOL_CALLS]", "◁", "a\n", "\n{a", '"<think>" ', " ", "\u200b"]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("n_chars", [2_000, 40_000])
def test_one_delta_of_any_shape_is_read_in_linear_work(
    shape: str, n_chars: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    copied = 0
    rest = ReplyCursor.rest

    def counted(cursor: ReplyCursor, most: int | None = None) -> str:
        nonlocal copied
        text = rest(cursor, most)
        copied += len(text)
        return text

    monkeypatch.setattr(ReplyCursor, "rest", counted)
    think = ThinkFilter()
    think.feed((shape * n_chars)[:n_chars])
    think.flush()
    assert copied <= COPIED_MAX_CHARS * n_chars
