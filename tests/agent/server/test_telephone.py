"""Calls over Twilio's media streams: real guard, routes, line and pipeline between a provider and scripted engines."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import numpy as np
import pytest
from websockets.exceptions import InvalidStatus

from agent.server.app import build_app
from agent.server.state import ServerState
from agent.settings.load import load_settings
from tests.support.house import SPEECH
from tests.support.scripted_engines import TONE_HZ, WORD_SECS
from tests.support.telephone_callers import RATE_HZ, TwilioCaller, twilio_call
from tests.support.telephone_house import Lines, holding_lines, until_active
from tests.support.telephone_signatures import PUBLIC_URL, SECRET, post, twilio_signature, twilio_webhook
from tests.support.telephone_sound import at_telephone_rate
from tests.support.virtual_time import in_virtual_time
from transports.recording import load_recording

LINES: dict[str, dict[str, Any]] = {"office": {"provider": "twilio", "secret": SECRET}}
PATH = "/telephony/office"
CALL = {"CallSid": "CA1234567890ABCDE", "From": "+14158675310", "To": "+18005551212", "Called": "", "Digits": "1 ü&="}
LONG_REPLY = "One two three four five six seven eight nine ten eleven twelve."


def speech(name: str) -> Any:
    return at_telephone_rate(load_recording(SPEECH / f"{name}.wav").audio_s16)


@asynccontextmanager
async def in_call(lines: Lines, **options: Any) -> AsyncIterator[TwilioCaller]:
    """A call by the webhook's answer, as Twilio connects one."""
    status, xml = await twilio_webhook(lines.port, PATH, PUBLIC_URL + PATH, CALL)
    assert status == 200
    found = re.fullmatch(
        r'<\?xml version="1.0" encoding="UTF-8"\?><Response><Connect><Stream url="wss://agent.example.org(.+?)">'
        r'<Parameter name="(\w+)" value="(\w+)"/></Stream></Connect></Response>',
        xml,
    )
    assert found
    path, name, value = found.groups()
    async with twilio_call(lines.port, path, **options) as caller:
        await caller.begin({name: value})
        yield caller


@in_virtual_time
async def test_two_spoken_questions_are_answered_in_speech_on_the_telephone() -> None:
    replies = ("The capital is Berlin.", "Shakespeare.")
    heard = ("what is the capital of germany", "who wrote hamlet")
    async with holding_lines(LINES, *heard, replies=replies) as lines, in_call(lines) as caller:
        caller.say(speech("capital_of_germany"))
        await lines.until_event("bot_stopped_speaking")
        caller.say(speech("days_in_a_week"))
        await lines.until_event("bot_stopped_speaking", count=2)
        await caller.hang_up()
        assert await caller.until_closed() == (1000, "the caller hung up")
        await until_active(lines.sessions, 0)
    assert [event["text"] for event in lines.named("bot_word")] == ["The", "capital", "is", "Berlin.", "Shakespeare."]
    assert lines.named("session_ended")[0]["reason"] == "the caller hung up"
    assert [turn["text"] for turn in lines.history()] == [heard[0], replies[0], heard[1], replies[1]]
    # Five words of a quarter of a second; a sine is below the threshold near its zeros.
    loud_secs = (np.abs(caller.heard_s16.astype(int)) > 1000).sum() / RATE_HZ
    assert loud_secs == pytest.approx(5 * WORD_SECS, rel=0.08)


@in_virtual_time
async def test_the_agents_tone_keeps_its_frequency_and_level_on_the_telephone() -> None:
    async with holding_lines(LINES, "say it", replies=("One two three four.",)) as lines, in_call(lines) as caller:
        caller.say(speech("days_in_a_week"))
        await lines.until_event("bot_stopped_speaking")
    loud = np.flatnonzero(np.abs(caller.heard_s16.astype(int)) > 1000)
    tone = caller.heard_s16[loud[0] + 400 : loud[-1] - 400].astype(float)
    spectrum = np.abs(np.fft.rfft(tone * np.hanning(len(tone))))
    assert np.argmax(spectrum) * RATE_HZ / len(tone) == pytest.approx(TONE_HZ, abs=3)
    # A sine of 16 000: its mean square is half of that squared; µ-law adds 38 dB less of noise.
    assert 20 * np.log10(np.sqrt(np.mean(tone**2)) / (16_000 / np.sqrt(2))) == pytest.approx(0, abs=0.3)


