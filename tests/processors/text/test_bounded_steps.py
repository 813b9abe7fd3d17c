"""No text, whatever its shape, is worked on for long in one go: steps and the work in each are counted, not seconds."""

import asyncio
import itertools
from collections.abc import Callable, Iterator

import pytest
from pipecat.frames.frames import (
    AggregatedTextFrame,
    Frame,
    LLMFullResponseEndFrame,
    LLMFullResponseStartFrame,
    LLMTextFrame,
    TTSSpeakFrame,
)
from pipecat.processors.frame_processor import FrameDirection
from pipecat.tests.utils import run_test

from processors.text import speakable_stream
from processors.text.clauses import Boundary
from processors.text.speakable import SpeakableText
from processors.text.speakable_stream import SpeakableStream

# No more is made speakable in one step; a link, an address or a formula is not cut and may be longer.
STEP_MAX_CHARS = 600
WHOLE_MAX_CHARS = 4_000
SHAPES = {
    "digits": "7",
    "spaced digits": "1 ",
    "grouped digits": "1,",
    "decimals": "1.",
    "fractions": "1/",
    "kana": "あ",
    "counted kana": "5年",
    "letters": "a",
    "address": "https://example.com/" + "a" * 3_000 + " ",
    "brackets": "[",
    "round brackets": "(1",
    "links": "[a](b ",
    "empty links": "[](",
    "backticks": "`",
    "open code": "`a ",
    "fences": "```\n",
    "asterisks": "*",
    "dollar signs": "$",
    "prices": "$1 ",
    "spaces": " ",
    "line breaks": "\n",
    "hyphens": "1-",
    "primes": "5'",
    "quotes": '"5',
    "commands": "\\frac{",
    "carets": "x^",
    "tags": "<b ",
    "emoji": "😀",
    "joiners": "\u200d",
    "combining": "e\u0301",
    "dots": "A. ",
    "dates": "3. ",
    "prose": "The quick fox, and 12 km. ",
}


class Work:
    """What one text costs: characters made speakable, and characters looked through for a place to cut."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.spoken_chars = self.searched_chars = 0
        speak_text, find_boundaries = speakable_stream.speak_text, speakable_stream.find_boundaries

        def counted_speak(text: str, *args: object, **options: object) -> str:
            self.spoken_chars += len(text)
            return speak_text(text, *args, **options)  # pyright: ignore[reportArgumentType]

        def counted_search(text: str, *args: object) -> Iterator[Boundary | int]:
            end = 0
            for found in find_boundaries(text, *args):  # pyright: ignore[reportArgumentType]
                end = found if isinstance(found, int) else found.end
                yield found
            self.searched_chars += end

        monkeypatch.setattr(speakable_stream, "speak_text", counted_speak)
        monkeypatch.setattr(speakable_stream, "find_boundaries", counted_search)

    def of(self, text: str, token_chars: int, language: str) -> tuple[int, int, int]:
        """The most characters made speakable in one step, all of them, and all that were looked through."""
        self.spoken_chars = self.searched_chars = most = 0
        stream = SpeakableStream(language=language)
        takes: list[Callable[[], Iterator[str | None]]] = [
            lambda token=text[start : start + token_chars]: stream.push_steps(token)
            for start in range(0, len(text), token_chars)
        ]
        for take in [*takes, stream.flush_steps]:
            before = self.spoken_chars
            for _ in take():
                most, before = max(most, self.spoken_chars - before), self.spoken_chars
        return most, self.spoken_chars, self.searched_chars


@pytest.mark.parametrize("unit", SHAPES.values(), ids=SHAPES.keys())
@pytest.mark.parametrize("language", ["en", "ja"])
def test_a_step_is_bounded_and_each_character_is_made_speakable_once(
    unit: str, language: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    work = Work(monkeypatch)
    for n_chars in (300, 5_000):
        for token_chars in (5, n_chars):
            text = (unit * n_chars)[:n_chars]
            most, spoken, _ = work.of(text, token_chars, language)
            assert most <= (WHOLE_MAX_CHARS if "http" in unit else STEP_MAX_CHARS)
            assert spoken <= n_chars


@pytest.mark.parametrize("unit", SHAPES.values(), ids=SHAPES.keys())
def test_the_work_on_a_long_text_is_four_times_that_on_a_quarter_of_it(
    unit: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Making text speakable is left out: that each character is spoken at most once is the test above.
    monkeypatch.setattr(speakable_stream, "speak_text", lambda text, *_, **__: text)
    work = Work(monkeypatch)
    _, _, quarter = work.of((unit * 8_000)[:8_000], 256, "en")
    _, _, whole = work.of((unit * 32_000)[:32_000], 256, "en")
    assert whole <= 4.5 * quarter + 3_000


async def ticks_at_pieces(frames: list[Frame]) -> list[int]:
    """How many turns the event loop had taken when each piece came."""
    n_turns = 0
    turns: list[int] = []

    async def count() -> None:
        nonlocal n_turns
        while True:
            n_turns += 1
            await asyncio.sleep(0)

    class Noted(SpeakableText):
        async def push_frame(self, frame: Frame, direction: FrameDirection = FrameDirection.DOWNSTREAM) -> None:
            if isinstance(frame, AggregatedTextFrame | TTSSpeakFrame):
                turns.append(n_turns)
            await super().push_frame(frame, direction)

    counting = asyncio.create_task(count())
    await run_test(Noted(), frames_to_send=frames)
    counting.cancel()
    return turns


async def test_others_run_between_any_two_pieces_of_one_enormous_delta() -> None:
    sentence = "It is the same long sentence again, and nobody would ever want to hear it more often than once. "
    delta = (sentence * 1_100)[:100_000]
    turns = await ticks_at_pieces([LLMFullResponseStartFrame(), LLMTextFrame(delta), LLMFullResponseEndFrame()])
    assert len(turns) >= len(delta) // len(sentence)
    assert all(later > earlier for earlier, later in itertools.pairwise(turns))


async def test_others_run_while_nothing_is_said_of_a_megabyte_of_code() -> None:
    code = "```\n" + "x = 1\n" * 170_000 + "```\nDone."
    first, last = await ticks_at_pieces([LLMFullResponseStartFrame(), LLMTextFrame(code), LLMFullResponseEndFrame()])
    assert last - first >= len(code) // speakable_stream.STEP_CHARS


async def test_others_run_while_a_long_text_that_is_said_is_made_speakable() -> None:
    text = "A sentence of some words. " * 1_000
    [turn] = await ticks_at_pieces([TTSSpeakFrame(text)])
    assert turn >= 1_000
