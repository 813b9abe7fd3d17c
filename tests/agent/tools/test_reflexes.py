"""What is answered without the language model: at once, in the history, and done once."""

import asyncio
import json
import re
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

import pytest

from agent.commands.script import Step, Typed
from agent.conversation.speaking_up import ANSWER_SECS, SpeakingUp
from agent.settings.load import Settings
from agent.tools.reflex_words import english_words
from agent.tools.reflexes import Reflexes
from agent.tools.timers import TimerBook
from agent.tools.toolbox import Toolbox
from tests.support.house import Held, hold, hosting, say
from tests.support.llm_session import options
from tests.support.scripted_engines import ScriptedRecognizerEngine, ScriptedSynthesizer
from tests.support.scripted_llm import Reply, ScriptedLLM
from tests.support.sounds import then, voice
from tests.support.virtual_time import in_virtual_time

QUESTION = "days_in_a_week.wav"


async def talk(
    *heard_as: str,
    steps: Sequence[Step] = (),
    language: str = "en-us",
    persona: str | None = None,
    end_secs: float = 0.3,
    timers: TimerBook | None = None,
) -> tuple[Held, list[str]]:
    """A conversation with reflexes; what happened, and what the model was asked."""
    stt = ScriptedRecognizerEngine(*heard_as, early=True)
    about = {"llm": {"system_prompt": persona}} if persona else {}
    settings = Settings.model_validate({"tts": {"language": language}, **about})
    async with ScriptedLLM() as server, hosting(stt, options(server), ScriptedSynthesizer()) as host:
        server.otherwise = Reply("The model speaks.")
        each = steps or [say(QUESTION)] * len(heard_as)
        held = await hold(host, each, settings=settings, reflexes=True, end_secs=end_secs, timers=timers)
        return held, [request.messages[-1]["content"] for request in server.requests]


def said(held: Held) -> str:
    return " ".join(held.texts("bot_word"))


@in_virtual_time
async def test_the_time_is_told_without_the_model_and_stands_in_the_history() -> None:
    held, asked = await talk("What time is it?", "And who is the king of Spain?")
    assert asked == ["And who is the king of Spain?"]
    (written,) = [text for text in held.texts("bot_written") if text.startswith("It's")]
    assert re.fullmatch(r"It's \d{1,2}:\d\d [AP]M\.", written)
    assert held.history[1]["content"].startswith("It's ")
    assert [message["role"] for message in held.history] == ["user", "assistant"] * 2
    assert [event["name"] for event in held.named("reflex")] == ["time"]
    assert len(held.named("llm_first_token")) == 1
    assert len(held.named("latency")) == 2


@in_virtual_time
async def test_a_timer_is_set_once_and_the_agent_speaks_up_when_it_is_due() -> None:
    held, asked = await talk("Set a timer for five seconds.")
    assert asked == []
    (called,), (result,) = held.named("tool_call"), held.named("tool_result")
    assert (called["id"], called["name"], called["arguments"]["seconds"]) == (result["id"], "set_timer", 5.0)
    assert called["t"] >= held.named("turn_ended")[0]["t"]
    assert said(held) == "Timer set for five seconds. Your timer for five seconds is up."
    due_secs = held.named("timer_due")[0]["t"]
    assert due_secs - held.named("timer_set")[0]["t"] == pytest.approx(5.0, abs=0.05)
    assert 0.0 < held.named("bot_started_speaking")[-1]["t"] - due_secs < 1.0
    assert [message["content"] for message in held.history[-2:]] == [
        "Timer set for five seconds.",
        "Your timer for five seconds is up.",
    ]


@in_virtual_time
async def test_a_timer_that_is_due_does_not_speak_over_the_user_nor_into_an_answer() -> None:
    long = voice(" ".join(["tell me everything about the kings of Spain"] * 3))
    steps = [say(QUESTION), then(long, after="bot_stopped_speaking", delay_secs=0.5)]
    held, asked = await talk("Set a timer for three seconds.", "Tell me about the kings of Spain.", steps=steps)
    assert set(asked) == {"Tell me about the kings of Spain."}
    due, up = held.named("timer_due")[0]["t"], held.named("bot_started_speaking")[-1]["t"]
    assert held.named("user_started_speaking")[-1]["t"] < due < held.named("user_stopped_speaking")[-1]["t"]
    assert up > held.named("bot_stopped_speaking")[1]["t"]
    assert said(held).endswith("The model speaks. Your timer for three seconds is up.")
    assert held.named("interruption") == []


@in_virtual_time
async def test_a_timer_is_cancelled_and_what_is_left_is_told() -> None:
    held, asked = await talk("Set a tea timer for three minutes.", "How long is left?", "Cancel it.", "Cancel it.")
    answers = [
        message["content"] for message in held.history if message["role"] == "assistant" and message.get("content")
    ]
    assert re.search(r"two minutes and fifty-\w+ seconds left on the tea timer\.", answers[1])
    assert answers[2] == "The timer is cancelled."
    # Nothing is left that it could be about.
    assert asked == ["Cancel it."]
    assert held.named("timer_due") == []


