"""One WebSocket to a client: sound and messages both ways, within bounds, and an end that has a reason.

In:  binary messages: s16le mono at 16 kHz, 20 ms each by agreement, at most 200 ms; text messages: JSON objects with a
     `type`, or `ping...`, which only says that the client is there.
Out: binary messages: the agent's sound; text messages: JSON objects.

A client that breaks these rules, floods, does not read or falls silent is cut; the close frame tells it why.
"""

import asyncio
import json
import time
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from dataclasses import dataclass
from typing import Any, Protocol

from loguru import logger
from starlette.types import Message as SocketEvent
from starlette.websockets import WebSocketDisconnect

from transports.allowance import Allowance
from transports.json_text import read_json
from transports.params import IN_RATE_HZ

BYTES_PER_SAMPLE = 2
MAX_SOUND_SECS = 0.2
MAX_SOUND_BYTES = int(MAX_SOUND_SECS * IN_RATE_HZ) * BYTES_PER_SAMPLE
MAX_TEXT_CHARS = 64 * 1024
# The client sends sound all the time, and a ping every second.
SILENCE_TIMEOUT_SECS = 6.0
WATCH_SECS = 0.5
# A network that hung for as long as a client may be silent delivers the rest at once.
SOUND_BURST_SECS = SILENCE_TIMEOUT_SECS + 2.0
# A client's clock may be this much too fast.
SOUND_RATE = 1.01
MESSAGES_PER_SEC = 20.0
MESSAGE_BURST = 100.0
# What a client has not taken in after so long it does not read; how much came at once says nothing about it.
SEND_TIMEOUT_SECS = 5.0
# Whoever can wait with what it sends waits while more than this does: a slow link takes it in before that time is up.
ROOM_BYTES = 256 * 1024
# What may wait for that time in memory; an hour of speech in words is less than a tenth of it.
MAX_WAITING_BYTES = 8 * 2**20
CLOSE_TIMEOUT_SECS = 1.0
# A close frame has room for 123 bytes.
MAX_REASON_BYTES = 123

NORMAL = 1000
GOING_AWAY = 1001
UNSUPPORTED_DATA = 1003
INVALID_DATA = 1007
POLICY_VIOLATION = 1008
TOO_BIG = 1009
INTERNAL_ERROR = 1011
TRY_AGAIN_LATER = 1013

Message = dict[str, Any]
OnSound = Callable[[bytes], Awaitable[None]]
OnMessage = Callable[[Message], Awaitable[None]]


class Socket(Protocol):
    """What carries messages: Starlette's WebSocket, or what behaves as one."""

    async def receive(self) -> SocketEvent:
        """The next event, as ASGI has them: a message, or that the client is gone."""
        ...

    async def send_bytes(self, data: bytes) -> None:
        """Send bytes; raises a WebSocketDisconnect once the client is gone."""
        ...

    async def send_text(self, data: str) -> None:
        """Send text; raises a WebSocketDisconnect once the client is gone."""
        ...

    async def close(self, code: int = 1000, reason: str | None = None) -> None:
        """Close it."""
        ...


@dataclass(frozen=True)
class Ending:
    """Why a line ended.

    Attributes:
        code: Of the close frame (RFC 6455, section 7.4.1).
        reason: In words.
        by_client: Whether the client closed it, or is gone.
    """

    code: int
    reason: str
    by_client: bool = False


@dataclass(frozen=True)
class _Waiting:
    """A message that is to be sent, and how long the client had made us wait before it was put there."""

    message: bytes | str
    held_secs: float


