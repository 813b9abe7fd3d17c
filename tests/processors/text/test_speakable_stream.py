"""How a growing answer reaches the voice: piece by piece, in time, in order, and at a bounded cost."""

import asyncio

import pytest
from pipecat.frames.frames import (
    AggregatedTextFrame,
    Frame,
    InterruptionFrame,
    LLMFullResponseEndFrame,
    LLMFullResponseStartFrame,
    LLMMarkerFrame,
    LLMTextFrame,
    TextFrame,
    TranscriptionFrame,
    TTSSpeakFrame,
)
from pipecat.processors.frame_processor import FrameDirection
from pipecat.tests.utils import SleepFrame, run_test
from pipecat.utils.text.base_text_aggregator import TextType

from processors.frames import ReplySourceFrame, WrittenTextFrame
from processors.text.clauses import split_clauses
from processors.text.speakable import SpeakableText, speakable
from processors.text.speakable_stream import SpeakableStream
from tests.support.cpu_time import MOST, growth
from tests.support.virtual_time import in_virtual_time


def stream(tokens: list[str]) -> list[str]:
    collected = SpeakableStream()
    pieces = [piece for token in tokens for piece in collected.push(token)]
    return [*pieces, *collected.flush()]


def spoken_after_each(tokens: list[str]) -> list[tuple[str, list[str]]]:
    collected = SpeakableStream()
    heard: list[tuple[str, list[str]]] = [(token, [*pieces]) for token in tokens if (pieces := collected.push(token))]
    return [*heard, ("", [*collected.flush()])]


def test_the_first_clause_is_out_before_the_sentence_ends() -> None:
    tokens = ["Well", ",", " I", " think", " so", ",", " but", " it", " may", " rain", ".", " Take", " care", "."]
    assert spoken_after_each(tokens) == [
        (" but", ["Well, I think so,"]),  # "Well," alone is too short to be worth a breath
        (" Take", ["but it may rain."]),
        ("", ["Take care."]),
    ]


def test_a_first_clause_without_a_pause_ends_at_a_word_within_sixty_characters() -> None:
    text = "The quick brown fox that lives in the old forest jumps over the lazy dog again and again."
    pieces = stream([text])
    assert pieces == [
        "The quick brown fox that lives in the old forest jumps over",
        "the lazy dog again and again.",
    ]
    assert len(pieces[0]) <= 60


def test_a_number_is_not_torn_from_its_unit() -> None:
    text = "I would guess that the whole distance around the lake comes to 12 km or a little more than that."
    assert " ".join(stream(list(text))) == speakable(text)
    assert "twelve kilometers" in " ".join(stream(list(text)))


def test_a_link_is_held_until_it_closes() -> None:
    tokens = ["Look", " at", " this", " [page", ", please", "](http", "://example.com", ")", ",", " thanks"]
    assert spoken_after_each(tokens) == [(" thanks", ["Look at this page, please,"]), ("", ["thanks"])]


def test_a_bracket_that_is_no_link_does_not_hold_the_speech() -> None:
    tokens = ["So this [is", "]", " it", ", and", " more"]
    assert spoken_after_each(tokens) == [(", and", ["So this is it,"]), ("", ["and more"])]


def test_code_is_announced_once_when_it_opens_and_never_read() -> None:
    tokens = ["Try it:\n", "``", "`py", "thon\n", "x = 1. Done, ", "yes.\n", "y\n``", "`\n", "That", " is all."]
    assert spoken_after_each(tokens) == [
        ("thon\n", ["Try it:", "Code omitted."]),
        ("", ["That is all."]),
    ]


HOSTILE = {
    "asterisks": "*",
    "spaced asterisks": "* ",
    "brackets": "[",
    "links": "[a](b ",
    "empty links": "[](",
    "backticks": "`",
    "open code": "`a",
    "digits": "1",
    "spaced digits": "1 ",
    "points": "1.",
    "commas": "1,",
    "hyphens": "1-",
    "colons": "1:",
    "fractions": "1/",
    "letters": "a",
    "initials": "a.",
    "tags": "<b ",
    "comments": "<!--",
    "dollars": "$1+",
    "entities": "&amp;",
    "commands": "\\frac{",
    "at signs": "a@",
    "addresses": "http://",
    "dots": ". ",
    "dashes": "- ",
    "spaces": " ",
    "fences": "```\n",
    "rows": "|\n",
    "emoji": "😀",
}


