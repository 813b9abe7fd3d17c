"""What the user is asked first: said in the agent's words, done on a yes, once, and known to the model."""

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from agent.commands.script import Step, Typed
from agent.settings.load import Settings
from agent.tools.reflex_words import TABLES, words_of
from tests.agent.tools.test_tools_in_conversation import Notes, call, results
from tests.support.house import Held, hold, hosting, say
from tests.support.llm_session import options
from tests.support.scripted_engines import ScriptedRecognizerEngine, ScriptedSynthesizer
from tests.support.scripted_llm import Answer, Reply, ScriptedLLM
from tests.support.sounds import then as then_said
from tests.support.sounds import voice
from tests.support.virtual_time import in_virtual_time

QUESTION = "days_in_a_week.wav"
ASKS = "Shall I use the tool save, with text milk?"
LANGUAGES = sorted(path.stem for path in TABLES.glob("*.toml"))


async def talk(
    script: Sequence[Answer], notes: Notes, *heard_as: str, steps: Sequence[Step] = (), speculate: bool = False
) -> tuple[Held, list[dict[str, Any]]]:
    """A conversation whose tool asks first; what happened, and what the model was sent."""
    stt = ScriptedRecognizerEngine(*heard_as, early=speculate)
    async with ScriptedLLM(*script) as server, hosting(stt, options(server), ScriptedSynthesizer()) as host:
        held = await hold(
            host,
            steps or [say(QUESTION)] * len(heard_as),
            settings=Settings.model_validate({"turn": {"speculate": speculate}}),
            tools=[replace(notes.tool, asks=True)],
        )
        return held, [request.body for request in server.requests]


def said(held: Held) -> str:
    return " ".join(held.texts("bot_word"))


@pytest.mark.parametrize("speculate", [False, True])
@in_virtual_time
async def test_a_yes_does_it_once_and_the_model_knows(speculate: bool) -> None:
    notes = Notes()
    heard = ["save it as milk", "Yes, please.", "is it saved"]
    asked = [Reply(tool_calls=[call()])] * (2 if speculate else 1)
    held, sent = await talk([*asked, *[Reply("It is.")] * 2], notes, *heard, speculate=speculate)
    assert notes.written == ["milk"]
    assert said(held) == f"{ASKS} Done. It is."
    (told,) = results(sent[-1])
    assert json.loads(told) == {"done": {"saved": "milk"}, "note": "the user said yes"}
    assert [message.get("content") for message in sent[-1]["messages"] if message["role"] == "assistant"][-2:] == [
        ASKS,
        "Done.",
    ]
    assert {event["id"] for event in held.named("tool_call") + held.named("tool_result")} == {"call_1"}
    assert [event.get("late", False) for event in held.named("tool_result")] == [False, True]
    # Not before the user's yes was certain.
    assert held.named("tool_result")[-1]["t"] >= held.named("turn_ended")[1]["t"]


@pytest.mark.parametrize("answer", ["No, don't.", "No thank you."])
@in_virtual_time
async def test_after_a_no_nothing_is_done_and_the_model_knows(answer: str) -> None:
    notes = Notes()
    held, sent = await talk([Reply(tool_calls=[call()]), Reply("No.")], notes, "save it", answer, "is it saved")
    assert notes.written == []
    assert said(held) == f"{ASKS} Okay, I won't. No."
    assert json.loads(results(sent[-1])[0]) == {"not_done": "the user said no; it was not done"}
    assert [event["id"] for event in held.named("tool_cancelled")] == ["call_1"]


@in_virtual_time
async def test_a_turn_that_is_no_answer_goes_to_the_model_and_a_later_yes_does_nothing() -> None:
    notes = Notes()
    script = [Reply(tool_calls=[call()]), Reply("To your notes."), Reply("Yes what?")]
    held, sent = await talk(script, notes, "save it", "where to", "yes")
    assert notes.written == []
    assert said(held) == f"{ASKS} To your notes. Yes what?"
    assert json.loads(results(sent[-1])[0]) == {"not_done": "the user did not say yes; it was not done"}


