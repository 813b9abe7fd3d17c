"""The edge of doors that speak a protocol of their own over a line that they hold: sound in and out, words with it.

In:  sound, 16 kHz mono s16, and frames that keep their place between it.   Out: to a listener, in their order and at
the pace of real time: the agent's sound, and every other frame that leaves the pipeline; nothing of a reply that was
cut comes after `clear`.
"""

import asyncio
from typing import Protocol

from pipecat.frames.frames import (
    CancelFrame,
    EndFrame,
    Frame,
    InputAudioRawFrame,
    InterruptionFrame,
    OutputAudioRawFrame,
    StartFrame,
)
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor
from pipecat.transports.base_transport import BaseTransport, TransportParams

from transports.cut_output import is_cut
from transports.params import IN_RATE_HZ, transport_params
from transports.websocket import SocketInput, SocketOutput, SoundLine, Timeline


class Listener(SoundLine, Protocol):
    """What takes the agent's side."""

    async def ready_for(self, frame: Frame) -> None:
        """Wait while the client has as much as it may have, if it is that which the frame brings."""
        ...

    def take(self, frame: Frame) -> None:
        """Take a frame that is no sound, in its place between the sound; must not block."""
        ...


class _DoorInput(SocketInput):
    def __init__(self, timeline: Timeline, params: TransportParams) -> None:
        super().__init__(timeline, params)
        self.is_ready = asyncio.Event()

    async def start(self, frame: StartFrame) -> None:
        await super().start(frame)
        self.is_ready.set()

    async def stop(self, frame: EndFrame) -> None:
        self.is_ready.clear()
        await super().stop(frame)

    async def cancel(self, frame: CancelFrame) -> None:
        self.is_ready.clear()
        await super().cancel(frame)

    async def push(self, frame: Frame) -> None:
        """Push a frame behind the sound that has been pushed."""
        if isinstance(frame, InputAudioRawFrame):
            self._timeline.begin(frame.num_frames / IN_RATE_HZ)
        # Without Pipecat's queue of sound, which other frames would overtake.
        await self.push_frame(frame)


class _DoorOutput(SocketOutput):
    def __init__(self, listener: Listener, timeline: Timeline, params: TransportParams) -> None:
        super().__init__(listener, timeline, params)
        self._listener = listener

    def _cut(self) -> None:
        self._played_until_secs = 0.0
        self._listener.clear()

    async def push_frame(self, frame: Frame, direction: FrameDirection = FrameDirection.DOWNSTREAM) -> None:
        is_told = not isinstance(frame, InterruptionFrame | OutputAudioRawFrame)
        if is_told and direction is FrameDirection.DOWNSTREAM:
            await self._listener.ready_for(frame)
            if not is_cut(frame):
                self._listener.take(frame)
        await super().push_frame(frame, direction)


class DoorTransport(BaseTransport):
    """One client of a door; made on the event loop.

    Args:
        listener: Takes the agent's side.
        out_rate_hz: Rate of the agent's voice.
        takes_ahead: Whether the listener takes sound before its time, too, in frames of the pipeline's own.

    Attributes:
        takes_ahead: As given.
    """

    def __init__(self, listener: Listener, out_rate_hz: int, *, takes_ahead: bool = False) -> None:
        super().__init__()
        self.takes_ahead = takes_ahead
        timeline, params = Timeline(), transport_params(out_rate_hz)
        self._input = _DoorInput(timeline, params)
        self._output = _DoorOutput(listener, timeline, params)

    def input(self) -> FrameProcessor:
        """The user's side."""
        return self._input

    def output(self) -> FrameProcessor:
        """The agent's side."""
        return self._output

    async def ready(self) -> None:
        """Wait until the pipeline takes sound."""
        await self._input.is_ready.wait()

    async def hear(self, heard: bytes | Frame) -> None:
        """Have the pipeline hear it; waits while it has not taken what came before.

        Args:
            heard: 16 kHz mono s16, or a frame that has its place there.
        """
        await self._input.push(InputAudioRawFrame(heard, IN_RATE_HZ, 1) if isinstance(heard, bytes) else heard)
