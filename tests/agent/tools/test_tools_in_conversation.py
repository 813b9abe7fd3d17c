"""Tools in a conversation: once, in time, known to the next turn, and never spoken raw."""

import asyncio
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pipecat.processors.aggregators.llm_context import LLMContext

from agent.commands.script import Step, Typed
from agent.settings.load import Settings
from agent.tools.results import MAX_RESULT_CHARS
from agent.tools.tool import Arguments, Tool, ToolError
from agent.tools.toolbox import EARLIER, Toolbox
from tests.support.house import Held, hold, hosting, say
from tests.support.llm_session import options
from tests.support.scripted_engines import ScriptedRecognizerEngine, ScriptedSynthesizer
from tests.support.scripted_llm import Answer, Failure, Reply, ScriptedLLM, ToolCall
from tests.support.sounds import then, voice
from tests.support.virtual_time import in_virtual_time

ASK = "save it as milk"
AGAIN = "is it saved"


class Note(Arguments):
    """A note."""

    text: str


class Notes:
    """A tool that writes notes, and the notes; a scripted one at the edge."""

    def __init__(self, secs: float = 0.0, *, acts: bool = True, limit_secs: float = 10.0) -> None:
        self.written: list[str] = []
        self.secs = secs
        self.tool = Tool("save", "Save a note.", Note, self._save, acts=acts, limit_secs=limit_secs)

    async def _save(self, note: Note) -> object:
        await asyncio.sleep(self.secs)
        self.written.append(note.text)
        return {"saved": note.text}


def call(text: str = "milk", call_id: str = "call_1") -> ToolCall:
    return ToolCall("save", (json.dumps({"text": text}),), call_id)


async def talk(
    script: Sequence[Answer],
    tools: Sequence[Tool],
    *,
    steps: Sequence[Step] = (),
    heard_as: Sequence[str] = (ASK,),
    settings: Mapping[str, Any] | None = None,
    speculate: bool = False,
) -> tuple[Held, list[dict[str, Any]]]:
    """A conversation with a model that answers by a script; what happened, and what the model was sent."""
    stt = ScriptedRecognizerEngine(*heard_as, early=speculate)
    async with ScriptedLLM(*script) as server, hosting(stt, options(server), ScriptedSynthesizer()) as host:
        held = await hold(
            host,
            steps or [say("days_in_a_week.wav")],
            settings=Settings.model_validate({"turn": {"speculate": speculate}, **(settings or {})}),
            tools=tools,
        )
        return held, [request.body for request in server.requests]


def results(body: Mapping[str, Any]) -> list[str]:
    """What the tools' messages of a request hold."""
    return [message["content"] for message in body["messages"] if message["role"] == "tool"]


@in_virtual_time
async def test_the_model_is_told_of_the_tools_and_a_call_and_its_result_have_one_id() -> None:
    notes = Notes()
    held, sent = await talk([Reply(tool_calls=[call(call_id="call_7")]), Reply("It is saved.")], [notes.tool])
    assert [tool["function"]["name"] for tool in sent[0]["tools"]] == [
        *("current_time", "calculate", "convert", "set_timer", "set_alarm", "list_timers", "cancel_timer", "save")
    ]
    assert notes.written == ["milk"]
    assert [event["id"] for event in held.named("tool_call") + held.named("tool_result")] == ["call_7", "call_7"]
    assert results(sent[1]) == ['{"saved": "milk"}']
    assert held.texts("bot_word") == ["It", "is", "saved."]


@in_virtual_time
async def test_the_same_act_is_done_once_in_a_turn_however_often_it_is_asked_for() -> None:
    notes = Notes()
    twice = Reply(tool_calls=[call(call_id="one"), call(call_id="two")])
    held, sent = await talk([twice, Reply(tool_calls=[call(call_id="three")]), Reply("Done.")], [notes.tool])
    assert notes.written == ["milk"]
    assert results(sent[-1]) == ['{"saved": "milk"}'] * 3
    assert held.texts("bot_word") == ["Done."]