@in_virtual_time
async def test_a_barge_in_clears_what_was_not_played_and_history_holds_what_was_heard() -> None:
    async with (
        holding_lines(LINES, "count please", "stop", replies=(LONG_REPLY, "Fine.")) as lines,
        in_call(lines) as caller,
    ):
        caller.say(speech("days_in_a_week"))
        await lines.until_event("bot_started_speaking")
        await asyncio.sleep(0.5)
        caller.say(speech("stop"))
        interruption = await lines.until_event("interruption")
        await lines.until_event("bot_stopped_speaking", count=2)
    heard = interruption["heard"].split()
    assert 1 <= len(heard) < 12
    assert heard == LONG_REPLY.split()[: len(heard)]
    assert lines.history()[1]["text"] == interruption["heard"]
    assert len(caller.cuts) == 1
    # The sound of the first reply, in words of a quarter of a second; paused, it was silent.
    n_words = (np.abs(caller.heard_s16[: caller.cuts[0]].astype(int)) > 104).sum() / RATE_HZ / WORD_SECS
    assert abs(n_words - len(heard)) <= 1


@in_virtual_time
async def test_words_that_the_provider_has_not_played_are_not_taken_for_heard() -> None:
    async with (
        holding_lines(LINES, "count please", replies=(LONG_REPLY,)) as lines,
        in_call(lines, answers_marks=False) as caller,
    ):
        caller.say(speech("days_in_a_week"))
        await lines.until_event("bot_started_speaking")
        # Within the two seconds in which a mark may stay unanswered: all waits at a second, and a mark's 0.2 s.
        await asyncio.sleep(2.0)
        assert len(lines.named("bot_word")) <= (1.0 + 0.2) / WORD_SECS + 1
        # A far side that knows no marks gets the rest at the pace of real time.
        await lines.until_event("bot_stopped_speaking")
    assert len(lines.named("bot_word")) == 12


@in_virtual_time
async def test_keys_are_in_the_event_log_and_the_agent_is_told_of_them_where_a_setting_says_so() -> None:
    told = {"office": {**LINES["office"], "keys": "answer"}}
    async with holding_lines(told, replies=("Sales it is.", "Done.")) as lines, in_call(lines) as caller:
        await caller.press("1")
        await caller.press("A")
        await caller.press("2")
        await lines.until_event("bot_stopped_speaking")
        await caller.press("7")
        await caller.press("#")
        await lines.until_event("bot_stopped_speaking", count=2)
    assert [event["key"] for event in lines.named("dtmf")] == ["1", "2", "7", "#"]
    turns = [turn["text"] for turn in lines.history() if turn["role"] == "user"]
    assert turns == ["I pressed 1 2 on the keypad.", "I pressed 7 on the keypad."]


@in_virtual_time
async def test_keys_alone_are_not_answered() -> None:
    async with holding_lines(LINES) as lines, in_call(lines) as caller:
        await caller.press("*")
        await lines.until_event("dtmf")
        await asyncio.sleep(5)
        assert lines.named("turn_ended") == []


@in_virtual_time
async def test_when_the_server_ends_the_call_the_provider_is_hung_up_on() -> None:
    async with holding_lines(LINES) as lines, in_call(lines) as caller:
        await lines.until_event("session_started")
        await lines.sessions.close()
        assert await caller.until_closed() == (1001, "the server stops")


