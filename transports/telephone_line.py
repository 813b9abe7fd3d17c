"""A telephone's line: the bounds of `WebSocketLine`, in the words and at the rate of the far side's protocol.

In:  messages of the far side.   Out: 16 kHz mono s16, keys, and what it has played.
In:  the agent's sound at its own rate.   Out: the protocol's messages.

Sound is resampled here and nowhere else. The far side plays what it gets at its own pace: where its protocol knows
marks, no more than `MAX_UNPLAYED_SECS` are sent ahead of what it says that it has played, so that what counts as heard
was heard but for so much; where it does not, the pace of real time counts alone.
"""

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable

import numpy as np
from loguru import logger
from starlette.websockets import WebSocketDisconnect

from transports.allowance import Allowance
from transports.desktop_rate import RateConverter
from transports.params import IN_RATE_HZ
from transports.telephone_protocol import ProtocolError, Said, TelephoneProtocol
from transports.websocket_line import (
    BYTES_PER_SAMPLE,
    CLOSE_TIMEOUT_SECS,
    MAX_TEXT_CHARS,
    NORMAL,
    POLICY_VIOLATION,
    TOO_BIG,
    Ending,
    OnSound,
    Socket,
    WebSocketLine,
)

MARK_SECS = 0.2
MAX_UNPLAYED_SECS = 1.0
# A far side that does not answer a mark for so long knows none.
MARK_TIMEOUT_SECS = 2.0
# A pause in the agent's sound: what the converter still holds is silence.
PAUSE_SECS = 0.2
# Sound comes in messages of 20 ms; those of a network that hung come at once.
MESSAGES_PER_SEC = 150.0
MESSAGE_BURST = 1500.0
SILENCE_TIMEOUT_SECS = 20.0

OnKey = Callable[[str], Awaitable[None]]


class TelephoneLine(WebSocketLine):
    """Runs once.

    Args:
        socket: Accepted already; the protocol's start has been read from it.
        on_sound: Takes the caller's sound, 16 kHz.
        on_key: Takes a key that the caller has pressed.
        protocol: What the far side speaks.
        out_rate_hz: Of the agent's sound.
    """

    silence_timeout_secs = SILENCE_TIMEOUT_SECS

    def __init__(
        self, socket: Socket, on_sound: OnSound, on_key: OnKey, protocol: TelephoneProtocol, out_rate_hz: int
    ) -> None:
        async def no_message(_: object) -> None:
            return

        super().__init__(socket, on_sound, no_message)
        self._on_key = on_key
        self._protocol = protocol
        self._ear = RateConverter(protocol.rate_hz, IN_RATE_HZ)
        self._voice = RateConverter(out_rate_hz, protocol.rate_hz)
        self._allowance = Allowance(MESSAGES_PER_SEC, MESSAGE_BURST)
        self._marks = _Marks(protocol)
        self._last_sound_secs = 0.0

    def send_sound(self, pcm16: bytes) -> bool:
        """Send sound at the agent's rate, after what waits; whether the line still takes any."""
        now_secs = time.monotonic()
        if now_secs - self._last_sound_secs > PAUSE_SECS:
            self._voice.reset()
        self._last_sound_secs = now_secs
        converted = _converted(self._voice, pcm16)
        is_taken = super().send_sound(converted)
        if mark := self._marks.after(len(converted) / BYTES_PER_SAMPLE / self._protocol.rate_hz):
            self._put(mark)
        return is_taken

    async def ready_for_sound(self) -> None:
        """Wait while the far side has so much that it has not played."""
        since_secs = time.monotonic()
        await self._marks.until_played()
        # It is the far side that pauses, not the agent.
        self._last_sound_secs += time.monotonic() - since_secs

    async def until_played(self) -> None:
        """Wait until the far side says that it has played all; where it knows no marks, not at all."""
        if mark := self._marks.last():
            self._put(mark)
        await self._marks.until_played(0.0)

    def _tell_clear(self) -> None:
        self._voice.reset()
        self._marks.cut()
        if clear := self._protocol.clear():
            self._put(clear)

    async def _encoded(self, pcm16: bytes) -> bytes | str:
        return await self._protocol.sound(pcm16)

    async def _take_text(self, text: str) -> Ending | None:
        return await self._take(text)

    async def _take_bytes(self, content: bytes) -> Ending | None:
        return await self._take(content)

    async def _take(self, message: str | bytes) -> Ending | None:
        # Messages that have come already are read without a wait: everybody else has a turn between them.
        await asyncio.sleep(0)
        if len(message) > MAX_TEXT_CHARS:
            return Ending(TOO_BIG, f"a message of {len(message)} characters; at most {MAX_TEXT_CHARS} are taken")
        if not self._allowance.take(1.0):
            return Ending(POLICY_VIOLATION, f"too many messages: {MESSAGES_PER_SEC:.0f} a second are taken")
        try:
            said = await self._protocol.read(message)
        except ProtocolError as error:
            return Ending(error.code, str(error))
        return await self._do(said)

    async def _do(self, said: Said) -> Ending | None:
        if said.over:
            return Ending(NORMAL, said.over)
        if said.key:
            await self._on_key(said.key)
        if said.played:
            self._marks.played(said.played)
        return await self._take_sound(_converted(self._ear, said.sound)) if said.sound else None

    async def _close(self, ending: Ending) -> None:
        if hang_up := self._protocol.hang_up():
            try:
                sending = self._socket.send_bytes if isinstance(hang_up, bytes) else self._socket.send_text
                await asyncio.wait_for(sending(hang_up), CLOSE_TIMEOUT_SECS)  # pyright: ignore[reportArgumentType]
            except (TimeoutError, WebSocketDisconnect):
                return
        await super()._close(ending)