@pytest.mark.parametrize(
    ("held", "spoken"),
    [
        ("Well, let me think about this one. ", ["Well, let me think about this one."]),
        ("All right! ", ["All right!"]),
        ("This is Dr.", []),
        ("It costs 3.", []),
        ("It is **bold.", []),
        ("see [the page.", []),
        ("and then", []),
        ("```\nx = 1.", []),
    ],
)
def test_a_sentence_that_surely_ends_is_spoken_when_the_model_stalls(held: str, spoken: list[str]) -> None:
    speech = SpeakableStream(first_min_words=100)
    speech.push(held)
    assert speech.settle() == spoken
    assert speech.settle() == []


@pytest.mark.apart
@pytest.mark.parametrize("unit", HOSTILE.values(), ids=HOSTILE.keys())
def test_work_grows_with_the_length_and_not_with_its_square(unit: str) -> None:
    # What comes in tokens is cut in steps of bounded work, which test_bounded_steps.py counts.
    assert growth(speakable, unit, 24_000) < MOST


@pytest.mark.apart
@pytest.mark.parametrize("unit", ["a", "a ", "a. ", "。", "— ", '"', " "])
def test_work_of_cutting_grows_with_the_length(unit: str) -> None:
    def cut(text: str) -> object:
        return split_clauses(text, 60, 200)

    assert growth(cut, unit, 24_000) < MOST


async def frames_after(frames: list[Frame]) -> list[Frame]:
    down, _ = await run_test(SpeakableText(), frames_to_send=frames)
    return list(down)


def response(*tokens: str) -> list[Frame]:
    return [LLMFullResponseStartFrame(), *map(LLMTextFrame, tokens), LLMFullResponseEndFrame()]


def summary(frames: list[Frame]) -> list[str]:
    """Frames by name, and what is spoken; what was written is left out."""
    spoken = [frame for frame in frames if not isinstance(frame, ReplySourceFrame)]
    return [frame.text if isinstance(frame, AggregatedTextFrame) else type(frame).__name__ for frame in spoken]


@in_virtual_time
async def test_each_clause_is_one_frame_that_the_voice_speaks_as_it_is() -> None:
    frames = await frames_after(response("**Sure**, it", " costs $5, ", "and that is", " fine. Bye", " 😀"))
    assert summary(frames) == [
        "LLMFullResponseStartFrame",
        "Sure, it costs five dollars,",
        "and that is fine.",
        "Bye",
        "LLMFullResponseEndFrame",
    ]
    spoken = [frame for frame in frames if isinstance(frame, AggregatedTextFrame)]
    assert [frame.raw_text for frame in spoken] == [frame.text for frame in spoken]
    assert {frame.text_type for frame in spoken} == {TextType.SENTENCE}
    assert {frame.append_to_context for frame in spoken} == {True}


@in_virtual_time
async def test_a_response_of_nothing_sayable_speaks_nothing() -> None:
    frames = await frames_after(response("😀", " ***", "\n---\n"))
    assert summary(frames) == ["LLMFullResponseStartFrame", "LLMFullResponseEndFrame"]


@in_virtual_time
async def test_an_interruption_forgets_the_open_clause_and_the_open_code_block() -> None:
    frames = await frames_after(
        [
            LLMFullResponseStartFrame(),
            LLMTextFrame("Here is the code:\n```\nx = 1\n"),
            LLMTextFrame("half a"),
            SleepFrame(sleep=0.1),
            InterruptionFrame(),
            SleepFrame(sleep=0.1),
            *response("A new answer."),
        ]
    )
    assert summary(frames) == [
        "LLMFullResponseStartFrame",
        "Here is the code:",
        "Code omitted.",
        "InterruptionFrame",
        "LLMFullResponseStartFrame",
        "A new answer.",
        "LLMFullResponseEndFrame",
    ]


@in_virtual_time
async def test_other_frames_pass_unchanged_and_in_order() -> None:
    plain, heard, marker = TextFrame("**plain**"), TranscriptionFrame("*hm*", "user", "now"), LLMMarkerFrame("●")
    frames = await frames_after([plain, heard, marker])
    assert frames == [plain, heard, marker]
    assert [plain.text, heard.text] == ["**plain**", "*hm*"]


