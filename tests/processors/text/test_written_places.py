"""Where the words that are spoken were written."""

import random

import pytest

from processors.text.speakable_stream import SpeakableStream
from processors.text.written_places import WrittenReply, align_words


def said(spoken: str, written: str) -> list[tuple[str, str]]:
    """Each word with the characters that it says."""
    return [(word, written[start:end]) for word, start, end in align_words(spoken, written, "en")]


@pytest.mark.parametrize(
    ("spoken", "written", "expected"),
    [
        ("It is sunny.", "It is **sunny**.", [("It", "It"), ("is", "is"), ("sunny.", "**sunny**.")]),
        (
            "It costs five dollars today.",
            "It costs $5 today.",
            [("It", "It"), ("costs", "costs"), ("five", "$5"), ("dollars", "$5"), ("today.", "today.")],
        ),
        (
            "See the docs now.",
            "See [the docs](https://example.com/now) now.",
            [("See", "See"), ("the", "[the"), ("docs", "docs]"), ("now.", "now.")],
        ),
        (
            "one, two thousand",
            "| one | 2,000 |",
            [("one,", "one"), ("two", "2,000"), ("thousand", "2,000")],
        ),
        ("Here is code.", "```\n", [("Here", ""), ("is", ""), ("code.", "")]),
        ("fifty percent of", "50 % of", [("fifty", "50"), ("percent", "50"), ("of", "of")]),
        ("a b", "a x y z b", [("a", "a"), ("b", "b")]),
        (
            "three point five degrees",
            "3.5 °C",
            [("three", "3.5"), ("point", "3.5"), ("five", "3.5"), ("degrees", "°C")],
        ),
        # What neither has is shared out evenly.
        ("uno dos tres", "eins zwei", [("uno", "eins"), ("dos", "eins"), ("tres", "zwei")]),
        ("", "***", []),
    ],
)
def test_each_spoken_word_knows_what_it_says(spoken: str, written: str, expected: list[tuple[str, str]]) -> None:
    assert said(spoken, written) == expected


ANSWER = (
    "Here are **3 steps** for [the tool](https://example.com/a_(b)):\n\n1. Install it\u200b with `pip`.\n"
    "2. It costs $1,250.50, or 5 km.\n\n```python\nprint('hello')\nfor n in range(10):\n    print(n)\n```\n\n"
    "| Name | Size |\n|---|---|\n| small | 20 MB |\n\nThat's all\u202e 👨\u200d👩\u200d👧 folks!"
)


def parts(text: str, seed: int) -> list[str]:
    chance = random.Random(seed)
    cuts = sorted(chance.sample(range(1, len(text)), chance.randint(0, len(text) - 1)))
    return [text[start:end] for start, end in zip([0, *cuts], [*cuts, len(text)], strict=True)]


@pytest.mark.parametrize("seed", range(20))
def test_however_a_reply_is_split_its_pieces_and_words_lie_in_it_in_order(seed: int) -> None:
    stream, written = SpeakableStream(), WrittenReply(1, "en")
    handed_on, places, ends = "", [], []
    for token in [*parts(ANSWER, seed), None]:
        if token is not None:
            written.add(token)
        for piece in stream.push(token) if token is not None else stream.flush():
            places += written.places_of(piece)
            ends.append(piece.end)
            start, text = written.take(piece.end)
            assert start == len(handed_on)
            handed_on += text
    handed_on += written.take(stream.taken)[1]
    assert handed_on == ANSWER
    assert ends == sorted(ends)
    edges = [edge for place in places for edge in (place.start, place.end)]
    starts = [place.start for place in places]
    assert starts == sorted(starts)
    assert min(edges) >= 0
    assert max(edges) <= len(ANSWER)
    by_word = {place.word: ANSWER[place.start : place.end] for place in places}
    assert by_word["pip."] == "`pip`."
    assert by_word["Install"] == "Install"
    assert by_word["kilometers."] == "km."
    assert by_word["folks!"] == "folks!"
    assert ANSWER[places[0].start : places[0].end] == "Here"


def test_a_very_long_piece_is_shared_out_evenly() -> None:
    text = " ".join(["la"] * 1_000)
    spans = align_words(text, text, "en")
    assert [(start, end) for _, start, end in spans] == [(3 * n, 3 * n + 2) for n in range(1_000)]
