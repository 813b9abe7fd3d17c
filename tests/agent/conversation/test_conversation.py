"""Whole conversations: real voice activity, turns, history and pacing between scripted engines."""

import asyncio

import numpy as np
import pytest

from processors.errors import EngineError
from processors.llm.options import LLMOptions
from tests.support.house import Held, hold, hosting, say
from tests.support.scripted_engines import RATE_HZ, WORD_SECS, ScriptedRecognizerEngine, ScriptedSynthesizer
from tests.support.scripted_llm import Failure, Reply, ScriptedLLM
from tests.support.virtual_time import in_virtual_time

LONG_REPLY = "One two three four five six seven eight nine ten eleven twelve."


def options(server: ScriptedLLM, **more: object) -> LLMOptions:
    return LLMOptions(server.base_url, "scripted", **more)  # type: ignore[arg-type]


def voiced_secs(held: Held) -> float:
    return float((np.abs(held.heard_s16.astype(int)) > 1000).sum()) / RATE_HZ


@in_virtual_time
async def test_a_question_is_heard_answered_and_remembered() -> None:
    stt, tts = ScriptedRecognizerEngine("what is the capital of germany"), ScriptedSynthesizer()
    async with ScriptedLLM(Reply("The capital", " is Berlin.")) as server, hosting(stt, options(server), tts) as host:
        held = await hold(host, [say("capital_of_germany.wav")])
    assert held.status == 0
    assert held.texts("turn_ended") == ["what is the capital of germany"]
    assert held.texts("llm_done") == ["The capital is Berlin."]
    assert held.texts("bot_word") == ["The", "capital", "is", "Berlin."]
    assert held.history == [
        {"role": "user", "content": "what is the capital of germany"},
        {"role": "assistant", "content": "The capital is Berlin."},
    ]
    # Four words of a quarter of a second; a sine is below the threshold near its zeros.
    assert voiced_secs(held) == pytest.approx(4 * WORD_SECS, rel=0.08)


@in_virtual_time
async def test_events_tell_the_turn_in_order() -> None:
    stt, tts = ScriptedRecognizerEngine("hello"), ScriptedSynthesizer()
    async with ScriptedLLM(Reply("Hi there.")) as server, hosting(stt, options(server), tts) as host:
        held = await hold(host, [say("days_in_a_week.wav")])
    names = [event["event"] for event in held.events]
    expected = [
        "session_started",
        "user_started_speaking",
        "turn_started",
        "user_stopped_speaking",
        "partial_transcript",
        "transcript",
        "turn_ended",
        "llm_first_token",
        "bot_written",
        "bot_planned",
        "llm_done",
        "bot_started_speaking",
        "latency",
        "bot_word",
        "bot_word",
        "bot_stopped_speaking",
        "session_ended",
    ]
    # A short reply is done before its first sound; with a slow machine the two may come the other way round.
    assert sorted(names) == sorted(expected)
    either_way = ("llm_done", "bot_planned", "bot_started_speaking", "latency")
    assert [name for name in names if name not in either_way] == [name for name in expected if name not in either_way]


@in_virtual_time
async def test_the_latency_is_measured_on_the_samples() -> None:
    stt, tts = ScriptedRecognizerEngine("hello", finish_secs=0.1), ScriptedSynthesizer()
    reply = Reply("Hi there.", first_delay_secs=0.3)
    async with ScriptedLLM(reply) as server, hosting(stt, options(server), tts) as host:
        held = await hold(host, [say("days_in_a_week.wav")])
    latency = held.named("latency")[0]
    voiced_end_secs = np.flatnonzero(np.abs(held.said_s16.astype(int)) > 300)[-1] / 16_000
    first_sound_secs = np.flatnonzero(np.abs(held.heard_s16.astype(int)) > 104)[0] / RATE_HZ
    measured_ms = (first_sound_secs - voiced_end_secs) * 1000
    # The recording's own end of voice is found in blocks of 10 ms at a lower level.
    assert latency["voice_to_voice_ms"] == pytest.approx(measured_ms, abs=60)
    assert latency["llm_ttft_ms"] >= 300
    parts_ms = sum(latency[part] for part in ("turn_ms", "stt_ms", "llm_ttft_ms", "tts_ttfb_ms"))
    # Each part is rounded to a whole millisecond.
    assert parts_ms <= latency["voice_to_voice_ms"] + 2


