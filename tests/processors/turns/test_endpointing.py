"""How long a pause ends the turn: by the voice, by the words, by the speaker's habit."""

import itertools
from dataclasses import replace

import numpy as np
import pytest

from agent.commands.script import Step
from agent.settings.load import load_settings
from processors.turns.endpointing import OPEN, UNKNOWN, WHOLE, SpeakerPace, completeness, pause_to_wait_for
from tests.support.house import SPEECH, hold, hosting
from tests.support.llm_session import options
from tests.support.scripted_engines import ScriptedRecognizerEngine, ScriptedSynthesizer
from tests.support.scripted_llm import Reply, ScriptedLLM
from tests.support.virtual_time import in_virtual_time
from transports.recording import Recording, load_recording

BOUNDS = {"min_secs": 0.2, "max_secs": 1.6}


@pytest.mark.parametrize(
    "text",
    ["what time is it", "What time is it?", "how are you today", "stop", "Yes.", "thank you", "where are my keys"],
)
def test_whole_questions_and_whole_answers_are_whole(text: str) -> None:
    assert completeness(text, "en") == WHOLE


@pytest.mark.parametrize(
    "text",
    [
        "turn on the",
        "I was thinking, and",
        "um",
        "it is because",
        "I want to...",
        "well,",
        "set a timer for",
        "play something by",
        "remind me to call",
    ],
)
def test_words_that_cannot_be_the_last_leave_it_open(text: str) -> None:
    assert completeness(text, "en") == OPEN


@pytest.mark.parametrize(
    "text", ["how many days", "which of the two", "my phone number is four two nine", "who is the president of", "set"]
)
def test_questions_without_a_verb_open_endings_and_numbers_said_one_by_one_probably_go_on(text: str) -> None:
    assert completeness(text, "en") <= 0.2
    assert pause_to_wait_for(0.9, completeness(text, "en"), **BOUNDS) > 1.2


@pytest.mark.parametrize(
    "text",
    ["turn the lights on", "yes I am", "what can you do", "where are you from", "what is it about", "come in"],
)
def test_an_ending_that_is_seldom_one_is_taken_for_one_when_the_voice_is_sure(text: str) -> None:
    assert pause_to_wait_for(0.98, completeness(text, "en"), **BOUNDS) < 0.9


def test_words_that_say_neither_are_given_time_to_go_on() -> None:
    assert pause_to_wait_for(0.95, completeness("turn on the kitchen", "en"), **BOUNDS) == pytest.approx(0.4)


@pytest.mark.parametrize("text", ["", "   ", "?!", "play some", "bücher", "世界"])
def test_what_says_neither_is_unknown(text: str) -> None:
    assert completeness(text, "en") == UNKNOWN


@pytest.mark.parametrize(
    ("text", "language", "expected"),
    [
        ("quiero ir a la", "es", OPEN),
        ("buenos días", "es", WHOLE),
        ("ich gehe in den", "de", OPEN),
        ("guten Morgen", "de", WHOLE),
        ("je vais à la", "fr", OPEN),
        ("merci", "fr", WHOLE),
        ("quiero ir a la", "xx", 0.6),
    ],
)
def test_other_languages_have_words_of_their_own(text: str, language: str, expected: float) -> None:
    assert completeness(text, language) == expected


def test_when_voice_and_words_agree_the_shortest_pause_is_enough() -> None:
    assert pause_to_wait_for(0.95, WHOLE, **BOUNDS) == 0.2
    assert pause_to_wait_for(0.05, OPEN, **BOUNDS) == 1.6


def test_open_words_hold_the_turn_whatever_the_voice_says() -> None:
    assert pause_to_wait_for(0.99, OPEN, **BOUNDS) == 1.6


def test_a_whole_question_is_answered_within_a_second_whatever_the_voice_says() -> None:
    # Smart-turn gives 0.11 to "how are you today" and 0.07 to "hello world".
    assert pause_to_wait_for(0.07, WHOLE, **BOUNDS) < 1.0


def test_the_wait_shrinks_with_every_sign_of_an_end_and_stays_within_bounds() -> None:
    steps = [step / 20 for step in range(21)]
    for complete in steps:
        waits = [pause_to_wait_for(probability, complete, **BOUNDS) for probability in steps]
        assert waits == sorted(waits, reverse=True)
    for probability in steps:
        waits = [pause_to_wait_for(probability, complete, **BOUNDS) for complete in (OPEN, 0.2, UNKNOWN, 0.85, WHOLE)]
        assert waits == sorted(waits, reverse=True) or probability > 0.5
    for probability, complete, factor in itertools.product(steps, steps, (0.5, 1.0, 2.5)):
        assert 0.2 <= pause_to_wait_for(probability, complete, factor=factor, **BOUNDS) <= 1.6


def test_without_a_judgement_of_the_voice_the_words_decide() -> None:
    assert pause_to_wait_for(None, WHOLE, **BOUNDS) < pause_to_wait_for(None, UNKNOWN, **BOUNDS)
    assert pause_to_wait_for(None, OPEN, **BOUNDS) == 1.6


def test_the_speaker_s_own_pauses_are_learned_within_bounds() -> None:
    pace = SpeakerPace()
    assert pace.factor == 1.0
    for _ in range(20):
        pace.learn(30.0)
    assert pace.factor == 1.4
    for _ in range(40):
        pace.learn(0.05)
    assert pace.factor == 0.8


def with_a_pause_of_a_second() -> Recording:
    """The fixture pauses for 0.6 s; 0.4 s more are put into the middle of it."""
    spoken = load_recording(SPEECH / "days_in_a_week_with_pause.wav")
    loud = np.flatnonzero(np.abs(spoken.audio_s16.astype(int)) > 100)
    before = loud[np.argmax(np.diff(loud))]
    at = int(before) + int(0.3 * 16_000)
    longer_s16 = np.concatenate([spoken.audio_s16[:at], np.zeros(6_400, np.int16), spoken.audio_s16[at:]])
    return replace(spoken, audio_s16=longer_s16, voiced_end_secs=spoken.voiced_end_secs + 0.4)


async def turns_of(first_half: str) -> list[str]:
    """The turns of a sentence with a pause of 1.0 s, of which the recognizer makes this text at the pause.

    At the end of the sentence it makes "are in a week" of what it has not published yet.
    """
    stt = ScriptedRecognizerEngine(first_half, "are in a week")
    async with (
        ScriptedLLM(Reply("Well."), Reply("Seven.")) as server,
        hosting(stt, options(server), ScriptedSynthesizer()) as host,
    ):
        held = await hold(host, [Step(with_a_pause_of_a_second())], settings=load_settings())
    return held.texts("turn_ended")


@in_virtual_time
async def test_the_same_pause_ends_a_whole_sentence_and_not_half_of_one() -> None:
    # Smart-turn gives 0.98 to both: only the words differ.
    assert await turns_of("stop") == ["stop", "are in a week"]
    assert await turns_of("how many days") == ["are in a week"]