@in_virtual_time
async def test_the_next_turn_may_do_it_again() -> None:
    notes = Notes()
    script = [Reply(tool_calls=[call()]), Reply("Done."), Reply(tool_calls=[call(call_id="b")]), Reply("Again.")]
    await talk(script, [notes.tool], steps=[say("days_in_a_week.wav")] * 2, heard_as=[ASK, "and once more"])
    assert notes.written == ["milk", "milk"]


@in_virtual_time
async def test_an_act_that_is_talked_over_is_finished_and_the_next_turn_knows() -> None:
    notes = Notes(secs=6.0)
    cut = then(voice("no stop"), after="tool_call", delay_secs=1.0)
    last = Step(Typed(AGAIN), delay_secs=8.0)
    held, sent = await talk(
        [Reply(tool_calls=[call()]), Reply("All right."), Reply("Yes, it is.")],
        [notes.tool],
        steps=[say("days_in_a_week.wav"), cut, last],
        heard_as=[ASK, "no wait a moment"],
    )
    assert notes.written == ["milk"]
    (told,) = results(sent[-1])
    assert json.loads(told)["done"] == {"saved": "milk"}
    assert [event["id"] for event in held.named("tool_cancelled") + held.named("tool_result")] == ["call_1", "call_1"]
    assert held.texts("bot_word")[-3:] == ["Yes,", "it", "is."]


@in_virtual_time
async def test_a_call_that_only_reads_is_cancelled_by_a_barge_in() -> None:
    notes = Notes(secs=6.0, acts=False)
    cut = then(voice("no stop"), after="tool_call", delay_secs=1.0)
    _, sent = await talk(
        [Reply(tool_calls=[call()]), Reply("All right."), Reply("No.")],
        [notes.tool],
        steps=[say("days_in_a_week.wav"), cut, Step(Typed(AGAIN), delay_secs=8.0)],
        heard_as=[ASK, "no wait a moment"],
    )
    assert notes.written == []
    assert results(sent[-1]) == ["CANCELLED"]


@in_virtual_time
async def test_nothing_is_done_before_the_turn_is_over() -> None:
    notes = Notes()
    answers = [*[Reply(tool_calls=[call()])] * 2, Reply("Done.")]
    held, _ = await talk(answers, [notes.tool], speculate=True)
    assert [event["outcome"] for event in held.named("speculation")] == ["thrown_away"]
    assert notes.written == ["milk"]
    assert held.named("tool_call")[0]["t"] >= held.named("turn_ended")[0]["t"]


@in_virtual_time
async def test_a_tool_that_hangs_is_given_up_and_told() -> None:
    notes = Notes(secs=3600.0, limit_secs=4.0)
    held, sent = await talk([Reply(tool_calls=[call()]), Reply("It failed.")], [notes.tool])
    assert json.loads(results(sent[1])[0]) == {"error": "save did not finish within 4 seconds"}
    assert [(event["stage"], event["message"]) for event in held.named("error")] == [
        ("tool", "save took longer than 4 s and was given up")
    ]
    assert held.texts("bot_word")[-2:] == ["It", "failed."]


@in_virtual_time
async def test_wrong_arguments_a_refusal_and_a_crash_are_one_line_for_the_model() -> None:
    async def run(note: Note) -> object:
        if note.text == "full":
            raise ToolError("the disk is full")
        raise ZeroDivisionError("of t0psecret")

    tool = Tool("save", "Save a note.", Note, run, acts=True)
    wrong = ToolCall("save", ('{"txt": 1}',), "wrong")
    full, crash = call("full", "full"), call("crash", "crash")
    held, sent = await talk([Reply(tool_calls=[wrong, full, crash]), Reply("Sorry.")], [tool])
    assert [json.loads(result)["error"] for result in results(sent[1])] == [
        "text: Field required; txt: Extra inputs are not permitted",
        "the disk is full",
        "the tool failed",
    ]
    # What a library says may hold a token: the kind of fault and its place are told.
    (report,) = [event["message"] for event in held.named("error")]
    assert re.fullmatch(rf"save failed: ZeroDivisionError at {Path(__file__).name}:\d+", report)


