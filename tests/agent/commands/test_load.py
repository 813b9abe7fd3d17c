"""`sotto load`: callers by every door on the real server with scripted engines, and what stops them."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from agent.commands import load
from agent.commands.load import LoadOptions, run_load, server_here, server_of
from agent.errors import InputError
from agent.load.callers import Callers, Plan
from agent.load.find import largest
from agent.load.line import CallLine, RefusedError
from agent.load.measured import Limits, Measured
from agent.load.questions import THINGS, Question, for_callers, recorded, synthesised, words_of
from agent.load.tape import Mouth
from agent.settings.load import load_settings
from agent.stopping import Stopping
from processors.stt.recognizer import Transcript
from tests.support.house import SPEECH
from tests.support.llm_session import options
from tests.support.scripted_engines import ScriptedRecognizer, ScriptedRecognizerEngine
from tests.support.scripted_llm import Reply, ScriptedLLM
from tests.support.served import ServedEngine, serving_page
from tests.support.virtual_time import in_virtual_time

SHORT = Plan(secs=0.1, ramp_secs=0.0, patience_secs=20.0)
PATIENT = Limits(p95_secs=60.0, unanswered_percent=0.0)
FIRST = "elephants"
WORDS = f"What do you know about {FIRST}?"


class SteadyEars(ScriptedRecognizerEngine):
    """Hears the same words for ever, whoever speaks."""

    def recognizer(self) -> ScriptedRecognizer:
        return _Steady(self)


class _Steady(ScriptedRecognizer):
    def pause(self) -> Transcript:
        self._engine.texts[:] = [WORDS] * 4
        return super().pause()


@asynccontextmanager
async def served(**limits: Any) -> AsyncIterator[ServedEngine]:
    async with ScriptedLLM() as llm, serving_page(SteadyEars(), options(llm), **limits) as running:
        llm.otherwise = Reply("Not much.")
        yield running


@pytest.fixture(autouse=True)
def _no_signals(monkeypatch: pytest.MonkeyPatch) -> None:
    """The test's process keeps its own signals, and its way to the network."""
    monkeypatch.setattr(load, "stop_on_signals", Stopping)
    monkeypatch.setattr(load, "open_only", lambda _: None)


def read(told: Path) -> dict[str, Any]:
    return json.loads(told.read_text())


async def answered(door: str, told: Path) -> None:
    async with served() as running:
        given = LoadOptions(running.url, door=door, n_calls=1, plan=SHORT, limits=PATIENT, json_path=told)
        assert await run_load(given) == 0
    figures = read(told)
    assert (figures["held"], figures["refused"], figures["lost"], figures["problems"]) == (1, {}, {}, [])
    assert figures["questions"] == figures["answered"] >= 1
    assert (figures["misheard"], figures["mixed_up"], figures["errors"]) == (0, 0, {})
    assert figures["server_max_sessions"] == 4
    assert figures["voice_to_voice_secs"]["p50"] > 0


@pytest.mark.parametrize("door", ["websocket", "realtime"])
@in_virtual_time
async def test_a_caller_is_answered_and_the_figures_are_told(door: str, tmp_path: Path) -> None:
    await answered(door, tmp_path / "figures.json")


@pytest.mark.realtime
async def test_a_caller_by_webrtc_is_answered_and_the_figures_are_told(tmp_path: Path) -> None:
    await answered("webrtc", tmp_path / "figures.json")


