"""What speech over the agent wants, told from its words."""

import pytest

from processors.turns.backchannel import Meaning, meaning_of, sounds_like_command


@pytest.mark.parametrize(
    ("text", "language", "meaning"),
    [
        ("Okay, but stop.", "en", Meaning.COMMAND),
        ("yeah no wait a second", "en", Meaning.COMMAND),
        ("uh hold on", "en", Meaning.COMMAND),
        ("please just be quiet", "en", Meaning.COMMAND),
        ("okay but why", "en", Meaning.FLOOR),
        ("the bus stop", "en", Meaning.FLOOR),
        ("don't stop", "en", Meaning.FLOOR),
        ("ja aber warte mal", "de", Meaning.COMMAND),
        ("oui mais attends", "fr", Meaning.COMMAND),
        ("sí pero espera", "es", Meaning.COMMAND),
        ("sí, claro", "es", Meaning.BACKCHANNEL),
        # Of a language that it does not know, English words count.
        ("okay", "it", Meaning.BACKCHANNEL),
        ("stop", "it", Meaning.COMMAND),
        ("", "en", Meaning.NOTHING),
    ],
)
def test_a_command_counts_behind_agreement_and_nothing_else(text: str, language: str, meaning: Meaning) -> None:
    assert meaning_of(text, language, asked=False) is meaning


@pytest.mark.parametrize(
    ("text", "language", "like"),
    [
        ("top", "en", True),
        ("stopp", "en", True),
        ("hold", "de", False),
        ("alt", "de", True),
        ("shop around", "en", True),
        ("her", "en", False),
        ("the", "en", False),
        ("step up", "en", True),
        ("", "en", False),
        ("top", "xx", True),
    ],
)
def test_a_word_may_be_a_command_but_for_one_letter(text: str, language: str, like: bool) -> None:
    assert sounds_like_command(text, language) is like


@pytest.mark.parametrize(("text", "asked_for"), [("yes", Meaning.FLOOR), ("mm-hm", Meaning.BACKCHANNEL)])
def test_agreement_answers_a_question(text: str, asked_for: Meaning) -> None:
    assert meaning_of(text, "en", asked=True) is asked_for
    assert meaning_of(text, "en", asked=False) is Meaning.BACKCHANNEL
