"""Calls over Telnyx's and Plivo's media streams: what differs from Twilio's, and that nothing else does."""

import asyncio
import re
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlencode
from xml.sax.saxutils import unescape

import numpy as np
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tests.support.house import SPEECH
from tests.support.scripted_engines import WORD_SECS
from tests.support.telephone_callers import RATE_HZ, PlivoCaller, TelnyxCaller, TwilioCaller, twilio_call
from tests.support.telephone_house import Lines, holding_lines, until_active
from tests.support.telephone_signatures import (
    PUBLIC_URL,
    SECRET,
    TELNYX_PUBLIC_KEY,
    plivo_signature,
    post,
    telnyx_signature,
)
from tests.support.telephone_sound import at_telephone_rate
from tests.support.virtual_time import in_virtual_time
from transports.recording import load_recording

LINES: dict[str, dict[str, Any]] = {
    "telnyx": {"provider": "telnyx", "secret": TELNYX_PUBLIC_KEY, "keys": "answer"},
    "plivo": {"provider": "plivo", "secret": SECRET, "keys": "answer"},
}
CALLERS: dict[str, type[TwilioCaller]] = {"telnyx": TelnyxCaller, "plivo": PlivoCaller}
FIELDS = {"CallUUID": "98cf6e2a", "From": "14151234567", "To": "14157654321", "CallerName": "ü & =", "Empty": ""}
BODY = urlencode(FIELDS).encode()
LONG_REPLY = "One two three four five six seven eight nine ten eleven twelve."
both = pytest.mark.parametrize("provider", ["telnyx", "plivo"])
NO_TOKEN = (1008, "neither the handshake's signature nor the stream's token is right")


def speech(name: str) -> Any:
    return at_telephone_rate(load_recording(SPEECH / f"{name}.wav").audio_s16)


def signed(provider: str, body: bytes = BODY) -> dict[str, str]:
    url = f"{PUBLIC_URL}/telephony/{provider}"
    return telnyx_signature(body, time.time()) if provider == "telnyx" else plivo_signature(url, FIELDS)


async def webhook(lines: Lines, provider: str, headers: dict[str, str]) -> tuple[int, str]:
    return await post(lines.port, f"/telephony/{provider}", BODY, {"Host": "agent.example.org", **headers})


async def connected(lines: Lines, provider: str) -> tuple[str, dict[str, str]]:
    """Where the webhook's answer has a provider connect to, and what the stream is to bring along."""
    status, xml = await webhook(lines, provider, signed(provider))
    assert status == 200
    if provider == "telnyx":
        found = re.search(
            r'<Connect><Stream url="wss://agent\.example\.org(/[^"]+)" [^<>]+/></Connect></Response>$', xml
        )
        assert found
        assert 'bidirectionalMode="rtp" bidirectionalCodec="PCMU"' in xml
        return unescape(found[1]), {}
    found = re.search(r'extraHeaders="(\w+)=([A-Za-z0-9]+)">wss://agent\.example\.org(/.+)</Stream></Response>$', xml)
    assert found
    assert 'contentType="audio/x-mulaw;rate=8000" bidirectional="true" keepCallAlive="true"' in xml
    return found[3], {found[1]: found[2]}


@asynccontextmanager
async def in_call(lines: Lines, provider: str, **options: Any) -> AsyncIterator[TwilioCaller]:
    path, parameters = await connected(lines, provider)
    async with twilio_call(lines.port, path, of=CALLERS[provider], **options) as caller:
        await caller.begin(parameters)
        yield caller


@in_virtual_time
@both
async def test_a_spoken_question_a_barge_in_and_a_key(provider: str) -> None:
    replies = (LONG_REPLY, "Fine.", "Sales it is.")
    async with (
        holding_lines(LINES, "count please", "stop", replies=replies) as lines,
        in_call(lines, provider) as caller,
    ):
        caller.say(speech("days_in_a_week"))
        await lines.until_event("bot_started_speaking")
        await asyncio.sleep(0.5)
        caller.say(speech("stop"))
        heard = (await lines.until_event("interruption"))["heard"].split()
        await lines.until_event("bot_stopped_speaking", count=2)
        assert len(caller.cuts) == 1
        await caller.press("3")
        await lines.until_event("bot_stopped_speaking", count=3)
        await caller.hang_up()
        await until_active(lines.sessions, 0)
    assert 1 <= len(heard) < 12
    assert lines.history()[1]["text"].split() == heard
    n_words = (np.abs(caller.heard_s16[: caller.cuts[0]].astype(int)) > 104).sum() / RATE_HZ / WORD_SECS
    assert abs(n_words - len(heard)) <= 1
    assert [event["key"] for event in lines.named("dtmf")] == ["3"]
    assert lines.history()[-2]["text"] == "I pressed 3 on the keypad."
    ended = {"telnyx": "the caller hung up", "plivo": "the client left"}
    assert lines.named("session_ended")[0]["reason"] == ended[provider]


@in_virtual_time
@both
async def test_words_that_the_provider_has_not_played_are_not_taken_for_heard(provider: str) -> None:
    async with (
        holding_lines(LINES, "count please", replies=(LONG_REPLY,)) as lines,
        in_call(lines, provider, answers_marks=False) as caller,
    ):
        caller.say(speech("days_in_a_week"))
        await lines.until_event("bot_started_speaking")
        await asyncio.sleep(2.0)
        assert len(lines.named("bot_word")) <= (1.0 + 0.2) / WORD_SECS + 1


@in_virtual_time
async def test_alaw_is_heard_and_answered_in_ulaw() -> None:
    alaw = {"encoding": "PCMA", "sample_rate": 8000, "channels": 1}
    async with holding_lines(LINES) as lines:
        path, _ = await connected(lines, "telnyx")
        async with twilio_call(lines.port, path, of=TelnyxCaller) as caller:
            await caller.begin({}, media_format=alaw)
            await lines.until_event("session_started")


