"""Answers that are prepared while the user may still go on: kept if nothing follows, else gone without a trace."""

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest
from pipecat.adapters.llm.schemas.function_schema import FunctionSchema
from pipecat.adapters.llm.schemas.tools_schema import ToolsSchema
from pipecat.frames.frames import EagerEndOfTurnCancelFrame, Frame, InterruptionFrame, UserStoppedSpeakingFrame
from pipecat.processors.frame_processor import FrameDirection
from pipecat.services.llm_service import FunctionCallParams
from pipecat.turns.types import ProcessFrameResult

from agent.commands.replay import Replay
from agent.conversation.conversation import Conversation
from agent.settings.load import Settings
from processors.errors import EngineError
from processors.llm.service import LocalLLMService
from processors.turns.speculation import Speculation
from processors.turns.turn import TurnEndStrategy
from tests.support.house import Held, hold, hosting, say
from tests.support.llm_session import options
from tests.support.scripted_engines import ScriptedRecognizerEngine, ScriptedSynthesizer
from tests.support.scripted_llm import Answer, Failure, Reply, ScriptedLLM, ToolCall
from tests.support.sounds import then, voice, with_pause
from tests.support.virtual_time import in_virtual_time

# What a middling laptop takes; see tests/bench/dynamics.
STT_SECS, LLM_SECS, TTS_SECS = 0.15, 0.25, 0.12
HALVES = with_pause(voice("set a timer for the pasta"), voice("and turn on the light"), pause_secs=0.45)


async def talk(
    *heard_as: str | EngineError,
    answers: Mapping[str, Answer],
    sound: Any = None,
    turn: Mapping[str, Any] | None = None,
    tools: ToolsSchema | None = None,
    **engine: Any,
) -> tuple[Held, list[str]]:
    """One turn; returns what happened, and the last user message of each request."""
    stt = ScriptedRecognizerEngine(*heard_as, early=True, **engine)
    tts = ScriptedSynthesizer(first_secs=TTS_SECS)

    def prepare(conversation: Conversation, _: Replay) -> None:
        if tools:
            conversation.context.set_tools(tools)

    async with ScriptedLLM(answers=answers) as server, hosting(stt, options(server), tts) as host:
        step = then(sound) if sound else say("days_in_a_week.wav")
        held = await hold(host, [step], settings=Settings.model_validate({"turn": turn or {}}), prepare=prepare)
        return held, [request.messages[-1]["content"] for request in server.requests]


@in_virtual_time
async def test_the_answer_is_prepared_in_the_pause_and_kept() -> None:
    held, asked = await talk("what time is it", answers={"what time is it": Reply("Noon.", first_delay_secs=0.1)})
    assert asked == ["what time is it"]
    assert [(event["outcome"], event["text"]) for event in held.named("speculation")] == [("kept", "what time is it")]
    assert held.named("llm_first_token")[0]["t"] < held.named("turn_ended")[0]["t"]
    assert [message["content"] for message in held.history] == ["what time is it", "Noon."]


@in_virtual_time
async def test_the_voice_is_prepared_as_well_so_that_only_the_longest_wait_counts() -> None:
    answer = {"what time is it": Reply("Noon.", first_delay_secs=LLM_SECS)}
    with_it, _ = await talk("what time is it", answers=answer, finish_secs=STT_SECS)
    without, _ = await talk("what time is it", answers=answer, finish_secs=STT_SECS, turn={"speculate": False})
    quick, slow = (held.named("latency")[0] for held in (with_it, without))
    # From the pause's first window, which comes within 0.1 s of the end of speech, all three engines work one after
    # another, or the decision takes longer than they do; then 60 ms of frames and playing.
    longest_ms = max(quick["turn_ms"], 100 + 1000 * (STT_SECS + LLM_SECS + TTS_SECS))
    assert quick["voice_to_voice_ms"] <= longest_ms + 60
    # Without it, model and voice begin after the decision.
    assert slow["voice_to_voice_ms"] >= slow["turn_ms"] + 1000 * (LLM_SECS + TTS_SECS)


