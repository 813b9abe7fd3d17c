"""What holds of tools in every conversation, whoever speaks when, however calls and their results interleave."""

import asyncio
import json
from collections import Counter
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agent.commands.script import Step, Typed
from agent.settings.load import Settings
from agent.tools.beside import CANCEL_RUNNING
from agent.tools.tool import Arguments, Done, Tool
from tests.support.house import Held, hold, hosting
from tests.support.llm_session import options
from tests.support.scripted_engines import ScriptedRecognizerEngine, ScriptedSynthesizer
from tests.support.scripted_llm import Reply, ScriptedLLM, ToolCall
from tests.support.sounds import then, voice
from tests.support.virtual_time import run_in_virtual_time

KINDS = ("reads", "acts", "asks", "beside", "undoable")
ALL_CHECKS = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.large_base_example]
WORDS = ("and how about that", "yes", "no", "cancel it", "stop", "what else", "undo that")
# No job takes longer; nor does it take longer to say what came of it.
MAX_TENTHS, END_SECS = 60, 9


class Job(Arguments):
    """A job."""

    number: int


@dataclass(frozen=True)
class Called:
    """One call of a reply: what it does, and how long that takes; or it calls off a job that runs."""

    kind: str
    tenths: int
    same: bool


@dataclass(frozen=True)
class Said:
    """What the user says, when, and with which calls the model answers."""

    words: str
    after: str
    delay_tenths: int
    typed: bool
    calls: tuple[Called, ...]


CALLS = st.builds(
    Called, kind=st.sampled_from([*KINDS, CANCEL_RUNNING]), tenths=st.integers(0, MAX_TENTHS), same=st.booleans()
)
# Two jobs of one tool, side by side.
TWO_JOBS = st.tuples(*[st.builds(Called, st.just("beside"), st.integers(0, MAX_TENTHS), st.just(False))] * 2)
SAID = st.builds(
    Said,
    words=st.sampled_from(WORDS),
    after=st.sampled_from(["idle", "idle", "tool_call", "turn_ended", "bot_started_speaking"]),
    delay_tenths=st.integers(0, 30),
    typed=st.booleans(),
    calls=st.lists(CALLS, max_size=3).map(tuple) | TWO_JOBS,
)
TALKS = st.lists(SAID, min_size=1, max_size=4).map(lambda talk: (Said("go on", "idle", 0, True, talk[0].calls), *talk))


class Works:
    """Tools that count what they do; scripted ones at the edge."""

    def __init__(self, talk: tuple[Said, ...]) -> None:
        self.begun: Counter[int] = Counter()
        self.ended: Counter[int] = Counter()
        self.cancelled: Counter[int] = Counter()
        self.undone: Counter[int] = Counter()
        self.called: dict[str, tuple[str, int]] = {}
        self._secs: dict[int, float] = {}
        self._talk = talk
        self._n = 0

    def tools(self) -> list[Tool]:
        about: dict[str, dict[str, Any]] = {
            "reads": {},
            "acts": {"acts": True},
            "asks": {"acts": True, "asks": True},
            "beside": {"acts": True, "beside": True},
            "undoable": {"acts": True},
        }
        return [Tool(kind, "Do it.", Job, self._run, limit_secs=30, **flags) for kind, flags in about.items()]

    async def _run(self, job: Job) -> object:
        self.begun[job.number] += 1
        try:
            await asyncio.sleep(self._secs[job.number])
        except asyncio.CancelledError:
            self.cancelled[job.number] += 1
            raise
        self.ended[job.number] += 1
        result = {"number": job.number}
        return Done(result, lambda: self._undo(job)) if self.kind_of(job.number) == "undoable" else result

    async def _undo(self, job: Job) -> object:
        await asyncio.sleep(self._secs[job.number] / 2)
        self.undone[job.number] += 1
        return "undone"

    def kind_of(self, number: int) -> str:
        """Which tool does a job."""
        return next(kind for kind, one in self.called.values() if one == number)

    def script(self) -> list[Reply]:
        """A model that answers each turn with its calls, and then with words; the rest of its answers are words."""
        replies: list[Reply] = []
        for said in self._talk:
            if said.calls:
                replies.append(Reply(tool_calls=[self._call(one) for one in said.calls]))
            replies.append(Reply("All right then."))
        return [*replies, *[Reply("Fine.")] * 40]

    def _call(self, called: Called) -> ToolCall:
        if called.kind == CANCEL_RUNNING:
            self._n += 1
            self.called[f"call_{self._n}"] = (called.kind, 0)
            # Perhaps of one that runs.
            return ToolCall(called.kind, (json.dumps({"number": 1 + called.tenths % 3}),), f"call_{self._n}")
        again = called.same and self._n and self.called[f"call_{self._n}"][0] == called.kind
        number = self.called[f"call_{self._n}"][1] if again else self._n + 1
        self._n += 1
        self.called[f"call_{self._n}"] = (called.kind, number)
        self._secs.setdefault(number, called.tenths / 10)
        return ToolCall(called.kind, (json.dumps({"number": number}),), f"call_{self._n}")


async def play(talk: tuple[Said, ...]) -> tuple[Held, Works]:
    works = Works(talk)
    steps = [
        Step(Typed(said.words), after=said.after, delay_secs=said.delay_tenths / 10)
        if said.typed
        else then(voice(said.words), after=said.after, delay_secs=said.delay_tenths / 10)
        for said in talk
    ]
    stt = ScriptedRecognizerEngine(*[said.words for said in talk if not said.typed] or ["nothing"])
    async with ScriptedLLM(*works.script()) as llm, hosting(stt, options(llm), ScriptedSynthesizer()) as host:
        held = await hold(
            host,
            steps,
            settings=Settings.model_validate({"turn": {"speculate": False}}),
            tools=works.tools(),
            reflexes=True,
            # Whatever runs beside is over by then, and told.
            end_secs=END_SECS,
            limit_secs=1000,
        )
    return held, works


