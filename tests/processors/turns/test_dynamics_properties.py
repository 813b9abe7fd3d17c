"""What holds in every conversation, whoever speaks when and however slow or faulty the engines are.

    uv run python -m tests.processors.turns.test_dynamics_properties --examples 500 --seed 7

holds more of them than the suite does, and makes what fails as small as it can.
"""

import argparse
import itertools
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from types import FrameType
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from loguru import logger

from processors.text.bare_words import bare
from processors.turns.backchannel import Meaning, meaning_of
from processors.voice.loudness import RAMP_SAMPLES, scaled
from tests.support.dynamics_scripts import (
    FINAL,
    WORD_SAMPLES,
    Act,
    Answering,
    Outcome,
    Scenario,
    play,
    signs_of,
)

# So many signs one after another belong to one place of one word.
KEY_SAMPLES = 48
# A cut falls between two frames; after it a few signs agree by chance.
CHANCE_SAMPLES = 40
# 20 ms.
LOST_SAMPLES = 480

ALL_CHECKS = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.large_base_example]


def _up_to(most_ms: int) -> st.SearchStrategy[int]:
    return st.integers(0, most_ms // 50).map(lambda steps: steps * 50)


ACTS = st.builds(
    Act,
    kind=st.sampled_from(["words", "words", "words", "backchannel", "command", "laugh", "cough"]),
    after=st.sampled_from(["idle", "said", "reply", "reply", "thinking"]),
    delay_ms=_up_to(2000),
    misheard=st.integers(0, 19).map(lambda one: one == 19),
)
ANSWERS = st.builds(
    Answering,
    n_words=st.integers(1, 14),
    first_ms=_up_to(2000),
    token_ms=st.sampled_from([0, 0, 20, 100, 250]),
    asks=st.booleans(),
    fault=st.sampled_from(["none"] * 12 + ["refused", "dropped", "broken", "stalled"]),
)
SCENARIOS = st.builds(
    Scenario,
    acts=st.lists(ACTS, min_size=1, max_size=5).map(lambda acts: (Act("words", "idle", 0), *acts)),
    answers=st.lists(ANSWERS, min_size=1, max_size=5).map(tuple),
    finish_ms=st.lists(_up_to(1500), min_size=1, max_size=4).map(tuple),
    speak_ms=st.lists(_up_to(600), min_size=1, max_size=3).map(tuple),
    chunk_ms=st.sampled_from([0, 0, 100, 300]),
    partials=st.booleans(),
    early=st.booleans(),
    dumb_at=st.one_of(st.none(), st.none(), st.integers(0, 4)),
)


@dataclass(frozen=True)
class Stretch:
    """Samples of one word of the agent that were played one after another."""

    word: str
    start: int
    end: int


def stretches(heard_s16: np.ndarray[Any, np.dtype[np.int16]], words: set[str]) -> list[Stretch]:
    """What was played of the agent, silence left out."""
    played = np.sign(heard_s16[heard_s16 != 0]).astype(np.int16)
    places = {
        signs_of(word)[start : start + KEY_SAMPLES].tobytes(): (word, start)
        for word in words
        for start in range(WORD_SAMPLES - KEY_SAMPLES + 1)
    }
    found: list[Stretch] = []
    at = 0
    while at < len(played):
        word, start = places.get(played[at : at + KEY_SAMPLES].tobytes(), ("?", 0))
        if word == "?":
            found.append(Stretch("?", at, len(played)))
            break
        sound = signs_of(word)[start : start + len(played) - at]
        same = sound == played[at : at + len(sound)]
        length = len(sound) if same.all() else int(np.argmin(same))
        found.append(Stretch(word, start, start + length))
        at += length
    return found


@dataclass
class Played:
    """A reply as far as it was heard.

    Attributes:
        n_samples: How much of each word.
        jumps: Samples left out (above 0) or played again (below 0), other than at its end.
    """

    n_request: int
    n_samples: dict[int, int]
    jumps: list[int]

    def words(self, reply: list[str]) -> list[str]:
        """Those of which at least half was heard."""
        return [reply[index] for index, n_samples in self.n_samples.items() if 2 * n_samples >= WORD_SAMPLES]


def played_replies(outcome: Outcome) -> tuple[list[Played], list[str]]:
    """The replies that were heard, in order; and what is wrong with them."""
    place = {word: (n, index) for n, reply in enumerate(outcome.replies) for index, word in enumerate(reply)}
    replies: list[Played] = []
    problems: list[str] = []
    position = 0
    for stretch in stretches(outcome.heard_s16, outcome.spoken):
        if stretch.word == "?":
            problems.append(f"from sample {stretch.start} on, what was played is no word of the agent's")
            break
        if stretch.word not in place:
            continue  # an apology
        n_request, index = place[stretch.word]
        if not replies or replies[-1].n_request != n_request:
            replies.append(Played(n_request, {}, []))
            position = 0
        reply = replies[-1]
        start = index * WORD_SAMPLES + stretch.start
        if abs(start - position) > CHANCE_SAMPLES:
            reply.jumps.append(start - position)
        position = index * WORD_SAMPLES + stretch.end
        reply.n_samples[index] = reply.n_samples.get(index, 0) + stretch.end - stretch.start
    twice = [n for n in {reply.n_request for reply in replies} if sum(r.n_request == n for r in replies) > 1]
    problems += [f"reply {n} is heard in two places" for n in twice]
    return replies, problems


def problems_of(outcome: Outcome) -> list[str]:
    """What does not hold in this conversation; empty if all does."""
    replies, problems = played_replies(outcome)
    return [
        *problems,
        *_wrong_sound(outcome, replies),
        *_wrong_user_messages(outcome),
        *_wrong_agent_messages(outcome, replies),
        *_wrong_answers(outcome, replies),
        *_behind_a_cut(outcome),
        *_wrong_end(outcome),
    ]


def _wrong_sound(outcome: Outcome, replies: list[Played]) -> Iterator[str]:
    for reply in replies:
        excused = outcome.n_dumb > 0
        for jump in reply.jumps:
            if abs(jump) > LOST_SAMPLES and not (excused and jump > 0 and abs(jump) % WORD_SAMPLES < CHANCE_SAMPLES):
                yield f"reply {reply.n_request}: {jump} samples left out within it"


def _wrong_user_messages(outcome: Outcome) -> Iterator[str]:
    lost = list(outcome.misheard)
    pattern = ""
    for text, needed in outcome.utterances:
        words = bare(text).split()
        missing = [word for word in text.split() if word in lost]
        if not needed:
            pattern += f"(?:{' '.join(words)} )?"
        elif missing:
            pattern += "".join(f"(?:{word} )?" for word in words)
        else:
            pattern += " ".join(words) + " "
    said = bare(" ".join(message["content"] for message in outcome.history if message["role"] == "user")) + " "
    if not re.fullmatch(pattern, said):
        yield f"the user's messages are {said!r}, but said was {pattern!r}"


def _wrong_agent_messages(outcome: Outcome, replies: list[Played]) -> Iterator[str]:
    """History is what was heard, to within one word, and each reply stands where its question was asked."""
    messages = list(outcome.history)
    n_of = {word: n for n, reply in enumerate(outcome.replies) for word in reply}
    heard = {reply.n_request: reply.words(outcome.replies[reply.n_request]) for reply in replies}
    in_history: list[int] = []
    for index, message in enumerate(messages):
        if message["role"] != "assistant":
            continue
        words = bare(message["content"]).split()
        numbers = {n_of.get(word, -1) for word in words}
        if len(numbers) != 1 or -1 in numbers:
            yield f"an assistant's message mixes replies {sorted(numbers)}: {message['content']!r}"
            continue
        n_request = numbers.pop()
        in_history.append(n_request)
        if not _within_one_word(words, heard.get(n_request, [])):
            yield f"reply {n_request}: history has {words}, heard was {heard.get(n_request, [])}"
        before = itertools.takewhile(lambda message: message["role"] == "user", reversed(messages[:index]))
        asked = " ".join(message["content"] for message in reversed(list(before)))
        if bare(asked) != bare(outcome.requests[n_request]):
            yield f"reply {n_request} answers {outcome.requests[n_request]!r}, but follows {asked!r}"
    if in_history != sorted(in_history):
        yield f"replies are remembered in the order {in_history}"
    played = [n_request for n_request, words in heard.items() if len(words) > 1]
    forgotten = [n_request for n_request in played if n_request not in in_history]
    if forgotten:
        yield f"replies {forgotten} were heard and are not in history"


def _within_one_word(ones: list[str], others: list[str]) -> bool:
    shorter, longer = sorted([ones, others], key=len)
    return len(longer) - len(shorter) <= 1 and longer[: len(shorter)] == shorter


def _wrong_answers(outcome: Outcome, replies: list[Played]) -> Iterator[str]:
    """Every turn is answered, unless the user went on or an engine failed."""
    history = outcome.history
    faulty = [bare(outcome.requests[n]) for n in outcome.faulty]
    for message, following in itertools.zip_longest(history, history[1:]):
        if message["role"] != "user" or (following and following["role"] == "assistant"):
            continue
        if outcome.n_dumb or any(bare(message["content"]) in asked for asked in faulty):
            continue
        yield f"not answered: {message['content']!r}, followed by {following}"
    cut = {event["heard"] for event in outcome.events if event["event"] == "interruption"}
    for reply in replies:
        whole = outcome.replies[reply.n_request]
        words = reply.words(whole)
        broke_off = len(words) < len(whole) and reply.n_request not in outcome.faulty and not outcome.n_dumb
        if broke_off and not any(_within_one_word(words, bare(heard).split()) for heard in cut):
            yield f"reply {reply.n_request} broke off after {words}, and no interruption says so"


def _behind_a_cut(outcome: Outcome) -> Iterator[str]:
    """Nothing tells of a reply behind the interruption that cut it: no two replies share a word, apologies do."""
    of_replies = {word for reply in outcome.replies for word in reply}
    cut: set[str] = set()
    for event in outcome.told:
        words = set(bare(str(event.get("text", ""))).split())
        if event["event"] == "interruption":
            cut |= set(bare(event["planned"]).split()) & of_replies
        elif words & cut and event["event"] not in ("transcript", "partial_transcript", "turn_ended", "speculation"):
            yield f"behind its interruption: {event}"


def _wrong_end(outcome: Outcome) -> Iterator[str]:
    faults = bool(outcome.faulty or outcome.n_dumb or outcome.misheard)
    if not faults:
        yield from (f"never idle: {doing}" for doing in outcome.never_idle)
        yield from (
            f"error: {event['stage']}: {event['message']}" for event in outcome.events if event["event"] == "error"
        )
    yield from (f"left over: {name}" for name in outcome.left_over)
    asked, answer = [{}, {}, *outcome.history][-2:]
    if asked.get("role") != "user" or not bare(asked.get("content", "")).endswith(bare(FINAL)):
        yield f"the final question is not the last but one message: {asked}"
    elif bare(answer.get("content", "")).split() != outcome.replies[-1]:
        yield f"the final answer is not remembered whole: {answer}"


QUESTION = Act("words", "idle", 0)
PLAIN = Scenario(
    (QUESTION,), (Answering(9),), finish_ms=(0,), speak_ms=(0,), chunk_ms=0, partials=False, early=False, dumb_at=None
)
PINNED = {
    "slow words over the agent": replace(
        PLAIN, acts=(QUESTION, Act("words", "reply", 1000)), answers=(Answering(14),), finish_ms=(1800,)
    ),
    "first sentence unspeakable": replace(PLAIN, dumb_at=0),
    "last sentence unspeakable": replace(PLAIN, acts=(QUESTION, Act("backchannel", "idle", 500)), dumb_at=1),
    "cut while it sounds": replace(
        PLAIN,
        acts=(QUESTION, Act("command", "idle", 100), Act("command", "said", 1850)),
        answers=(Answering(11, fault="refused"), Answering(11)),
        finish_ms=(650,),
        speak_ms=(500, 250),
        partials=True,
        early=True,
    ),
}


def drawn(n_scenarios: int) -> list[Scenario]:
    """Different conversations, the same ones every time; none is held here, so that each can be a test of its own."""
    scenarios: dict[Scenario, None] = {}

    # A few come up twice.
    @settings(
        max_examples=2 * n_scenarios,
        derandomize=True,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=ALL_CHECKS,
    )
    @given(SCENARIOS)
    def draw(scenario: Scenario) -> None:
        scenarios[scenario] = None

    draw()
    return list(scenarios)[:n_scenarios]


@pytest.mark.apart
@pytest.mark.parametrize(
    "scenario",
    [
        *(pytest.param(scenario, id=name) for name, scenario in PINNED.items()),
        *(pytest.param(scenario, id=f"drawn {n}") for n, scenario in enumerate(drawn(25))),
    ],
)
def test_whatever_is_said_when_is_heard_answered_and_remembered_as_it_was(scenario: Scenario) -> None:
    assert problems_of(play(scenario)) == [], f"in {scenario}"


PHRASES = st.sampled_from(["mm hm", "yeah", "Okay.", "right", "ha ha", "uh-huh", "I see!", "oh", "of course"])
OTHER_WORDS = st.lists(st.sampled_from(["banana", "Paris", "tomorrow", "yes", "ha", "stop", "mm"]), max_size=6)


@given(st.lists(PHRASES, min_size=1, max_size=12))
def test_backchannels_one_after_another_are_a_backchannel(phrases: list[str]) -> None:
    assert meaning_of(" ".join(phrases), "en", asked=False) is Meaning.BACKCHANNEL


@given(st.sampled_from(["stop", "Wait!", "Never mind,", "hold on"]), OTHER_WORDS, st.booleans())
def test_whatever_follows_a_command_does_not_change_it(command: str, words: list[str], asked: bool) -> None:
    assert meaning_of(" ".join([command, *words]), "en", asked=asked) is Meaning.COMMAND


@given(OTHER_WORDS, PHRASES, st.sampled_from(["en", "de", "es", "fr", "xx"]))
def test_a_question_of_the_agent_only_turns_backchannels_into_answers(
    words: list[str], phrase: str, language: str
) -> None:
    text = " ".join([*words, phrase])
    unasked, asked = (meaning_of(text, language, asked=asked) for asked in (False, True))
    assert asked is unasked or (unasked, asked) == (Meaning.BACKCHANNEL, Meaning.FLOOR)


@given(st.text(max_size=60), st.booleans())
def test_case_and_punctuation_mean_nothing(text: str, asked: bool) -> None:
    assert meaning_of(text, "en", asked=asked) is meaning_of(f" {bare(text)}!", "en", asked=asked)


def test_a_long_laugh_before_a_word_is_understood_in_few_steps() -> None:
    n_calls = 0

    def count(_: FrameType, event: str, __: Any) -> None:
        nonlocal n_calls
        n_calls += event == "call"
        if n_calls > 5_000:
            raise AssertionError("more than 5000 calls for 41 words")

    sys.setprofile(count)
    try:
        meaning = meaning_of("ha " * 40 + "banana", "en", asked=False)
    finally:
        sys.setprofile(None)
    assert meaning is Meaning.FLOOR


GAINS = st.floats(0.0, 1.0)


@given(st.lists(st.integers(-32768, 32767), max_size=400), GAINS, GAINS)
def test_a_change_of_level_keeps_every_sample_in_its_place(samples: list[int], before: float, after: float) -> None:
    audio_s16 = np.array(samples, "<i2")
    changed = np.frombuffer(scaled(audio_s16.tobytes(), before, after), "<i2").astype(int)
    wide = audio_s16.astype(int)
    assert len(changed) == len(wide)
    assert np.array_equal(changed[RAMP_SAMPLES:], np.round(wide[RAMP_SAMPLES:] * after))
    assert (np.abs(changed) <= np.round(np.abs(wide) * max(before, after))).all()
    assert (np.abs(changed) >= np.round(np.abs(wide) * min(before, after))).all()
    assert (changed * wide >= 0).all()


def main() -> int:
    """Hold many conversations; the exit status is 1 if something does not hold in one."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--examples", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    logger.configure(handlers=[])

    @seed(arguments.seed)
    @settings(max_examples=arguments.examples, deadline=None, database=None, suppress_health_check=ALL_CHECKS)
    @given(SCENARIOS)
    def hold_all(scenario: Scenario) -> None:
        assert problems_of(play(scenario)) == []

    hold_all()
    print(f"{arguments.examples} conversations: all holds")
    return 0


if __name__ == "__main__":
    sys.exit(main())
