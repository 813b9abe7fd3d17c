"""The text guard drops the agent's own words and never an answer."""

import random
from collections.abc import Sequence

import pytest

from processors.turns.echo_guard import EchoGuard
from tests.support.kept import n_kept

SPEECHES = (
    "I found three restaurants near you that are open until ten. The first one is a small place on Baker Street.",
    "To boil an egg, bring the water to a gentle simmer, lower the egg in, and wait for seven minutes.",
    "The train to Edinburgh leaves from platform nine at a quarter to six, and it arrives a little after eleven.",
    "Once upon a time there was a fox who lived at the edge of a quiet forest, and it often walked to the river.",
    "The recipe needs two cups of flour, a pinch of salt, and a tablespoon of olive oil. Shall I read it again?",
    "Your meeting with Susan has been moved to half past four on Thursday. There are two unread messages as well.",
)
# What a recognizer makes of a word that it mishears, more often than another word altogether.
OTHER_WORDS = "and the a of in her was for to place stand four read least sand tree sum hour men".split()
REPLIES = (
    ("Would you like the red one or the blue one?", "the red one please"),
    ("Would you like the red one or the blue one?", "the blue one"),
    ("Would you like the red one or the blue one?", "I would like the red one"),
    ("The first one is Italian and the second one serves Korean food. Which one shall I book?", "the second one"),
    ("The first one is Italian and the second one serves Korean food. Which one shall I book?", "the first one please"),
    ("The first one is Italian, and the second one serves Korean food.", "the second one"),
    ("The first one is Italian, and the second one serves Korean food.", "the second one please"),
    ("Do you want to go by train, by car or by bus?", "by train please"),
    ("Shall I set it for seven or for eight minutes?", "for eight minutes"),
    ("Shall I set it for seven or for eight minutes?", "set it for eight minutes please"),
    ("The train leaves from platform nine at a quarter to six.", "what time does it arrive"),
    ("The train leaves from platform nine at a quarter to six.", "is there a later train from there"),
    ("The capital of Australia is Canberra, not Sydney.", "no I mean the capital of Austria"),
    ("The recipe needs two cups of flour and a pinch of salt.", "how much is two cups in grams"),
    ("The recipe needs two cups of flour and a pinch of salt.", "do I need salt in it"),
    ("Your meeting has been moved to half past four on Thursday.", "can you move the meeting to Friday"),
    ("I have set a timer for twelve minutes.", "make it a timer for twenty please"),
    ("Once upon a time there was a fox.", "tell me a story about a dog"),
    ("There are two unread messages, one from your brother.", "read me the one from him"),
    ("It takes about forty minutes by car.", "and how long by train"),
    ("Do you want me to stop?", "I want you to stop"),
    ("The moon is far away from the earth.", "how far away is the sun"),
)


def said(guard: EchoGuard, text: str, start_secs: float = 0.0) -> float:
    """Speak at three words a second; where it ends."""
    words = text.split()
    for index, word in enumerate(words):
        guard.agent_said(word, start_secs + index / 3)
    return start_secs + len(words) / 3


def misheard(words: Sequence[str], word_error_rate: float, rng: random.Random) -> str:
    """Exactly that share of the words wrong: replaced, left out or doubled."""
    heard: list[str] = []
    wrong = set(rng.sample(range(len(words)), round(word_error_rate * len(words))))
    for index, word in enumerate(words):
        error = rng.choice(["other", "other", "none", "more"]) if index in wrong else ""
        if not error:
            heard.append(word)
        elif error == "other":
            heard.append(rng.choice(OTHER_WORDS))
        elif error == "more":
            heard += [rng.choice(OTHER_WORDS), rng.choice(OTHER_WORDS)]
    return " ".join(heard)


def echoes(word_error_rate: float, seed: int) -> list[tuple[EchoGuard, str, float]]:
    """Fragments of 5 to 10 words, as recognized, and when each began to sound."""
    rng = random.Random(seed)
    pairs: list[tuple[EchoGuard, str, float]] = []
    for text in SPEECHES * 10:
        guard = EchoGuard()
        said(guard, text)
        words = text.lower().replace(",", "").replace(".", "").replace("?", "").split()
        first, length = rng.randrange(len(words) - 5), rng.randint(5, 10)
        # Voice activity is a little late.
        pairs.append((guard, misheard(words[first : first + length], word_error_rate, rng), first / 3 + 0.3))
    return pairs


# Without the time, few words that a question follows count as an answer, and the words must be heard better.
@pytest.mark.parametrize(
    ("word_error_rate", "least", "least_untimed"),
    [(0.0, 1.0, 0.9), (0.1, 1.0, 0.9), (0.2, 1.0, 0.9), (0.3, 0.95, 0.7), (0.4, 0.9, 0.45)],
)
def test_fragments_of_the_agents_words_are_its_echo_however_badly_heard(
    word_error_rate: float, least: float, least_untimed: float
) -> None:
    pairs = echoes(word_error_rate, seed=4)
    assert sum(guard.is_echo(text, at_secs) for guard, text, at_secs in pairs) / len(pairs) >= least
    assert sum(guard.is_echo(text) for guard, text, _ in pairs) / len(pairs) >= least_untimed


