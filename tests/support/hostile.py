"""How much hostile tests try, and what none of what they send may bring about.

@at_length(60, 3000)
def test_hostile_settings_...(n_examples: int) -> None:
    @example(...)
    @given(...)
    @trying(n_examples)
    def check(...) -> None: ...

    check()
"""

import asyncio
import gc
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, cast

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from loguru import logger

MAX_LOG_CHARS = 1000
# What people write where they mean no harm, and what breaks readers of text.
AWKWARD = st.sampled_from(
    ["", " ", "\0", "\n", "\r\n", "\x1b[31m", "\u2028", "é", "\U0001f600", "\ufeff", "nan", "-1", "1e999", "9" * 5000]
)
TEXTS = AWKWARD | st.text(max_size=12) | st.sampled_from(["x" * 300, "[" * 3000, '{"a":' * 3000])
JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner, max_size=4),
    max_leaves=8,
)


def at_length(n_short: int, n_long: int) -> Any:
    """A test that tries a few examples, and the same one, marked `long`, that tries many."""
    lengths = [pytest.param(n_short, id="short"), pytest.param(n_long, id="long", marks=pytest.mark.long)]
    return pytest.mark.parametrize("n_examples", lengths)


def trying(n_examples: int) -> settings:
    """So many examples, the same ones every time; what fails is made as small as it can be."""
    return settings(
        max_examples=n_examples,
        derandomize=True,
        database=None,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much],
        phases=(Phase.explicit, Phase.generate, Phase.shrink),
    )


def deeply_nested(depth: int) -> Any:
    """A list in a list in a list."""
    content: Any = []
    for _ in range(depth):
        content = [content]
    return content


@st.composite
def mutated(draw: st.DrawFn, whole: st.SearchStrategy[bytes], *, most: int = 4) -> bytes:
    """Bytes of which pieces are cut out, doubled, overwritten or moved, the end among them."""
    content = draw(whole)
    for _ in range(draw(st.integers(0, most))):
        start = draw(st.integers(0, len(content)))
        end = draw(st.integers(start, min(len(content), start + 64)))
        piece = content[start:end]
        new = draw(
            st.sampled_from([b"", piece * 2, piece[::-1], b"\0" * len(piece), b"\xff" * len(piece)])
            | st.binary(max_size=8)
        )
        content = content[:start] + new + content[end:]
    return content[: draw(st.integers(0, len(content)))] if draw(st.integers(0, 5)) == 0 else content


def cut_anywhere(content: bytes, cuts: list[int]) -> list[bytes]:
    """The same bytes in pieces.

    Args:
        content: All of it.
        cuts: Where to cut, in any order; each counts from the start and around.
    """
    places = sorted({cut % (len(content) + 1) for cut in cuts})
    return [content[start:end] for start, end in zip([0, *places], [*places, len(content)], strict=True)]


class Witness:
    """Notes what the house and its libraries log, and what the event loop is told of.

    Attributes:
        lines: One a record, `LEVEL text`.
        problems: Of those, tracebacks, errors that nobody awaited, and lines without end.
    """

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.problems: list[str] = []

    def note(self, level: str, text: str, *, is_traceback: bool) -> None:
        """Take one record."""
        self.lines.append(f"{level} {text}")
        if is_traceback or "Traceback" in text or len(text) > MAX_LOG_CHARS or "\n" in text.strip():
            self.problems.append(f"{level} {text[:3000]}")

    def watch_loop(self) -> None:
        """Take what the running event loop is told of, errors of tasks that nobody awaits among them."""
        asyncio.get_running_loop().set_exception_handler(lambda _, context: self._take_context(context))

    def _take_context(self, context: dict[str, Any]) -> None:
        self.note("LOOP", f"{context.get('message')}: {context.get('exception')!r}", is_traceback=True)

    def check(self) -> None:
        """Fail if there was a problem.

        Raises:
            AssertionError: It is shown.
        """
        problems, self.problems = self.problems, []
        assert problems == [], problems


class _Handler(logging.Handler):
    def __init__(self, witness: Witness) -> None:
        super().__init__(logging.WARNING)
        self._witness = witness

    def emit(self, record: logging.LogRecord) -> None:
        self._witness.note(record.levelname, record.getMessage(), is_traceback=bool(record.exc_info))


@contextmanager
def watching() -> Iterator[Witness]:
    """Watch the logs; nothing may have gone wrong unseen by the end."""
    witness = Witness()

    def take(message: Any) -> None:
        record = message.record
        witness.note(record["level"].name, record["message"], is_traceback=record["exception"] is not None)

    sink = logger.add(take, level="WARNING", format="{message}")
    handler = _Handler(witness)
    loggers = [logging.getLogger(name) for name in (None, "uvicorn")]
    for one in loggers:
        one.addHandler(handler)
    try:
        yield witness
        gc.collect()
        witness.check()
    finally:
        for one in loggers:
            one.removeHandler(handler)
        logger.remove(sink)


async def settled(is_so: Callable[[], bool]) -> None:
    """Wait for what other tasks bring about."""
    async with asyncio.timeout(30):
        while not is_so():
            await asyncio.sleep(0.005)


def n_tasks() -> int:
    """How many the loop knows of that have not ended."""
    return len(cast(set[Any], asyncio.all_tasks()))
