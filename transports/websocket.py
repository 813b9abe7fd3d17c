"""The WebSocket edge: where WebRTC cannot connect, the same sound and messages go over one TCP connection.

In:  a client's binary messages.   Out: InputAudioRawFrame, 16 kHz mono s16, as they come.
In:  OutputAudioRawFrame.   Out: binary messages at the pace of real time, 20 ms ahead of it at most.

No sample is lost on the way, but a network may hold some back: the client keeps a small buffer, and empties it when it
is told `clear`. A frame that has been sent carries as `playout_secs` when its first sample is due to be played.
"""

import asyncio
import time
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from pipecat.audio.dtmf.types import KeypadEntry
from pipecat.frames.frames import (
    CancelFrame,
    EndFrame,
    Frame,
    InputAudioRawFrame,
    InputDTMFFrame,
    InterruptionFrame,
    OutputAudioRawFrame,
    StartFrame,
)
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor
from pipecat.transports.base_transport import BaseTransport, TransportParams

from transports.cut_output import CutOutput, is_cut
from transports.params import IN_RATE_HZ, transport_params
from transports.sound_input import DirectInput
from transports.websocket_line import (
    BYTES_PER_SAMPLE,
    NORMAL,
    Ending,
    Message,
    OnMessage,
    OnSound,
    Socket,
    WebSocketLine,
)

MakeLine = Callable[[Socket, OnSound, OnMessage], WebSocketLine]

LEAD_SECS = 0.02
# What has come and the pipeline has not taken; a client that is faster has to wait.
MAX_UNHEARD = 50


class SoundLine(Protocol):
    """What carries the agent's sound to one client."""

    async def ready_for_sound(self) -> None:
        """Wait while the client has as much as it may have."""
        ...

    def send_sound(self, pcm16: bytes) -> bool:
        """Send sound; whether the line still takes any."""
        ...

    def clear(self) -> None:
        """Have the client drop what it has not played."""
        ...


class Timeline:
    """Seconds since the first sample of the client."""

    def __init__(self) -> None:
        self._origin_secs: float | None = None

    def begin(self, duration_secs: float) -> None:
        """Sound of this length has just come; the first one counts."""
        if self._origin_secs is None:
            self._origin_secs = time.monotonic() - duration_secs

    def at(self, monotonic_secs: float) -> float:
        """That moment on the timeline; 0 before it began."""
        return 0.0 if self._origin_secs is None else max(0.0, monotonic_secs - self._origin_secs)


class SocketInput(DirectInput):
    """The user's side of a line.

    Args:
        timeline: Begun by the first sound.
        params: Pipecat's.
    """

    def __init__(self, timeline: Timeline, params: TransportParams) -> None:
        super().__init__(params)
        self._timeline = timeline
        self._unheard: asyncio.Queue[bytes | Frame] = asyncio.Queue(MAX_UNHEARD)
        self._hearing: asyncio.Task[None] | None = None

    async def take(self, heard: bytes | Frame) -> None:
        """Take the client's sound, or what came within it; waits while too much of it waits here."""
        await self._unheard.put(heard)

    async def start(self, frame: StartFrame) -> None:
        await super().start(frame)
        self._hearing = self.create_task(self._hear())

    async def stop(self, frame: EndFrame) -> None:
        await self._let_go()
        await super().stop(frame)

    async def cancel(self, frame: CancelFrame) -> None:
        await self._let_go()
        await super().cancel(frame)

    async def cleanup(self) -> None:
        await self._let_go()
        await super().cleanup()

    async def _hear(self) -> None:
        while True:
            heard = await self._unheard.get()
            if isinstance(heard, Frame):
                await self.push_frame(heard)
                continue
            frame = InputAudioRawFrame(heard, IN_RATE_HZ, 1)
            self._timeline.begin(frame.num_frames / IN_RATE_HZ)
            await self.push_audio_frame(frame)

    async def _let_go(self) -> None:
        if self._hearing:
            await self.cancel_task(self._hearing)
            self._hearing = None