def problems_of(held: Held, works: Works) -> list[str]:
    """What does not hold; nothing, it is hoped."""
    found: list[str] = []
    kinds = {number: kind for kind, number in works.called.values()}
    for number, n_begun in works.begun.items():
        if n_begun != works.ended[number] + works.cancelled[number]:
            found.append(f"job {number} has begun {n_begun} times, and not ended as often")
        if kinds[number] in ("acts", "asks", "undoable") and works.cancelled[number]:
            found.append(f"job {number} acts and was cancelled")
    asked = {event["id"]: event["name"] for event in held.named("tool_call")}
    # A number that is called again in another turn may be done again; within one it is done once.
    for number, n_ended in works.ended.items():
        calls = [one for one in asked if works.called.get(one, ("", 0))[1] == number]
        if kinds[number] != "reads" and n_ended > len(calls):
            found.append(f"job {number} was done {n_ended} times for {len(calls)} calls")
        if works.undone[number] > (n_ended if kinds[number] == "undoable" else 0):
            found.append(f"job {number} was done {n_ended} times and taken back {works.undone[number]} times")
    undos = Counter((event["undo"], event["state"]) for event in held.named("tool_undo"))
    if any(n > 1 for n in undos.values()) or {mark for mark, _ in undos} != {
        mark for mark, state in undos if state == "offered"
    }:
        found.append(f"what was offered once to be taken back was not: {dict(undos)}")
    if sum(works.undone.values()) != sum(state == "done" for _, state in undos):
        found.append("what was taken back was not told, or was told and not taken back")
    history = {
        message["tool_call_id"]: str(message["content"]) for message in held.history if message.get("role") == "tool"
    }
    for call_id, name in asked.items():
        events = [event for event in held.events if event.get("id") == call_id]
        results = [event for event in events if event["event"] == "tool_result"]
        late = [event for event in results if event.get("late")]
        cancels = [event for event in events if event["event"] == "tool_cancelled"]
        if not results and not cancels:
            found.append(f"{name} {call_id} has neither result nor cancellation")
        if len(late) > 1 or len(cancels) > 1 or (name == "beside" and late and cancels):
            found.append(f"{name} {call_id} has ended more than once: {[event['event'] for event in events]}")
        if name == "beside" and results and not late and not cancels and "running" in str(results[0]["result"]):
            found.append(f"beside {call_id} runs for ever")
        if history.get(call_id) in (None, "IN_PROGRESS"):
            found.append(f"{name} {call_id} has no end in the history: {history.get(call_id)}")
    if held.status not in (0, 1):
        found.append(f"the conversation ended with {held.status}")
    if len(held.named("session_ended")) != 1:
        found.append("it did not end")
    last = [
        event["event"] for event in held.events if event["event"] in ("bot_started_speaking", "bot_stopped_speaking")
    ]
    if last and last[-1] != "bot_stopped_speaking":
        found.append("the agent did not return to listening")
    return found


def check(talk: tuple[Said, ...]) -> None:
    held, works = run_in_virtual_time(lambda: play(talk), limit_secs=120)
    assert problems_of(held, works) == []


@pytest.mark.apart
@settings(max_examples=5, deadline=None, derandomize=True, suppress_health_check=ALL_CHECKS)
@given(TALKS)
def test_each_act_is_done_once_and_each_call_has_one_end(talk: tuple[Said, ...]) -> None:
    check(talk)


@pytest.mark.long
@settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=ALL_CHECKS)
@given(TALKS)
def test_each_act_is_done_once_and_each_call_has_one_end_in_many_talks(talk: tuple[Said, ...]) -> None:
    check(talk)


def test_what_was_done_last_is_taken_back_once_and_one_of_two_jobs_is_called_off() -> None:
    done = (Called("undoable", 3, False), Called("beside", 50, False), Called("beside", 60, False))
    talk = (
        Said("go on", "idle", 0, True, done),
        Said("undo that", "idle", 0, True, ()),
        Said("stop the second", "idle", 0, True, (Called(CANCEL_RUNNING, 1, False),)),
        Said("undo that", "idle", 0, True, ()),
    )
    held, works = run_in_virtual_time(lambda: play(talk), limit_secs=120)
    assert problems_of(held, works) == []
    assert works.undone == Counter({1: 1})
    assert (works.ended[2], works.cancelled[3], works.ended[3]) == (1, 1, 0)
    works.undone[1] += 1
    assert problems_of(held, works) == [
        "job 1 was done 1 times and taken back 2 times",
        "what was taken back was not told, or was told and not taken back",
    ]


def test_the_rules_see_what_is_wrong() -> None:
    said = Said("go on", "idle", 0, True, (Called("acts", 0, False), Called("beside", 0, False)))
    held, works = run_in_virtual_time(lambda: play((said,)), limit_secs=120)
    assert problems_of(held, works) == []
    works.ended[1] += 1
    works.begun[1] += 1
    events: list[Any] = held.events
    held.events = [event for event in events if not event.get("late")]
    held.history = [
        {**message, "content": "IN_PROGRESS"} if message.get("role") == "tool" else message for message in held.history
    ]
    assert problems_of(held, works) == [
        "job 1 was done 2 times for 1 calls",
        "acts call_1 has no end in the history: IN_PROGRESS",
        "beside call_2 runs for ever",
        "beside call_2 has no end in the history: IN_PROGRESS",
    ]