@in_virtual_time
async def test_what_a_reflex_did_stands_in_the_history_as_a_call_with_its_result() -> None:
    held, _ = await talk("Set a timer for five seconds.", "And who is the king of Spain?")
    question, called, result, answer = held.history[:4]
    assert (question["role"], answer["content"]) == ("user", "Timer set for five seconds.")
    (call,) = called["tool_calls"]
    assert (call["function"]["name"], json.loads(call["function"]["arguments"])["seconds"]) == ("set_timer", 5.0)
    assert result["tool_call_id"] == call["id"] == held.named("tool_call")[0]["id"]
    assert json.loads(result["content"])["seconds_left"] == 5


@in_virtual_time
async def test_sums_repeats_and_never_mind() -> None:
    held, asked = await talk("What is twelve times seven?", "Say that again.", "Never mind.")
    assert asked == []
    assert [message["content"] for message in held.history if message["role"] == "assistant"] == [
        "That's eighty-four.",
        "That's eighty-four.",
        "Okay.",
    ]


@in_virtual_time
async def test_what_cannot_be_calculated_is_the_models_business() -> None:
    _, asked = await talk("What is 5 divided by 0?")
    assert asked == ["What is 5 divided by 0?"]


@in_virtual_time
async def test_another_persona_says_itself_who_it_is() -> None:
    held, asked = await talk("Who are you?")
    assert (said(held)[:9], asked) == ("I'm Sotto", [])
    _, asked = await talk("Who are you?", persona="You are Bob.")
    assert asked == ["Who are you?"]


@in_virtual_time
async def test_reflexes_speak_the_language_of_the_voice() -> None:
    held, asked = await talk("Was ist zwölf mal sieben?", language="de")
    assert (held.texts("bot_written"), asked) == (["Das ist 84."], [])
    _, asked = await talk("What is twelve times seven?", language="de")
    assert len(asked) == 1


@in_virtual_time
async def test_a_typed_question_is_answered_in_writing_by_a_reflex() -> None:
    held, asked = await talk("", steps=[Step(Typed("What is 2 + 2?", spoken=False))])
    assert (held.texts("reply_text"), asked) == (["That's 4."], [])
    assert said(held) == ""


@in_virtual_time
async def test_a_timer_outlives_its_call_and_is_told_to_the_user_who_is_back() -> None:
    book = TimerBook()
    book.set(5, "tea")
    await asyncio.sleep(10)
    held, _ = await talk("Hello there.", timers=book)
    assert said(held) == "While you were away, this went off: Your tea timer is up. The model speaks."
    assert held.history[0]["role"] == "assistant"
    assert book.missed == []
    book.set(3, "eggs")
    held, _ = await talk("Hello again.", timers=book, end_secs=5.0)
    assert said(held) == "The model speaks. Your eggs timer is up."
    assert book.changed == []
    await book.close()


@in_virtual_time
async def test_it_is_the_timer_only_where_that_was_just_spoken_of() -> None:
    told = ("Set a timer for ten minutes.", "Tell me a joke.", "Delete it.", "How long is left?", "Cancel it.")
    held, asked = await talk(*told)
    assert asked == ["Tell me a joke.", "Delete it."]
    assert held.texts("bot_written")[-1] == "The timer is cancelled."
    assert len(held.named("timer_cancelled")) == 1


@in_virtual_time
async def test_a_timer_is_told_though_an_answer_never_comes() -> None:
    floor: list[str] = []

    async def say(text: str) -> None:
        floor.append(text)

    up = SpeakingUp(say)
    up({"t": 0.0, "event": "turn_started"})
    up({"t": 1.0, "event": "turn_ended", "text": "And then?"})
    up.add("The tea is ready.")
    await asyncio.sleep(ANSWER_SECS - 1)
    assert floor == []
    await asyncio.sleep(2)
    assert floor == ["The tea is ready."]
    up.close()


def test_a_timer_of_an_earlier_start_is_told_by_its_time(tmp_path: Path) -> None:
    due = datetime.fromisoformat("2026-11-28 14:05").astimezone()
    path = tmp_path / "mine.json"
    path.write_text(json.dumps([{"due": due.timestamp(), "label": ""}, {"due": due.timestamp(), "label": "tea"}]))
    reflexes = Reflexes(english_words(), Toolbox([]), TimerBook(path), lambda *_, **__: None)
    assert [reflexes.due_words(timer) for timer in TimerBook(path).pending()] == [
        "It's 2:05 PM, time for your alarm.",
        "It's 2:05 PM: tea.",
    ]
