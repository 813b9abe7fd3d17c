"""Whether words ask for a tool and bear out what it is called with, in each language of the tables."""

import tomllib
from pathlib import Path
from typing import Any

import pytest

from agent.memory.tools import Forget, Remember
from agent.tools.choice_prompts import schema_of
from agent.tools.choice_words import MAX_DURATION_WORDS
from agent.tools.file_tools import file_tools
from agent.tools.home import HomeSwitch
from agent.tools.reflex_words import TABLES, words_of
from agent.tools.timer_tools import timer_tools
from agent.tools.timers import TimerBook
from agent.tools.tool import Tool
from processors.llm.choice import read_answer
from processors.llm.told_calls import ANSWER, MARK, calls_told


async def nothing(_: Any) -> None:
    """Is never run."""


TOOLS = {
    tool.name: tool
    for tool in [
        *timer_tools(TimerBook()),
        *file_tools(Path()),
        Tool("remember", "?", Remember, nothing, acts=True),
        Tool("forget", "?", Forget, nothing, acts=True),
        Tool("home_switch", "?", HomeSwitch, nothing, acts=True),
    ]
}
LANGUAGES = sorted(path.stem for path in TABLES.glob("*.toml"))


def borne_out(language: str, text: str, name: str, arguments: dict[str, Any]) -> bool:
    words = words_of(language)
    assert words
    turn = words.choice.turn(text)
    offered = words.choice.n_matching(TOOLS[name], turn) > 0
    return offered and words.choice.bears_out(TOOLS[name], arguments, turn, wholly=True)


STATED = [
    ("en", "I forget what you said about the dog.", "forget", {"about": "dog"}),
    ("en", "You want me to cancel all my timers?", "cancel_timer", {"which": "all"}),
    ("en", "Cancel the timer?", "cancel_timer", {}),
    ("en", "I want you to cancel all my timers.", "cancel_timer", {}),
    ("en", "Did you set a timer for five minutes?", "set_timer", {"seconds": 300}),
    ("de", "Ich vergiss, was du über den Hund gesagt hast.", "forget", {"about": "Hund"}),
    ("de", "Lösche die Datei Einkauf?", "delete_file", {"name": "Einkauf"}),
    # Seven is not surely seven in the evening, and nineteen never in the morning.
    ("en", "Set an alarm for 19:00.", "set_alarm", {"time": "07:00"}),
    ("en", "Wake me up at seven.", "set_alarm", {"time": "19:00"}),
    ("de", "Stell den Wecker auf 19 Uhr.", "set_alarm", {"time": "07:00"}),
    ("es", "Pon la alarma a las 19.", "set_alarm", {"time": "07:00"}),
]


@pytest.mark.parametrize(("language", "text", "name", "arguments"), STATED)
def test_what_is_stated_or_asked_and_another_time_are_never_certain(
    language: str, text: str, name: str, arguments: dict[str, Any]
) -> None:
    assert not borne_out(language, text, name, arguments)


def test_a_polite_question_is_an_order() -> None:
    assert borne_out("en", "Can you set a timer for five minutes?", "set_timer", {"seconds": 300})
    assert borne_out("en", "Set an alarm for 19:00.", "set_alarm", {"time": "19:00"})


def test_a_turn_that_is_very_long_is_looked_at_in_little_work(monkeypatch: pytest.MonkeyPatch) -> None:
    words = words_of("en")
    assert words
    n_tried = 0

    def tried(_: str) -> None:
        nonlocal n_tried
        n_tried += 1

    monkeypatch.setattr(words.choice, "_read_secs", tried)
    for _ in range(3):
        assert len(words.choice.turn("plainly " * 39).words) == 39
    # Each word with so many of those behind it, and no turn twice.
    assert 39 < n_tried <= 39 * MAX_DURATION_WORDS
    assert words.choice.turn("word " * 100).words == ()


