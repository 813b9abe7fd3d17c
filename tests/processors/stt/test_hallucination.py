"""What Whisper invents is dropped, what people say is kept; committed words are never taken back."""

import pytest

from processors.stt.agreement import LocalAgreement
from processors.stt.hallucination import Guards, repeats_itself
from processors.text.bare_words import bare

# What the model says of clear speech at an ordinary level.
CLEAR = {
    "no_speech_probability": 0.01,
    "average_log_probability": -0.2,
    "compression_ratio": 1.0,
    "level_dbfs": -22.0,
}


@pytest.mark.parametrize("text", ["Thank you.", "Okay.", "no no no no", "Turn on the kitchen lights please."])
def test_clear_speech_is_believed(text: str) -> None:
    assert Guards().objection(text, **CLEAR) is None


def test_no_speech_needs_both_doubts() -> None:
    doubt = {"no_speech_probability": 0.7, "average_log_probability": -1.2}
    assert Guards().objection("Hm.", **{**CLEAR, **doubt}) == "no speech"
    for name in doubt:
        assert Guards().objection("Turn it off.", **{**CLEAR, name: doubt[name]}) is None


def test_text_that_repeats_itself_is_dropped() -> None:
    assert Guards().objection("so so so so so so so so", **CLEAR) == "repetition"
    assert Guards().objection("Fine.", **{**CLEAR, "compression_ratio": 2.5}) == "repetition"
    assert Guards(compression_ratio=3.0).objection("Fine.", **{**CLEAR, "compression_ratio": 2.5}) is None


def test_known_phantoms_are_dropped_on_near_silence_only() -> None:
    for quiet in ({"level_dbfs": -55.0}, {"no_speech_probability": 0.7}):
        assert Guards().objection("Thank you!", **{**CLEAR, **quiet}) == "phantom phrase"
        assert Guards().objection("Turn it off.", **{**CLEAR, **quiet}) is None
    assert Guards(phantom_level_dbfs=-60.0).objection("Thank you!", **{**CLEAR, "level_dbfs": -55.0}) is None


@pytest.mark.parametrize(
    ("text", "repeats"),
    [
        ("thank you. Thank you, thank you thank you", True),
        ("I think " + "and so on " * 4, True),
        ("no " * 7, False),
        ("no " * 8, True),
        ("one two one two one two", False),
        ("", False),
    ],
)
def test_a_loop_is_a_phrase_four_times_or_a_word_eight_times(text: str, repeats: bool) -> None:
    assert repeats_itself(text) is repeats


def test_words_are_committed_when_two_hypotheses_agree_and_stay() -> None:
    agreement = LocalAgreement()
    heard = ["Turn", "turn on the", "Turn on the kitten.", "Turn on the kitchen lights", "Burn on the kitchen lights"]
    assert [agreement.add(hypothesis) for hypothesis in heard] == [
        "",
        "turn",
        "turn on the",
        "turn on the",
        "turn on the",
    ]


def test_words_are_compared_without_case_and_punctuation() -> None:
    assert bare("  Well-known: It's ¿ÜBER? ") == "well known its über"