@in_virtual_time
async def test_an_enormous_result_is_cut_and_none_of_it_is_spoken() -> None:
    async def run(_: Note) -> str:
        return "x" * 2_000_000

    held, sent = await talk([Reply(tool_calls=[call()]), Reply("A lot.")], [Tool("save", "?", Note, run)])
    (result,) = results(sent[1])
    assert len(result) < MAX_RESULT_CHARS + 60
    assert result.endswith(f' [cut: {2_000_000 - MAX_RESULT_CHARS} more characters]"')
    assert held.texts("bot_word") == ["A", "lot."]


@in_virtual_time
async def test_a_server_that_takes_no_tools_is_asked_without_them_from_then_on() -> None:
    refusal = Failure(400, {"error": {"message": "registry.ollama.ai/library/tiny does not support tools"}})
    held, sent = await talk(
        [refusal, Reply("Hello."), Reply("Again.")], [], steps=[say("days_in_a_week.wav")] * 2, heard_as=["hi", "hey"]
    )
    assert ["tools" in body for body in sent] == [True, False, False]
    assert held.texts("bot_word") == ["Hello.", "Again."]
    assert held.named("error") == []


@in_virtual_time
async def test_what_is_switched_off_is_not_offered() -> None:
    off = {"tools": {"clock": "off", "sums": "off", "timers": "off"}}
    _, sent = await talk([Reply("Hello.")], [], settings=off)
    assert "tools" not in sent[0]


@in_virtual_time
async def test_what_adds_to_an_unanswered_turn_does_not_do_it_again() -> None:
    notes = Notes()
    slow = Reply("Done.", first_delay_secs=5.0)
    more = then(voice("and then"), after="tool_result", delay_secs=1.0)
    await talk(
        [Reply(tool_calls=[call()]), slow, Reply(tool_calls=[call(call_id="b")]), Reply("Done now.")],
        [notes.tool],
        steps=[say("days_in_a_week.wav"), more],
        heard_as=[ASK, "I said save it as milk"],
    )
    assert notes.written == ["milk"]


@in_virtual_time
async def test_several_calls_that_are_answered_at_once_have_one_reply() -> None:
    notes = Notes()
    three = Reply(tool_calls=[call("milk", "one"), call("bread", "two"), call("eggs", "three")])
    held, sent = await talk([three, Reply("All three are saved.")], [notes.tool])
    assert sorted(notes.written) == ["bread", "eggs", "milk"]
    assert len(sent) == 2
    assert results(sent[1]) == ['{"saved": "milk"}', '{"saved": "bread"}', '{"saved": "eggs"}']
    assert " ".join(held.texts("bot_word")) == "All three are saved."


@in_virtual_time
async def test_what_becomes_of_a_call_whose_turn_is_summarised_is_told_as_a_note() -> None:
    box = Toolbox([])
    told: list[Any] = [{"role": "system", "content": "notes"}, {"role": "user", "content": "is it saved"}]
    context = LLMContext([*told])
    box.amend_later("call_1", {"undone": "the user took this back"})  # what an undo leaves for the next turn
    box.amend(context)
    summary, note, question = context.messages
    assert [summary, question] == told
    assert isinstance(note, dict)
    assert note == {"role": "developer", "content": f'{EARLIER} {{"undone": "the user took this back"}}'}
    # Once.
    box.amend(context)
    assert len(context.messages) == 3


@in_virtual_time
async def test_of_a_conversation_that_began_anew_nothing_is_told() -> None:
    box = Toolbox([])
    context = LLMContext([{"role": "user", "content": "hello"}])
    box.amend_later("call_1", {"undone": "the user took this back"})
    box.amend(context)
    assert context.messages == [{"role": "user", "content": "hello"}]
