"""Callers that cost little: each sends packets that were encoded once for all of them, and decodes nothing.

Everyone speaks the same sentences with pauses in which the agent can answer, each from another place on.
"""

import asyncio
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress

import numpy as np
from aiortc.mediastreams import AudioStreamTrack, MediaStreamError, MediaStreamTrack
from av.packet import Packet

from agent.load.tape import PACKET_SAMPLES, PACKET_SECS, SPEECH_RATE_HZ, TIME_BASE, encoded
from tests.support.house import SPEECH
from tests.support.webrtc_peer import Peer
from transports.recording import Pcm16, load_recording

__all__ = ["Caller", "Tape", "call", "encoded", "spoken"]

SENTENCES = (
    "capital_of_germany.wav",
    "kitchen_lights.wav",
    "how_far_is_the_moon.wav",
    "days_in_a_week_with_pause.wav",
    "tell_me_a_story.wav",
    "five_minutes.wav",
)
PAUSE_SECS = 3.0
JOIN_TIMEOUT_SECS = 30.0
BETWEEN_JOINS_SECS = 0.2


def spoken() -> Pcm16:
    """The sentences with their pauses, 16 kHz mono."""
    pause_s16 = np.zeros(round(PAUSE_SECS * SPEECH_RATE_HZ), np.int16)
    return np.concatenate([part for name in SENTENCES for part in (load_recording(SPEECH / name).audio_s16, pause_s16)])


class Tape(AudioStreamTrack):
    """A microphone that plays packets in a circle, at the pace of real time.

    Args:
        packets: What it plays.
        first: With which of them it begins.

    Attributes:
        late_secs: How long after its time each packet was handed over.
    """

    def __init__(self, packets: Sequence[bytes], first: int) -> None:
        super().__init__()
        self.late_secs: list[float] = []
        self._packets = packets
        self._first = first
        self._n_played = 0
        self._started_secs: float | None = None

    async def recv(self) -> Packet:  # pyright: ignore[reportIncompatibleMethodOverride]
        """The next packet; aiortc sends it as it is."""
        if self._started_secs is None:
            self._started_secs = time.monotonic()
        due_secs = self._started_secs + self._n_played * PACKET_SECS
        await asyncio.sleep(max(0.0, due_secs - time.monotonic()))
        self.late_secs.append(time.monotonic() - due_secs)
        packet = Packet(self._packets[(self._first + self._n_played) % len(self._packets)])
        packet.pts, packet.time_base = self._n_played * PACKET_SAMPLES, TIME_BASE
        self._n_played += 1
        return packet


class Caller(Peer):
    """A caller that plays a tape and pays no attention to what it hears.

    Args:
        url: The server's address.
        tape: What it says.
    """

    def __init__(self, url: str, tape: Tape) -> None:
        super().__init__(url)
        self.tape = tape
        self.microphone = tape  # pyright: ignore[reportAttributeAccessIssue]

    async def accept(self, answer: dict[str, str]) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Take the answer, and wait until there is a connection."""
        connected = asyncio.Event()

        @self.pc.on("connectionstatechange")
        def on_change() -> None:
            if self.pc.connectionState == "connected":
                connected.set()

        await super().accept(answer)
        # Packets that nobody decodes; aiortc has no setting for it, and enables what an answer allows.
        for transceiver in self.pc.getTransceivers():
            transceiver.receiver._enabled = False
        await asyncio.wait_for(connected.wait(), JOIN_TIMEOUT_SECS)

    async def _listen(self, track: MediaStreamTrack) -> None:
        """Keep nothing of what was decoded before."""
        with suppress(MediaStreamError):
            while True:
                await track.recv()


async def call(url: str, packets: Sequence[bytes], firsts: Iterable[int]) -> list[Caller]:
    """Callers, one after the other, until the last of them is connected.

    Args:
        url: The server's address.
        packets: What all of them say.
        firsts: With which packet each begins.
    """
    callers = []
    for first in firsts:
        caller = Caller(url, Tape(packets, first))
        await caller.join()
        callers.append(caller)
        await asyncio.sleep(BETWEEN_JOINS_SECS)
    return callers
