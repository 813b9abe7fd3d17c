"""Subtitles can be read: short cues of two lines that follow the words."""

import dataclasses
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.subtitles import LINE_COLUMNS, MAX_CUE_SECS, MIN_CUE_SECS, Cue, cues_of
from processors.stt.recognizer import Segment, Word

TALK = (  # 27 s without a pause
    "and so we walked down to the river, where the old mill used to stand, and my grandfather told me that when he was "
    "a boy they would all come here in summer, every single day. He said the water was colder then, clearer too, and "
    "you could see the fish from the bridge; nobody believed him, of course, but I have seen the photographs since, "
    "and they show exactly that: a long green river, a wheel, a bridge, and eleven children with wet hair squinting."
)


def segment(*, timed: bool) -> Segment:
    texts = TALK.split()
    step = 27.0 / len(texts)
    words = tuple(Word(text, 5 + at * step, 5 + at * step + step * 0.8) for at, text in enumerate(texts))
    return Segment(TALK, 5.0, 32.0, words if timed else (), "en")


@pytest.mark.parametrize("timed", [True, False])
def test_a_long_breath_becomes_cues_that_can_be_read(timed: bool) -> None:
    cues = cues_of([segment(timed=timed)])
    assert " ".join(cue.text for cue in cues).split() == TALK.split()
    for cue in cues:
        assert MIN_CUE_SECS <= cue.end_secs - cue.start_secs <= MAX_CUE_SECS
        assert all(len(line) <= LINE_COLUMNS for line in cue.text.split("\n"))
        assert cue.text.count("\n") <= 1
    assert all(one.end_secs <= other.start_secs + 1e-6 for one, other in pairwise(cues))
    # Most of them end where a clause does.
    assert sum(cue.text[-1] in ".,;:" for cue in cues) >= 0.6 * len(cues)


def test_a_cue_begins_with_its_first_word() -> None:
    spoken = segment(timed=True)
    starts = {round(word.start_secs, 6) for word in spoken.words}
    assert all(round(cue.start_secs, 6) in starts for cue in cues_of([spoken]))


def test_what_fits_stays_as_it_was() -> None:
    assert cues_of([Segment("Hello there.", 0.0, 1.5)]) == [Cue("Hello there.", 0.0, 1.5)]


def test_a_language_without_spaces_is_cut_too() -> None:
    text = "昨日は川まで歩いて行きました、" * 12
    cues = cues_of([Segment(text, 0.0, 30.0, (), "ja")])
    assert "".join(cue.text.replace("\n", "") for cue in cues) == text
    assert all(len(line) <= LINE_COLUMNS // 2 for cue in cues for line in cue.text.split("\n"))
    assert all(cue.end_secs - cue.start_secs <= MAX_CUE_SECS for cue in cues)


def test_a_word_that_is_longer_than_a_line_is_cut() -> None:
    cues = cues_of([Segment("a" * 200, 0.0, 3.0)])
    assert "".join(cue.text.replace("\n", "").replace(" ", "") for cue in cues) == "a" * 200
    assert all(len(line) <= LINE_COLUMNS for cue in cues for line in cue.text.split("\n"))


def test_both_sides_of_a_call_are_named_in_every_cue_and_come_in_the_order_of_their_times() -> None:
    left = dataclasses.replace(segment(timed=False), side="left")
    right = [Segment("Mm-hm.", 12.0, 13.0, side="right"), Segment("Go on, please.", 20.0, 21.0, side="right")]
    cues = cues_of([left, *right])
    assert [cue.start_secs for cue in cues] == sorted(cue.start_secs for cue in cues)
    lefts = [cue for cue in cues if cue.text.startswith("[left] ")]
    assert [cue for cue in cues if cue not in lefts] == [
        Cue("[right] Mm-hm.", 12.0, 13.0),
        Cue("[right] Go on, please.", 20.0, 21.0),
    ]
    assert " ".join(cue.text.removeprefix("[left] ") for cue in lefts).split() == TALK.split()
    assert all(len(line) <= LINE_COLUMNS for cue in lefts for line in cue.text.split("\n"))
    assert all(MIN_CUE_SECS <= cue.end_secs - cue.start_secs <= MAX_CUE_SECS for cue in lefts)
    # What the other side says in between takes nothing away.
    assert all(one.end_secs <= other.start_secs + 1e-6 for one, other in pairwise(lefts))
    assert lefts[-1].end_secs == pytest.approx(32.0)


def test_a_short_word_does_not_flash_by() -> None:
    assert cues_of([Segment("Yes.", 0.0, 0.2)]) == [Cue("Yes.", 0.0, MIN_CUE_SECS)]
    assert cues_of([Segment("Yes.", 0.0, 0.2), Segment("No.", 0.3, 1.4)]) == [Cue("Yes. No.", 0.0, 1.4)]


def test_no_line_of_a_language_without_spaces_begins_with_a_stop_or_cuts_a_foreign_word() -> None:
    text = "「昨日はPythonの本を読んで、」と言った。それからコーヒーを飲んで、ちょっと寝ました。" * 5
    lines = [line for cue in cues_of([Segment(text, 0.0, 40.0, (), "ja")]) for line in cue.text.split("\n")]
    assert "".join(lines) == text
    assert not [line for line in lines if line[0] in "、。」ーょっ" or line[-1] == "「"]
    assert sum("Python" in line for line in lines) == 5


@given(
    st.lists(
        st.tuples(
            st.lists(st.sampled_from(["a", "word,", "sentence.", "m" * 50, "x" * 200, "is", "it?"]), min_size=1),
            st.floats(0.0, 2.0),
            st.floats(0.0, 30.0),
        ),
        max_size=8,
    ),
    st.sampled_from(["en", "ja"]),
)
@settings(max_examples=200, deadline=None)
def test_no_cue_is_too_long_too_short_or_over_the_next(
    heard: list[tuple[list[str], float, float]], language: str
) -> None:
    segments: list[Segment] = []
    at_secs = 0.0
    for words, pause_secs, secs in heard:
        segments.append(Segment(" ".join(words), at_secs + pause_secs, at_secs + pause_secs + secs, (), language))
        at_secs += pause_secs + secs
    cues = cues_of(segments)
    shown = "".join("".join(cue.text.split()) for cue in cues)
    assert shown == "".join("".join(segment.text.split()) for segment in segments)
    for cue in cues:
        assert MIN_CUE_SECS - 1e-6 <= cue.end_secs - cue.start_secs <= MAX_CUE_SECS + 1e-6
        assert cue.text.count("\n") <= 1
        assert all(len(line) <= LINE_COLUMNS for line in cue.text.split("\n"))
    assert all(one.end_secs <= other.start_secs + 1e-6 for one, other in pairwise(cues))