@in_virtual_time
async def test_a_full_server_is_told_by_its_limit_and_another_ones_words_are_a_mix_up(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    told = tmp_path / "figures.json"
    async with served(max_sessions=2) as running:
        given = LoadOptions(running.url, None, "websocket", 3, False, SHORT, PATIENT, json_path=told)
        assert await run_load(given) == 1
    figures = read(told)
    assert figures["refused"] == {"server.max_sessions": 1}
    # Both that were let in heard the first caller's words; one of them at least is another.
    assert figures["mixed_up"] >= 1
    output = " ".join(capsys.readouterr().out.split())
    assert "stopped by server.max_sessions = 2: sotto serve --set server.max_sessions=3" in output


class ScriptedCall(CallLine):
    """A fake at the edge: a call whose server answers as it is told, in no time.

    Args:
        heard: What the agent takes each question for; None: it does not answer.
        refusal: What the server says in place of taking the call.
        lost: Why the call ends in the middle of a question.
        conversation: Its id.
    """

    def __init__(
        self, heard: str | None, *, refusal: str = "", lost: str = "", conversation: str = "", after_secs: float = 0.0
    ) -> None:
        super().__init__(Mouth(b""))
        self._heard, self._refusal, self._lost, self._id = heard, refusal, lost, conversation
        self._after_secs = after_secs

    async def join(self) -> None:
        if self._refusal:
            raise RefusedError(self._refusal)
        self.conversation = self._id

    async def say(self, question: Question) -> float:
        spoken_secs = asyncio.get_running_loop().time()
        if self._lost:
            self.lose(self._lost)
        elif self._heard is not None:
            self.note({"event": "turn_ended", "text": self._heard})
            self.note({"event": "bot_started_speaking"})
            self.note({"event": "bot_stopped_speaking"})
        return spoken_secs - self._after_secs

    async def hang_up(self) -> None:
        pass


QUESTIONS = [Question(np.zeros(160, np.int16), text, frozenset(words_of(text))) for text in ("apples", "pears")]


async def loaded(*calls: ScriptedCall, patience_secs: float = 5.0) -> Measured:
    left = list(calls)
    callers = Callers(QUESTIONS[: len(calls)], lambda: left.pop(0), Plan(0.05, 0.0, patience_secs))
    return await callers.run(asyncio.Event())


async def test_words_of_another_caller_and_a_conversation_of_two_are_mixed_up() -> None:
    measured = await loaded(
        ScriptedCall("I know apples", conversation="a"), ScriptedCall("I know apples", conversation="a")
    )
    # One turn of the second, and one conversation of both.
    assert measured.n_mixed_up == 2
    assert "2 turns were another caller's" in measured.problems(Limits())
    misheard = await loaded(ScriptedCall("I know peas", conversation="a"))
    assert (misheard.n_misheard, misheard.n_mixed_up) == (1, 0)


async def test_refusals_losses_and_silence_are_beyond_the_limits_and_each_is_named() -> None:
    busy = ScriptedCall(None, refusal="the agent is busy with 4 conversations; try again later")
    lost = ScriptedCall(None, lost="the connection failed")
    measured = await loaded(busy, lost)
    assert measured.problems(Limits()) == [
        "1 of 2 calls were refused: server.max_sessions",
        "1 calls were lost: the connection failed",
        "no question was answered",
    ]
    silent = await loaded(ScriptedCall(None), patience_secs=0.05)
    assert "1 of 1 questions were not answered; the limit is 1 %" in silent.problems(Limits())


async def test_answers_are_timed_from_the_last_sample_of_the_question() -> None:
    measured = await loaded(ScriptedCall("apples", after_secs=3.0))
    assert measured.percentile_secs(95) == pytest.approx(3.0, abs=0.5)
    assert measured.problems(Limits(p95_secs=10.0)) == []
    assert measured.problems(Limits(p95_secs=1.0))[0].endswith("(p95); the limit is 1 s")


@pytest.mark.parametrize(
    ("told", "limit"),
    [
        ("too many connections; try again later.\n", "places for connections"),
        ('{"error": "the agent is about to stop and takes no more calls"}', "the server is draining"),
        ("something\nelse", "something else"),
    ],
)
def test_a_refusal_is_known_by_the_limit_that_said_it(told: str, limit: str) -> None:
    assert RefusedError(told).limit == limit


@pytest.mark.parametrize(("most", "holds_until", "found"), [(16, 11, 11), (4, 99, 4), (8, 0, 0), (1, 1, 1), (5, 4, 4)])
async def test_the_largest_number_is_found_by_doubling_and_halving(most: int, holds_until: int, found: int) -> None:
    tried: list[int] = []

    async def holds(n_calls: int) -> bool:
        tried.append(n_calls)
        return n_calls <= holds_until

    assert await largest(most, holds) == found
    assert len(tried) == len(set(tried))
    assert max(tried) <= most


async def test_finding_says_what_stopped_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    async def measure(self: load.Trials, n_calls: int) -> Measured:
        return Measured(n_calls, n_held=n_calls, answer_secs=[0.5 if n_calls < 3 else 5.0])

    async def most(_: object) -> int:
        return self_most

    monkeypatch.setattr(load.Trials, "_measure", measure)
    monkeypatch.setattr(load, "most_sessions", most)
    monkeypatch.setattr(load.Trials, "_until_free", lambda self: asyncio.sleep(0))
    told = tmp_path / "found.json"
    found = {}
    for self_most in (8, 2):
        assert await run_load(LoadOptions("http://127.0.0.1:1", find=True, json_path=told)) == 0
        found[self_most] = read(told)
    assert (found[8]["largest"], found[2]["largest"]) == (2, 2)
    assert found[8]["stopped_by"] == ["answers began after 5.00 s (p95); the limit is 2 s"]
    assert found[2]["stopped_by"] == ["server.max_sessions = 2"]
    assert [one["calls"] for one in found[8]["trials"]] == [1, 2, 4, 3]


def test_each_caller_has_words_that_no_other_has() -> None:
    questions = synthesised(6)
    assert questions[0].text == WORDS
    assert len({question.marks for question in questions}) == 6
    assert all(question.audio_s16.dtype == np.int16 for question in questions)
    # A sentence of two seconds; nothing behind its last voiced sample.
    assert all(16_000 < len(question.audio_s16) < 64_000 for question in questions)
    things = " ".join(THINGS.values()).split()
    assert len(things) == len(set(things)) == 39
    # Of more callers, some have the same question.
    assert [question.text for question in synthesised(40)[38:]] == ["What do you know about lemonade?", WORDS]


def test_recordings_have_the_words_that_stand_beside_them(tmp_path: Path) -> None:
    for name, text in (("a", "the kitchen lights"), ("b", "the capital")):
        (tmp_path / f"{name}.wav").write_bytes((SPEECH / "kitchen_lights.wav").read_bytes())
        (tmp_path / f"{name}.txt").write_text(text)
    first, second, unknown = recorded([tmp_path / "a.wav", tmp_path / "b.wav", SPEECH / "stop.wav"])
    assert (first.marks, second.marks) == (frozenset(["kitchen", "light"]), frozenset(["capital"]))
    assert unknown.marks == frozenset()
    assert [question.text for question in for_callers(3, [tmp_path / "a.wav", tmp_path / "b.wav"])] == [
        "the kitchen lights",
        "the capital",
        "the kitchen lights",
    ]
    with pytest.raises(InputError, match="recording not found"):
        recorded([tmp_path / "none.wav"])
    assert words_of("What's THIS?") == ["what", "s", "thi"]


@pytest.mark.parametrize("url", ["127.0.0.1:7860", "ftp://box", "http://box/page", "http://a:b@box", "http://[x"])
def test_what_is_no_address_is_refused_in_one_line(url: str) -> None:
    with pytest.raises(InputError, match=r"^--url .*: expected an address such as http://127.0.0.1:7860$"):
        server_of(url, None)


def test_another_host_is_called_by_name_only_and_has_to_vouch_for_itself() -> None:
    assert server_of("https://127.0.0.1:7860", None).is_here
    assert not server_of("https://box:7860", None).is_here
    settings = load_settings({"server.port": 7000, "server.https": True, "server.token": "open sesame"}).server
    assert server_here(settings) == ("https://127.0.0.1:7000", "open sesame")
    assert server_here(load_settings({"server.token": "auto"}).server) == ("http://127.0.0.1:7860", None)


async def test_without_a_server_or_its_token_one_line_says_so() -> None:
    with pytest.raises(InputError, match=r"no sotto answers at http://127.0.0.1:1 .*: start one with sotto serve$"):
        await run_load(LoadOptions("http://127.0.0.1:1"))
    with pytest.raises(InputError, match="--door fax: expected one of webrtc, websocket, realtime"):
        await run_load(LoadOptions("http://127.0.0.1:1", door="fax"))
    async with served(token="open sesame") as running:
        with pytest.raises(InputError, match="asks for its token: sotto load --token TOKEN"):
            await run_load(LoadOptions(running.url))