@pytest.mark.parametrize(
    ("language", "text", "name", "arguments"),
    [
        ("en", "Set a rice timer for three minutes.", "set_timer", {"seconds": 180, "label": "rice"}),
        ("en", "Remember that I don't like olives.", "remember", {"fact": "I don't like olives"}),
        ("en", "Add bread to my notes.", "append_to_file", {"name": "notes", "text": "bread"}),
        (
            "en",
            "Create a file named notes dot text saying buy milk",
            "create_file",
            {"name": "notes.txt", "text": "buy milk"},
        ),
        ("en", "Wake me up at seven thirty.", "set_alarm", {"time": "07:30"}),
        ("de", "Stell einen Timer auf fünf Minuten.", "set_timer", {"seconds": 300}),
        ("de", "Merk dir, dass mein Hund Rex heißt.", "remember", {"fact": "mein Hund Rex heißt"}),
        ("de", "Lösche die Datei Einkauf.", "delete_file", {"name": "Einkauf"}),
        ("es", "Pon un temporizador de cinco minutos.", "set_timer", {"seconds": 300}),
        ("es", "Borra el archivo compras.", "delete_file", {"name": "compras"}),
        ("fr", "Mets un minuteur de cinq minutes.", "set_timer", {"seconds": 300}),
        ("fr", "Supprime le fichier courses.", "delete_file", {"name": "courses"}),
        ("it", "Imposta un timer di cinque minuti.", "set_timer", {"seconds": 300}),
        ("it", "Cancella il file spesa.", "delete_file", {"name": "spesa"}),
        ("pt", "Defina um temporizador de cinco minutos.", "set_timer", {"seconds": 300}),
        ("pt", "Apague o arquivo compras.", "delete_file", {"name": "compras"}),
        ("en", "Turn on the lamp in the kitchen.", "home_switch", {"name": "lamp", "area": "kitchen", "action": "on"}),
        ("en", "Change the name of b.txt to c.txt.", "rename_file", {"name": "b.txt", "new_name": "c.txt"}),
        ("en", "Rename notes dot text to list dot text", "rename_file", {"name": "notes.txt", "new_name": "list.txt"}),
        ("en", "Put bread on my shopping list", "append_to_file", {"text": "bread", "name": "shopping list"}),
        ("en", "Make a note saying buy milk called food", "create_file", {"text": "buy milk", "name": "food"}),
        ("de", "Füge Milch zur Einkaufsliste hinzu.", "append_to_file", {"text": "Milch", "name": "Einkaufsliste"}),
        ("de", "Erstelle eine Datei namens Essen mit Milch", "create_file", {"text": "Milch", "name": "Essen"}),
        ("es", "Añade pan a la lista compras.", "append_to_file", {"text": "pan", "name": "compras"}),
        ("es", "Crea un archivo llamado cosas que diga pan", "create_file", {"text": "pan", "name": "cosas"}),
        ("fr", "Ajoute du pain à ma liste.", "append_to_file", {"text": "du pain", "name": "liste"}),
        ("fr", "Crée un fichier nommé courses disant du pain", "create_file", {"text": "du pain", "name": "courses"}),
        ("it", "Aggiungi pane alla lista spesa.", "append_to_file", {"text": "pane", "name": "spesa"}),
        ("it", "Crea un file chiamato cose che dice pane", "create_file", {"text": "pane", "name": "cose"}),
        ("pt", "Adicione pão à lista compras.", "append_to_file", {"text": "pão", "name": "compras"}),
        ("pt", "Crie um arquivo chamado coisas que diz pão", "create_file", {"text": "pão", "name": "coisas"}),
        ("en", "Cancel the twenty minute timer.", "cancel_timer", {"seconds": 1200}),
        ("de", "Lösche den Timer von zwanzig Minuten.", "cancel_timer", {"seconds": 1200}),
    ],
)
def test_a_plain_order_bears_out_what_it_says(language: str, text: str, name: str, arguments: dict[str, Any]) -> None:
    assert borne_out(language, text, name, arguments)


def test_a_duration_that_was_said_is_the_only_one_that_can_be_chosen() -> None:
    def properties(secs: float | None, name: str) -> dict[str, Any]:
        return schema_of([TOOLS[name]], secs, [])["anyOf"][0]["properties"]["parameters"]["properties"]

    assert properties(1200, "cancel_timer")["seconds"] == {"type": "number", "enum": [1200]}
    assert "seconds" not in properties(None, "cancel_timer")
    assert properties(90.5, "set_timer")["seconds"] == {"type": "number", "enum": [90.5]}


@pytest.mark.parametrize(
    ("language", "text", "name", "arguments"),
    [
        ("en", "Don't set a timer for five minutes.", "set_timer", {"seconds": 300}),
        ("en", "Set a timer for five minutes if it rains.", "set_timer", {"seconds": 300}),
        ("en", "Set a timer for five minutes.", "set_timer", {"seconds": 600}),
        ("en", "Set a timer for five minutes and ten minutes.", "set_timer", {"seconds": 300}),
        ("en", "Cancel all timers except the tea timer.", "cancel_timer", {}),
        ("en", "Cancel all timers except the tea timer.", "cancel_timer", {"label": "tea"}),
        ("en", "Cancel the tea timer.", "cancel_timer", {}),
        ("en", "Cancel the twenty minute timer.", "cancel_timer", {}),
        ("en", "Cancel the twenty minute timer.", "cancel_timer", {"seconds": 600}),
        ("en", "Delete it.", "delete_file", {"name": "it"}),
        ("en", "Should I delete my notes?", "delete_file", {"name": "notes"}),
        ("en", "Add call Anna to my list.", "append_to_file", {"name": "call", "text": "Anna"}),
        (
            "en",
            "Create a file named poem saying a poem about the sea.",
            "create_file",
            {"name": "poem", "text": "a poem about the sea"},
        ),
        ("en", "Wake me up at seven.", "set_alarm", {"time": "08:00"}),
        ("en", "Wake me up at seven in the evening.", "set_alarm", {"time": "07:00"}),
        ("de", "Stell keinen Timer auf fünf Minuten.", "set_timer", {"seconds": 300}),
        ("es", "No pongas un temporizador de cinco minutos.", "set_timer", {"seconds": 300}),
        ("fr", "Ne mets pas un minuteur de cinq minutes.", "set_timer", {"seconds": 300}),
        ("it", "Non impostare un timer di cinque minuti.", "set_timer", {"seconds": 300}),
        ("pt", "Não defina um temporizador de cinco minutos.", "set_timer", {"seconds": 300}),
    ],
)
def test_what_says_more_or_something_else_leaves_a_doubt(
    language: str, text: str, name: str, arguments: dict[str, Any]
) -> None:
    assert not borne_out(language, text, name, arguments)