@in_virtual_time
async def test_text_that_is_to_be_read_passes_as_it_was_written() -> None:
    silent = LLMTextFrame("**silent**\n- 5°C")
    silent.skip_tts = True
    frames = await frames_after([LLMTextFrame("Aloud."), silent])
    assert [frame.text for frame in frames if isinstance(frame, WrittenTextFrame)] == ["**silent**\n- 5°C"]
    assert [frame.text for frame in frames if isinstance(frame, AggregatedTextFrame)] == ["Aloud."]


@in_virtual_time
async def test_a_said_sentence_is_made_speakable_and_comes_after_the_text_before_it() -> None:
    frames = await frames_after([LLMTextFrame("Let me look"), TTSSpeakFrame("It's **5°C** 😀"), TTSSpeakFrame("😀")])
    assert [frame.text for frame in frames if isinstance(frame, AggregatedTextFrame | TTSSpeakFrame)] == [
        "Let me look",
        "It's five degrees Celsius",
    ]
    assert summary(frames) == ["Let me look", "TTSSpeakFrame"]


@in_virtual_time
async def test_text_without_a_response_around_it_is_spoken_at_the_end() -> None:
    assert summary(await frames_after([LLMTextFrame("Only this")])) == ["Only this"]


@in_virtual_time
async def test_text_that_is_kept_out_of_the_context_stays_out() -> None:
    aside = LLMTextFrame("An aside.")
    aside.append_to_context = False
    frames = await frames_after([aside])
    assert [frame.append_to_context for frame in frames if isinstance(frame, TextFrame)] == [False]


@pytest.mark.parametrize(
    ("limits", "message"),
    [
        ({"first_min_words": 0}, "first_min_words must be at least 1, not 0"),
        ({"first_max_chars": 0}, "first_max_chars must be at least 1, not 0"),
        ({"max_chars": -3}, "max_chars must be at least 1, not -3"),
    ],
)
def test_a_limit_below_one_is_refused_by_name(limits: dict[str, int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        SpeakableStream(**limits)  # pyright: ignore[reportArgumentType]


async def spoken_at(tokens: list[str], token_secs: float) -> list[tuple[float, str]]:
    """When each piece is handed on, in virtual seconds after the first token."""
    frames: list[Frame] = [LLMFullResponseStartFrame()]
    for token in tokens:
        frames += [LLMTextFrame(token), SleepFrame(sleep=token_secs)]
    loop = asyncio.get_running_loop()
    pieces: list[tuple[float, str]] = []
    began: list[float] = []

    class Noted(SpeakableText):
        async def push_frame(self, frame: Frame, direction: FrameDirection = FrameDirection.DOWNSTREAM) -> None:
            if isinstance(frame, LLMFullResponseStartFrame):
                began.append(loop.time())
            if isinstance(frame, AggregatedTextFrame):
                pieces.append((loop.time() - began[0], frame.text))
            await super().push_frame(frame, direction)

    await run_test(Noted(), frames_to_send=[*frames, LLMFullResponseEndFrame()])
    return pieces


TWELVE_WORDS = [
    "The",
    " quick",
    " fox",
    " that",
    " lives",
    " in",
    " our",
    " old",
    " forest",
    " jumps",
    " over",
    " dogs",
    ".",
]


@pytest.mark.parametrize(
    ("token_secs", "first", "within_secs"),
    [
        # The whole sentence is there before anybody is impatient.
        (0.01, "The quick fox that lives in our old forest jumps over dogs.", 0.2),
        # Five tokens in 0.15 s, and the next ones with whose help the joint is judged.
        (0.03, "The quick fox", 0.25),
        # Three words and the next one, that it is complete, and what follows: 4 x 0.35 s.
        (0.35, "The quick fox", 1.5),
    ],
)
@in_virtual_time
async def test_the_slower_the_tokens_the_fewer_words_are_waited_for(
    token_secs: float, first: str, within_secs: float
) -> None:
    at_secs, piece = (await spoken_at(TWELVE_WORDS, token_secs))[0]
    assert piece == first
    assert at_secs < within_secs


@in_virtual_time
async def test_an_address_that_comes_slowly_is_not_torn() -> None:
    pieces = await spoken_at(["Visit", " example", ".", "com", " today", " and", " see", "."], 0.35)
    assert [piece for _, piece in pieces] == ["Visit example dot com today", "and see."]
