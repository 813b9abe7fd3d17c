"""What comes without being asked for: words while they are spoken, a word into a long silence, what a response took."""

import asyncio
from typing import Any

import pytest
from pipecat.frames.frames import Frame, UserStoppedSpeakingFrame
from pipecat.processors.frame_processor import FrameDirection

from agent.conversation.histories import MAX_CHARS
from agent.server.realtime.items import Items
from agent.server.realtime.live_words import LiveWords
from agent.server.realtime.outgoing import sender
from agent.server.realtime.turns import UserTurns
from processors.llm.service import LocalLLMService
from tests.agent.server.realtime.order import in_order, told_of
from tests.agent.server.realtime.stage import TRANSCRIBED, staged, talking
from tests.support.house import SPEECH
from tests.support.realtime_caller import calling_realtime
from tests.support.scripted_llm import Reply, ToolCall
from tests.support.virtual_time import in_virtual_time
from transports.recording import load_recording

QUESTION = load_recording(SPEECH / "capital_of_germany.wav").audio_s16
LONG_REPLY = "One two three four five six seven eight nine ten eleven twelve."
WORDS = "what is the capital of germany"
DELTA = "conversation.item.input_audio_transcription.delta"
COMPLETED = "conversation.item.input_audio_transcription.completed"
IDLE = {"type": "server_vad", "idle_timeout_ms": 6_000}


@pytest.mark.parametrize("kind", ["realtime", "transcription"])
@in_virtual_time
async def test_words_are_told_while_they_are_spoken_and_all_of_them_in_the_end(kind: str) -> None:
    async with staged(WORDS, replies=("Berlin.",)) as stage:
        # A guess has one more word after every so much sound.
        stage.stt.word_secs, stage.stt.shows_partials = 0.25, True
        query = {"intent": "transcription"} if kind == "transcription" else None
        async with calling_realtime(stage.url, query=query) as caller:
            if kind == "realtime":
                await caller.update(audio=TRANSCRIBED)
            await caller.say(QUESTION)
            completed = await caller.until(COMPLETED)
    deltas = caller.named(DELTA)
    assert "".join(one["delta"] for one in deltas) == WORDS
    assert {one["item_id"] for one in deltas} == {completed["item_id"]}
    assert (completed["transcript"], completed["usage"]["type"]) == (WORDS, "duration")
    started = caller.named("input_audio_buffer.speech_started")[0]
    assert started["item_id"] == completed["item_id"]
    types = [one["type"] for one in caller.events]
    early = types[types.index("input_audio_buffer.speech_started") : types.index("input_audio_buffer.speech_stopped")]
    assert early.count(DELTA) >= 2


@in_virtual_time
async def test_words_that_are_spoken_before_they_are_a_turn_are_told_once_they_are_one() -> None:
    async with staged(WORDS, WORDS, replies=(LONG_REPLY, "Still Berlin.")) as stage:
        stage.stt.word_secs, stage.stt.shows_partials = 0.25, True
        async with calling_realtime(stage.url) as caller:
            await caller.update(audio=TRANSCRIBED)
            await caller.say(QUESTION)
            await caller.until("response.output_audio.delta", 20)
            # Over the agent it takes more than a word before this is a turn.
            await caller.say(QUESTION)
            completed = await caller.until(COMPLETED, 2)
    cut = caller.named("response.done")[0]["response"]
    assert cut["status_details"] == {"type": "cancelled", "reason": "turn_detected"}
    deltas = [one["delta"] for one in caller.named(DELTA) if one["item_id"] == completed["item_id"]]
    assert len(deltas) >= 2
    assert "".join(deltas) == completed["transcript"] == WORDS


def test_only_words_that_have_stood_twice_are_told_and_none_is_taken_back() -> None:
    words = LiveWords()
    guesses = ("what", "what is", "what is a", "what is the cap", "what is the capital", "what is the capital of")
    assert [words.guess(guess) for guess in guesses] == ["", "what", " is", "", " the", " capital"]
    assert words.end("what is the capital of germany") == " of germany"
    # Of the next turn: told otherwise than it is understood in the end.
    assert [words.guess("watt"), words.guess("watt is")] == ["", "watt"]
    assert words.end("what is") == ""
    assert [words.guess("no"), words.end("no")] == ["", "no"]
    words.guess("hm")
    words.forget()
    assert words.guess("hm") == ""


@in_virtual_time
async def test_after_a_silence_as_long_as_the_client_says_the_agent_speaks_up() -> None:
    async with talking(WORDS, replies=("Berlin.", "Are you there?", "Hello?")) as (caller, stage):
        await caller.update(audio={"input": {"turn_detection": IDLE}})
        await caller.say(QUESTION, silence_secs=20.0)
        triggered = await caller.until("input_audio_buffer.timeout_triggered")
        await caller.until("response.done", 2)
        history = [message["role"] for message in stage.history()]
        second = await caller.until("input_audio_buffer.timeout_triggered", 2)
        types = caller.types()
        asked = stage.llm.requests[1].messages
    assert caller.named("error") == []
    # Sound is heard a little faster than it is spoken, where it came at once.
    assert triggered["audio_end_ms"] - triggered["audio_start_ms"] == pytest.approx(6_000, rel=0.12)
    assert second["audio_start_ms"] > triggered["audio_end_ms"]
    at = types.index("input_audio_buffer.timeout_triggered")
    following = [
        "input_audio_buffer.committed",
        "conversation.item.added",
        "conversation.item.done",
        "response.created",
    ]
    assert types[at + 1 : at + 5] == following
    assert caller.named("conversation.item.added")[2]["item"]["id"] == triggered["item_id"]
    assert "6 seconds" in asked[-1]["content"]
    assert caller.named("response.done")[1]["response"]["output"][0]["content"][0]["transcript"] == "Are you there?"
    assert history.count("developer") == 1