@in_virtual_time
async def test_a_dropped_connection_ends_its_call_and_no_other() -> None:
    async with holding_lines(LINES, "say it", replies=("Seven.",)) as lines, in_call(lines) as caller:
        async with in_call(lines):
            await lines.until_event("session_started", count=2)
        await until_active(lines.sessions, 1)
        caller.say(speech("days_in_a_week"))
        await lines.until_event("bot_stopped_speaking")


@in_virtual_time
async def test_a_caller_too_many_is_rejected_as_busy() -> None:
    async with holding_lines(LINES, max_sessions=1) as lines, in_call(lines):
        await lines.until_event("session_started")
        answer = await twilio_webhook(lines.port, PATH, PUBLIC_URL + PATH, CALL)
        busy = '<?xml version="1.0" encoding="UTF-8"?><Response><Reject reason="busy"/></Response>'
        assert answer == (200, busy)
        signature = twilio_signature(f"wss://agent.example.org{PATH}", {})
        async with twilio_call(lines.port, PATH, headers=signature) as second:
            await second.begin()
            assert await second.until_closed() == (1013, "the agent is busy with 1 conversation; try again later")


@in_virtual_time
@pytest.mark.parametrize("url", [f"wss://agent.example.org{PATH}", f"wss://agent.example.org{PATH}/"])
async def test_a_stream_without_a_webhook_begins_by_the_signature_of_its_handshake(url: str) -> None:
    signature = twilio_signature(url, {})
    async with holding_lines(LINES) as lines, twilio_call(lines.port, PATH, headers=signature) as caller:
        await caller.begin()
        await lines.until_event("session_started")


@in_virtual_time
async def test_a_token_opens_one_stream_of_its_line_for_a_minute() -> None:
    two = {**LINES, "home": {"provider": "twilio", "secret": "another secret"}}
    refusal = (1008, "neither the handshake's signature nor the stream's token is right")

    async def token() -> str:
        _, xml = await twilio_webhook(lines.port, PATH, PUBLIC_URL + PATH, CALL)
        return xml.partition('value="')[2].partition('"')[0]

    async def refused(path: str, shown: str) -> tuple[int | None, str]:
        async with twilio_call(lines.port, path) as caller:
            await caller.begin({"token": shown})
            return await caller.until_closed()

    async with holding_lines(two) as lines:
        assert await refused(PATH, "guessed") == refusal
        used = await token()
        async with twilio_call(lines.port, PATH) as caller:
            await caller.begin({"token": used})
            await lines.until_event("session_started")
        assert await refused(PATH, used) == refusal
        assert await refused("/telephony/home", await token()) == refusal
        late = await token()
        await asyncio.sleep(61)
        assert await refused(PATH, late) == refusal
        assert len(lines.named("session_started")) == 1


@in_virtual_time
async def test_a_wrong_signature_is_refused_with_the_setting_that_mends_it() -> None:
    mending = "telephony.lines.office.secret, and telephony.url behind a proxy"
    wrong = (403, f'{{"error": "the signature is missing or wrong: {mending}"}}')
    async with holding_lines(LINES) as lines:
        for headers in (
            {"X-Twilio-Signature": ""},
            {"X-Twilio-Signature": "\u00e9"},
            twilio_signature(PUBLIC_URL + PATH, CALL, "another secret"),
            twilio_signature(PUBLIC_URL + PATH, {**CALL, "From": "+1"}),
            twilio_signature("https://evil.example" + PATH, CALL),
            {"Host": "evil.example"},
            {"Host": "[::1"},
        ):
            assert await twilio_webhook(lines.port, PATH, PUBLIC_URL + PATH, CALL, **headers) == wrong
        assert await post(lines.port, PATH, b"", {}) == wrong
        unknown = (404, '{"error": "there is no telephone line \'nobody\'"}')
        own = {"Host": f"127.0.0.1:{lines.port}"}
        assert await post(lines.port, "/telephony/nobody", b"", own) == unknown
        large = (413, '{"error": "the body is larger than 65536 bytes"}')
        assert await post(lines.port, PATH, bytes(70_000), {}) == large
        fields = (400, '{"error": "the form has more than 200 fields"}')
        assert await post(lines.port, PATH, b"&".join([b"a=b"] * 300), {}) == fields