def test_every_table_has_words_for_the_same_tools() -> None:
    needs = [set(tomllib.loads((TABLES / f"{code}.toml").read_text("utf-8"))["choice"]["needs"]) for code in LANGUAGES]
    assert needs == [needs[0]] * len(LANGUAGES)


@pytest.mark.parametrize("text", [None, "", "no json at all", "7", "[]", "[1, 2]", "{" * 5_000, "\x00" * 30_000])
def test_what_is_no_object_is_no_choice(text: str | None) -> None:
    assert read_answer(text) == {}


def test_results_are_told_below_the_words_that_they_answer_and_cut() -> None:
    def called(call_id: str, content: str) -> list[Any]:
        function = {"name": "recall", "arguments": "{}"}
        call = {"id": call_id, "type": "function", "function": function}
        return [
            {"role": "assistant", "tool_calls": [call]},
            {"role": "tool", "tool_call_id": call_id, "content": content},
        ]

    asked, again = {"role": "user", "content": "one"}, {"role": "user", "content": "two"}
    history: list[Any] = [
        asked,
        *called("a", "Rex"),
        {"role": "assistant", "content": "Rex."},
        again,
        *called("b", "x" * 99),
    ]
    told: list[Any] = calls_told(history, 30)
    assert [message["content"] for message in told] == [
        f"one\n\n{MARK}\n> recall: Rex",
        "Rex.",
        f"two\n\n{MARK}\n> recall: {'x' * 22}\n{ANSWER}",
    ]
    assert (asked["content"], len(history)) == ("one", 7)


RENAMED = [
    ("en", "Rename b.txt to secrets.txt.", "rename_file"),
    ("en", "Rename the file b.txt into secrets.txt", "rename_file"),
    ("de", "Benenne die Datei b.txt in secrets.txt um.", "rename_file"),
    ("es", "Renombra el archivo b.txt a secrets.txt.", "rename_file"),
    ("fr", "Renomme le fichier b.txt en secrets.txt.", "rename_file"),
    ("it", "Rinomina il file b.txt in secrets.txt.", "rename_file"),
    ("pt", "Renomeie o arquivo b.txt para secrets.txt.", "rename_file"),
]


@pytest.mark.parametrize(("language", "text", "name"), RENAMED)
def test_which_of_two_names_is_the_new_one_is_read_from_the_words_and_not_guessed(
    language: str, text: str, name: str
) -> None:
    right, confused = {"name": "b.txt", "new_name": "secrets.txt"}, {"name": "secrets.txt", "new_name": "b.txt"}
    words = words_of(language)
    assert words
    turn = words.choice.turn(text)
    assert borne_out(language, text, name, right)
    assert not borne_out(language, text, name, confused)
    assert words.choice.in_order(TOOLS[name], confused, turn) == right
    assert words.choice.in_order(TOOLS[name], right, turn) == right


@pytest.mark.parametrize(
    ("language", "text", "name", "arguments"),
    [
        # Two texts, and nothing that tells which is which.
        ("en", "Rename b.txt, secrets.txt.", "rename_file", {"name": "b.txt", "new_name": "secrets.txt"}),
        ("en", "Rename to b.txt the file secrets.txt.", "rename_file", {"name": "secrets.txt", "new_name": "b.txt"}),
        # What a file holds may be meant, and not its name.
        ("en", "Append list.txt to secrets.txt", "append_to_file", {"text": "list.txt", "name": "secrets.txt"}),
        ("en", "Append list.txt to secrets.txt", "append_to_file", {"text": "secrets.txt", "name": "list.txt"}),
        ("en", "Add list dot text to my notes", "append_to_file", {"text": "list dot text", "name": "notes"}),
        ("en", "Add notes to bread.", "append_to_file", {"name": "notes", "text": "bread"}),
    ],
)
def test_texts_that_may_be_meant_the_other_way_round_are_not_certain(
    language: str, text: str, name: str, arguments: dict[str, Any]
) -> None:
    assert not borne_out(language, text, name, arguments)
