"""Alarms by words alone, and which of several timers and alarms is meant: asked in one short question."""

import re
import tomllib
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from agent.commands.script import Step, Typed
from agent.conversation.event_log import Event
from agent.tools.clock_words import SaidTime
from agent.tools.reflex_words import TABLES, words_of
from agent.tools.timer_tools import next_time
from agent.tools.timers import Timer, TimerBook
from agent.tools.tool import Arguments, Tool
from tests.support.house import Held, hold, hosting
from tests.support.llm_session import options
from tests.support.scripted_engines import ScriptedRecognizerEngine, ScriptedSynthesizer
from tests.support.scripted_llm import Reply, ScriptedLLM, ToolCall
from tests.support.virtual_time import in_virtual_time

LANGUAGES = sorted(path.stem for path in TABLES.glob("*.toml"))
TALK = "The model speaks."


class Asked(Arguments):
    """A job."""


async def _nothing(_: Asked) -> str:
    return "done"


async def talk(
    *turns: str,
    script: tuple[Reply, ...] = (),
    reflexes: bool = True,
    tool: str = "switch_lamp",
    last_after_secs: float = 0.0,
    **how: Any,
) -> tuple[Held, list[str], list[str]]:
    """Typed turns; what happened, the answers, and the timers that are left, by label or kind."""
    book, left = TimerBook(), list[str]()

    def look(event: Event) -> None:
        if event["event"] == "reply_text":
            left[:] = [timer.label or ("alarm" if timer.alarm else f"{timer.whole_secs:g}") for timer in book.pending()]
            if len(held_texts) + 1 == len(turns):
                # A conversation is not over before what was set in it.
                book.cancel()
            held_texts.append(event["text"])

    held_texts: list[str] = []
    async with (
        ScriptedLLM(*script) as server,
        hosting(ScriptedRecognizerEngine(), options(server, **how), ScriptedSynthesizer()) as host,
    ):
        server.otherwise = Reply(TALK)
        own = Tool(tool, "Switch it.", Asked, _nothing, acts=True)
        steps = [Step(Typed(words, spoken=False)) for words in turns[:-1]]
        steps.append(Step(Typed(turns[-1], spoken=False), delay_secs=last_after_secs))
        held = await hold(host, steps, reflexes=reflexes, timers=book, sinks=[look], tools=[own], limit_secs=60)
    await book.close()
    return held, held_texts, left


TEA, TEN = "Set a tea timer for five minutes.", "Set a timer for ten minutes."
QUESTION = "Which one: the tea timer or the timer for 10 minutes?"


@pytest.mark.parametrize(
    ("answer", "said", "left"),
    [
        ("The ten minute one.", "Cancelled: the timer for 10 minutes.", ["tea"]),
        ("The tea one, please.", "Cancelled: the tea timer.", ["600"]),
        ("Both.", "2 timers are cancelled.", []),
        ("Never mind.", "Okay.", ["tea", "600"]),
        ("What do you mean?", TALK, ["tea", "600"]),
    ],
)
@in_virtual_time
async def test_it_may_be_any_of_several_so_it_is_asked_which_one(answer: str, said: str, left: list[str]) -> None:
    _, answers, kept = await talk(TEA, TEN, "What is 2 + 2?", "Cancel it.", answer)
    assert answers[3:] == [QUESTION, said]
    assert kept == left


@in_virtual_time
async def test_the_timer_that_was_just_set_is_it_without_a_question() -> None:
    _, answers, left = await talk(TEA, TEN, "Cancel it.")
    assert (answers[-1], left) == ("Cancelled: the timer for 10 minutes.", ["tea"])


@in_virtual_time
async def test_where_something_else_was_done_since_it_may_be_that() -> None:
    calls = (Reply(tool_calls=[ToolCall("switch_lamp", ("{}",), "call_1")]), Reply("The lamp is on."))
    _, answers, left = await talk(TEA, TEN, "Switch the lamp on.", "Cancel it.", script=calls)
    assert answers[2:] == ["The lamp is on.", TALK]
    assert left == ["tea", "600"]


@in_virtual_time
async def test_an_answer_counts_in_the_next_turn_alone() -> None:
    _, answers, left = await talk(TEA, TEN, "Cancel the timer.", "What is 2 + 2?", "Both.")
    assert answers[2:] == [QUESTION, "That's 4.", TALK]
    assert left == ["tea", "600"]


@in_virtual_time
async def test_timers_and_alarms_are_listed_and_called_off_by_their_kind() -> None:
    turns = ("Set an alarm for 7 am.", TEA, TEN, "Cancel the alarm.", "Set an alarm for noon.", "Cancel all my timers.")
    _, answers, left = await talk(*turns, "What alarms do I have?", "Cancel all my alarms.", "How many alarms?")
    assert answers[3] == f"Cancelled: the alarm for {words_at(7)}."
    assert answers[5] == "2 timers are cancelled."
    assert re.fullmatch(rf".* until the alarm for {words_at(12)}\.", answers[6])
    assert answers[7:] == ["The alarm is cancelled.", TALK]
    assert left == []


