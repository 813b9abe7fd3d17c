"""One table of attacks at every door: none of them costs anybody else a word, or leaves anything behind.

What each door is sent is its own protocol's form of the same attack. Meanwhile somebody on the page is answered.
"""

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import WebSocketException

from agent.server.calls.sessions import LiveSessions
from agent.server.calls.webrtc import WebSessions
from agent.server.guard.places import Places
from agent.server.state import Loaded, ServerState
from agent.server.telephony.audio_socket import AudioSockets
from agent.server.wyoming.server import WyomingServer, bind_wyoming
from agent.settings.load import load_settings
from tests.support.asterisk_callers import packet
from tests.support.hostile import settled, watching
from tests.support.house import SPEECH, hosting
from tests.support.llm_session import options
from tests.support.realtime_peer import RealtimePeer, post_offer
from tests.support.scripted_engines import ScriptedRecognizerEngine, ScriptedSynthesizer
from tests.support.scripted_llm import Reply, ScriptedLLM
from tests.support.served import jobs_of, listening
from tests.support.virtual_time import in_virtual_time
from tests.support.websocket_caller import calling
from transports.recording import load_recording

HUGE = "A" * 10_000_000
MANY = 200
SECOND_OF_SOUND = bytes(48_000)
WORDS = "what is the capital of germany"
LINES = {
    "office": {"provider": "twilio"},
    "wires": {"provider": "telnyx"},
    "plain": {"provider": "plivo"},
    "pbx": {"provider": "asterisk", "audiosocket_port": 0},
}
ATTACKS = ("wrong JSON", "no base 64", "10 MB at once", "sound faster than time", "half an event", "200 at once")


@dataclass
class House:
    """Everything that is served, on scripted engines.

    Attributes:
        url: Of the HTTP server.
        wyoming: Port of the Wyoming server.
        audio_socket: Port of AudioSocket.
    """

    url: str
    state: ServerState
    places: Places
    wyoming: int
    audio_socket: int
    opened: list[Any] = field(default_factory=list)

    @property
    def ws(self) -> str:
        return self.url.replace("http", "ws", 1)


@asynccontextmanager
async def housed() -> AsyncIterator[House]:
    settings = load_settings(
        {
            "server.max_sessions": 4,
            "server.wyoming_port": 0,
            "telephony.lines": LINES,
            "tools.reflexes": False,
            "turn.speculate": False,
        }
    )
    async with (
        ScriptedLLM() as llm,
        hosting(ScriptedRecognizerEngine(*[WORDS] * 50), options(llm), ScriptedSynthesizer()) as host,
        AsyncExitStack() as stack,
    ):
        llm.otherwise = Reply("Berlin.")
        state = ServerState(settings)
        sessions = LiveSessions(host, settings, state.histories)
        peers, jobs, places = WebSessions(sessions), jobs_of(host, settings), Places(64, 64)
        state.loaded = Loaded(host, jobs, sessions, peers)
        bound = bind_wyoming(settings.server)
        assert bound
        wyoming = WyomingServer(state, places, bound)
        wyoming.open()
        sockets = AudioSockets(settings, lambda: sessions, places)
        ports = await sockets.open()
        stack.push_async_callback(jobs.close, timeout_secs=5)
        for closing in (peers.close, sessions.close, state.calls.close, sockets.close, wyoming.close):
            stack.push_async_callback(closing)
        url = await stack.enter_async_context(listening(state))
        yield House(url, state, places, bound.getsockname()[1], ports["pbx"])


async def tell_socket(url: str, messages: Sequence[str | bytes], *, half: bytes = b"") -> list[str | bytes]:
    """Send messages over a WebSocket, and half of one; what came back until the end of the line, or for a while."""
    heard: list[str | bytes] = []
    with suppress(WebSocketException, OSError, TimeoutError):
        async with connect(url, ping_interval=None, compression=None, max_size=None, open_timeout=30) as line:
            for message in messages:
                await line.send(message)
            if half:
                # A frame that says that it has 200 bytes, and ends with its line.
                line.transport.write(bytes([0x81, 0xFE, 0, 200, 0, 0, 0, 0]) + half)
                line.transport.abort()
            async with asyncio.timeout(2):
                async for message in line:
                    heard.append(message)
    return heard


async def tell_port(port: int, content: bytes) -> bytes:
    """Send bytes; what came back until the end, or for a while."""
    heard = b""
    with suppress(OSError, TimeoutError):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            writer.write(content)
            async with asyncio.timeout(2):
                await writer.drain()
                while piece := await reader.read(65_536):
                    heard += piece
        finally:
            writer.transport.abort()
    return heard


