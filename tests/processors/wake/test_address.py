"""The word at the beginning of what was said is no part of the question."""

import pytest

from processors.wake.address import without_address

PHRASES = ("Hey Jarvis", "Alexa")


@pytest.mark.parametrize(
    ("text", "rest"),
    [
        ("Hey Jarvis, what time is it?", "what time is it?"),
        ("hey jarvis what time is it", "what time is it"),
        ("Hey, Jarves! What time is it?", "What time is it?"),
        ("Jarvis, what time is it?", "what time is it?"),
        ("Alexa what time is it", "what time is it"),
        ("Hey Jarvis.", ""),
        ("Jarvis", ""),
        ("Jarvis is a name.", "Jarvis is a name."),
        ("Who is Jarvis?", "Who is Jarvis?"),
        ("Tell Alexa that I am here.", "Tell Alexa that I am here."),
        ("Hey, you there.", "Hey, you there."),
        ("Alexa.", ""),
        ("Alexa, is it late?", "is it late?"),
        ("Alex is coming to dinner.", "Alex is coming to dinner."),
        ("Alex.", "Alex."),
        ("Alex, is it late?", "Alex, is it late?"),
        ("Alexis is a name.", "Alexis is a name."),
        ("", ""),
        ("...", "..."),
    ],
)
def test_the_address_goes_and_the_rest_stays(text: str, rest: str) -> None:
    assert without_address(text, PHRASES) == rest