@in_virtual_time
async def test_a_cut_reply_is_remembered_as_far_as_it_sounded() -> None:
    stt, tts = ScriptedRecognizerEngine("count please", "stop"), ScriptedSynthesizer()
    first = say("days_in_a_week.wav", after="idle")
    cut = say("stop.wav", after="bot_started_speaking", delay_secs=0.5)
    async with ScriptedLLM(Reply(LONG_REPLY), Reply("Fine.")) as server, hosting(stt, options(server), tts) as host:
        held = await hold(host, [first, cut])
    interruption = held.named("interruption")[0]
    words = LONG_REPLY.split()
    heard = interruption["heard"].split()
    assert heard == words[: len(heard)]
    assert interruption["planned"] == LONG_REPLY
    # The sound of the first reply, in words of a quarter of a second, tells how many were played.
    start = held.named("bot_started_speaking")[0]["t"]
    first_reply = held.heard_s16[int(start * RATE_HZ) : int(interruption["t"] * RATE_HZ)]
    played = np.flatnonzero(np.abs(first_reply.astype(int)) > 104)[-1] / RATE_HZ / WORD_SECS
    assert abs(len(heard) - played) <= 1
    assert held.history[1] == {"role": "assistant", "content": interruption["heard"]}
    assert held.history[2]["content"] == "stop"


@in_virtual_time
async def test_two_turns_are_answered_in_order_and_share_one_history() -> None:
    stt = ScriptedRecognizerEngine("hello", "what time is it")
    tts = ScriptedSynthesizer()
    async with ScriptedLLM(Reply("Hi."), Reply("Noon.")) as server, hosting(stt, options(server), tts) as host:
        held = await hold(host, [say("days_in_a_week.wav"), say("what_time_is_it.wav")])
        asked = server.requests[1].messages
    assert held.status == 0
    assert held.texts("turn_ended") == ["hello", "what time is it"]
    assert held.texts("llm_done") == ["Hi.", "Noon."]
    assert [message["content"] for message in asked[-3:]] == ["hello", "Hi.", "what time is it"]
    assert len(held.named("latency")) == 2


@in_virtual_time
async def test_a_pause_inside_a_sentence_is_one_turn_with_all_the_words() -> None:
    # The first half's words are worked out 0.2 + 0.9 s into the pause of 0.6 s: the user is speaking again by then.
    stt = ScriptedRecognizerEngine("how many days", "how many days are in a week", finish_secs=0.9)
    tts = ScriptedSynthesizer()
    async with ScriptedLLM(Reply("Seven.")) as server, hosting(stt, options(server), tts) as host:
        held = await hold(host, [say("days_in_a_week_with_pause.wav")])
        n_requests = len(server.requests)
    assert held.status == 0
    assert held.texts("transcript") == ["how many days are in a week"]
    assert held.texts("turn_ended") == ["how many days are in a week"]
    assert n_requests == 1


@in_virtual_time
async def test_a_sound_without_words_before_the_answer_does_not_leave_the_question_unanswered() -> None:
    stt, tts = ScriptedRecognizerEngine("what is the capital of germany", ""), ScriptedSynthesizer()
    replies = (Reply("Berlin.", first_delay_secs=3.0),)
    async with ScriptedLLM(*replies) as server, hosting(stt, options(server), tts) as host:
        held = await hold(host, [say("days_in_a_week.wav"), say("stop.wav", after="turn_ended")])
        asked = [request.messages[-1]["content"] for request in server.requests]
    assert asked == ["what is the capital of germany"]
    assert [event["cause"] for event in held.named("false_interruption")] == ["noise"]
    assert held.texts("bot_word") == ["Berlin."]
    assert [message["content"] for message in held.history] == ["what is the capital of germany", "Berlin."]


@in_virtual_time
async def test_a_dead_language_model_is_apologised_for_and_the_next_turn_works() -> None:
    stt, tts = ScriptedRecognizerEngine("hello", "hello again"), ScriptedSynthesizer()
    script = (Failure(500), Reply("Back again."))
    async with ScriptedLLM(*script) as server, hosting(stt, options(server, apology="Sorry."), tts) as host:
        held = await hold(host, [say("days_in_a_week.wav"), say("what_time_is_it.wav")])
    assert held.status == 1
    assert [event["stage"] for event in held.named("error")] == ["llm"]
    assert tts.spoken == ["Sorry.", "Back again."]
    assert [message["content"] for message in held.history] == ["hello", "hello again", "Back again."]


