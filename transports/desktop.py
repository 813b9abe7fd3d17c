"""The desktop edge: this machine's own microphone and loudspeaker as a Pipecat transport.

In:  the microphone.   Out: InputAudioRawFrame every 20 ms, 16 kHz mono s16, whose metadata carry as `reference` the
     sound that was played in the same callbacks of the device, as many bytes at the same rate; and as `slipped`
     whether the device has lost samples of either side since the frame before.

Pausing and ducking happen before this edge, which plays what it is given and keeps at most 60 ms of it waiting. An
interruption empties that at once and tells, to the sample, what was played.
"""

import time
from collections.abc import Callable
from typing import Any

from pipecat.frames.frames import (
    CancelFrame,
    EndFrame,
    Frame,
    InputAudioRawFrame,
    InterruptionFrame,
    InterruptionWorkerFrame,
    OutputAudioRawFrame,
    StartFrame,
)
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor
from pipecat.transports.base_transport import BaseTransport, TransportParams

from transports.cut_output import CutOutput
from transports.desktop_audio import FRAME_SECS, DesktopAudio
from transports.desktop_devices import load_sounddevice
from transports.params import IN_RATE_HZ, transport_params
from transports.play_queue import Playout
from transports.sound_input import SLIPPED, SoundInput

REFERENCE = "reference"

OnCut = Callable[[Playout], None]


class _Timeline:
    """Seconds since the first sample of the microphone."""

    def __init__(self) -> None:
        self._origin_secs: float | None = None

    def begin(self) -> None:
        """Take the frame that has just been heard for the first, unless there was one."""
        if self._origin_secs is None:
            self._origin_secs = time.monotonic() - FRAME_SECS

    @property
    def now_secs(self) -> float:
        """The present."""
        return 0.0 if self._origin_secs is None else time.monotonic() - self._origin_secs


class _DesktopInput(SoundInput):
    def __init__(self, audio: DesktopAudio, timeline: _Timeline, params: TransportParams) -> None:
        super().__init__(params)
        self._audio = audio
        self._timeline = timeline
        self._ended = False
        self._n_slips = 0

    async def start(self, frame: StartFrame) -> None:
        await super().start(frame)
        await self._audio.start(self._on_frame)

    async def stop(self, frame: EndFrame) -> None:
        # The device runs on until teardown: the agent may still be speaking its last words.
        self._ended = True
        await super().stop(frame)

    async def cancel(self, frame: CancelFrame) -> None:
        await self._let_go()
        await super().cancel(frame)

    async def cleanup(self) -> None:
        await self._let_go()
        await super().cleanup()

    def _on_frame(self, heard: bytes, played: bytes) -> None:
        if self._ended:
            return
        self._timeline.begin()
        frame = InputAudioRawFrame(heard, IN_RATE_HZ, 1)
        frame.metadata[REFERENCE] = played
        before, self._n_slips = self._n_slips, self._audio.counts.n_slips
        frame.metadata[SLIPPED] = self._n_slips > before
        self.take(frame)

    async def _let_go(self) -> None:
        await self._audio.stop()


class _DesktopOutput(CutOutput):
    def __init__(self, audio: DesktopAudio, timeline: _Timeline, params: TransportParams) -> None:
        super().__init__(params)
        self._audio = audio
        self._timeline = timeline
        self.on_cut: OnCut = lambda playout: None

    async def start(self, frame: StartFrame) -> None:
        await super().start(frame)
        await self.set_transport_ready(frame)

    async def stop(self, frame: EndFrame) -> None:
        await super().stop(frame)
        await self._audio.player.drain()

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        if isinstance(frame, InterruptionFrame):
            self.on_cut(self._audio.player.cut())
        await super().process_frame(frame, direction)

    async def send_sound(self, frame: OutputAudioRawFrame) -> bool:
        duration_secs = len(frame.audio) / 2 / frame.num_channels / frame.sample_rate
        taken = await self._audio.player.write(frame.audio)
        # Its last sample has just been queued, behind what is queued too.
        sound_secs = self._timeline.now_secs + self._audio.out_delay_secs - duration_secs
        frame.metadata["playout_secs"] = max(0.0, sound_secs)
        return taken


class DesktopTransport(BaseTransport):
    """One full-duplex stream on the machine's own devices; made on the event loop.

    Args:
        out_rate_hz: Rate of the agent's voice.
        microphone: A device's number or part of its name; None is the system's default.
        loudspeaker: The same.
        sounddevice: The module; loaded when left out.

    Raises:
        DeviceError: PortAudio is not installed.
    """

    gives_reference = True

    def __init__(
        self,
        out_rate_hz: int,
        *,
        microphone: str | None = None,
        loudspeaker: str | None = None,
        sounddevice: Any = None,
    ) -> None:
        super().__init__()
        self.audio = DesktopAudio(sounddevice or load_sounddevice(), out_rate_hz, microphone, loudspeaker)
        params = transport_params(out_rate_hz)
        timeline = _Timeline()
        self._input = _DesktopInput(self.audio, timeline, params)
        self._output = _DesktopOutput(self.audio, timeline, params)

    def input(self) -> FrameProcessor:
        """The user's side."""
        return self._input

    def output(self) -> FrameProcessor:
        """The agent's side."""
        return self._output

    @property
    def on_cut(self) -> OnCut:
        """Called at every interruption, when the queue is empty, with what became of the agent's sound."""
        return self._output.on_cut

    @on_cut.setter
    def on_cut(self, on_cut: OnCut) -> None:
        self._output.on_cut = on_cut

    async def interrupt(self) -> None:
        """Stop the agent as if the user had cut in."""
        await self._input.push_frame(InterruptionWorkerFrame(), FrameDirection.UPSTREAM)