@in_virtual_time
async def test_what_is_changed_instead_of_a_yes_is_asked_anew() -> None:
    notes = Notes()
    script = [Reply(tool_calls=[call()]), Reply(tool_calls=[call("bread", "call_2")])]
    held, _ = await talk(script, notes, "save it", "no, save it as bread", "yes")
    assert notes.written == ["bread"]
    assert said(held) == f"{ASKS} {ASKS.replace('milk', 'bread')} Done."


@in_virtual_time
async def test_one_thing_is_asked_at_a_time() -> None:
    notes = Notes()
    both = Reply(tool_calls=[call(), call("bread", "call_2"), call("milk", "call_3")])
    held, sent = await talk([both, Reply("And?")], notes, "save milk and bread", "yes", "and")
    assert notes.written == ["milk"]
    assert said(held) == f"{ASKS} Done. And?"
    assert "something else" in results(sent[-1])[1]


@in_virtual_time
async def test_what_fails_or_only_reads_is_told_by_the_model() -> None:
    notes = Notes(acts=False)
    held, sent = await talk([Reply(tool_calls=[call()]), Reply("It says milk.")], notes, "read it", "yes")
    assert said(held) == f"{ASKS} It says milk."
    assert json.loads(results(sent[-1])[0])["done"] == {"saved": "milk"}


@in_virtual_time
async def test_a_question_that_is_answered_in_writing_is_written() -> None:
    notes = Notes()
    steps = [Step(Typed("save it", spoken=False)), Step(Typed("yes", spoken=False), delay_secs=3.0)]
    held, _ = await talk([Reply(tool_calls=[call()])], notes, steps=steps)
    assert notes.written == ["milk"]
    assert "".join(held.texts("reply_text")) == f"{ASKS}Done."
    assert held.texts("bot_word") == []


@in_virtual_time
async def test_a_reflex_asks_too_where_settings_say_so() -> None:
    stt = ScriptedRecognizerEngine("set a timer for nine seconds", "yes")
    settings = Settings.model_validate({"tools": {"timers": "ask"}})
    async with ScriptedLLM() as server, hosting(stt, options(server), ScriptedSynthesizer()) as host:
        held = await hold(host, [say(QUESTION)] * 2, settings=settings, reflexes=True)
    assert said(held) == "Shall I set a timer for nine seconds? Done. Your timer for nine seconds is up."
    assert held.named("timer_set")[0]["t"] >= held.named("turn_ended")[1]["t"]
    assert server.requests == []


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_table_knows_yes_and_no_and_asks_in_its_words(language: str) -> None:
    words = words_of(language)
    assert words
    yes, no = {
        "en": ("Yes, please, go ahead!", "No, don't do that."),
        "de": ("Ja, mach das bitte.", "Nein, lieber nicht."),
        "fr": ("Oui, vas-y.", "Non merci."),
        "es": ("Sí, por favor.", "No, mejor no."),
        "it": ("Sì, fallo.", "No, lascia stare."),
        "pt": ("Sim, claro.", "Não, melhor não."),
    }[language]
    assert (words.agrees(yes), words.agrees(no), words.agrees(f"{yes} {no}")) == (True, False, None)
    assert words.agrees("five") is None
    assert words.agrees("") is None
    assert words.question("cancel_timer", {"all": True}, "") != words.question("cancel_timer", {"all": False}, "")
    question = words.question("set_timer", {"seconds": 300.0}, "")
    assert question.endswith("?")
    assert "5" in question
    assert "save" in words.question("save", {"text": "milk"}, "text milk")


