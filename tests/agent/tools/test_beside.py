"""What runs beside the conversation: it goes on, is told when it is done, and can be called off by voice."""

import asyncio
import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from agent.commands.script import Step
from agent.conversation.model_notes import NEWS
from agent.settings.load import Settings
from agent.tools.beside import progress
from agent.tools.reflex_words import words_of
from agent.tools.tool import Arguments, Tool
from tests.agent.tools.test_tools_in_conversation import results
from tests.support.house import Held, hold, hosting, say
from tests.support.llm_session import options
from tests.support.scripted_engines import ScriptedRecognizerEngine, ScriptedSynthesizer
from tests.support.scripted_llm import Answer, Reply, ScriptedLLM, ToolCall
from tests.support.virtual_time import in_virtual_time

QUESTION = "days_in_a_week.wav"


class Report(Arguments):
    """What to report on."""

    about: str


class Desk:
    """A tool that takes its time, and what became of it; a scripted one at the edge."""

    def __init__(self, secs: float, *, acts: bool = True, steps: int = 0) -> None:
        self.done: list[str] = []
        self.n_cancelled = 0
        self._secs, self._steps = secs, steps
        self.tool = Tool("report", "Write a report.", Report, self._run, acts=acts, beside=True, limit_secs=300)

    async def _run(self, report: Report) -> object:
        tell = progress()
        try:
            for step in range(self._steps):
                tell(step + 1, self._steps, f"chapter {step + 1}")
                await asyncio.sleep(self._secs / self._steps)
            await asyncio.sleep(0 if self._steps else self._secs)
        except asyncio.CancelledError:
            self.n_cancelled += 1
            raise
        self.done.append(report.about)
        return {"pages": 3}


def call(about: str = "milk", call_id: str = "call_1") -> ToolCall:
    return ToolCall("report", (json.dumps({"about": about}),), call_id)


async def talk(
    tool: Tool | Sequence[Tool],
    script: Sequence[Answer],
    *heard: str,
    steps: Sequence[Step] = (),
    end_secs: float = 0.3,
) -> tuple[Held, list[dict[str, Any]]]:
    stt = ScriptedRecognizerEngine(*heard)
    settings = Settings.model_validate({"turn": {"speculate": False}})
    async with ScriptedLLM(*script) as server, hosting(stt, options(server), ScriptedSynthesizer()) as host:
        held = await hold(
            host,
            steps or [say(QUESTION)] * len(heard),
            settings=settings,
            tools=[tool] if isinstance(tool, Tool) else tool,
            reflexes=True,
            end_secs=end_secs,
            limit_secs=400,
        )
        return held, [request.body for request in server.requests]


def said(held: Held) -> str:
    return " ".join(held.texts("bot_word"))


def ends(held: Held) -> list[tuple[str, str]]:
    """How each call ended: of results those that came when it was done."""
    late = [event for event in held.named("tool_result") if event.get("late")]
    return [(event["event"], event["id"]) for event in [*late, *held.named("tool_cancelled")]]


@in_virtual_time
async def test_the_talk_goes_on_and_the_result_is_told_when_it_comes() -> None:
    desk = Desk(12.0)
    script = [
        Reply(tool_calls=[call()]),
        Reply("I am at it."),
        Reply("It rains."),
        Reply("Your report has three pages."),
    ]
    held, sent = await talk(desk.tool, script, "report on milk", "how is the weather", end_secs=16)
    assert desk.done == ["milk"]
    assert said(held) == "I am at it. It rains. Your report has three pages."
    assert ends(held) == [("tool_result", "call_1")]
    assert "running" in json.loads(results(sent[2])[0])
    assert json.loads(results(sent[3])[0])["done"] == {"pages": 3}
    assert sent[3]["messages"][-1]["content"] == NEWS.format("report")
    # Nobody was talked over: it was told after what was being said.
    assert held.named("interruption") == []