class WebSocketLine:
    """Runs once: what is sent before waits until then.

    Args:
        socket: Accepted already.
        on_sound: Takes the client's sound; while it waits, the client has to.
        on_message: Takes the client's messages.

    Attributes:
        silence_timeout_secs: Who sends nothing for so long is gone.
    """

    silence_timeout_secs = SILENCE_TIMEOUT_SECS

    def __init__(self, socket: Socket, on_sound: OnSound, on_message: OnMessage) -> None:
        self._socket = socket
        self._on_sound = on_sound
        self._on_message = on_message
        self._waiting: deque[_Waiting] = deque()
        self._n_waiting_bytes = 0
        # How long the client has made us wait so far.
        self._held_secs = 0.0
        self._changed = asyncio.Event()
        self._taken_in = asyncio.Event()
        self._finishing = False
        self._told: asyncio.Future[Ending] = asyncio.get_running_loop().create_future()
        self._last_heard_secs = time.monotonic()
        self._sound_allowance = Allowance(SOUND_RATE, SOUND_BURST_SECS)
        self._message_allowance = Allowance(MESSAGES_PER_SEC, MESSAGE_BURST)

    def send(self, message: Mapping[str, Any]) -> None:
        """Send a message, after what waits."""
        self._put(json.dumps(message))

    def send_sound(self, pcm16: bytes) -> bool:
        """Send sound, after what waits; whether the line still takes any."""
        if not self._told.done():
            self._put(pcm16)
        return not self._told.done()

    async def has_room(self) -> None:
        """Wait while much waits that the client has not taken in; not once the line ends."""
        while self._n_waiting_bytes > ROOM_BYTES and not self._told.done():
            self._taken_in.clear()
            await self._taken_in.wait()

    async def ready_for_sound(self) -> None:
        """Wait while the client has so much sound that it has not played; this one plays what it gets."""

    async def until_played(self) -> None:
        """Wait until the client says that it has played all it was sent; this one says nothing of it."""

    def clear(self) -> None:
        """Drop the sound that waits, and have the client drop what it has not played."""
        self._waiting = deque(waiting for waiting in self._waiting if isinstance(waiting.message, str))
        self._n_waiting_bytes = sum(len(waiting.message) for waiting in self._waiting)
        self._taken_in.set()
        self._tell_clear()

    def end(self, reason: str, code: int = NORMAL) -> None:
        """End the line once what waits has been sent; a second end changes nothing."""
        if not self._told.done():
            self._told.set_result(Ending(code, reason))
            self._taken_in.set()

    async def run(self, greeting: Mapping[str, Any] | None = None) -> Ending:
        """Send and receive until the end.

        Args:
            greeting: Sent first, before all that waits.
        """
        self._last_heard_secs = time.monotonic()
        if greeting is not None:
            greeted = _Waiting(json.dumps(greeting), self._held_secs)
            self._waiting.appendleft(greeted)
            self._n_waiting_bytes += len(greeted.message)
        writing = asyncio.create_task(self._write())
        others = [asyncio.create_task(self._receive()), asyncio.create_task(self._watch())]
        try:
            done, _ = await asyncio.wait([self._told, writing, *others], return_when=asyncio.FIRST_COMPLETED)
            ending = ending_of(next(iter(done)))
            self.end(ending.reason, ending.code)
            if not ending.by_client:
                await self._finish(writing)
                await self._close(ending)
            return ending
        finally:
            tasks = [writing, *others]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def _tell_clear(self) -> None:
        self.send({"type": "clear"})

    async def _encoded(self, pcm16: bytes) -> bytes | str:
        """Sound as the client takes it."""
        return pcm16

    def _put(self, message: bytes | str) -> None:
        self._waiting.append(_Waiting(message, self._held_secs))
        self._n_waiting_bytes += len(message)
        self._changed.set()
        if self._n_waiting_bytes > MAX_WAITING_BYTES:
            self.end("the client does not read what it is sent", POLICY_VIOLATION)

    async def _finish(self, writing: asyncio.Task[Ending]) -> None:
        self._finishing = True
        self._changed.set()
        await asyncio.wait([writing], timeout=CLOSE_TIMEOUT_SECS)

    async def _close(self, ending: Ending) -> None:
        reason = ending.reason.encode()[:MAX_REASON_BYTES].decode(errors="ignore")
        try:
            # A socket that takes nothing any more does not take the close frame either.
            await asyncio.wait_for(self._socket.close(ending.code, reason), CLOSE_TIMEOUT_SECS)
        except (TimeoutError, WebSocketDisconnect):
            return

    async def _write(self) -> Ending:
        try:
            while self._waiting or not self._finishing:
                if not self._waiting:
                    self._changed.clear()
                    await self._changed.wait()
                    continue
                await self._send(self._waiting.popleft())
        except TimeoutError:
            self._waiting.clear()
            return Ending(POLICY_VIOLATION, "the client does not read what it is sent")
        except WebSocketDisconnect:
            return Ending(GOING_AWAY, "the client is gone", by_client=True)
        return Ending(NORMAL, "all is sent")

    async def _send(self, waiting: "_Waiting") -> None:
        """Send one message.

        Raises:
            TimeoutError: The client has not taken it in, or those before it, for too long.
        """
        message = waiting.message
        self._n_waiting_bytes -= len(message)
        self._taken_in.set()
        left_secs = waiting.held_secs + SEND_TIMEOUT_SECS - self._held_secs
        if left_secs <= 0:
            raise TimeoutError
        if isinstance(message, bytes):
            message = await self._encoded(message)
            if not message:
                return
        sending = self._socket.send_bytes if isinstance(message, bytes) else self._socket.send_text
        started_secs = time.monotonic()
        await asyncio.wait_for(sending(message), left_secs)  # pyright: ignore[reportArgumentType]
        self._held_secs += time.monotonic() - started_secs

    async def _watch(self) -> Ending:
        while True:
            await asyncio.sleep(self._last_heard_secs + self.silence_timeout_secs - time.monotonic())
            # If it was this process that stood still, what has come meanwhile is read now.
            await asyncio.sleep(WATCH_SECS)
            if time.monotonic() - self._last_heard_secs > self.silence_timeout_secs:
                return Ending(GOING_AWAY, f"nothing came from the client for {self.silence_timeout_secs:.0f} s")

    async def _receive(self) -> Ending:
        while True:
            event = await self._socket.receive()
            # One read may have brought thousands of messages, none of which is waited for: others get their turns.
            await asyncio.sleep(0)
            self._last_heard_secs = time.monotonic()
            if event["type"] == "websocket.disconnect":
                return Ending(event.get("code", GOING_AWAY), "the client left", by_client=True)
            problem = await self._take_event(event)
            if problem:
                return problem

    async def _take_event(self, event: MutableMapping[str, Any]) -> Ending | None:
        """Take what the client sent; why the line ends, if it does."""
        content = event.get("bytes")
        return await (self._take_bytes(content) if content is not None else self._take_text(event["text"]))

    async def _take_bytes(self, content: bytes) -> Ending | None:
        return await self._take_sound(content)

    async def _take_sound(self, pcm16: bytes) -> Ending | None:
        if len(pcm16) > MAX_SOUND_BYTES:
            return Ending(TOO_BIG, f"a sound message of {len(pcm16)} bytes; at most {MAX_SOUND_BYTES} are taken")
        if not pcm16 or len(pcm16) % BYTES_PER_SAMPLE:
            return Ending(INVALID_DATA, f"a sound message of {len(pcm16)} bytes is no whole number of 16-bit samples")
        if not self._sound_allowance.take(len(pcm16) / BYTES_PER_SAMPLE / IN_RATE_HZ):
            return Ending(POLICY_VIOLATION, f"more sound than time: {IN_RATE_HZ} samples a second are taken")
        await self._on_sound(pcm16)
        return None

    async def _take_text(self, text: str) -> Ending | None:
        if len(text) > MAX_TEXT_CHARS:
            return Ending(TOO_BIG, f"a message of {len(text)} characters; at most {MAX_TEXT_CHARS} are taken")
        if not self._message_allowance.take(1.0):
            return Ending(POLICY_VIOLATION, f"too many messages: {MESSAGES_PER_SEC:.0f} a second are taken")
        if text.startswith("ping"):
            return None
        message = parse_message(text)
        if message is None:
            return Ending(INVALID_DATA, "a text message must be a JSON object with a type")
        await self._on_message(message)
        return None


def ending_of(done: "asyncio.Future[Any]") -> Ending:
    """Why the line ended; what nobody has foreseen ends it, too, and is told in one line."""
    if (error := done.exception()) is None:
        return done.result()
    logger.error(f"a WebSocket's line failed: {' '.join(repr(error).split())}")
    return Ending(INTERNAL_ERROR, "the connection failed within the server")


def parse_message(text: str) -> Message | None:
    """A text message's content; None if it is not a JSON object with a `type`."""
    try:
        message = read_json(text)
    except ValueError:
        return None
    return message if isinstance(message, dict) and isinstance(message.get("type"), str) else None
