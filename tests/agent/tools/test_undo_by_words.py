"""What was done last is taken back by voice, without a language model."""

from pathlib import Path
from typing import Any

import pytest

from agent.tools.reflex_words import TABLES, words_of
from tests.agent.tools.test_files_in_conversation import ASK, contents, talk, write
from tests.support.scripted_llm import Reply
from tests.support.virtual_time import in_virtual_time

LANGUAGES = sorted(path.stem for path in TABLES.glob("*.toml"))


@in_virtual_time
async def test_the_newest_act_is_taken_back_and_then_the_one_before_it(tmp_path: Path) -> None:
    other = "create a file named shopping dot text saying bread"
    held, sent = await talk(tmp_path, [], ASK, other, "undo that", "Take it back, please.", "undo", reflexes=True)
    assert contents(tmp_path) == {}
    assert held.texts("bot_written") == [
        *("Done.", "Done.", "I've taken it back.", "I've taken it back.", "There is nothing to take back.")
    ]
    ids = [event["id"] for event in held.named("tool_call")]
    assert [(event["id"], event["state"]) for event in held.named("tool_undo")] == [
        *((ids[0], "offered"), (ids[1], "offered"), (ids[1], "done"), (ids[0], "done"))
    ]
    assert sent == []


@in_virtual_time
async def test_what_cannot_be_taken_back_is_said_so_and_tried_once(tmp_path: Path) -> None:
    def change(event: dict[str, Any]) -> None:
        if event["event"] == "tool_undo" and event["state"] == "offered":
            write(tmp_path, "by hand")

    held, sent = await talk(tmp_path, [], ASK, "undo it", "undo", reflexes=True, sinks=[change])
    assert held.texts("bot_written") == ["Done.", "That didn't work.", "There is nothing to take back."]
    assert [event["state"] for event in held.named("tool_undo")] == ["offered", "failed"]
    assert contents(tmp_path) == {"notes.txt": "by hand"}
    assert sent == []


@in_virtual_time
async def test_nothing_older_is_taken_back_in_the_place_of_what_cannot_be(tmp_path: Path) -> None:
    heard = [
        ASK,
        "set a timer for ten minutes",
        "undo that",
        "cancel the timer",
        "undo",
        ASK.replace("notes", "more"),
        "undo",
    ]
    held, sent = await talk(tmp_path, [], *heard, reflexes=True)
    assert contents(tmp_path) == {"notes.txt": "buy milk\n"}
    assert held.texts("bot_written") == [
        *("Done.", "Timer set for 10 minutes.", "I can't take that back."),
        *("The timer is cancelled.", "I can't take that back.", "Done.", "I've taken it back."),
    ]
    assert [event["state"] for event in held.named("tool_undo")] == ["offered", "offered", "done"]
    assert sent == []


@in_virtual_time
async def test_the_next_turn_knows_what_was_taken_back(tmp_path: Path) -> None:
    _, sent = await talk(tmp_path, [Reply("It is not.")], ASK, "undo that", "is it there", reflexes=True)
    assert contents(tmp_path) == {}
    (told,) = [message["content"] for message in sent[0]["messages"] if message["role"] == "tool"]
    assert "the user took this back" in told


@pytest.mark.parametrize(
    ("language", "text"),
    [
        ("en", "Undo."),
        ("de", "Mach das rückgängig."),
        ("fr", "Défais ça."),
        ("es", "Deshazlo."),
        ("it", "Annulla l'ultima azione."),
        ("pt", "Desfaz isso."),
    ],
)
def test_each_language_has_words_to_take_back_what_was_done(language: str, text: str) -> None:
    words = words_of(language)
    assert words
    matched = words.match(text)
    assert matched
    assert matched.name == "undo"
    assert words.say("undone") != words.say("nothing_to_undo")


@pytest.mark.parametrize("text", ["Take it back to the shop.", "How do I undo a commit?", "I take that back."])
def test_who_only_speaks_of_it_takes_nothing_back(text: str) -> None:
    words = words_of("en")
    assert words
    assert words.match(text) is None