class _Marks:
    """How much of the agent's sound the far side says that it has played."""

    def __init__(self, protocol: TelephoneProtocol) -> None:
        self._protocol = protocol
        self._waiting: deque[tuple[str, float]] = deque()
        self._n_marks = 0
        self._unmarked_secs = self._unplayed_secs = 0.0
        self._changed = asyncio.Event()
        self._is_silent = False

    def after(self, sound_secs: float) -> str | None:
        """A mark to be sent after so much sound, now and then."""
        if self._is_silent:
            return None
        self._unmarked_secs += sound_secs
        return self._mark() if self._unmarked_secs >= MARK_SECS else None

    def last(self) -> str | None:
        """A mark after all sound, where it has none."""
        return self._mark() if self._unmarked_secs and not self._is_silent else None

    def _mark(self) -> str | None:
        name = f"sotto-{self._n_marks}"
        mark = self._protocol.mark(name)
        if mark is None:
            self._is_silent = True
            return None
        self._n_marks += 1
        self._waiting.append((name, self._unmarked_secs))
        self._unplayed_secs += self._unmarked_secs
        self._unmarked_secs = 0.0
        return mark

    def played(self, name: str) -> None:
        """All up to this mark was played; what is no mark of ours, or of before a cut, changes nothing."""
        if not any(name == waiting for waiting, _ in self._waiting):
            return
        while self._waiting:
            waiting, secs = self._waiting.popleft()
            self._unplayed_secs -= secs
            if waiting == name:
                break
        self._changed.set()

    def cut(self) -> None:
        """What was not played is dropped."""
        self._waiting.clear()
        self._unmarked_secs = self._unplayed_secs = 0.0
        self._changed.set()

    async def until_played(self, most_secs: float = MAX_UNPLAYED_SECS) -> None:
        """Wait until no more than so much is ahead of what was played."""
        while self._waiting and self._unplayed_secs > most_secs:
            self._changed.clear()
            try:
                await asyncio.wait_for(self._changed.wait(), MARK_TIMEOUT_SECS)
            except TimeoutError:
                logger.warning("a telephone's line does not say what it has played: its pace is taken for granted")
                self._is_silent = True
                self.cut()


def _converted(converter: RateConverter, pcm16: bytes) -> bytes:
    return converter.convert(np.frombuffer(pcm16, "<i2")[np.newaxis]).astype("<i2").tobytes()