@in_virtual_time
async def test_a_failing_recognizer_is_apologised_for_and_the_next_turn_works() -> None:
    stt, tts = ScriptedRecognizerEngine(EngineError("no ears"), "hello again"), ScriptedSynthesizer()
    async with ScriptedLLM(Reply("Back again.")) as server, hosting(stt, options(server), tts) as host:
        held = await hold(host, [say("days_in_a_week.wav"), say("what_time_is_it.wav")])
    assert held.status == 1
    assert held.named("error")[0]["stage"] == "stt"
    assert "no ears" in held.named("error")[0]["message"]
    assert tts.spoken == ["Sorry, I didn't catch that.", "Back again."]
    assert held.texts("turn_ended")[-1] == "hello again"


@in_virtual_time
async def test_a_failing_voice_is_an_event_and_the_session_lives_on() -> None:
    stt, tts = ScriptedRecognizerEngine("hello", "hello again"), ScriptedSynthesizer(failing=["Broken"])
    async with (
        ScriptedLLM(Reply("Broken voice."), Reply("Fine.")) as server,
        hosting(stt, options(server), tts) as host,
    ):
        steps = [say("days_in_a_week.wav"), say("what_time_is_it.wav", after="error", delay_secs=1.0)]
        held = await hold(host, steps)
    assert held.status == 1
    assert held.named("error")[0]["stage"] == "tts"
    assert "scripted failure" in held.named("error")[0]["message"]
    assert held.texts("bot_word")[-1] == "Fine."


@in_virtual_time
async def test_a_cough_has_no_words_and_gets_no_answer() -> None:
    stt, tts = ScriptedRecognizerEngine(""), ScriptedSynthesizer()
    async with ScriptedLLM() as server, hosting(stt, options(server), tts) as host:
        held = await hold(host, [say("cough.wav")])
        n_requests = len(server.requests)
    assert held.status == 1
    assert n_requests == 0
    assert tts.spoken == []
    assert all(text == "" for text in held.texts("turn_ended"))


@in_virtual_time
async def test_engines_work_on_their_own_threads() -> None:
    stt, tts = ScriptedRecognizerEngine("hello"), ScriptedSynthesizer()
    async with ScriptedLLM(Reply("Hi.")) as server, hosting(stt, options(server), tts) as host:
        await hold(host, [say("days_in_a_week.wav")])
    assert all(name.startswith("stt") for name in stt.threads)
    assert stt.threads
    assert all(name.startswith("tts") for name in tts.threads)
    assert tts.threads


@in_virtual_time
async def test_two_conversations_share_the_engines_without_mixing() -> None:
    stt, tts = ScriptedRecognizerEngine("hello", "hello"), ScriptedSynthesizer()
    async with ScriptedLLM(Reply("Hi one."), Reply("Hi two.")) as server, hosting(stt, options(server), tts) as host:
        both = await asyncio.gather(hold(host, [say("days_in_a_week.wav")]), hold(host, [say("days_in_a_week.wav")]))
    assert [held.status for held in both] == [0, 0]
    assert sorted(held.texts("llm_done")[0] for held in both) == ["Hi one.", "Hi two."]
    for held in both:
        assert held.history[1]["content"] == held.texts("llm_done")[0]


@in_virtual_time
async def test_the_recognizer_gets_sound_from_before_the_voice_was_noticed() -> None:
    stt, tts = ScriptedRecognizerEngine("hello"), ScriptedSynthesizer()
    async with ScriptedLLM(Reply("Hi.")) as server, hosting(stt, options(server), tts) as host:
        held = await hold(host, [say("days_in_a_week.wav")])
    spoke = held.named("user_started_speaking")[0]["t"]
    stopped = held.named("user_stopped_speaking")[0]["t"]
    # From voice noticed to silence noticed, with up to 0.6 s before.
    expected_secs = (stopped - spoke) + min(0.6, spoke)
    assert stt.heard_bytes[0] / 2 / 16_000 == pytest.approx(expected_secs, abs=0.12)