class SocketOutput(CutOutput):
    """The agent's side of a line: sound at the pace of real time.

    Args:
        line: Takes the sound.
        timeline: Of the client.
        params: Pipecat's.
        lead_secs: How much earlier than it is played sound is sent.
    """

    def __init__(
        self, line: SoundLine, timeline: Timeline, params: TransportParams, lead_secs: float = LEAD_SECS
    ) -> None:
        super().__init__(params)
        self._line = line
        self._lead_secs = lead_secs
        self._timeline = timeline
        self._played_until_secs = 0.0
        self._may_be_playing = False

    async def start(self, frame: StartFrame) -> None:
        await super().start(frame)
        await self.set_transport_ready(frame)

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        """Cut at once."""
        if isinstance(frame, InterruptionFrame):
            self._cut()
        await super().process_frame(frame, direction)

    async def send_sound(self, frame: OutputAudioRawFrame) -> bool:
        early_secs = self._played_until_secs - time.monotonic() - self._lead_secs
        if early_secs > 0:
            await asyncio.sleep(early_secs)
        await self._line.ready_for_sound()
        if is_cut(frame) or not self._line.send_sound(frame.audio):
            return False
        start_secs = max(self._played_until_secs, time.monotonic())
        frame.metadata["playout_secs"] = self._timeline.at(start_secs)
        self._played_until_secs = start_secs + len(frame.audio) / BYTES_PER_SAMPLE / frame.sample_rate
        self._may_be_playing = True
        return True

    async def until_due(self) -> None:
        """Wait until what was sent is due to have been played."""
        await asyncio.sleep(max(0.0, self._played_until_secs - time.monotonic()))

    def _cut(self) -> None:
        self._played_until_secs = 0.0
        if self._may_be_playing:
            self._line.clear()
        self._may_be_playing = False


class WebSocketTransport(BaseTransport):
    """One client on a WebSocket; made on the event loop.

    Args:
        socket: Accepted already.
        out_rate_hz: Rate of the agent's voice, which the client is told.
        on_message: Takes the client's messages.
        make_line: Makes the line, of another protocol say.
        lead_secs: How far ahead of its time sound is sent.

    Attributes:
        out_rate_hz: As given.
    """

    def __init__(
        self,
        socket: Socket,
        out_rate_hz: int,
        on_message: OnMessage,
        *,
        make_line: MakeLine = WebSocketLine,
        lead_secs: float = LEAD_SECS,
    ) -> None:
        super().__init__()
        self.out_rate_hz = out_rate_hz
        params = transport_params(out_rate_hz)
        timeline = Timeline()
        self._input = SocketInput(timeline, params)
        self._line = make_line(socket, self._input.take, on_message)
        self._output = SocketOutput(self._line, timeline, params, lead_secs)

    def input(self) -> FrameProcessor:
        """The user's side."""
        return self._input

    def output(self) -> FrameProcessor:
        """The agent's side."""
        return self._output

    async def press(self, key: str) -> None:
        """Tell the pipeline of a key that a caller has pressed.

        Args:
            key: One of a telephone's: a digit, * or #.
        """
        await self._input.take(InputDTMFFrame(button=KeypadEntry(key)))

    async def until_played(self) -> None:
        """Wait until the far side has played what it was sent, as far as it tells; else until that is due."""
        await self._output.until_due()
        await self._line.until_played()

    def send(self, message: Message) -> None:
        """Send a message to the client; what comes before `run` waits for it."""
        self._line.send(message)

    def end(self, reason: str, code: int = NORMAL) -> None:
        """Close the line when what waits has been sent."""
        self._line.end(reason, code)

    async def run(self, greeting: Mapping[str, Any] | None = None) -> Ending:
        """Carry sound and messages until one side ends it.

        Args:
            greeting: The first message to the client.
        """
        return await self._line.run(greeting)
