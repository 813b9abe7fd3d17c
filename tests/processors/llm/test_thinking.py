"""What of a reasoning model's reply may be spoken."""

import random

import pytest

from processors.llm.thinking import ThinkFilter


def spoken(*pieces: str, starts_inside: bool = False) -> str:
    think = ThinkFilter(starts_inside=starts_inside)
    return "".join([*(think.feed(piece) for piece in pieces), think.flush()])


@pytest.mark.parametrize(
    ("reply", "said"),
    [
        ("Hello there.", "Hello there."),
        ("", ""),
        ("<think>hm</think>Paris.", "Paris."),
        ("<think>\n\n</think>\n\nParis.", "\n\nParis."),
        ("<thinking>hm</thinking>Paris.", "Paris."),
        ("<THINK>hm</Think>Paris.", "Paris."),
        ("One. <think>two</think>Three.", "One. Three."),
        ("<think>a</think>b<think>c</think>d", "bd"),
        ("<think>a < b and <b>bold</b></think>yes", "yes"),
        ("<think>a <think> b</think>yes", "yes"),
        ("<think>never closed", ""),
        ("before <think>never closed", "before "),
        ("a < b and b > c", "a < b and b > c"),
        ("a <b", "a <b"),
        ("ends with <", "ends with <"),
        ("ends with <thin", "ends with <thin"),
        ("<thinker> is no tag", "<thinker> is no tag"),
        ("<<think>x</think>>", "<>"),
        ("</think>Paris.", "Paris."),
    ],
)
def test_thoughts_are_not_spoken_however_the_tags_are_split(reply: str, said: str) -> None:
    assert spoken(reply) == said
    assert spoken(*reply) == said
    for seed in range(20):
        cuts = sorted(random.Random(seed).choices(range(len(reply) + 1), k=4))
        pieces = [reply[a:b] for a, b in zip([0, *cuts], [*cuts, len(reply)], strict=True)]
        assert spoken(*pieces) == said


def test_text_that_cannot_be_a_tag_is_passed_on_at_once() -> None:
    think = ThinkFilter()
    assert [think.feed(piece) for piece in ("Two ", "< ", "three", " <th", "e end")] == [
        "Two ",
        "< ",
        "three",
        " ",
        "<the end",
    ]


def test_a_reply_that_starts_inside_a_thought_is_silent_until_the_closing_tag() -> None:
    think = ThinkFilter(starts_inside=True)
    assert [think.feed(piece) for piece in ("The user asks ", "a < b </th", "ink>", "Yes.")] == ["", "", "", "Yes."]
    assert think.closed_unopened


def test_a_reply_that_was_wrongly_taken_for_a_thought_is_not_lost() -> None:
    assert spoken("The answer ", "is 4 <", starts_inside=True) == "The answer is 4 <"


def test_an_opening_tag_after_all_makes_an_unclosed_thought_a_thought() -> None:
    assert spoken("<think>", "hm", starts_inside=True) == ""


def test_a_closing_tag_without_an_opening_one_is_reported() -> None:
    think = ThinkFilter()
    assert think.feed("The user wants Paris.</think>Paris.") == "The user wants Paris.Paris."
    assert think.closed_unopened


def test_a_tag_that_was_opened_is_not_reported() -> None:
    think = ThinkFilter()
    think.feed("<think>hm</think>yes")
    assert not think.closed_unopened


def test_the_filter_holds_no_more_than_one_half_tag_of_a_long_reply() -> None:
    think = ThinkFilter()
    n_out = 0
    for n_in in range(1, 50_001):
        n_out += len(think.feed("<" if n_in % 2 else "a"))
        assert n_in - n_out <= len("</thinking>") - 1
    assert think.flush() == ""
