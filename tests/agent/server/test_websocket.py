"""Conversations over a WebSocket: real route, line, transport and pipeline between a caller and scripted engines."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import numpy as np
import pytest
import soundfile
from websockets.exceptions import ConnectionClosed

from agent.conversation.histories import Histories
from agent.conversation.live_recording import LiveRecording
from agent.conversation.recordings import RecordingBusyError
from agent.errors import InputError
from agent.server.calls.sessions import LiveSessions
from agent.settings.load import load_settings
from tests.support.house import SPEECH, hosting
from tests.support.llm_session import options
from tests.support.scripted_engines import WORD_SECS, ScriptedRecognizerEngine, ScriptedSynthesizer
from tests.support.scripted_llm import Reply, ScriptedLLM
from tests.support.virtual_time import in_virtual_time
from tests.support.websocket_caller import FRAME_BYTES, OUT_RATE_HZ, Caller, calling, serving_sessions
from transports.recording import load_recording

LONG_REPLY = "One two three four five six seven eight nine ten eleven twelve."


@asynccontextmanager
async def holding(*heard_as: str, replies: tuple[str, ...] = ()) -> AsyncIterator[tuple[str, LiveSessions]]:
    """The route on scripted engines, for two conversations at a time; all have ended in the end."""
    stt = ScriptedRecognizerEngine(*heard_as)
    settings = load_settings({"server.max_sessions": 2})
    async with (
        ScriptedLLM(*map(Reply, replies)) as llm,
        hosting(stt, options(llm), ScriptedSynthesizer()) as host,
    ):
        sessions = LiveSessions(host, settings, Histories())
        async with serving_sessions(sessions) as url:
            yield url, sessions
            await sessions.close()
            await until_active(sessions, 0)


def history(sessions: LiveSessions, caller: Caller) -> list[dict[str, str]]:
    found = sessions.histories.find(caller.messages[0]["conversation"])
    assert found is not None
    return found.turns()


async def until_active(sessions: LiveSessions, n_active: int) -> None:
    async with asyncio.timeout(30):
        while sessions.n_active != n_active:
            await asyncio.sleep(0.05)


@in_virtual_time
async def test_a_spoken_question_is_answered_in_speech_at_the_pace_of_real_time() -> None:
    async with holding("what is the capital of germany", replies=("The capital is Berlin.",)) as (url, sessions):
        async with calling(url) as caller:
            answer = await caller.join(options={"turn.pace": "brisk"}, conversation="of another time")
            caller.begin_to_speak()
            caller.say(load_recording(SPEECH / "capital_of_germany.wav").audio_s16)
            await caller.until_event("bot_stopped_speaking")
        await until_active(sessions, 0)
    started = caller.events[0]
    assert answer == {"type": "joined", "conversation": started["conversation"], "sample_rate_hz": OUT_RATE_HZ}
    assert (started["event"], started["history"]) == ("session_started", [])
    assert "settings" not in started
    assert [event["text"] for event in caller.named("bot_word")] == ["The", "capital", "is", "Berlin."]
    # Four words of a quarter of a second; a sine is below the threshold near its zeros.
    loud_secs = (np.abs(caller.heard_s16.astype(int)) > 1000).sum() / OUT_RATE_HZ
    assert loud_secs == pytest.approx(4 * WORD_SECS, rel=0.08)
    # 20 ms each, and none more than 60 ms before its time: the gate's 40 ms and the transport's 20.
    first_secs = caller.arrivals[0][0]
    for index, (came_secs, duration_secs) in enumerate(caller.arrivals):
        assert duration_secs == pytest.approx(0.02)
        assert came_secs - first_secs >= 0.02 * index - 0.0601
    assert history(sessions, caller)[1] == {"role": "assistant", "text": "The capital is Berlin."}


@in_virtual_time
async def test_a_barge_in_clears_what_the_client_has_not_played_and_history_holds_what_was_heard() -> None:
    async with holding("count please", "stop", replies=(LONG_REPLY, "Fine.")) as (url, sessions):
        async with calling(url) as caller:
            await caller.join()
            caller.begin_to_speak()
            caller.say(load_recording(SPEECH / "days_in_a_week.wav").audio_s16)
            await caller.until_event("bot_started_speaking")
            await asyncio.sleep(0.5)
            caller.say(load_recording(SPEECH / "stop.wav").audio_s16)
            interruption = await caller.until_event("interruption")
            await caller.until_event("bot_stopped_speaking", count=2)
        await until_active(sessions, 0)
    heard = interruption["heard"].split()
    assert 1 <= len(heard) < len(LONG_REPLY.split())
    assert heard == LONG_REPLY.split()[: len(heard)]
    assert history(sessions, caller)[1]["text"] == interruption["heard"]
    # One for the cut; the client had the lead of the gate and of the transport to drop, and what was on the wire.
    assert len(caller.dropped_secs) == 1
    assert caller.dropped_secs[0] <= 0.12
    # The sound of the first reply, in words of a quarter of a second; paused, it was silent.
    cut_reply_s16 = caller.heard_s16[: caller.cuts[0]].astype(int)
    n_words = (np.abs(cut_reply_s16) > 104).sum() / OUT_RATE_HZ / WORD_SECS
    assert abs(n_words - len(heard)) <= 1


@in_virtual_time
async def test_what_is_typed_is_answered_and_the_conversation_goes_on_in_the_next_call() -> None:
    async with holding(replies=("Hello Ann.", "Ann.")) as (url, sessions):
        async with calling(url) as caller:
            conversation = (await caller.join())["conversation"]
            caller.begin_to_speak()
            await caller.line.send("ping: 12345")
            await caller.tell({"type": "of another time"})
            await caller.tell({"type": "text", "text": "I am Ann", "spoken": True})
            await caller.until_event("bot_stopped_speaking")
        await until_active(sessions, 0)
        async with calling(url) as again:
            assert (await again.join(conversation=conversation))["conversation"] == conversation
            started = await again.until_event("session_started")
    assert started["history"] == [{"role": "user", "text": "I am Ann"}, {"role": "assistant", "text": "Hello Ann."}]


@in_virtual_time
async def test_a_page_that_joins_again_ends_the_call_that_it_had() -> None:
    async with holding() as (url, sessions), calling(url) as first, calling(url) as second:
        conversation = (await first.join())["conversation"]
        first.begin_to_speak()
        await second.join(conversation=conversation)
        second.begin_to_speak()
        assert await first.until_closed() == (1000, "the page joined again")
        assert sessions.n_active == 1


@in_virtual_time
async def test_when_the_server_stops_its_last_event_arrives_before_the_line_is_closed() -> None:
    async with holding() as (url, sessions), calling(url) as caller:
        await caller.join()
        caller.begin_to_speak()
        await asyncio.sleep(0.2)
        await sessions.close()
        assert await caller.until_closed() == (1001, "the server stops")
        assert caller.events[-1]["event"] == "session_ended"


@pytest.mark.parametrize(
    ("message", "code", "words"),
    [
        (b"\0" * 641, 1007, "no whole number of 16-bit samples"),
        (b"", 1007, "no whole number of 16-bit samples"),
        (b"\0" * 6402, 1009, "at most 6400"),
        ("[1, 2]", 1007, "JSON object with a type"),
        ("not JSON", 1007, "JSON object with a type"),
        ("[" * 60_000, 1007, "JSON object with a type"),
        ('{"type": 1}', 1007, "JSON object with a type"),
        ("x" * 65_537, 1009, "at most 65536"),
        (b"\0" * 300_000, 1009, ""),
    ],
)
def test_a_malformed_message_ends_the_session_with_a_reason_and_harms_no_other(
    message: bytes | str, code: int, words: str
) -> None:
    @in_virtual_time
    async def talk() -> None:
        async with holding("hello", replies=("Hi there.",)) as (url, sessions):
            async with calling(url) as other, calling(url) as caller:
                for one in (other, caller):
                    await one.join()
                    one.begin_to_speak()
                await asyncio.sleep(0.1)
                await caller.line.send(message)
                closed_code, reason = await caller.until_closed()
                assert closed_code == code
                assert words in reason
                await until_active(sessions, 1)
                other.say(load_recording(SPEECH / "days_in_a_week.wav").audio_s16)
                await other.until_event("bot_stopped_speaking")
            await until_active(sessions, 0)

    talk()


@pytest.mark.parametrize("flood", [b"\0" * FRAME_BYTES, '{"type": "interrupt"}', "ping: 1"])
def test_a_client_that_floods_is_cut(flood: bytes | str) -> None:
    @in_virtual_time
    async def talk() -> None:
        async with holding() as (url, sessions), calling(url) as caller:
            await caller.join()
            for _ in range(5_000):
                if caller.ended.is_set():
                    break
                with suppress(ConnectionClosed):
                    await caller.line.send(flood)
            code, reason = await caller.until_closed()
            assert code == 1008
            assert "more sound than time" in reason or "too many messages" in reason
            await until_active(sessions, 0)

    talk()


@in_virtual_time
async def test_sound_that_a_network_held_back_is_taken_at_once() -> None:
    async with holding("hello", replies=("Hi there.",)) as (url, sessions), calling(url) as caller:
        await caller.join()
        speech = load_recording(SPEECH / "days_in_a_week.wav").audio_s16.tobytes()
        await asyncio.sleep(5)
        for start in range(0, len(speech) // FRAME_BYTES * FRAME_BYTES, FRAME_BYTES):
            await caller.line.send(speech[start : start + FRAME_BYTES])
        caller.begin_to_speak()
        await caller.until_event("bot_stopped_speaking")
        assert sessions.n_active == 1


@in_virtual_time
async def test_a_client_that_falls_silent_is_noticed_within_ten_seconds() -> None:
    async with holding() as (url, sessions), calling(url) as caller:
        await caller.join()
        caller.begin_to_speak()
        await asyncio.sleep(1)
        await caller.fall_silent()
        silent_since_secs = asyncio.get_running_loop().time()
        code, reason = await caller.until_closed()
        assert (code, reason) == (1001, "nothing came from the client for 6 s")
        assert asyncio.get_running_loop().time() - silent_since_secs < 10
        await until_active(sessions, 0)


@in_virtual_time
async def test_a_client_whose_line_breaks_is_noticed_at_once() -> None:
    async with holding() as (url, sessions), calling(url) as caller:
        await caller.join()
        caller.begin_to_speak()
        await asyncio.sleep(1)
        caller.line.transport.abort()
        await until_active(sessions, 0)


@in_virtual_time
async def test_one_caller_too_many_is_refused_and_the_place_is_free_again_when_one_leaves() -> None:
    async with holding() as (url, sessions), calling(url) as third:
        async with calling(url) as first, calling(url) as second:
            await first.join()
            await second.join()
            answer = await third.join()
            assert answer == {
                "type": "refused",
                "error": "the agent is busy with 2 conversations; try again later",
                "passing": True,
            }
            assert (await third.until_closed())[0] == 1013
        await until_active(sessions, 0)
        async with calling(url) as fourth:
            assert (await fourth.join())["type"] == "joined"


@in_virtual_time
async def test_an_option_that_cannot_be_chosen_is_refused_by_name() -> None:
    async with holding() as (url, sessions), calling(url) as caller:
        answer = await caller.join(options={"server.port": 1})
        assert answer["type"] == "refused"
        assert "server.port" in answer["error"]
        assert (await caller.until_closed())[0] == 1008
        assert sessions.n_active == 0


@pytest.mark.parametrize(
    ("first", "words"),
    [
        ('{"type": "event"}', "the first message must be"),
        (b"\0\0", "the first message must be"),
        ("{", "the first message must be"),
        ('{"type": "join", "conversation": 7}', "conversation"),
        ('{"type": "join", "options": []}', "options"),
        ('{"type": "join", "record": "yes"}', "record"),
        ('{"type": "join", "colour": "red"}', "colour"),
        ('{"type": "join", "sample_rate_hz": 48000}', "must be 16000, not 48000"),
        ('{"type": "join", "\\ud800": 1}', "join: "),
    ],
)
def test_a_first_message_that_is_no_join_is_refused_in_one_line(first: bytes | str, words: str) -> None:
    @in_virtual_time
    async def talk() -> None:
        async with holding() as (url, sessions), calling(url) as caller:
            await caller.line.send(first)
            answer = await caller.line.recv()
            assert words in str(answer)
            assert "\n" not in str(answer)
            await caller.line.wait_closed()
            assert caller.line.close_code == 1007
            assert sessions.n_active == 0

    talk()


@in_virtual_time
async def test_a_client_that_never_joins_is_refused_after_a_while() -> None:
    async with holding() as (url, sessions), calling(url) as caller:
        assert "no join came within 10 s" in str(await caller.line.recv())
        await caller.line.wait_closed()
        assert sessions.n_active == 0


@in_virtual_time
async def test_a_call_that_asked_for_it_is_recorded_both_sides_and_events() -> None:
    async with holding("hello", replies=("Hi there.",)) as (url, sessions):
        async with calling(url) as caller:
            conversation = (await caller.join(record=True))["conversation"]
            assert (await caller.until_event("session_started"))["recording"] is True
            caller.begin_to_speak()
            caller.say(load_recording(SPEECH / "days_in_a_week.wav").audio_s16)
            await caller.until_event("bot_stopped_speaking")
            with pytest.raises(RecordingBusyError):
                sessions.recordings.file(conversation, "recording.wav")
        await until_active(sessions, 0)
        await asyncio.sleep(1)
        sound = sessions.recordings.file(conversation, "recording.wav")
        events = sessions.recordings.file(conversation, "events.jsonl")
        assert sound is not None
        assert events is not None
        stereo_s16, rate_hz = soundfile.read(sound, dtype="int16")
        lines = [json.loads(line) for line in events.read_text().splitlines()]
    assert [line["event"] for line in lines][:: len(lines) - 1] == ["session_started", "session_ended"]
    loud_left, loud_right = (np.flatnonzero(np.abs(side.astype(int)) > 1000) / rate_hz for side in stereo_s16.T)
    # The words of the log begin and end where the agent's side sounds; it answers after the user has spoken.
    started_secs = next(line["t"] for line in lines if line["event"] == "bot_started_speaking")
    assert loud_right[0] == pytest.approx(started_secs, abs=0.005)
    assert loud_right[-1] - loud_right[0] == pytest.approx(2 * WORD_SECS, abs=0.01)
    assert loud_left[-1] < loud_right[0]


@in_virtual_time
async def test_a_call_that_cannot_be_recorded_goes_on_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    async with holding("hello", replies=("Hi there.",)) as (url, sessions), calling(url) as caller:

        def refuse(*_: object, **__: object) -> LiveRecording:
            raise InputError("nothing can be recorded: No space left on device")

        monkeypatch.setattr(sessions.recordings, "begin", refuse)
        await caller.join(record=True)
        assert (await caller.until_event("session_started"))["recording"] is False
        error = await caller.until_event("error")
        assert (error["stage"], error["message"]) == ("recording", "nothing can be recorded: No space left on device")
        caller.begin_to_speak()
        caller.say(load_recording(SPEECH / "days_in_a_week.wav").audio_s16)
        await caller.until_event("bot_stopped_speaking")