@in_virtual_time
async def test_it_does_not_speak_into_what_the_user_says() -> None:
    desk = Desk(6.5)
    script = [Reply(tool_calls=[call()]), Reply("I am at it."), Reply("It rains."), Reply("Done.")]
    held, _ = await talk(
        desk.tool, script, "report on milk", "how is the weather", steps=[say(QUESTION), say(QUESTION)], end_secs=8
    )
    assert said(held) == "I am at it. It rains. Done."
    spoken = [(event["t"], event["event"]) for event in held.events if event["event"].startswith(("bot_st", "user_st"))]
    user, bot = False, False
    for _, event in spoken:
        user = {"user_started_speaking": True, "user_stopped_speaking": False}.get(event, user)
        bot = {"bot_started_speaking": True, "bot_stopped_speaking": False}.get(event, bot)
        assert not (user and bot)


@pytest.mark.parametrize("acts", [True, False])
@in_virtual_time
async def test_it_is_called_off_by_voice_and_ends_once(acts: bool) -> None:
    desk = Desk(60.0, acts=acts)
    script = [Reply(tool_calls=[call()]), Reply("I am at it."), Reply("No.")]
    held, sent = await talk(desk.tool, script, "report on milk", "Cancel it, please.", "is it done")
    assert (desk.done, desk.n_cancelled) == ([], 1)
    assert said(held) == "I am at it. It's called off. No."
    assert ends(held) == [("tool_cancelled", "call_1")]
    assert json.loads(results(sent[-1])[0])["cancelled"].startswith("the user called it off")


@pytest.mark.parametrize("names", [("report", "letter"), ("report", "report")])
@in_virtual_time
async def test_of_several_only_the_one_that_is_meant_is_called_off(names: tuple[str, str]) -> None:
    desk = Desk(60.0)
    tools = [replace(desk.tool, name=name) for name in dict.fromkeys(names)]
    second = ToolCall(names[1], (json.dumps({"about": "bread"}),), "call_2")
    which = ToolCall("cancel_running", ("{}",), "call_3")
    wrong = ToolCall("cancel_running", (json.dumps({"number": 7}),), "call_4")
    bread = ToolCall("cancel_running", (json.dumps({"number": 2}),), "call_5")
    script = [
        *(Reply(tool_calls=[call(), second]), Reply("I am at both.")),
        *(Reply(tool_calls=[which]), Reply("Which one?")),
        *(Reply(tool_calls=[wrong]), Reply(tool_calls=[bread]), Reply("That one is off.")),
        Reply("The report is written."),
    ]
    heard = ["report on milk and on bread", "cancel it", "the one on bread"]
    held, sent = await talk(tools, script, *heard, end_secs=70.0)
    told = results(sent[-1])
    assert f'number 1: report {{"about": "milk"}}; number 2: {names[1]} {{"about": "bread"}}' in told[2].replace(
        "\\", ""
    )
    assert "nothing runs under number 7" in told[3]
    assert (desk.done, desk.n_cancelled) == (["milk"], 1)
    assert ("tool_cancelled", "call_2") in ends(held)
    assert said(held) == "I am at both. Which one? That one is off. I'm still at it: report. The report is written."


@in_virtual_time
async def test_with_a_timer_set_the_model_is_asked_what_is_meant() -> None:
    desk = Desk(60.0)
    script = [
        *(Reply(tool_calls=[call()]), Reply("I am at it.")),
        *(Reply(tool_calls=[ToolCall("cancel_running", ("{}",), "call_2")]), Reply("The report is off.")),
        Reply(tool_calls=[ToolCall("cancel_timer", ("{}",), "call_3")]),
        Reply("And the timer."),
    ]
    heard = ["report on milk", "set a timer for an hour", "cancel it", "and that other one"]
    held, _ = await talk(desk.tool, script, *heard)
    assert desk.n_cancelled == 1
    assert said(held) == "I am at it. Timer set for one hour. The report is off. And the timer."
    assert ends(held) == [("tool_cancelled", "call_1")]
    assert len(held.named("timer_cancelled")) == 1