@pytest.mark.parametrize(("asked", "reply"), REPLIES)
@pytest.mark.parametrize("timed", [True, False])
def test_an_answer_that_shares_words_is_no_echo(asked: str, reply: str, timed: bool) -> None:
    guard = EchoGuard()
    end_secs = said(guard, asked)
    # Nobody answers sooner than 0.2 s after the last word.
    assert not guard.is_echo(reply, end_secs + 0.2 if timed else None)


def test_an_answer_may_repeat_half_a_sentence_when_its_time_is_known() -> None:
    guard = EchoGuard()
    end_secs = said(guard, "The capital of Australia is Canberra.")
    assert not guard.is_echo("the capital of Australia is what", end_secs + 0.3)
    assert guard.is_echo("the capital of Australia is", 0.2)


def test_what_is_said_long_after_the_agent_is_no_echo() -> None:
    guard = EchoGuard()
    end_secs = said(guard, "Bring the water to a gentle simmer.")
    assert not guard.is_echo("bring the water to a gentle simmer", end_secs + 1.5)


@pytest.mark.parametrize("text", ["", "stop", "the water", "...", "no no"])
def test_fewer_than_three_words_are_never_an_echo(text: str) -> None:
    guard = EchoGuard()
    said(guard, "Stop. Bring the water to a gentle simmer, no no.")
    assert not guard.is_echo(text)
    assert not guard.is_echo(text, 0.5)


def test_one_or_two_words_are_an_echo_where_the_sound_is_doubted_and_they_were_being_said() -> None:
    guard = EchoGuard()
    said(guard, "Bridges were made of wood first, then of stone, and whoever crossed had to pay.")
    # "of stone" begins at the eighth word.
    for text in ("of stone", "stone", "of tone"):
        assert guard.is_echo(text, 7 / 3, doubted=True)
        assert not guard.is_echo(text, 7 / 3)
    for text in ("stop", "no wait", "bridges"):
        assert not guard.is_echo(text, 7 / 3, doubted=True)
    assert not guard.is_echo("", 7 / 3, doubted=True)
    # Without the time they may be anybody's.
    assert not guard.is_echo("of stone", doubted=True)


def test_the_very_latest_word_may_come_back_alone() -> None:
    guard = EchoGuard()
    said(guard, "Rivers carry water from the mountains")
    assert guard.is_echo("mountains", 5 / 3 + 0.3, doubted=True)


def test_before_the_agent_has_spoken_nothing_is_an_echo() -> None:
    assert not EchoGuard().is_echo("bring the water to a gentle simmer")


def test_words_in_another_order_are_no_echo() -> None:
    guard = EchoGuard()
    said(guard, "Bring the water to a gentle simmer.")
    assert not guard.is_echo("simmer gentle a to water the bring")


def test_words_that_lie_far_apart_are_no_echo() -> None:
    guard = EchoGuard()
    said(guard, " ".join(SPEECHES))
    assert not guard.is_echo("the egg of the fox on Thursday")


def test_an_echo_may_begin_in_one_sentence_and_end_in_the_next() -> None:
    guard = EchoGuard()
    said(guard, "It is open until ten. The first one is Italian.")
    assert guard.is_echo("open until ten the first one")


def test_a_question_heard_with_its_or_is_an_echo() -> None:
    guard = EchoGuard()
    said(guard, "Would you like the red one or the blue one?")
    assert guard.is_echo("the red one or the")


def test_what_was_said_long_ago_is_forgotten() -> None:
    guard = EchoGuard()
    said(guard, "Bring the water to a gentle simmer.")
    said(guard, "A spider has eight legs.", start_secs=60)
    assert not guard.is_echo("bring the water to a gentle simmer")


def test_no_more_is_kept_of_a_long_conversation_than_of_a_short_one() -> None:
    guard = EchoGuard()
    kept = []
    for n in range(100):
        said(guard, f"Shall I call number {n}, or another?", start_secs=10.0 * n)
        kept.append(n_kept(guard))
    assert set(kept[50:]) == {kept[50]}
    # The latest question is known as one.
    assert guard.is_echo("shall I call number 99 or another")
    assert not guard.is_echo("number 99 another")


def test_several_words_may_be_told_at_once_and_in_other_scripts() -> None:
    guard = EchoGuard()
    guard.agent_said("Hola, buenos días amigo.", 0.0)
    guard.agent_said(["¿Cómo", "está", "usted?"], 1.5)
    assert guard.is_echo("hola buenos días amigo", 0.1)
    assert guard.is_echo("hola buenos dias amigo como esta usted")
