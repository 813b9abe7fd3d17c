"""The headless edge: recorded frames in, the agent's voice recorded, both on one timeline.

In:  recordings, said when they are asked for.   Out: InputAudioRawFrame every 20 ms, at the pace of real time; in a
     simulated room, what the microphone hears of them and of the loudspeaker, with what was played as `reference`.

A virtual sound card moves 20 ms of both directions at each tick, as a full-duplex device does, so that sample n of the
input and second n/rate of the output are the same moment. A tick that comes late is made up for at once: no sample is
ever dropped or invented.
"""

import asyncio
import math
import time
from pathlib import Path

import numpy as np
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

from transports.cut_output import CutOutput
from transports.desktop_rate import RateConverter
from transports.params import IN_RATE_HZ, transport_params
from transports.recording import Pcm16, Recording, write_stereo
from transports.room import Room
from transports.sound_input import SoundInput

OUT_RATE_HZ = 24_000
FRAME_SECS = 0.02
IN_FRAME_SAMPLES = int(IN_RATE_HZ * FRAME_SECS)
OUT_FRAME_BYTES = int(OUT_RATE_HZ * FRAME_SECS) * 2
REFERENCE = "reference"
# What may wait in the card before a writer has to wait.
MAX_QUEUED_BYTES = 2 * OUT_FRAME_BYTES


class SoundCard:
    """A virtual full-duplex device whose both sides are recorded.

    Args:
        room: Where its loudspeaker and microphone stand; None: there is no way from one to the other.
    """

    def __init__(self, room: Room | None = None) -> None:
        self._room_around = room
        self._to_reference = RateConverter(OUT_RATE_HZ, IN_RATE_HZ)
        self._said = bytearray()
        # At a tick the card takes the 20 ms that have just been said and starts to play the next 20 ms.
        self._heard = bytearray(OUT_FRAME_BYTES)
        self._to_say = bytearray()
        self._to_play = bytearray()
        self._n_drops = 0
        self._room = asyncio.Event()
        self._ticked = asyncio.Event()
        self._speech_end_secs: float | None = None

    @property
    def now_secs(self) -> float:
        """The timeline's current end: everything before it has been said and heard."""
        return len(self._said) / 2 / IN_RATE_HZ

    @property
    def is_saying(self) -> bool:
        """Whether a recording is being said."""
        return bool(self._to_say)

    @property
    def speech_end_secs(self) -> float | None:
        """Where the voice of the latest recording ends on the timeline, known from the recording itself."""
        return self._speech_end_secs

    def say(self, recording: Recording) -> None:
        """Say a recording from the next tick on, after what is being said."""
        start_secs = self.now_secs + len(self._to_say) / 2 / IN_RATE_HZ
        self._to_say += recording.audio_s16.astype("<i2").tobytes()
        self._speech_end_secs = start_secs + recording.voiced_end_secs

    async def play(self, pcm16: bytes) -> float:
        """Queue sound, waiting while the card is full.

        Args:
            pcm16: Little-endian s16 mono at 24 kHz.

        Returns:
            The second on the timeline at which its first sample is played.
        """
        n_drops = self._n_drops
        while len(self._to_play) >= MAX_QUEUED_BYTES:
            self._room.clear()
            await self._room.wait()
        start_secs = (len(self._heard) + len(self._to_play)) / 2 / OUT_RATE_HZ
        # What waited when the rest was dropped was dropped with it.
        if n_drops == self._n_drops:
            self._to_play += pcm16
        return start_secs

    def drop(self) -> None:
        """Forget the sound that waits."""
        self._n_drops += 1
        self._to_play.clear()
        self._room.set()

    def tick(self) -> tuple[bytes, bytes | None]:
        """Move 20 ms of both sides.

        Returns:
            What the microphone heard, and in a room what was played, both at 16 kHz.
        """
        size = IN_FRAME_SAMPLES * 2
        said = bytes(self._to_say[:size]).ljust(size, b"\0")
        del self._to_say[:size]
        played = bytes(self._to_play[:OUT_FRAME_BYTES]).ljust(OUT_FRAME_BYTES, b"\0")
        reference: bytes | None = None
        if self._room_around:
            played_s16 = self._to_reference.convert(np.frombuffer(played, "<i2")[np.newaxis])[0]
            reference = played_s16.astype("<i2").tobytes()
            said = self._room_around.hear_pcm16(said, played_s16.astype("<i2").tobytes())
        self._said += said
        self._heard += played
        del self._to_play[:OUT_FRAME_BYTES]
        self._room.set()
        self._ticked.set()
        return said, reference

    async def next_tick(self) -> None:
        """Wait until 20 ms more have passed on the timeline."""
        self._ticked.clear()
        await self._ticked.wait()

    def sides(self) -> tuple[Pcm16, Pcm16]:
        """What was said (16 kHz) and what was heard (24 kHz), int16."""
        return np.frombuffer(bytes(self._said), "<i2"), np.frombuffer(bytes(self._heard), "<i2")

    def write(self, path: Path) -> None:
        """Write both sides as a stereo WAV: left said, right heard.

        Raises:
            RecordingError: The file cannot be written.
        """
        said_s16, heard_s16 = self.sides()
        write_stereo(path, said_s16, IN_RATE_HZ, heard_s16, OUT_RATE_HZ)


