"""Recorded streams of language model servers, mutated and cut anywhere, through the real client and service."""

import asyncio
import copy
from collections.abc import AsyncIterator
from typing import Any

import httpx2
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from processors.llm.budget import ReplyBudget
from processors.llm.failure import ReplyError
from tests.support.heard_llm import HeardLLM
from tests.support.hostile import JSON, TEXTS, Witness, at_length, cut_anywhere, deeply_nested, trying
from tests.support.hostile_llm import RAW
from tests.support.recorded_streams import RECORDED, on_the_wire
from tests.support.virtual_time import in_virtual_time

DONE = b"data: [DONE]\n\n"
MAX_TOKENS = 64


class Answer(httpx2.AsyncByteStream):
    """What a server sends, in these pieces, and how its connection ends."""

    def __init__(self, pieces: list[bytes], *, breaks_off: bool = False) -> None:
        self._pieces = pieces
        self._breaks_off = breaks_off
        self.n_taken_bytes = 0
        self.n_open = 0

    def respond(self, _: httpx2.Request) -> httpx2.Response:
        self.n_open += 1
        return httpx2.Response(200, headers={"content-type": "text/event-stream"}, stream=self)

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for piece in self._pieces:
            self.n_taken_bytes += len(piece)
            yield piece
        if self._breaks_off:
            raise httpx2.ReadError("gone")

    async def aclose(self) -> None:
        self.n_open = 0


async def heard(answer: Answer, witness: Witness) -> HeardLLM:
    """Ask, and check what holds whatever is answered."""
    witness.watch_loop()
    service = HeardLLM(answer.respond, max_tokens=MAX_TOKENS, empty_retries=0)
    await service.hear()
    witness.check()
    assert asyncio.all_tasks() == {asyncio.current_task()}
    assert answer.n_open == 0
    words = "".join(service.said)
    assert len(words) <= ReplyBudget(MAX_TOKENS).max_chars
    if not service.errors:
        assert words.strip() or service.calls
        assert service.apology is None
        return service
    [(message, exception)] = service.errors
    assert isinstance(exception, ReplyError)
    assert len(message.splitlines()) == 1
    assert len(message) < 700
    assert service.apology
    return service


@pytest.mark.parametrize("name", RECORDED)
@pytest.mark.parametrize("width", [1, 7, 100_000])
@in_virtual_time
async def test_hostile_streams_begin_with_some_that_are_understood_however_they_are_cut(
    name: str, width: int, witness: Witness
) -> None:
    body = b"".join(map(on_the_wire, RECORDED[name])) + DONE
    service = await heard(Answer([body[start : start + width] for start in range(0, len(body), width)]), witness)
    said = {
        "vllm": "The capital is Berlin.",
        "vllm thinks": "Berlin.",
        "ollama": "Good day.",
        "ollama thinks": "Yes.",
        "llama.cpp": "Sure: 42.",
        "llama.cpp thinks in its text": "Berlin.",
        "llama.cpp fails": "Well",
    }
    assert "".join(service.said) == said.get(name, "")
    assert [call.function_name for call in service.calls] == ["clock"] * name.endswith("calls")
    assert bool(service.errors) == name.endswith("fails")


def places(value: Any, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every place within a JSON value, the whole first."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [at, *(place for key, one in inner for place in places(one, (*at, key)))]


def put(value: Any, place: tuple[Any, ...], new: Any) -> Any:
    """The value with something else at a place."""
    if not place:
        return new
    changed = copy.copy(value)
    changed[place[0]] = put(value[place[0]], place[1:], new)
    return changed


HUGE = st.sampled_from(
    [deeply_nested(900), "x" * 5000, "`" * 3000, [{}] * 500, 10**400, "\ud83d", "</think>", "<think>"]
)


@st.composite
def events(draw: st.DrawFn) -> bytes:
    """A recorded event with something else somewhere in it, or a line that no server should send."""
    event = draw(st.sampled_from([event for recorded in RECORDED.values() for event in recorded]))
    for _ in range(draw(st.integers(0, 2))):
        event = put(event, draw(st.sampled_from(places(event))), draw(JSON | HUGE))
    ends = st.sampled_from(["\n\n", "\n\n", "\r\n\r\n", "\r\r", "\n", ""])
    field = draw(
        st.sampled_from([b"", b"", b"", b"event: error\n", b"event: x\n", b"id: 1\n", b"retry: 9\n", b":\n", b"x"])
    )
    return draw(st.sampled_from([field + on_the_wire(event, draw(ends))] * 5 + RAW))


STREAMS = st.lists(events(), max_size=8).map(b"".join)


@at_length(60, 800)
def test_hostile_streams_end_with_words_or_with_one_failure(n_examples: int, witness: Witness) -> None:
    @example(on_the_wire(deeply_nested(900)), [], False)
    @example(b"data: " + b"9" * 5000 + b"\n\n", [], True)
    @given(STREAMS, st.lists(st.integers(0, 10_000), max_size=5), st.booleans())
    @trying(n_examples)
    def check(body: bytes, cuts: list[int], breaks_off: bool) -> None:
        asyncio.run(heard(Answer(cut_anywhere(body + DONE, cuts), breaks_off=breaks_off), witness))

    check()


UNITS = st.builds(
    lambda fields, value, end: b"".join(field + value for field in fields) + end,
    st.lists(
        st.sampled_from([b"data: ", b"event: ", b"id: ", b"x: ", b":", b"data", b"\ndata: {", b"retry: "]),
        min_size=1,
        max_size=3,
    ),
    TEXTS.map(lambda text: text.encode("utf-8", "surrogatepass").replace(b"\n", b" ")[:500])
    | st.sampled_from([b"x" * 100]),
    st.sampled_from([b"", b"\n", b"\r", b"\r\n"]),
)


@at_length(30, 300)
def test_a_hostile_event_that_never_ends_is_given_up_within_its_bound(n_examples: int, witness: Witness) -> None:
    most = ReplyBudget(MAX_TOKENS).max_event_bytes

    @example(b"data: x\n")
    @example(b": x\n")
    @example(b"data: " + b"x" * 100)
    @given(UNITS.filter(lambda unit: len(unit.strip()) > 3 and b"\n\n" not in unit and b"\r\r" not in unit))
    @trying(n_examples)
    def check(unit: bytes) -> None:
        piece = unit * (1 + 4096 // len(unit))
        answer = Answer([piece] * (10 * most // len(piece)))
        asyncio.run(heard(answer, witness))
        # Characters are counted, which have four bytes at most; the last piece comes whole.
        assert answer.n_taken_bytes <= 4 * most + len(piece)

    check()
