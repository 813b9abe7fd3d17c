"""Ears for an interpreter: those that hear only the language that is to come out are passed over, and say why."""

from typing import Any

import pytest

from agent.engines.stt import stt_candidates
from agent.settings.load import Settings


def reasons(**stt: Any) -> dict[str, str | None]:
    """By engine and model, why it cannot be used."""
    settings = Settings.model_validate({"interpreter": {"into": stt.pop("into", "en")}, "stt": stt})
    return {f"{one.engine} {one.model}": one.reason for one in stt_candidates(settings)}


@pytest.mark.parametrize("engine", ["whisper tiny.en", "pocketsphinx en-us"])
def test_ears_that_know_english_only_are_none_for_an_interpreter_into_english(engine: str) -> None:
    told = "it knows English only, and interpreter.into = en asks for other languages"
    assert reasons(language="auto")[engine] == told
    # An English speaker is heard by them.
    assert reasons(language="en", into="de")[engine] is None


def test_what_is_spoken_is_not_what_is_to_come_out() -> None:
    told = "stt.language = en is the language that interpreter.into asks for"
    assert reasons(language="en")["whisper tiny.en"] == told
