"""Where text is cut for speech."""

import random

import pytest

from processors.text.clauses import Boundary, Strength, find_boundaries, split_clauses


def pieces_by_strength(text: str, strength: Strength) -> list[str]:
    pieces, start = [], 0
    for boundary in find_boundaries(text):
        if isinstance(boundary, Boundary) and boundary.strength >= strength:
            pieces.append(text[start : boundary.end])
            start = boundary.start
    return [*pieces, text[start:]]


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        ("One. Two! Three? Four", ["One.", "Two!", "Three?", "Four"]),
        ("Dr. Smith met Mrs. Jones. They left.", ["Dr. Smith met Mrs. Jones.", "They left."]),
        ("It is 3.5 meters. Long.", ["It is 3.5 meters.", "Long."]),
        ("The U.S. team won. We saw it.", ["The U.S. team won.", "We saw it."]),
        ("He lives in the U.S. She does not.", ["He lives in the U.S.", "She does not."]),
        ("Tom &amp; Jerry. Yes", ["Tom &amp; Jerry.", "Yes"]),
        ("Fruit, e.g. apples. Nuts, i.e. seeds.", ["Fruit, e.g. apples.", "Nuts, i.e. seeds."]),
        ("Apples, pears, etc. are fruit.", ["Apples, pears, etc. are fruit."]),
        ("Apples, pears, etc. We eat them.", ["Apples, pears, etc.", "We eat them."]),
        ("J. R. R. Tolkien wrote it. Then I. Done", ["J. R. R. Tolkien wrote it.", "Then I.", "Done"]),
        ("See no. 5 first. He said no. Then he left.", ["See no. 5 first.", "He said no.", "Then he left."]),
        ("He said \"Stop!\" Then he left.", ['He said "Stop!"', "Then he left."]),
        ('"What?" she asked. "Why?"', ['"What?" she asked.', '"Why?"']),
        ("Wait… What? Well... it is fine.", ["Wait…", "What?", "Well... it is fine."]),
        ("(He left.) She stayed.", ["(He left.)", "She stayed."]),
        ("你好。世界！真的？是", ["你好。", "世界！", "真的？", "是"]),
        ("「行こう。」彼は言った。", ["「行こう。」", "彼は言った。"]),
        ("A title\nThe text goes\non here\n\nand ends", ["A title", "The text goes\non here", "and ends"]),
        ("", [""]),
    ],
)  # fmt: skip
def test_sentences_end_where_a_reader_would_stop(text: str, sentences: list[str]) -> None:
    assert pieces_by_strength(text, Strength.SENTENCE) == sentences


@pytest.mark.parametrize(
    ("text", "clauses"),
    [
        ("Well, that is 1,000; or so: fine", ["Well,", "that is 1,000;", "or so:", "fine"]),
        ("at 10:30, by http://example.com", ["at 10:30,", "by http://example.com"]),
        ("the answer—if any—is no", ["the answer—", "if any—", "is no"]),
        ("第一，第二、第三", ["第一，", "第二、", "第三"]),
    ],
)
def test_clauses_end_at_pauses_but_not_inside_numbers(text: str, clauses: list[str]) -> None:
    assert pieces_by_strength(text, Strength.CLAUSE) == clauses


def test_a_growing_text_never_takes_a_boundary_back() -> None:
    text = 'Hi, U.S. friends. "So?" I said. 你好。Dr. No—no. 5 is "e.g. that." Then\nmore\n\nends. (Yes.)'
    whole = [boundary for boundary in find_boundaries(text) if isinstance(boundary, Boundary)]
    for length in range(len(text)):
        partial = [b for b in find_boundaries(text[:length], final=False) if isinstance(b, Boundary)]
        assert partial == whole[: len(partial)]


def test_what_is_not_judged_yet_lies_behind_the_reported_index() -> None:
    *_, judged = find_boundaries("One two. ", final=False)
    assert judged == len("One two.")  # whether the sentence ends there depends on what follows


@pytest.mark.parametrize(
    ("text", "pieces"),
    [
        ("", []),
        ("  \n ", []),
        ("Short.", ["Short."]),
        # 20 characters for the first, 40 for the others.
        ("Well, I think so, and you may think so as well. Good.",
         ["Well, I think so,", "and you may think so as well. Good."]),
        ("Yes. I do believe that this is a longer sentence than fits in there",
         ["Yes.", "I do believe that this is a longer", "sentence than fits in there"]),
        ("Pneumonoultramicroscopicsilicovolcanoconiosis hurts",
         ["Pneumonoultramicroscopicsilicovolcanoconiosis", "hurts"]),
        ("你好，我的朋友。" * 5, ["你好，我的朋友。" * 2, "你好，我的朋友。" * 3]),
    ],
)  # fmt: skip
def test_a_piece_ends_at_the_strongest_boundary_within_its_limit(text: str, pieces: list[str]) -> None:
    assert split_clauses(text, first_max_chars=20, max_chars=40) == pieces


def test_pieces_joined_are_the_text_and_only_whole_words_exceed_the_limit() -> None:
    rng = random.Random(7)
    words = ["a", "Dr.", "e.g.", "word,", "3.5", "end.", "—", "longer-word", "U.S.", "你好。", "x" * 30, "(so)", "Go!"]
    for _ in range(300):
        text = " ".join(rng.choices(words, k=rng.randint(0, 40)))
        first, other = rng.randint(1, 30), rng.randint(1, 60)
        pieces = split_clauses(text, first, other)
        assert "".join("".join(pieces).split()) == "".join(text.split())
        for index, piece in enumerate(pieces):
            assert piece == piece.strip()
            assert len(piece) <= (other if index else first) or " " not in piece


@pytest.mark.parametrize(("first", "other", "message"), [(0, 10, "first_max_chars"), (10, -1, "max_chars")])
def test_a_limit_below_one_is_refused_by_name(first: int, other: int, message: str) -> None:
    with pytest.raises(ValueError, match=f"{message} must be at least 1, not"):
        split_clauses("text", first, other)
