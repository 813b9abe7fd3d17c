"""What holds in every conversation, whoever speaks when and however slow or faulty the engines are.

    uv run python -m tests.processors.turns.test_dynamics_properties --examples 500 --seed 7

holds more of them than the suite does, and makes what fails as small as it can.
"""

import argparse
import functools
import sys
from dataclasses import replace
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
from tests.support.dynamics_rules import problems_of
from tests.support.dynamics_scenario import Act, Answering, Scenario
from tests.support.dynamics_scripts import play

ALL_CHECKS = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.large_base_example]


def _up_to(most_ms: int) -> st.SearchStrategy[int]:
    return st.integers(0, most_ms // 50).map(lambda steps: steps * 50)


SPOKEN = st.builds(
    Act,
    kind=st.sampled_from(["words", "words", "words", "backchannel", "command", "laugh", "cough"]),
    after=st.sampled_from(["idle", "said", "reply", "reply", "thinking"]),
    delay_ms=_up_to(2000),
    misheard=st.integers(0, 19).map(lambda one: one == 19),
)
TYPED = st.builds(
    Act,
    kind=st.just("typed"),
    after=st.sampled_from(["idle", "now", "reply", "thinking", "token"]),
    delay_ms=_up_to(2000),
)
# A press of the key: at any moment between the question's end and the answer's.
KEYS = st.builds(
    Act,
    kind=st.just("key"),
    after=st.sampled_from(["reply", "thinking", "token"]),
    delay_ms=st.integers(0, 2000),
)
ACTS = st.one_of(SPOKEN, SPOKEN, TYPED, KEYS)
ANSWERS = st.builds(
    Answering,
    n_words=st.integers(1, 14),
    first_ms=_up_to(2000),
    # Each gap of another length, so that at any moment other work is under way.
    token_ms=st.one_of(st.just((0,)), st.lists(st.integers(0, 300), min_size=1, max_size=6).map(tuple)),
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
    busy_ms=st.sampled_from([0, 0, 0, 60, 120]),
)


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
    "a key while it is being written": replace(
        PLAIN,
        acts=(QUESTION, Act("key", "reply", 730), Act("typed", "idle", 0), Act("key", "token", 310)),
        answers=(Answering(14, token_ms=(90, 210, 30, 160)),),
        speak_ms=(40, 130),
        chunk_ms=100,
    ),
    "a voice while it is being written, on a busy machine": replace(
        PLAIN,
        acts=(QUESTION, Act("command", "reply", 470)),
        answers=(Answering(14, token_ms=(0, 0, 0, 400)),),
        busy_ms=120,
    ),
    "a key while it is being written, on a busy machine": replace(
        PLAIN,
        acts=(QUESTION, Act("key", "reply", 300)),
        answers=(Answering(14, token_ms=(0, 0, 0, 400)),),
        busy_ms=120,
    ),
    "typed over the agent, and while one speaks": replace(
        PLAIN,
        acts=(QUESTION, Act("typed", "reply", 900), Act("words", "idle", 0), Act("typed", "now", 600)),
        answers=(Answering(14, token_ms=(70, 140)),),
    ),
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


N_DRAWN = 25


@functools.cache
def drawn(n_scenarios: int = N_DRAWN) -> list[Scenario]:
    """Different conversations, the same ones every time; drawn once a process, and only where one is held."""
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


@pytest.mark.long
@pytest.mark.apart
@pytest.mark.parametrize("scenario", [*PINNED, *(f"drawn {n}" for n in range(N_DRAWN))])
def test_whatever_is_said_when_is_heard_answered_and_remembered_as_it_was(scenario: str) -> None:
    said = PINNED.get(scenario) or drawn()[int(scenario.removeprefix("drawn "))]
    assert problems_of(play(said)) == [], f"in {said}"


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