class _RecordedInput(SoundInput):
    def __init__(self, card: SoundCard, params: TransportParams) -> None:
        super().__init__(params, latest_secs=math.inf)
        self._card = card
        self._ticking: asyncio.Task[None] | None = None
        self._ended = False

    async def start(self, frame: StartFrame) -> None:
        await super().start(frame)
        self._ticking = self.create_task(self._tick())

    async def stop(self, frame: EndFrame) -> None:
        # The card goes on ticking until teardown: the agent may still be speaking its last words.
        self._ended = True
        await super().stop(frame)

    async def cancel(self, frame: CancelFrame) -> None:
        await self._stop_ticking()
        await super().cancel(frame)

    async def cleanup(self) -> None:
        await self._stop_ticking()
        await super().cleanup()

    async def _tick(self) -> None:
        due_secs = time.monotonic()
        while True:
            due_secs += FRAME_SECS
            await asyncio.sleep(max(0.0, due_secs - time.monotonic()))
            heard, reference = self._card.tick()
            if not self._ended:
                frame = InputAudioRawFrame(heard, IN_RATE_HZ, 1)
                if reference is not None:
                    frame.metadata[REFERENCE] = reference
                self.take(frame)

    async def _stop_ticking(self) -> None:
        if self._ticking:
            await self.cancel_task(self._ticking)
            self._ticking = None


class _RecordedOutput(CutOutput):
    def __init__(self, card: SoundCard, params: TransportParams) -> None:
        super().__init__(params)
        self._card = card

    async def start(self, frame: StartFrame) -> None:
        await super().start(frame)
        await self.set_transport_ready(frame)

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        if isinstance(frame, InterruptionFrame):
            self._card.drop()
        await super().process_frame(frame, direction)

    async def send_sound(self, frame: OutputAudioRawFrame) -> bool:
        frame.metadata["playout_secs"] = await self._card.play(frame.audio)
        return True


class RecordedTransport(BaseTransport):
    """Recorded speech as the user, a recorder as the loudspeaker.

    Args:
        room: Where both are; None stands for headphones.

    Attributes:
        gives_reference: Whether frames tell what was played while they were heard.
    """

    def __init__(self, room: Room | None = None) -> None:
        super().__init__()
        self.card = SoundCard(room)
        self.gives_reference = room is not None
        params = transport_params(OUT_RATE_HZ, n_10ms=1)
        self._input = _RecordedInput(self.card, params)
        self._output = _RecordedOutput(self.card, params)

    def input(self) -> FrameProcessor:
        """The user's side."""
        return self._input

    def output(self) -> FrameProcessor:
        """The agent's side."""
        return self._output