@in_virtual_time
@both
async def test_a_token_opens_one_stream(provider: str) -> None:
    async with holding_lines(LINES) as lines:
        path, parameters = await connected(lines, provider)
        async with twilio_call(lines.port, path, of=CALLERS[provider]) as caller:
            await caller.begin(parameters)
            await lines.until_event("session_started")
        async with twilio_call(lines.port, path, of=CALLERS[provider]) as second:
            await second.begin(parameters)
            assert await second.until_closed() == NO_TOKEN


@in_virtual_time
async def test_plivos_signed_handshake_opens_a_stream_and_telnyx_signs_none() -> None:
    async with holding_lines(LINES) as lines:
        signature = plivo_signature("wss://agent.example.org/telephony/plivo", {})
        async with twilio_call(lines.port, "/telephony/plivo", of=PlivoCaller, headers=signature) as caller:
            await caller.begin()
            await lines.until_event("session_started")
        signature = telnyx_signature(b"", time.time())
        async with twilio_call(lines.port, "/telephony/telnyx", of=TelnyxCaller, headers=signature) as caller:
            await caller.begin()
            assert await caller.until_closed() == NO_TOKEN


@in_virtual_time
async def test_a_signature_that_is_wrong_or_old_is_refused() -> None:
    now_secs, url = time.time(), f"{PUBLIC_URL}/telephony/plivo"
    good = telnyx_signature(BODY, now_secs)
    wrong: list[tuple[str, dict[str, str]]] = [
        ("telnyx", {}),
        ("telnyx", telnyx_signature(BODY, now_secs - 301)),
        ("telnyx", telnyx_signature(BODY, now_secs + 400)),
        ("telnyx", telnyx_signature(BODY + b"&a=b", now_secs)),
        ("telnyx", telnyx_signature(BODY, now_secs, Ed25519PrivateKey.from_private_bytes(bytes(32)))),
        ("telnyx", {**good, "telnyx-timestamp": "+" + good["telnyx-timestamp"]}),
        ("telnyx", {**good, "telnyx-timestamp": "9" * 5000}),
        ("telnyx", {**good, "telnyx-signature-ed25519": "no base 64"}),
        ("telnyx", {**good, "telnyx-signature-ed25519": "AAAA"}),
        ("plivo", {}),
        ("plivo", plivo_signature(url, FIELDS, "another secret")),
        ("plivo", plivo_signature(url, {**FIELDS, "From": "1"})),
        ("plivo", plivo_signature(url, {})),
        ("plivo", {**plivo_signature(url, FIELDS), "X-Plivo-Signature-V3-Nonce": "4712"}),
        ("plivo", {**plivo_signature(url, FIELDS), "X-Plivo-Signature-V3-Nonce": ""}),
    ]
    async with holding_lines(LINES) as lines:
        for provider, headers in wrong:
            status, problem = await webhook(lines, provider, headers)
            assert (status, problem[:45]) == (403, '{"error": "the signature is missing or wrong:')
        for provider in LINES:
            assert (await webhook(lines, provider, signed(provider)))[0] == 200


@in_virtual_time
@both
async def test_a_caller_too_many_is_rejected_as_busy(provider: str) -> None:
    async with holding_lines(LINES, max_sessions=1) as lines, in_call(lines, provider):
        await lines.until_event("session_started")
        _, xml = await webhook(lines, provider, signed(provider))
        assert re.search(r'<Response><(Reject|Hangup) reason="busy"/></Response>$', xml)


@in_virtual_time
@pytest.mark.parametrize(
    ("provider", "changes", "code", "reason"),
    [
        (
            "telnyx",
            {"media_format": {"encoding": "G722", "sample_rate": 8000, "channels": 1}},
            1003,
            "the sound's encoding must be PCMU or PCMA, not 'G722'",
        ),
        (
            "telnyx",
            {"media_format": {"encoding": "PCMU", "sample_rate": 16000, "channels": 1}},
            1003,
            "the sound must be 8000 Hz and one channel, not 16000 Hz and 1 of them",
        ),
        ("telnyx", {"media_format": None}, 1007, "the start must have stream_id and start.media_format"),
        (
            "plivo",
            {"mediaFormat": {"encoding": "audio/x-l16", "sampleRate": 16000}},
            1003,
            "the sound's encoding must be audio/x-mulaw, not 'audio/x-l16'",
        ),
        ("plivo", {"streamId": ""}, 1007, "the start must have start.streamId and start.mediaFormat"),
    ],
)
async def test_a_wrong_start_is_refused_with_its_reason(
    provider: str, changes: dict[str, Any], code: int, reason: str
) -> None:
    async with (
        holding_lines(LINES) as lines,
        twilio_call(lines.port, f"/telephony/{provider}", of=CALLERS[provider]) as caller,
    ):
        await caller.begin({}, **changes)
        assert await caller.until_closed() == (code, reason)


@in_virtual_time
@both
async def test_what_is_no_message_ends_the_call_with_a_reason(provider: str) -> None:
    messages = ("{", '{"event": "error", "payload": {"code": 100002}}', '{"event": "clearedAudio"}', "[]")
    async with holding_lines(LINES, max_sessions=4) as lines:
        for message in messages:
            async with in_call(lines, provider) as caller:
                await caller.tell(message)
                if message in ("{", "[]"):
                    code, _ = await caller.until_closed()
                    assert code == 1007
                else:
                    await caller.press("5")
                    await lines.until_event("dtmf", count=messages.index(message))
                    assert caller.close_code is None
