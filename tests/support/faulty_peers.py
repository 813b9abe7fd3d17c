"""Callers that fail in one way in the middle of a call, over each network transport; the server around them is real.

Faults as in the table: `error` is raised within the server's own transport, the others are the peer's doing.
"""

import asyncio
import fractions
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Protocol

from av import AudioFrame, Packet
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from agent.server.calls.session import LiveSession
from tests.support.served import ServedEngine
from tests.support.webrtc_peer import Microphone, Peer
from tests.support.websocket_caller import FRAME_BYTES, Caller
from transports.recording import Pcm16
from transports.webrtc_microphone import Ear
from transports.webrtc_voice import VoiceTrack

# A network that holds all back for so long, and then delivers it at once.
HELD_SECS = 3.0
# Packets in the time of one.
FLOOD = 40
JUNK = ["", "no JSON", "[1]", '{"type": 1}', "[" * 60_000, '{"type": "signalling", "message": {"type": 7}}']


class Call(Protocol):
    """One caller's side of a call."""

    @property
    def events(self) -> list[dict[str, Any]]: ...

    async def join(self, conversation: str | None) -> str:
        """Join; the conversation's id."""
        ...

    def say(self, audio_s16: Pcm16) -> None: ...

    async def type(self, text: str) -> None: ...

    async def strike(self, fault: str, session: LiveSession) -> None:
        """Fail from now on; `session` is the server's side."""
        ...

    async def leave(self) -> None: ...


class SocketCall:
    """Over a WebSocket."""

    def __init__(self, served: ServedEngine) -> None:
        self._url = served.url.replace("http", "ws") + "/api/ws"
        self._caller: Caller | None = None

    @property
    def caller(self) -> Caller:
        assert self._caller
        return self._caller

    @property
    def events(self) -> list[dict[str, Any]]:
        return self.caller.events

    async def join(self, conversation: str | None) -> str:
        self._caller = Caller(await connect(self._url, ping_interval=None, compression=None))
        answer = await self._caller.join(**({"conversation": conversation} if conversation else {}))
        self._caller.begin_to_speak()
        return answer["conversation"]

    def say(self, audio_s16: Pcm16) -> None:
        self.caller.say(audio_s16)

    async def type(self, text: str) -> None:
        await self.caller.tell({"type": "text", "text": text})

    async def strike(self, fault: str, session: LiveSession) -> None:
        line = self.caller.line
        match fault:
            case "error":
                _failing_socket(session)
            case "hang":
                line.transport.pause_reading()
            case "crash":
                line.transport.abort()
            case "garbage":
                await line.send(b"\1" * 641)
            case "slow":
                for _ in range(3):
                    line.transport.pause_reading()
                    await asyncio.sleep(HELD_SECS)
                    line.transport.resume_reading()
                    await asyncio.sleep(1)
            case "endless":
                with suppress(ConnectionClosed):
                    for _ in range(2000):
                        await line.send(bytes(FRAME_BYTES))
            case "none":
                await self.caller.fall_silent()
            case _:
                raise KeyError(fault)

    async def leave(self) -> None:
        line = self.caller.line
        # Whoever reads nothing does not see the end either.
        line.transport.resume_reading() if not line.transport.is_closing() else None
        await self.caller.leave()


def _failing_socket(session: LiveSession) -> None:
    socket = session.carrier._transport._line._socket  # type: ignore[attr-defined]

    async def send(_: object) -> None:
        raise RuntimeError("no such state")

    socket.send_bytes = socket.send_text = send


class FaultyMicrophone(Microphone):
    """A microphone over WebRTC that can fail."""

    fault = ""

    async def recv(self) -> AudioFrame:
        if self.fault == "none":
            await asyncio.Event().wait()
        if self.fault == "slow" and self._started_secs is not None:
            # What was held back comes at once, for its time has passed.
            self.fault = ""
            await asyncio.sleep(HELD_SECS)
        frame = await super().recv()
        if self.fault == "endless" and self._n_samples // 320 % FLOOD:
            assert self._started_secs is not None
            # Its time is now, not in 20 ms.
            self._started_secs -= 0.02
        if self.fault == "garbage":
            packet = Packet(bytes(range(1, 200)))
            packet.pts, packet.time_base = frame.pts, fractions.Fraction(1, 16_000)
            return packet  # type: ignore[return-value]
        return frame


class PeerCall:
    """Over WebRTC."""

    def __init__(self, served: ServedEngine) -> None:
        self._url = served.url
        self._peer: Peer | None = None

    @property
    def peer(self) -> Peer:
        assert self._peer
        return self._peer

    @property
    def events(self) -> list[dict[str, Any]]:
        return self.peer.events

    async def join(self, conversation: str | None) -> str:
        self._peer = Peer(self._url, FaultyMicrophone())
        await self._peer.join(**({"conversation": conversation} if conversation else {}))
        await self._peer.until("session_started")
        return self._peer.answer["conversation"]

    def say(self, audio_s16: Pcm16) -> None:
        self.peer.microphone.say(audio_s16)

    async def type(self, text: str) -> None:
        self.peer.send({"type": "text", "text": text})

    async def strike(self, fault: str, session: LiveSession) -> None:
        microphone = self.peer.microphone
        assert isinstance(microphone, FaultyMicrophone)
        microphone.fault = fault
        match fault:
            case "error":
                _failing_sound(session)
            case "hang":
                # It goes on saying that it is there.
                self.peer.pc.sctp._send_sack = _nothing  # type: ignore
            case "crash":
                microphone.fault = "none"
                await self.peer.vanish()
            case "garbage":
                for junk in JUNK:
                    self.peer._channel.send(junk)
                self.peer._channel.send(b"\0\1")
                await asyncio.sleep(1)
                microphone.fault = ""
            case "slow" | "endless" | "none":
                await asyncio.sleep(1)
            case _:
                raise KeyError(fault)

    async def leave(self) -> None:
        await self.peer.leave()


async def _nothing(*_: object) -> None:
    """Takes no notice."""


def _failing_sound(session: LiveSession) -> None:
    """The next sound of each direction fails in the server."""
    transport = session.carrier._troubles[1].__self__  # type: ignore[attr-defined]
    track: VoiceTrack = transport._client._audio_output_track
    add = track.add_audio_bytes

    def add_audio_bytes(_: bytes) -> Any:
        track.add_audio_bytes = add  # type: ignore[method-assign]
        raise ValueError("no such sound")

    track.add_audio_bytes = add_audio_bytes  # type: ignore[method-assign]
    hear = Ear.hear

    def fail(_: Ear, __: AudioFrame) -> Any:
        Ear.hear = hear  # type: ignore[method-assign]
        raise ValueError("no such frame")

    Ear.hear = fail  # type: ignore[method-assign]


CALLS: dict[str, Callable[[ServedEngine], Call]] = {"websocket": SocketCall, "webrtc": PeerCall}