@in_virtual_time
async def test_a_line_without_a_secret_is_guarded_as_the_page_is() -> None:
    async with holding_lines({"office": {"provider": "twilio"}}) as lines:
        status, xml = await post(lines.port, PATH, b"", {})
        assert status == 200
        assert f'<Stream url="ws://127.0.0.1:{lines.port}{PATH}">' in xml
        status, problem = await post(lines.port, PATH, b"", {"Host": "agent.example.org"})
        assert (status, problem[:47]) == (403, '{"error": "this host name is not allowed: agent')
        assert (await post(lines.port, PATH, b"", {"Origin": "https://evil.example"}))[0] == 403
        with pytest.raises(InvalidStatus) as refused:
            async with twilio_call(lines.port, PATH):
                raise AssertionError("it was let in")
        assert refused.value.response.status_code == 403


GOOD_MEDIA = '{"event":"media","media":{"payload":"//////////8="}}'


@in_virtual_time
@pytest.mark.parametrize(
    ("message", "code", "reason"),
    [
        ("{", 1007, "a message must be JSON"),
        ("[" * 100_000, 1009, "a message of 100000 characters; at most 65536 are taken"),
        ("[" * 1000, 1007, "a message must be JSON"),
        ("1" * 5000, 1007, "a message must be JSON"),
        ("[]", 1007, "a message must be a JSON object with an event"),
        ('{"event": 1}', 1007, "a message must be a JSON object with an event"),
        ('{"event": "media"}', 1007, "a media message must have media.payload"),
        ('{"event": "media", "media": {"payload": ""}}', 1007, "a media message must have media.payload"),
        ('{"event": "media", "media": {"payload": "no base"}}', 1007, "media.payload is not base 64"),
        ('{"event": "media", "media": {"payload": "\\ud800"}}', 1007, "media.payload is not base 64"),
        (b"\0" * 320, 1003, "messages must be text"),
    ],
)
async def test_what_is_no_message_ends_its_call_with_a_reason_and_no_other(
    message: str | bytes, code: int, reason: str
) -> None:
    async with holding_lines(LINES) as lines, in_call(lines) as witness, in_call(lines) as caller:
        await lines.until_event("session_started", count=2)
        await caller.tell(message)
        assert await caller.until_closed() == (code, reason)
        await until_active(lines.sessions, 1)
        await witness.tell(GOOD_MEDIA)
        assert witness.close_code is None


@in_virtual_time
async def test_messages_of_no_concern_change_nothing() -> None:
    async with holding_lines(LINES) as lines, in_call(lines) as caller:
        for message in (
            '{"event": "of another time"}',
            '{"event": "mark", "mark": {"name": "never sent"}}',
            '{"event": "mark"}',
            '{"event": "dtmf", "dtmf": {"digit": 5}}',
            '{"event": "media", "media": {"track": "outbound", "payload": "no base"}}',
        ):
            await caller.tell(message)
        await caller.press("5")
        await lines.until_event("dtmf")
        assert caller.close_code is None


@in_virtual_time
async def test_sound_faster_than_time_ends_the_call() -> None:
    async with holding_lines(LINES) as lines, in_call(lines) as caller:
        for _ in range(60):
            await caller.tell(caller.media_message(bytes([255]) * 1600))
        assert await caller.until_closed() == (1008, "more sound than time: 16000 samples a second are taken")