Attack = Callable[[House, str], Awaitable[None]]


def over_socket(path: str, greeting: Sequence[dict[str, Any]], sound: Callable[[str], str | bytes]) -> Attack:
    """A door that is a WebSocket.

    Args:
        path: Where it is.
        greeting: What begins a session.
        sound: The door's message of sound, given base 64 of it, or what is none.
    """
    begin = [json.dumps(message) for message in greeting]
    second = base64.b64encode(SECOND_OF_SOUND).decode()
    messages: dict[str, list[str | bytes]] = {
        "wrong JSON": ["{", "[" * 5_000, '{"type": "\\ud800"}', '{"event": 7}'],
        "no base 64": [sound("no base 64!")],
        "10 MB at once": [sound(HUGE)],
        "sound faster than time": [sound(second)] * 120,
    }

    async def attack(house: House, kind: str) -> None:
        url = f"{house.ws}{path}"
        if kind == "200 at once":
            await asyncio.gather(*(tell_socket(url, begin) for _ in range(MANY)))
        elif kind == "half an event":
            await tell_socket(url, begin, half=b'{"type": "ses')
            await tell_socket(url, [], half=b'{"ty')
        else:
            await tell_socket(url, [*begin, *messages[kind]])
            await tell_socket(url, messages[kind])

    return attack


def media(payload: str) -> str:
    return json.dumps({"event": "media", "media": {"track": "inbound", "payload": payload}})


def sound_event(payload: str) -> str:
    return json.dumps({"type": "input_audio_buffer.append", "audio": payload})


def page_sound(payload: str) -> str | bytes:
    try:
        return base64.b64decode(payload, validate=True)[:6400]
    except ValueError:
        return json.dumps({"type": "text", "text": payload})


async def at_wyoming(house: House, kind: str) -> None:
    start = json.dumps({"type": "audio-start", "data": {"rate": 16_000, "width": 2, "channels": 1}}).encode() + b"\n"
    head = {"type": "audio-chunk", "data": {"rate": 16_000, "width": 2, "channels": 1}, "payload_length": 32_000}
    chunk = json.dumps(head).encode() + b"\n" + bytes(32_000)
    contents = {
        "wrong JSON": b"{\n",
        "no base 64": start + json.dumps({**head, "payload_length": "AA=="}).encode() + b"\n",
        "10 MB at once": b'{"type": "' + HUGE.encode() + b'"}\n',
        "sound faster than time": start + chunk * 120,
        "half an event": start + chunk[:500],
    }
    if kind == "200 at once":
        await asyncio.gather(*(tell_port(house.wyoming, start) for _ in range(MANY)))
    else:
        await tell_port(house.wyoming, contents[kind])


async def at_audio_socket(house: House, kind: str) -> None:
    begin = packet(0x01, bytes(16))
    contents = {
        "wrong JSON": b"{}",
        "no base 64": begin + packet(0x10, b"odd"),
        "10 MB at once": begin + HUGE.encode(),
        "sound faster than time": begin + packet(0x10, bytes(3_200)) * 600,
        "half an event": begin + packet(0x10, bytes(320))[:100],
    }
    if kind == "200 at once":
        await asyncio.gather(*(tell_port(house.audio_socket, begin) for _ in range(MANY)))
    else:
        await tell_port(house.audio_socket, contents[kind])


async def at_realtime_calls(house: House, kind: str) -> None:
    api = f"{house.url}/v1"
    peer = RealtimePeer()
    try:
        sdp = await peer.offer()
        if kind == "200 at once":
            # One offer can be answered again and again: nobody connects but one.
            answers = await asyncio.gather(*(post_offer(api, sdp) for _ in range(MANY)))
            assert {answer.status_code for answer in answers} <= {201, 429, 503}
            return
        await peer.accept((await post_offer(api, sdp)).text)
        texts = {
            "wrong JSON": ["{", "[" * 5_000],
            "no base 64": [sound_event("no base 64!")],
            "10 MB at once": ["x" * 60_000] * 170,
            "sound faster than time": [sound_event(base64.b64encode(bytes(24_000)).decode())] * 60,
            "half an event": ['{"type": "session.upd'],
        }
        for text in texts[kind]:
            peer.tell_raw(text)
        async with asyncio.timeout(20):
            with suppress(ConnectionError, TimeoutError):
                await peer.until("error", len(texts[kind]))
    finally:
        await peer.leave()


