"""Where a clause is cut when the voice would fall silent: at a breath, never in what belongs together."""

import pytest

from processors.text.joints import Joint, joint_at
from processors.text.speakable import speakable
from processors.text.speakable_stream import SpeakableStream


def joints(text: str, language: str = "en") -> dict[str, Joint]:
    """Each place that is a joint: the words around it."""
    found: dict[str, Joint] = {}
    at = text.find(" ")
    while at >= 0:
        joint = joint_at(text, at, at + 1, language)
        if joint:
            left, right = text[:at].split()[-1], text[at + 1 :].split()[0]
            found[f"{left}|{right}"] = joint
        at = text.find(" ", at + 1)
    return found


@pytest.mark.parametrize(
    ("text", "language", "natural"),
    [
        ("The quick fox that lives in the forest jumps over dogs.", "en", ["fox|that", "lives|in", "jumps|over"]),
        ("The capital of France is Paris and nothing else.", "en", ["France|is", "Paris|and"]),
        ("Der Zug fährt heute nach Berlin und weiter.", "de", ["heute|nach", "Berlin|und"]),
        ("Le train part demain pour Paris avec nous.", "fr", ["demain|pour", "Paris|avec"]),
        ("Look at the dog of the man in my car.", "en", ["Look|at", "man|in"]),
    ],
)
def test_a_breath_is_before_a_conjunction_a_preposition_or_a_verb(text: str, language: str, natural: list[str]) -> None:
    assert [place for place, joint in joints(text, language).items() if joint is Joint.NATURAL] == natural


@pytest.mark.parametrize(
    "text",
    [
        "New York City",
        "Ludwig van Beethoven",
        "Rio de Janeiro",
        "12 km",
        "1,000 people",
        "example.com in",  # an address, not a word
        "e.g. apples",
        "Dr. smith",
        "the man",
        "to go",
        "a_b in",
        "call 555 0100 now",
    ],
)  # fmt: skip
def test_names_numbers_addresses_and_leaning_words_are_not_torn(text: str) -> None:
    assert joints(f"{text} ") == {}


def test_a_word_that_may_go_on_is_no_joint_yet() -> None:
    assert joint_at("The man in", 7, 8) is Joint.NONE  # "in" may become "inside" or "Ines"
    assert joint_at("The man in ", 7, 8) is Joint.NATURAL


def test_a_hurried_piece_ends_at_the_best_place_of_what_is_there() -> None:
    stream = SpeakableStream()
    assert stream.push("The quick brown fox that lives near here") == []
    assert stream.hurry(Joint.NATURAL) == ["The quick brown fox that lives"]
    # The hurry is over with the piece.
    assert stream.push(" with all of his many friends of old") == []
    assert stream.flush() == ["near here with all of his many friends of old"]


def test_a_hurry_holds_until_a_piece_can_end() -> None:
    stream = SpeakableStream()
    assert stream.push("The dog") == []
    assert stream.hurry(Joint.NATURAL) == []
    assert [piece for token in (" of", " my", " friend", " is", " big") for piece in stream.push(token)] == [
        "The dog of my friend"
    ]


def test_hurried_pieces_join_to_the_whole_text() -> None:
    text = "Visit example.com today, or call 555-0100 and ask for Dr. van Dyke about the 12 km walk to New York in May."
    for least in (Joint.NATURAL, Joint.POSSIBLE):
        stream = SpeakableStream()
        pieces: list[str] = []
        for token in text.split(" "):
            pieces += stream.push(f"{token} ") + stream.hurry(least)
        pieces += stream.flush()
        assert len(pieces) > 3
        assert " ".join(pieces) == speakable(text)