@in_virtual_time
async def test_an_answer_to_half_of_a_turn_is_thrown_away_without_a_trace() -> None:
    whole = "set a timer for the pasta and turn on the light"
    held, asked = await talk(
        "set a timer for the pasta",
        sound=HALVES,
        answers={"set a timer for the pasta": Reply("Wrong."), whole: Reply("Both done.")},
        turn={"pace": "patient"},
        continued={"set a timer for the pasta": whole},
    )
    assert asked == ["set a timer for the pasta", whole]
    assert [event["outcome"] for event in held.named("speculation")] == ["thrown_away", "kept"]
    assert held.texts("bot_word") == ["Both", "done."]
    assert [message["content"] for message in held.history] == [whole, "Both done."]
    assert held.named("interruption") == []
    # Half a second of tone for two words: nothing of the other answer was played.
    assert (abs(held.heard_s16.astype(int)) > 104).sum() / 24_000 < 0.6


@in_virtual_time
async def test_no_more_answers_are_prepared_in_one_turn_than_the_setting_allows() -> None:
    speculation = Speculation(2)
    for text in ("one", "one two"):
        assert speculation.may_begin()
        speculation.begin(text)
        speculation.end()
    assert not speculation.may_begin()
    speculation.next_turn()
    assert speculation.may_begin()
    held, asked = await talk("what time is it", answers={}, turn={"max_speculations": 0})
    assert held.named("speculation") == []
    assert asked == ["what time is it"]


def test_words_that_differ_in_case_and_punctuation_have_the_same_answer() -> None:
    speculation = Speculation(1)
    speculation.begin("what time is it")
    assert speculation.answers("What time is it?")
    assert not speculation.answers("what time is it now")


@in_virtual_time
async def test_a_tool_is_not_called_before_the_turn_is_over() -> None:
    called: list[float] = []
    loop = asyncio.get_running_loop()

    async def lights(params: FunctionCallParams) -> None:
        called.append(loop.time())
        await params.result_callback({"on": True})

    schema = FunctionSchema("lights", "Switch the lights.", {}, [], handler=lights)
    held, asked = await talk(
        "lights on please",
        answers={"lights on please": Reply(tool_calls=[ToolCall("lights")])},
        tools=ToolsSchema([schema]),
    )
    assert len(called) == 1
    assert [event["outcome"] for event in held.named("speculation")] == ["thrown_away"]
    assert held.named("tool_call")[0]["t"] >= held.named("turn_ended")[0]["t"]
    # Once in advance, once when the turn was over, once with the tool's result.
    assert len(asked) == 3
    assert held.texts("bot_word") == ["Okay."]


@in_virtual_time
async def test_a_tool_that_is_wanted_just_as_the_turn_ends_is_called_all_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    called: list[str] = []
    process = LocalLLMService.process_frame

    async def slow(self: LocalLLMService, frame: Frame, direction: FrameDirection) -> None:
        # A busy machine: the model wants its tool when the turn is over and the model does not know yet.
        if isinstance(frame, UserStoppedSpeakingFrame) and direction is FrameDirection.DOWNSTREAM:
            await asyncio.sleep(1.5)
        await process(self, frame, direction)

    async def lights(params: FunctionCallParams) -> None:
        called.append(params.function_name)
        await params.result_callback({"on": True})

    monkeypatch.setattr(LocalLLMService, "process_frame", slow)
    schema = FunctionSchema("lights", "Switch the lights.", {}, [], handler=lights)
    held, asked = await talk(
        "lights on please",
        answers={"lights on please": Reply(tool_calls=[ToolCall("lights")], first_delay_secs=1.2)},
        tools=ToolsSchema([schema]),
    )
    assert called == ["lights"]
    # Once in advance, once again because the first was given up, once with the tool's result.
    assert len(asked) == 3
    assert held.texts("bot_word") == ["Okay."]


def withdraw_late(monkeypatch: pytest.MonkeyPatch, late_secs: float) -> set["asyncio.Task[None]"]:
    """A busy machine: that the model wants a tool for half of a turn is heard of long after that."""
    follow, late = TurnEndStrategy.process_frame, set[asyncio.Task[None]]()

    async def follow_later(self: TurnEndStrategy, frame: Frame) -> None:
        await asyncio.sleep(late_secs)
        await follow(self, frame)

    async def slow(self: TurnEndStrategy, frame: Frame) -> ProcessFrameResult:
        if not isinstance(frame, EagerEndOfTurnCancelFrame) or late:
            return await follow(self, frame)
        late.add(asyncio.create_task(follow_later(self, frame)))
        return ProcessFrameResult.CONTINUE

    monkeypatch.setattr(TurnEndStrategy, "process_frame", slow)
    return late


