"""Conversation files whose steps type and interrupt, held in virtual time."""

import re
from pathlib import Path

import pytest
import yaml

from agent.commands.script import Typed, load_script
from agent.errors import InputError
from tests.support.cuts import cut_index, of_the_cut_reply, slow_reply
from tests.support.house import hold, hosting
from tests.support.llm_session import options
from tests.support.scripted_engines import ScriptedRecognizerEngine, ScriptedSynthesizer
from tests.support.scripted_llm import Reply, ScriptedLLM
from tests.support.virtual_time import run_in_virtual_time

ROUND = [
    {"type": "tell me all"},
    {"interrupt": True, "after": "bot_started_speaking", "delay_secs": 1.5},
    {"type": "are you there"},
]


def written(tmp_path: Path, steps: list[dict[str, object]]) -> Path:
    path = tmp_path / "talk.yaml"
    path.write_text(yaml.safe_dump({"steps": steps}), encoding="utf-8")
    return path


async def replayed(path: Path) -> None:
    async with ScriptedLLM(answers={"tell me all": slow_reply(token_secs=0.047)}) as server:
        server.otherwise = Reply("Yes ", "I ", "am.", delay_secs=0.05)
        patient = options(server, token_stall_timeout_secs=9.0)
        script = load_script([path])
        events: list[dict[str, object]] = []
        async with hosting(ScriptedRecognizerEngine(), patient, ScriptedSynthesizer()) as host:
            held = await hold(host, script.steps, sinks=[events.append], limit_secs=1_000)
    assert held.status == 0
    rounds = [index for index, event in enumerate(events) if event.get("text") == "tell me all"]
    assert len(rounds) == len(script.steps) // 3
    for start, end in zip(rounds, [*rounds[1:], len(events)], strict=True):
        told = events[start:end]
        after = told[cut_index(told) + 1 :]
        # The next round begins with the start of its turn.
        assert of_the_cut_reply(after) == []
        assert [event["text"] for event in after if event["event"] == "bot_word"] == ["Yes", "I", "am."]


@pytest.mark.parametrize("n_times", [2, pytest.param(20, marks=pytest.mark.long)])
def test_nothing_of_an_answer_that_a_script_cuts_follows_its_interruption(tmp_path: Path, n_times: int) -> None:
    path = written(tmp_path, ROUND * n_times)
    run_in_virtual_time(lambda: replayed(path))


def test_a_step_types_or_interrupts(tmp_path: Path) -> None:
    typed, cut = load_script([written(tmp_path, [{"type": "hello", "spoken": False}, {"interrupt": True}])]).steps
    assert (typed.act, str(typed)) == (Typed("hello", spoken=False), "type: hello")
    assert (cut.act, str(cut)) == (None, "interrupt")


@pytest.mark.parametrize(
    ("step", "message"),
    [
        ({}, "one of say, type and interrupt: true"),
        ({"type": "hello", "interrupt": True}, "one of say, type and interrupt: true"),
        ({"type": "  "}, "type holds no words"),
        ({"interrupt": False}, "interrupt"),
        ({"tipe": "hello"}, "unknown key: steps.0.tipe"),
    ],
)
def test_a_step_that_is_no_one_thing_is_refused(tmp_path: Path, step: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=re.escape(message)):
        load_script([written(tmp_path, [step])])
