"""What a turn asks for, read from its words: code, a tool, a short answer or a long one.

In:  the words of a turn.   Out: whether it is about code, which tools it may need, how long an answer it wants.

The words stand in `request_words/`, a TOML file a language, and all of them count whichever language is spoken: a
typed turn, or a name of a programming language, need not be in that of the ears. They are signs, not proofs: whoever
uses them must be right either way.
"""

import functools
import re
import tomllib
from collections.abc import Iterable
from enum import Enum
from pathlib import Path

TABLES = Path(__file__).parent / "request_words"
# What is read of a turn; somebody may paste a book.
MAX_CHARS = 4_000
# A question of so many words at most is a short one.
BRIEF_WORDS = 12
# What no speech recognizer writes, but people type.
_CODE_SIGNS = re.compile(
    r"```|=>|->|::|\(\)|[{};]\s*$|</\w+>|\b\w+\.\w+\(|^\s*(?:def|class|import|#include)\b", re.MULTILINE
)
# Parts of tools' names that say nothing of what they are for.
_PLAIN_PARTS = frozenset(
    "get set list create read write append add delete remove update rename restore find search make send call run tool "
    "tools with from all new into name names data info item items user show tell open close start stop cancel current "
    "state query what that this".split()
)
_MIN_PART_CHARS = 4


class Length(Enum):
    """How long an answer a turn wants."""

    BRIEF = "a short question"
    PLAIN = "any other turn"
    LONG = "a story, a list, an explanation, code"


def is_about_code(words: str) -> bool:
    """Whether a turn is about code.

    Args:
        words: Of the turn.
    """
    words = words[:MAX_CHARS]
    return bool(_CODE_SIGNS.search(words) or _words_for("code").search(words))


def needs_tool(words: str, tools: Iterable[str]) -> bool:
    """Whether a turn may need one of these tools.

    Args:
        words: Of the turn.
        tools: Their names: what they are called is what they are for, in any language where that is one of ours.
    """
    words = words[:MAX_CHARS]
    return any(_words_for_tool(name).search(words) for name in tools)


def wanted_length(words: str) -> Length:
    """How long an answer a turn wants.

    Args:
        words: Of the turn.
    """
    if len(words) > MAX_CHARS or is_about_code(words) or _words_for("long").search(words):
        return Length.LONG
    if len(words.split()) > BRIEF_WORDS or _words_for("open").search(words):
        return Length.PLAIN
    return Length.BRIEF


@functools.cache
def _tables() -> tuple[dict[str, object], ...]:
    return tuple(tomllib.loads(path.read_text("utf-8")) for path in sorted(TABLES.glob("*.toml")))


@functools.cache
def _words_for(kind: str) -> re.Pattern[str]:
    return _any_of(str(word) for table in _tables() for word in _list(table[kind]))


@functools.lru_cache(maxsize=1024)
def _words_for_tool(name: str) -> re.Pattern[str]:
    parts = [part.casefold() for part in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[^\W\d_A-Z]+", name)]
    telling = [re.escape(part) for part in parts if len(part) >= _MIN_PART_CHARS and part not in _PLAIN_PARTS]
    known = [
        str(word)
        for table in _tables()
        for kind, words in dict(table["tools"]).items()  # pyright: ignore[reportArgumentType, reportCallIssue]
        if any(part.startswith(str(kind)) for part in parts)
        for word in _list(words)
    ]
    return _any_of([*telling, *known])


def _list(words: object) -> list[object]:
    return list(words) if isinstance(words, list) else []


def _any_of(patterns: Iterable[str]) -> re.Pattern[str]:
    each = "|".join(f"(?:{pattern})" for pattern in patterns) or "(?!)"
    return re.compile(rf"(?<!\w)(?:{each})(?!\w)", re.IGNORECASE)