@pytest.mark.parametrize("late_secs", [1.2, 1.6, 2.0, 2.4])
@in_virtual_time
async def test_a_withdrawal_that_comes_late_takes_back_nothing_but_the_answer_that_it_is_about(
    monkeypatch: pytest.MonkeyPatch, late_secs: float
) -> None:
    async def lights(_: FunctionCallParams) -> None:
        raise AssertionError("half of a turn has no tool called")

    late = withdraw_late(monkeypatch, late_secs)
    half, whole = "set a timer for the pasta", "set a timer for the pasta and turn on the light"
    held, asked = await talk(
        half,
        sound=HALVES,
        continued={half: whole},
        answers={half: Reply(tool_calls=[ToolCall("lights")]), whole: Reply("Both", " done.", delay_secs=0.1)},
        turn={"pace": "patient"},
        tools=ToolsSchema([FunctionSchema("lights", "Switch the lights.", {}, [], handler=lights)]),
    )
    assert len(late) == 1
    assert asked == [half, whole]
    assert held.texts("bot_word") == ["Both", "done."]
    assert [message["content"] for message in held.history] == [whole, "Both done."]


@pytest.mark.parametrize("second", ["", "and now turn on the light"])
@in_virtual_time
async def test_a_turn_whose_answer_is_taken_back_while_the_user_speaks_again_is_answered_after_all(
    monkeypatch: pytest.MonkeyPatch, second: str
) -> None:
    called: list[str] = []

    async def lights(params: FunctionCallParams) -> None:
        called.append(params.function_name)
        await params.result_callback({"on": True})

    late = withdraw_late(monkeypatch, 3.0)
    first = "lights on please"
    held, asked = await talk(
        first,
        second,
        sound=with_pause(voice("set a timer for the pasta"), voice("and turn on the light"), pause_secs=2.0),
        answers={first: Reply(tool_calls=[ToolCall("lights")]), f"{first} {second}": Reply("Yes.")},
        turn={"pace": "brisk"},
        tools=ToolsSchema([FunctionSchema("lights", "Switch the lights.", {}, [], handler=lights)]),
    )
    assert len(late) == 1
    # A noise, or what the ears do not understand, leaves the first question as it was; words are answered with it.
    # How often it is asked in advance is smart-turn's to say.
    again = [f"{first} {second}"] if second else [first, '{"on": true}']
    assert (asked[0], list(dict.fromkeys(asked[1:]))) == (first, again)
    assert called == ([] if second else ["lights"])
    assert held.texts("bot_word") == (["Yes."] if second else ["Okay."])


@in_virtual_time
async def test_a_model_that_fails_in_advance_is_apologised_for_only_when_the_turn_is_over() -> None:
    held, _ = await talk("what time is it", answers={"what time is it": Failure(500, "broken")})
    assert [event["stage"] for event in held.named("error")] == ["llm"]
    assert held.named("bot_started_speaking")[0]["t"] > held.named("turn_ended")[0]["t"]
    assert held.texts("turn_ended") == ["what time is it"]


@pytest.mark.parametrize("llm_secs", [0.0, 0.2, 0.4, 0.6, 1.0])
@in_virtual_time
async def test_one_answer_is_heard_however_long_the_model_takes(llm_secs: float) -> None:
    answer = Reply("One", " two", " three.", first_delay_secs=llm_secs, delay_secs=0.1)
    held, asked = await talk("what time is it", answers={"what time is it": answer})
    assert held.texts("bot_word") == ["One", "two", "three."]
    assert asked == ["what time is it"]
    assert [message["content"] for message in held.history] == ["what time is it", "One two three."]


@in_virtual_time
async def test_an_interruption_of_anothers_making_costs_no_answer() -> None:
    def cut_when_prepared(event: dict[str, Any]) -> None:
        if event["event"] == "llm_done" and not cut:
            cut.append(event["t"])
            asyncio.get_running_loop().create_task(worker[0].queue_frame(InterruptionFrame()))

    cut: list[float] = []
    worker: list[Any] = []

    def prepare(conversation: Conversation, _: Replay) -> None:
        worker.append(conversation._worker)

    stt, tts = ScriptedRecognizerEngine("set a timer", early=True), ScriptedSynthesizer()
    async with ScriptedLLM() as server, hosting(stt, options(server), tts) as host:
        held = await hold(host, [say("days_in_a_week.wav")], prepare=prepare, sinks=[cut_when_prepared])
    assert cut[0] < held.named("turn_ended")[0]["t"]
    assert held.texts("bot_word") == ["Okay."]
    assert [message["content"] for message in held.history] == ["set a timer", "Okay."]