def over_http(path: str, wrong: dict[str, bytes]) -> Attack:
    """A door that is a route; what it has no form of, it is sent as a body that is none."""

    async def attack(house: House, kind: str) -> None:
        async with httpx.AsyncClient(base_url=house.url, timeout=60) as client:
            json_type = {"content-type": "application/json"}
            if kind == "half an event":
                port = int(house.url.rsplit(":", 1)[1])
                head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Type: application/json\r\n"
                await tell_port(port, f"{head}Content-Length: 100\r\n\r\n{{".encode())
                return
            n_times = MANY if kind == "200 at once" else 1
            content = wrong.get(kind, b"{")

            async def ask() -> int:
                return (await client.post(path, content=content, headers=json_type)).status_code

            statuses = await asyncio.gather(*(ask() for _ in range(n_times)), return_exceptions=True)
            told = {status for status in statuses if isinstance(status, int)}
            assert told <= {200, 400, 413, 429, 503}, told

    return attack


CREATED = {"type": "session.update", "session": {"type": "realtime"}}
TWILIO_START = {
    "event": "start",
    "streamSid": "MZ",
    "start": {
        "streamSid": "MZ",
        "callSid": "CA",
        "mediaFormat": {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1},
    },
}
TELNYX_START = {
    "event": "start",
    "stream_id": "T",
    "start": {"call_control_id": "c", "media_format": {"encoding": "PCMU", "sample_rate": 8000, "channels": 1}},
}
PLIVO_START = {
    "event": "start",
    "start": {"callId": "c", "streamId": "s", "mediaFormat": {"encoding": "audio/x-mulaw", "sampleRate": 8000}},
}
ASTERISK_START = {"event": "MEDIA_START", "connection_id": "c", "channel": "x", "format": "ulaw"}
SPEECH_BODY = {"10 MB at once": json.dumps({"input": HUGE}).encode(), "200 at once": b'{"input": "Hi."}'}
CHAT = {"model": "sotto", "messages": [{"role": "user", "content": "Hi."}]}
CHAT_BODY = {
    "10 MB at once": json.dumps({**CHAT, "messages": [{"role": "user", "content": HUGE}]}).encode(),
    "200 at once": json.dumps(CHAT).encode(),
}
DOORS: dict[str, Attack] = {
    "the page's WebSocket": over_socket("/api/ws", [{"type": "join", "sample_rate_hz": 16_000}], page_sound),
    "Realtime by WebSocket": over_socket("/v1/realtime?model=x", [CREATED], sound_event),
    "transcription": over_socket("/v1/realtime?intent=transcription", [], sound_event),
    "Realtime by WebRTC": at_realtime_calls,
    "Twilio": over_socket("/telephony/office", [TWILIO_START], media),
    "Telnyx": over_socket("/telephony/wires", [TELNYX_START], media),
    "Plivo": over_socket("/telephony/plain", [PLIVO_START], media),
    "chan_websocket": over_socket("/telephony/pbx", [ASTERISK_START], page_sound),
    "AudioSocket": at_audio_socket,
    "Wyoming": at_wyoming,
    "speech": over_http("/v1/audio/speech", SPEECH_BODY),
    "chat": over_http("/v1/chat/completions", CHAT_BODY),
    "client secrets": over_http("/v1/realtime/client_secrets", {"200 at once": b"{}"}),
}


def left_of(house: House) -> dict[str, int]:
    """What is held for clients."""
    state = house.state
    jobs = state.jobs()
    assert jobs
    named = [task.get_name() for task in asyncio.all_tasks()]
    return {
        "sessions": state.sessions().n_active,
        "questions": state.questions.n_active,
        "speeches": state.speeches.n_active,
        "transcriptions": jobs.n_active,
        "bytes": jobs.uploads.n_bytes,
        "connections": len(house.places),
        "tasks": sum(name.startswith(("realtime", "wyoming", "audio-socket", "conversation")) for name in named),
    }


@pytest.mark.parametrize("door", DOORS)
@in_virtual_time
async def test_no_attack_at_a_door_costs_anybody_else_a_word_or_leaves_anything_behind(door: str) -> None:
    question = load_recording(SPEECH / "capital_of_germany.wav").audio_s16
    with watching():
        async with housed() as house:
            before = left_of(house)
            async with calling(f"{house.ws}/api/ws") as witness:
                await witness.join()
                witness.begin_to_speak()
                for count, kind in enumerate(ATTACKS, 1):
                    witness.say(question)
                    await DOORS[door](house, kind)
                    await witness.until_event("bot_stopped_speaking", count)
                assert witness.close_code is None
            await settled(lambda: left_of(house) == before)
    assert [event["text"] for event in witness.named("turn_ended")] == [WORDS] * len(ATTACKS)
    assert [event["text"] for event in witness.named("bot_word")] == ["Berlin."] * len(ATTACKS)
    assert witness.named("error") == []