@in_virtual_time
@pytest.mark.parametrize(
    ("changes", "code", "reason"),
    [
        (
            {"mediaFormat": {"encoding": "audio/x-l16", "sampleRate": 8000, "channels": 1}},
            1003,
            "the sound's encoding must be audio/x-mulaw, not 'audio/x-l16'",
        ),
        (
            {"mediaFormat": {"encoding": "audio/x-mulaw", "sampleRate": 16000, "channels": 1}},
            1003,
            "the sound must be 8000 Hz and one channel, not 16000 Hz and 1 of them",
        ),
        (
            {"mediaFormat": {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 2}},
            1003,
            "the sound must be 8000 Hz and one channel, not 8000 Hz and 2 of them",
        ),
        ({"streamSid": None}, 1007, "the start must have start.streamSid and start.mediaFormat"),
        ({"mediaFormat": []}, 1007, "the start must have start.streamSid and start.mediaFormat"),
        (
            {"customParameters": {"token": 1}},
            1008,
            "neither the handshake's signature nor the stream's token is right",
        ),
        ({"customParameters": "x"}, 1008, "neither the handshake's signature nor the stream's token is right"),
    ],
)
async def test_a_wrong_start_is_refused_with_its_reason(changes: dict[str, Any], code: int, reason: str) -> None:
    async with holding_lines(LINES) as lines, twilio_call(lines.port, PATH) as caller:
        await caller.begin({}, **changes)
        assert await caller.until_closed() == (code, reason)
    assert lines.events == []


@in_virtual_time
async def test_a_stream_that_does_not_start_is_closed_in_time() -> None:
    async with holding_lines(LINES) as lines:
        for greetings in (0, 1, 2):
            async with twilio_call(lines.port, PATH) as caller:
                listening = asyncio.create_task(caller._listen())
                for _ in range(greetings):
                    await caller.tell({"event": "connected"})
                closed = await caller.until_closed()
                late = (1008, "no start came within 10 s")
                assert closed == (
                    (1007, 'after the greeting must come {"event": "start", ...}') if greetings == 2 else late
                )
                await listening


@in_virtual_time
async def test_an_option_that_a_page_may_not_choose_is_refused_by_its_name() -> None:
    wrong = {"office": {**LINES["office"], "options": {"server.port": 1}}}
    async with holding_lines(wrong) as lines, in_call(lines) as caller:
        assert await caller.until_closed() == (
            1008,
            "'server.port' cannot be chosen for a conversation (see /api/options)",
        )


async def test_in_the_whole_application_a_signature_stands_in_for_the_token_on_its_own_path_alone() -> None:
    lines = {**LINES, "open": {"provider": "twilio"}}
    settings = load_settings({"server.token": "open sesame", "telephony.lines": lines}, alone=True)
    transport = httpx.ASGITransport(build_app(ServerState(settings)))
    async with httpx.AsyncClient(transport=transport, base_url=PUBLIC_URL) as client:
        signed = twilio_signature(PUBLIC_URL + PATH, CALL)
        # The models are not loaded yet.
        answer = await client.post(PATH, data=CALL, headers=signed)
        assert (answer.status_code, answer.headers["content-type"]) == (200, "application/xml")
        assert '<Reject reason="busy"/>' in answer.text
        assert (await client.post(PATH, data=CALL)).status_code == 403
        bearer = {"Authorization": "Bearer open sesame"}
        assert (await client.post(PATH, data=CALL, headers=bearer)).status_code == 403
        for method, path in (("GET", PATH), ("POST", PATH + "/"), ("POST", "/telephony/open"), ("GET", "/api/options")):
            # Our name is not one of this server's, and nothing else is asked.
            assert (await client.request(method, path, headers={**signed, **bearer})).status_code == 403
        own = {"Host": "127.0.0.1:7860"}
        assert (await client.post("/telephony/open", headers=own)).status_code == 401
        assert (await client.post("/telephony/open", headers={**own, **bearer})).status_code == 200
    alone = httpx.ASGITransport(build_app(ServerState(settings, api_only=True)))
    async with httpx.AsyncClient(transport=alone, base_url=PUBLIC_URL) as client:
        assert (await client.post(PATH, data=CALL, headers=signed)).status_code == 403