@in_virtual_time
async def test_whoever_speaks_in_time_is_not_spoken_to() -> None:
    async with talking(WORDS, WORDS, replies=("Berlin.", "Still Berlin.")) as (caller, _):
        await caller.update(audio={"input": {"turn_detection": IDLE}})
        await caller.say(QUESTION, silence_secs=1.0)
        await caller.until("response.done")
        await asyncio.sleep(5)
        await caller.say(QUESTION, silence_secs=1.0)
        await caller.until("response.done", 2)
        await asyncio.sleep(5)
        await caller.update(audio={"input": {"turn_detection": {"type": "server_vad", "idle_timeout_ms": None}}})
        await asyncio.sleep(10)
    assert caller.named("input_audio_buffer.timeout_triggered") == []


@in_virtual_time
async def test_an_idle_timeout_is_told_again_bounded_and_of_server_vad_alone() -> None:
    async with talking() as (caller, _):
        session = await caller.update(audio={"input": {"turn_detection": IDLE}})
        assert session["audio"]["input"]["turn_detection"]["idle_timeout_ms"] == 6_000
        for count, wrong in enumerate(({**IDLE, "idle_timeout_ms": 100}, {**IDLE, "type": "semantic_vad"}), 1):
            detection = {"audio": {"input": {"turn_detection": wrong}}}
            await caller.tell({"type": "session.update", "session": {"type": "realtime", **detection}})
            error = (await caller.until("error", count))["error"]
            assert error["param"] == "session.audio.input.turn_detection.idle_timeout_ms"


@in_virtual_time
async def test_a_reply_that_calls_the_agents_own_tool_is_one_response_with_what_all_of_it_took() -> None:
    call = Reply(tool_calls=[ToolCall("calculate", ('{"expression": "6*7"}',))])
    async with talking("six times seven", replies=(call, "Forty two.")) as (caller, stage):
        await caller.say(QUESTION)
        done = (await caller.until("response.done"))["response"]
        await asyncio.sleep(2)
    assert len(stage.llm.requests) == 2
    assert len(caller.named("response.created")) == len(caller.named("response.done")) == 1
    assert done["status"] == "completed"
    assert done["output"][0]["content"] == [{"type": "output_audio", "transcript": "Forty two."}]
    assert (told := told_of(caller.events, done["id"])) == in_order(told)
    # The scripted model says 7 tokens for what it reads, and one for each piece of what it writes or calls.
    usage = done["usage"]
    assert (usage["input_tokens"], usage["output_tokens"], usage["total_tokens"]) == (14, 3, 17)


@in_virtual_time
async def test_a_turn_whose_prepared_answer_wants_a_function_just_as_it_ends_has_its_response(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    process = LocalLLMService.process_frame

    async def slow(self: LocalLLMService, frame: Frame, direction: FrameDirection) -> None:
        # A busy machine: the model wants its function when the turn is over and the model does not know yet.
        if isinstance(frame, UserStoppedSpeakingFrame) and direction is FrameDirection.DOWNSTREAM:
            await asyncio.sleep(1.5)
        await process(self, frame, direction)

    monkeypatch.setattr(LocalLLMService, "process_frame", slow)
    sum_of = [ToolCall("calculate", ('{"expression": "6*7"}',))]
    replies = (Reply(tool_calls=sum_of, first_delay_secs=1.2), Reply(tool_calls=sum_of), Reply("Forty two."))
    async with staged("six times seven", replies=replies, **{"turn.speculate": True}) as stage:
        stage.stt.pauses_freely = True
        async with calling_realtime(stage.url) as caller:
            await caller.say(QUESTION)
            await caller.until("response.output_audio.done")
            await asyncio.sleep(2)
    # Once in advance, once again because the first was given up, once with the function's result.
    assert len(stage.llm.requests) == 3
    done = [one["response"] for one in caller.named("response.done")]
    assert [one["status"] for one in done if one["status"] != "cancelled"] == ["completed"]
    assert done[-1]["output"][0]["content"] == [{"type": "output_audio", "transcript": "Forty two."}]


@in_virtual_time
async def test_a_model_that_says_nothing_about_its_tokens_leaves_the_usage_out() -> None:
    async with talking(replies=(Reply("Berlin.", says_usage=False),)) as (caller, _):
        await caller.tell({"type": "response.create"})
        done = (await caller.until("response.done"))["response"]
    assert (done["status"], done["usage"]) == ("completed", None)


def test_what_was_understood_of_speech_counts_among_the_items_characters() -> None:
    events: list[dict[str, Any]] = []
    send = sender(events.append)
    items = Items(send)
    turns = UserTurns(send, items, lambda: 0)
    text = "a" * (MAX_CHARS // 4)
    for _ in range(8):
        for event in ({"event": "turn_started"}, {"event": "transcript", "text": text}, {"event": "turn_ended"}):
            turns.take(event, 0.2, 0.2)
    # Three of a quarter each, with what holds them; a fourth has no room.
    assert [item.heard for item in items.all()] == [text] * 3
