"""Greeting, fillers, announcements of tools, the question to a silent user: said when due, and only then."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest
from pipecat.adapters.llm.schemas.function_schema import FunctionSchema
from pipecat.adapters.llm.schemas.tools_schema import ToolsSchema
from pipecat.services.llm_service import FunctionCallParams

from agent.commands.replay import Replay
from agent.commands.script import Step
from agent.conversation.conversation import Conversation
from agent.settings.load import Settings
from processors.llm.dead_air import SOUND_SECS, soft_sound
from tests.support.house import Held, hold, hosting, say
from tests.support.llm_session import options
from tests.support.scripted_engines import ScriptedRecognizerEngine, ScriptedSynthesizer
from tests.support.scripted_llm import Answer, Reply, ScriptedLLM, ToolCall
from tests.support.sounds import then, voice
from tests.support.virtual_time import in_virtual_time

QUESTION = "what time is it"


async def talk(
    answers: Mapping[str, Answer],
    *,
    dialogue: Mapping[str, Any] | None = None,
    steps: Sequence[Step] = (),
    heard_as: Sequence[str] = (QUESTION,),
    tools: ToolsSchema | None = None,
    end_secs: float = 0.3,
) -> tuple[Held, list[list[dict[str, Any]]]]:
    """A question with these settings; what happened, and what the model was sent."""
    stt, tts = ScriptedRecognizerEngine(*heard_as), ScriptedSynthesizer()

    def prepare(conversation: Conversation, _: Replay) -> None:
        if tools:
            conversation.context.set_tools(tools)

    settings = Settings.model_validate({"dialogue": dialogue or {}})
    async with ScriptedLLM(answers=answers) as server, hosting(stt, options(server), tts) as host:
        held = await hold(
            host, steps or [say("days_in_a_week.wav")], settings=settings, prepare=prepare, end_secs=end_secs
        )
        return held, [request.messages for request in server.requests]


def slow_tool(duration_secs: float) -> ToolsSchema:
    async def look(params: FunctionCallParams) -> None:
        await asyncio.sleep(duration_secs)
        await params.result_callback({"time": "noon"})

    return ToolsSchema([FunctionSchema("clock", "Look at the clock.", {}, [], handler=look)])


@in_virtual_time
async def test_a_greeting_is_said_first_and_remembered() -> None:
    held, sent = await talk({QUESTION: Reply("Noon.")}, dialogue={"greeting": "Hello, what can I do?"})
    assert held.texts("bot_word") == ["Hello,", "what", "can", "I", "do?", "Noon."]
    assert [message["content"] for message in held.history] == ["Hello, what can I do?", QUESTION, "Noon."]
    # Many chat templates want the user to begin.
    assert [message["role"] for message in sent[0]] == ["system", "user", "assistant", "user"]


@in_virtual_time
async def test_a_greeting_may_be_interrupted() -> None:
    greeting = "Hello and welcome to this long and winding greeting that nobody wants to hear to its end today."
    held, _ = await talk(
        {"tell me the time": Reply("Noon.")},
        dialogue={"greeting": greeting},
        steps=[then(voice("tell me the time"), after="bot_started_speaking", delay_secs=0.5)],
        heard_as=["tell me the time"],
    )
    (interruption,) = held.named("interruption")
    assert greeting.startswith(interruption["heard"])
    assert held.texts("bot_word")[-1] == "Noon."


@in_virtual_time
async def test_without_the_setting_a_slow_reply_is_waited_for_in_silence() -> None:
    held, _ = await talk({QUESTION: Reply("Noon.", first_delay_secs=1.8)})
    assert held.texts("bot_word") == ["Noon."]
    assert held.named("filler") == []


@in_virtual_time
async def test_a_slow_reply_is_bridged_by_a_word_that_is_not_remembered() -> None:
    held, _ = await talk({QUESTION: Reply("Noon.", first_delay_secs=1.8)}, dialogue={"filler": "words"})
    assert held.texts("filler") == ["Hmm."]
    assert held.texts("bot_word") == ["Hmm.", "Noon."]
    assert [message["content"] for message in held.history] == [QUESTION, "Noon."]
    turn_end_secs = held.named("turn_ended")[0]["t"]
    # A second after the end of the turn, and two frames of 20 ms on the way.
    assert 1.0 <= held.named("bot_started_speaking")[0]["t"] - turn_end_secs <= 1.1
    # The latency says that what was heard first was no answer.
    assert [event.get("filler") for event in held.named("latency")] == [True]


@pytest.mark.parametrize(("first_secs", "delay_secs"), [(4.0, 1.0), (1.8, 2.0)])
@in_virtual_time
async def test_of_a_reply_with_a_filler_the_words_heard_begin_the_words_planned(
    first_secs: float, delay_secs: float
) -> None:
    answers = {QUESTION: Reply("One two three four five six seven eight.", first_delay_secs=first_secs)}
    dialogue = {"filler": "words", "filler_after_secs": 0.5, "filler_words": ["Let me think about it for a while."]}
    cut = then(voice("no what about cats"), after="filler", delay_secs=delay_secs)
    held, _ = await talk(
        answers,
        dialogue=dialogue,
        steps=[say("days_in_a_week.wav"), cut],
        heard_as=[QUESTION, "no what about cats"],
    )
    (interruption,) = held.named("interruption")
    assert interruption["heard"]
    assert interruption["planned"].startswith(interruption["heard"])


@in_virtual_time
async def test_a_quick_reply_needs_no_filler() -> None:
    held, _ = await talk({QUESTION: Reply("Noon.", first_delay_secs=0.8)}, dialogue={"filler": "words"})
    assert held.texts("bot_word") == ["Noon."]
    assert ["filler" in event for event in held.named("latency")] == [False]


@in_virtual_time
async def test_an_answer_that_was_prepared_in_advance_needs_no_filler_after_it() -> None:
    for filler in ("words", "sound"):
        dialogue = {"filler": filler, "filler_after_secs": 0.3}
        held, _ = await talk({QUESTION: Reply("Noon.")}, dialogue=dialogue, end_secs=2.0)
        assert held.texts("bot_word") == ["Noon."]
        assert len(held.named("bot_started_speaking")) == 1


@in_virtual_time
async def test_a_slow_reply_is_bridged_by_a_soft_sound() -> None:
    held, _ = await talk({QUESTION: Reply("Noon.", first_delay_secs=1.8)}, dialogue={"filler": "sound"})
    started_secs = [event["t"] for event in held.named("bot_started_speaking")]
    sound = held.heard_s16[round(started_secs[0] * 24_000) :][: round(SOUND_SECS * 24_000)].astype(float)
    assert -45 < 20 * np.log10(np.sqrt(np.square(sound).mean()) / 32768) < -30
    assert held.texts("bot_word") == ["Noon."]


def test_the_soft_sound_fades_to_silence_and_never_clips() -> None:
    audio_s16 = np.frombuffer(soft_sound(24_000), "<i2")
    assert len(audio_s16) == round(SOUND_SECS * 24_000)
    assert 0 < np.abs(audio_s16.astype(int)).max() < 32768 // 10
    assert np.abs(audio_s16[-240:].astype(int)).max() < np.abs(audio_s16.astype(int)).max() // 4


@in_virtual_time
async def test_a_tool_that_takes_long_announces_itself() -> None:
    answers = {QUESTION: Reply(tool_calls=[ToolCall("clock")])}
    held, _ = await talk(answers, tools=slow_tool(4.0))
    assert held.texts("filler") == ["One moment, please."]
    assert held.texts("bot_word") == ["One", "moment,", "please.", "Okay."]
    assert held.history[-1]["content"] == "Okay."
    called_secs = held.named("tool_call")[0]["t"]
    assert 1.5 <= held.named("filler")[0]["t"] - called_secs <= 1.6


@in_virtual_time
async def test_a_quick_tool_says_nothing() -> None:
    held, _ = await talk({QUESTION: Reply(tool_calls=[ToolCall("clock")])}, tools=slow_tool(0.5))
    assert held.named("filler") == []
    assert held.texts("bot_word") == ["Okay."]


@in_virtual_time
async def test_a_noise_while_a_tool_works_does_not_stop_the_tool() -> None:
    answers = {QUESTION: Reply(tool_calls=[ToolCall("clock")])}
    cough = then(voice("hah hah hah"), after="tool_call", delay_secs=0.5)
    held, _ = await talk(
        answers, tools=slow_tool(3.0), steps=[say("days_in_a_week.wav"), cough], heard_as=[QUESTION, ""]
    )
    assert [event["cause"] for event in held.named("false_interruption")] == ["noise"]
    assert held.named("tool_result")[0]["result"] == {"time": "noon"}
    assert held.texts("bot_word")[-1] == "Okay."


@in_virtual_time
async def test_a_tool_that_is_cancelled_behind_words_that_are_still_spoken_is_cancelled_in_the_history() -> None:
    words = "Let me look at the clock that hangs on the wall of the kitchen over there."
    answers = {QUESTION: Reply(words, tool_calls=[ToolCall("clock")]), "no stop": Reply("Okay.")}
    held, _ = await talk(
        answers,
        tools=slow_tool(60.0),
        steps=[
            say("days_in_a_week.wav"),
            then(voice("no stop"), after="bot_started_speaking", delay_secs=1.0),
        ],
        heard_as=[QUESTION, "no stop"],
    )
    assert [message["role"] for message in held.history] == [
        "user",
        "assistant",
        "assistant",
        "tool",
        "user",
        "assistant",
    ]
    call, result = held.history[2:4]
    assert call["tool_calls"][0]["function"]["name"] == "clock"
    assert (result["tool_call_id"], result["content"]) == (call["tool_calls"][0]["id"], '"CANCELLED"')
    assert held.history[-1]["content"] == "Okay."


@in_virtual_time
async def test_a_silent_user_is_asked_once() -> None:
    idle = {"idle_prompt": "Are you still there?", "idle_after_secs": 2.0}
    held, _ = await talk({QUESTION: Reply("Noon.")}, dialogue=idle, end_secs=12.0)
    assert held.texts("bot_word") == ["Noon.", "Are", "you", "still", "there?"]
    held, _ = await talk({QUESTION: Reply("Noon.")}, end_secs=12.0)
    assert held.texts("bot_word") == ["Noon."]