ANSWERS: dict[str, dict[bool | None, Sequence[str]]] = {
    "en": {
        True: [
            *("yes", "Okay.", "Sure, go ahead", "um, yes", "Yes. Do it, please.", "that's right", "Yes, thank you."),
            *("yes thanks", "Fine.", "Alright!", "Sounds good.", "That's fine, thanks.", "Thanks, yes.", "Okay then"),
        ],
        False: [
            "no",
            "Nope.",
            "please don't",
            "never mind",
            "cancel that",
            "No thanks.",
            "no, thank you",
            "Of course not",
        ],
        None: [
            *("um", "please", "yes but call it bread", "no yes", "what", "not sure", "yes no", "Thank you.", "thanks"),
            *("yes absolutely not", "fine, no", "I'm fine thanks and you"),
        ],
    },
    "de": {
        True: ["Ja danke.", "Ja, vielen Dank", "mach's", "Alles klar", "gut"],
        False: ["Nein danke.", "Danke, nein", "Sicher nicht.", "Mach das nicht!"],
        None: ["Danke.", "Vielen Dank", "klar nicht", "ja nein"],
    },
    "fr": {
        True: ["Oui merci.", "oui, merci beaucoup", "D'accord, merci", "Très bien"],
        False: ["Non merci.", "Bien sûr que non", "Pas d'accord"],
        None: ["Merci.", "oui non"],
    },
    "es": {
        True: ["Sí gracias.", "sí, muchas gracias", "Está bien"],
        False: ["No gracias.", "Claro que no"],
        None: ["Gracias.", "sí no"],
    },
    "it": {
        True: ["Sì grazie.", "sì, grazie mille", "Perfetto"],
        False: ["No grazie.", "Certo che no"],
        None: ["Grazie.", "sì no"],
    },
    "pt": {
        True: ["Sim obrigado.", "Sim, obrigada", "sim, muito obrigado", "Tudo bem"],
        False: ["Não obrigado.", "não, obrigada", "Claro que não"],
        None: ["Obrigado.", "obrigada", "sim não"],
    },
}


@pytest.mark.parametrize(
    ("language", "agreed", "text"),
    [
        (language, agreed, text)
        for language, answers in ANSWERS.items()
        for agreed, several in answers.items()
        for text in several
    ],
)
def test_only_a_whole_yes_is_one_and_thanks_alone_are_neither(language: str, agreed: bool | None, text: str) -> None:
    words = words_of(language)
    assert words
    assert words.agrees(text) is agreed
    assert set(ANSWERS) == set(LANGUAGES)


async def talk_quickly(second: str, delay_secs: float, script: Sequence[Answer], *later: str) -> tuple[Held, Notes]:
    """The user speaks again so long after the call, before the question has been heard."""
    notes = Notes()
    stt = ScriptedRecognizerEngine("save it as milk", second, *later)
    # The first sound of the question takes a while.
    synthesizer = ScriptedSynthesizer(first_secs=0.6)
    steps = [say(QUESTION), then_said(voice(second), after="tool_result", delay_secs=delay_secs)]
    async with ScriptedLLM(*script) as server, hosting(stt, options(server), synthesizer) as host:
        server.otherwise = Reply("Hm.")
        held = await hold(
            host,
            [*steps, *[say(QUESTION)] * len(later)],
            settings=Settings.model_validate({"turn": {"speculate": False}}),
            tools=[replace(notes.tool, asks=True)],
        )
    return held, notes


@in_virtual_time
async def test_a_yes_is_to_the_question_that_was_heard_not_to_one_that_was_overtaken() -> None:
    script = [Reply(tool_calls=[call()]), Reply(tool_calls=[call("bread", "call_2")])]
    held, notes = await talk_quickly("no, as bread", 0.05, script, "yes")
    assert notes.written == ["bread"]
    assert said(held) == f"{ASKS.replace('milk', 'bread')} Done."
    assert [event["id"] for event in held.named("tool_cancelled")] == ["call_1"]


@in_virtual_time
async def test_a_yes_before_the_question_was_heard_is_none() -> None:
    held, notes = await talk_quickly("yes", 0.05, [Reply(tool_calls=[call()])])
    assert notes.written == []
    assert "Done." not in said(held)


@pytest.mark.parametrize("delay_secs", [0.0, 0.1, 0.3])
@in_virtual_time
async def test_a_typed_yes_before_the_question_was_heard_is_none(delay_secs: float) -> None:
    notes = Notes()
    yes = Step(Typed("yes"), after="tool_result", delay_secs=delay_secs)
    held, _ = await talk([Reply(tool_calls=[call()]), *[Reply("Hm.")] * 4], notes, steps=[Step(Typed("save it")), yes])
    assert notes.written == []
    assert "Done." not in said(held)