@in_virtual_time
async def test_where_nothing_runs_a_cancel_is_the_models() -> None:
    held, _ = await talk(Desk(1.0).tool, [Reply("What?")], "cancel that")
    assert said(held) == "What?"


@in_virtual_time
async def test_what_asks_first_begins_on_a_yes_and_then_runs_beside() -> None:
    desk = Desk(8.0)
    script = [Reply(tool_calls=[call()]), Reply("Three pages.")]
    held, sent = await talk(replace(desk.tool, asks=True), script, "report on milk", "yes", end_secs=12)
    assert desk.done == ["milk"]
    assert said(held) == "Shall I use the tool report, with about milk? Okay. Three pages."
    assert ends(held) == [("tool_result", "call_1")]
    assert json.loads(results(sent[-1])[0])["done"] == {"pages": 3}


@in_virtual_time
async def test_the_same_call_twice_is_done_once_and_both_have_their_end() -> None:
    desk = Desk(6.0)
    twice = Reply(tool_calls=[call(), call(call_id="call_2")])
    held, sent = await talk(desk.tool, [twice, Reply("I am at it."), Reply("Done.")], "report on milk", end_secs=10)
    assert desk.done == ["milk"]
    assert ends(held) == [("tool_result", "call_1"), ("tool_result", "call_2")]
    assert [json.loads(result)["done"] for result in results(sent[-1])] == [{"pages": 3}] * 2
    assert said(held) == "I am at it. Done."


@in_virtual_time
async def test_how_far_it_is_is_an_event_and_the_model_knows_when_the_user_asks() -> None:
    desk = Desk(30.0, steps=50)
    script = [Reply(tool_calls=[call()]), Reply("I am at it."), Reply("Almost half."), Reply("Done.")]
    held, sent = await talk(desk.tool, script, "report on milk", "how far is it", end_secs=34)
    so_far = json.loads(results(sent[2])[0])["so_far"]
    assert so_far.partition(" ")[2].startswith("of 50: chapter ")
    told = held.named("tool_progress")
    # One a second at most, of five in three seconds that it tells.
    assert len(told) == 25
    assert {key: told[0][key] for key in ("id", "name", "progress", "total", "message")} == {
        "id": "call_1",
        "name": "report",
        "progress": 1,
        "total": 50,
        "message": "chapter 1",
    }
    assert said(held) == "I am at it. Almost half. Done."


@in_virtual_time
async def test_what_takes_very_long_is_told_once() -> None:
    desk = Desk(100.0)
    script = [Reply(tool_calls=[call()]), Reply("I am at it."), Reply("Done.")]
    held, _ = await talk(desk.tool, script, "report on milk", end_secs=110)
    assert said(held) == "I am at it. I'm still at it: report. Done."


@in_virtual_time
async def test_at_the_end_of_the_conversation_what_only_reads_is_given_up_and_what_acts_is_finished() -> None:
    reads, acts = Desk(5.0, acts=False), Desk(5.0)
    for desk in (reads, acts):
        await talk(desk.tool, [Reply(tool_calls=[call()]), Reply("I am at it.")], "report on milk")
    await asyncio.sleep(10)
    assert (reads.done, reads.n_cancelled) == ([], 1)
    assert (acts.done, acts.n_cancelled) == (["milk"], 0)


@pytest.mark.parametrize(
    ("language", "texts"),
    [
        ("en", ["Cancel it.", "Stop that!", "Please cancel that", "Call it off."]),
        ("de", ["Brich das ab.", "Stopp das bitte!", "Abbrechen."]),
        ("fr", ["Annule ça.", "Arrête ça, s'il te plaît."]),
        ("es", ["Cancélalo.", "Para eso, por favor."]),
        ("it", ["Annullalo.", "Ferma questo."]),
        ("pt", ["Cancela isso.", "Pare isto, por favor."]),
    ],
)
def test_six_languages_call_off_what_runs(language: str, texts: list[str]) -> None:
    words = words_of(language)
    assert words
    for text in texts:
        matched = words.match(text, "cancel_running")
        assert matched, text
    assert words.match("the weather", "cancel_running") is None