def words_at(hour: int) -> str:
    words = words_of("en")
    assert words is not None
    return words.time(datetime(2026, 11, 28, hour, tzinfo=UTC))


@in_virtual_time
async def test_an_alarm_without_a_time_is_asked_about_and_the_answer_sets_it() -> None:
    held, answers, left = await talk("Wake me up tomorrow morning.", "At half past six.")
    assert answers[0] == "For what time shall I set the alarm?"
    assert answers[1] in (f"Alarm set for {day}6:30 AM." for day in ("", "tomorrow at "))
    (called,) = held.named("tool_call")
    assert (called["name"], called["arguments"]["time"]) == ("set_alarm", "06:30")
    assert left == ["alarm"]


@in_virtual_time
async def test_an_alarm_of_tomorrow_is_not_todays() -> None:
    late = datetime.now().astimezone() + timedelta(minutes=5)
    held, answers, _ = await talk(f"Set an alarm for tomorrow at {late:%I:%M %p}.")
    (called,) = held.named("tool_call")
    due_secs = held.named("tool_result")[0]["result"]["seconds_left"]
    tomorrow = next_time(f"{late:%H:%M}", datetime.now().astimezone(), tomorrow=True)
    assert called["arguments"]["time"] == f"{late:%H:%M}"
    assert due_secs == pytest.approx((tomorrow - datetime.now().astimezone()).total_seconds(), abs=90)
    assert answers[0].startswith("Alarm set for tomorrow at ")


@pytest.mark.parametrize(
    "turns",
    [
        ("Set an alarm for the usual.", "7 am"),
        ("Set an alarm for seven in the morning.",),
    ],
)
@in_virtual_time
async def test_a_small_model_is_not_asked_when_to_wake_somebody(turns: tuple[str, ...]) -> None:
    held, answers, left = await talk(*turns, reflexes=False, calls_tools=False, last_turn_only=True)
    if len(turns) > 1:
        assert answers[0] == "For what time shall I set the alarm?"
    assert re.fullmatch(r"Alarm set for (tomorrow at )?7:00 AM\.", answers[-1])
    (called,) = held.named("tool_call")
    assert called["arguments"]["time"] == "07:00"
    assert left == ["alarm"]


def timers() -> list[Timer]:
    due = datetime(2026, 11, 28, 7, 30).astimezone().timestamp()
    return [
        Timer(1, "", 400.0, 100.0),
        Timer(2, "tea", 700.0, 100.0),
        Timer(3, "", due, 100.0, alarm=True),
    ]


FIVE, TEA_ONE, ALARM = [1], [2], [3]
ANSWERS = {
    "en": {
        "The five minute one.": FIVE,
        "the tea one": TEA_ONE,
        "All of those.": [1, 2, 3],
        "The alarm.": ALARM,
        "Neither.": [],
        "the first one": FIVE,
        "the second one": TEA_ONE,
        "the last one": ALARM,
        "tea": TEA_ONE,
        "The one for seven thirty.": ALARM,
        "five": FIVE,
        "cancel the tea timer": TEA_ONE,
        "ten minutes": TEA_ONE,
    },
    "de": {
        "Den mit fünf Minuten.": FIVE,
        "Alle.": [1, 2, 3],
        "Den Wecker.": ALARM,
        "Keinen von beiden.": [],
        "den zweiten": TEA_ONE,
        "den um halb acht": ALARM,
        "den Tea Timer": TEA_ONE,
        "den letzten": ALARM,
    },
    "fr": {
        "Celui de cinq minutes.": FIVE,
        "Tous.": [1, 2, 3],
        "Le réveil.": ALARM,
        "Aucun.": [],
        "le premier": FIVE,
        "celui de sept heures et demie": ALARM,
        "le dernier": ALARM,
    },
    "es": {
        "El de cinco minutos.": FIVE,
        "Todos.": [1, 2, 3],
        "La alarma.": ALARM,
        "Ninguno.": [],
        "el segundo": TEA_ONE,
        "la de las siete y media": ALARM,
        "el primero": FIVE,
    },
    "it": {
        "Quello di cinque minuti.": FIVE,
        "Tutti.": [1, 2, 3],
        "La sveglia.": ALARM,
        "Nessuno.": [],
        "il secondo": TEA_ONE,
        "quella delle sette e mezza": ALARM,
        "il primo": FIVE,
    },
    "pt": {
        "O de cinco minutos.": FIVE,
        "Todos.": [1, 2, 3],
        "O alarme.": ALARM,
        "Nenhum.": [],
        "o segundo": TEA_ONE,
        "o das sete e meia": ALARM,
        "o primeiro": FIVE,
    },
}


@pytest.mark.parametrize(("language", "said"), [(language, said) for language in ANSWERS for said in ANSWERS[language]])
def test_an_answer_says_which_one(language: str, said: str) -> None:
    words = words_of(language)
    assert words is not None
    meant = words.which.answer(words.bare(said), timers())
    assert meant is not None
    assert [timer.number for timer in meant] == ANSWERS[language][said]


def test_every_table_is_tried_here() -> None:
    assert set(ANSWERS) == set(LANGUAGES)


@pytest.mark.parametrize(
    "said", ["", "the blue one", "what", "the twenty minute one", "the tea and the coffee", "a " * 50]
)
def test_what_means_none_of_them_is_no_answer(said: str) -> None:
    words = words_of("en")
    assert words is not None
    assert words.which.answer(words.bare(said), timers()) is None


@pytest.mark.parametrize("language", LANGUAGES)
def test_questions_and_names_are_sentences_in_every_language(language: str) -> None:
    words = words_of(language)
    assert words is not None
    due = datetime(2026, 11, 29, 7, 30, tzinfo=UTC)
    assert words.alarm_set(due, due, "").count("7:30") == 1
    assert len(words.alarm_set(due, due - timedelta(days=1), "x")) > len(words.alarm_set(due, due, "x"))
    assert words.either(["A", "B", "C"]).startswith("A, B")


def test_a_time_without_morning_or_evening_may_be_either() -> None:
    said = SaidTime(7 * 60 + 30, is_sure=False)
    day = datetime(2026, 11, 28, tzinfo=UTC)
    shown = [hour for hour in range(24) if said.is_at(day.replace(hour=hour, minute=30))]
    assert shown == [7, 19]


def test_a_timer_that_was_kept_over_a_restart_is_still_found_by_its_label() -> None:
    words, due = words_of("en"), datetime(2026, 11, 28, 7, 30, tzinfo=UTC).timestamp()
    assert words is not None
    kept = [Timer(1, "", 400.0, 100.0), Timer(2, "tea", due, 100.0, alarm=True)]
    assert words.which.meant("the tea timer", kept) == [kept[1]]


@pytest.mark.parametrize(
    ("said", "named"),
    [("turn off the alarm", True), ("cancel my alarms", True), ("cancel the timer", False), ("the alarm", False)],
)
def test_the_alarm_may_be_that_of_the_house(said: str, named: bool) -> None:
    words = words_of("en")
    assert words is not None
    assert words.which.names_alarm(words.bare(said)) is named


@in_virtual_time
async def test_of_three_that_were_named_those_that_are_left_are_all() -> None:
    turns = ("Set a timer for eight seconds.", TEA, TEN, "Cancel the timer.", "All of them.")
    held, answers, left = await talk(*turns, last_after_secs=10.0)
    assert answers[3].startswith("Which one: the timer for 8 seconds, the tea timer")
    assert len(held.named("timer_due")) == 1
    assert (answers[-1], left) == ("2 timers are cancelled.", [])
    assert held.named("error") == []


@in_virtual_time
async def test_where_a_house_has_alarms_the_language_model_knows_which_one_is_meant() -> None:
    turns = ("Set an alarm for 7 am.", "Turn off the alarm.", "Cancel all my alarms.", "What alarms do I have?")
    _, answers, left = await talk(*turns, tool="home_guarded")
    assert answers[1:3] == [TALK, TALK]
    assert left == ["alarm"]


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_word_by_itself_is_an_answer_or_none(language: str) -> None:
    words = words_of(language)
    assert words
    table = tomllib.loads((TABLES / f"{language}.toml").read_text())["which"]
    for name in ("bare", "ones", "timer", "alarm", "second", "last"):
        for word in table[name]:
            for said in (word, f"{word} {word}", f"{table['bare'][0]} {word}"):
                assert set(words.which.answer(said, timers()) or []) <= set(timers())
    for kind in ("timer", "alarm"):
        meant = words.which.answer(table[kind][0], timers())
        assert meant
        assert {timer.alarm for timer in meant} == {kind == "alarm"}


@pytest.mark.parametrize(
    ("said", "n_asked", "is_all"),
    [("both", 2, True), ("both", 4, False), ("all 3", 3, True), ("all 2", 4, False), ("all", 4, True)],
)
def test_both_are_two(said: str, n_asked: int, is_all: bool) -> None:
    words = words_of("en")
    assert words
    assert words.which.is_all(said, n_asked) is is_all
    pair = timers()[:1] * n_asked
    assert (words.which.answer(said, pair) == pair) is is_all


@in_virtual_time
async def test_the_timer_is_called_off_without_an_article_too() -> None:
    _, said, left = await talk("Set a tea timer for five minutes.", "Cancel timer.")
    assert (said[-1], left) == ("The timer is cancelled.", [])


@in_virtual_time
async def test_a_timer_is_no_alarm() -> None:
    _, said, left = await talk("Set a tea timer for five minutes.", "Cancel all my alarms.")
    assert left == ["tea"]
    assert "no alarm" in said[-1].casefold()
