"""The client's sound until the pipeline hears it: dated by its samples, whatever the time at which it came.

In:  pieces as the client sends them, as fast as it likes.   Out: frames of 20 ms, at the pace of real time where the
pipeline looks for the ends of turns; a whole turn at once where the client commits it.
"""

import asyncio
import time
from collections import deque

from pipecat.frames.frames import Frame

from agent.server.realtime.problems import RealtimeProblem
from agent.server.realtime.session_config import Format
from agent.server.realtime.sound import PIPELINE_RATE_HZ, SoundDecoder, length_ms
from processors.frames import PushToTalkFrame

BYTES_PER_MS = PIPELINE_RATE_HZ * 2 // 1000
FRAME_MS = 20
MAX_WAITING_MS = 300_000
MIN_COMMIT_MS = 100
# What a network held back is heard at once, as long as it is no more than this: what is dated, is so within it.
BURST_SECS = 0.1
# What a clock may be off; a sleep may end a little early.
CLOCK_SECS = 0.001
# A client that fell behind by more than that catches up slowly.
PACE = 1.1
# After the client's last sample, so that what the recognizer has in hand is complete.
TAIL_MS = 200


class InputBuffer:
    """One client's.

    Args:
        form: What the client sends.

    Attributes:
        heard_ms: How much the pipeline has been given.
    """

    def __init__(self, form: Format) -> None:
        self.heard_ms = 0
        self._decoder = SoundDecoder(form)
        self._sound = bytearray()
        # Turns that the client has committed, and how many bytes of sound there are in them.
        self._turns: deque[bytes | Frame] = deque()
        self._n_committed = 0
        self._detects_turns = True
        self._changed = asyncio.Event()
        self._due_secs = 0.0

    def configure(self, form: Format, *, detects_turns: bool) -> None:
        """How sound comes from now on.

        Args:
            form: Of the sound.
            detects_turns: Whether the pipeline finds the ends of turns; else the client commits them.
        """
        if form != self._decoder.form:
            self._decoder = SoundDecoder(form)
        self._detects_turns = detects_turns
        self._changed.set()

    def append(self, data_base64: object) -> None:
        """Take a piece.

        Args:
            data_base64: What the client sent, anything at all.

        Raises:
            RealtimeProblem: It is no base64, or more waits than may.
        """
        waiting_ms = (len(self._sound) + self._n_committed) // BYTES_PER_MS
        # Before it is decoded: what is refused costs nothing.
        if isinstance(data_base64, str) and waiting_ms + length_ms(data_base64, self._decoder.form) > MAX_WAITING_MS:
            raise RealtimeProblem(
                f"more than {MAX_WAITING_MS // 1000} s of sound wait to be heard; this was dropped",
                code="input_audio_buffer_full",
                param="audio",
            )
        self._sound += self._decoder.decode(data_base64)
        self._changed.set()

    def hear(self, pcm16: bytes) -> None:
        """Take what a microphone hears, which nobody can make wait: of more than may wait the oldest goes.

        Args:
            pcm16: 16 kHz mono s16.
        """
        self._sound += pcm16
        if (excess := len(self._sound) - MAX_WAITING_MS * BYTES_PER_MS) > 0:
            del self._sound[:excess]
        self._changed.set()

    def commit(self) -> None:
        """What waits is a turn.

        Raises:
            RealtimeProblem: It is too short to be one.
        """
        n_ms = len(self._sound) // BYTES_PER_MS
        if n_ms < MIN_COMMIT_MS:
            raise RealtimeProblem(
                f"the buffer holds {n_ms} ms of sound; a turn has at least {MIN_COMMIT_MS} ms",
                code="input_audio_buffer_commit_empty",
            )
        self._turns.append(PushToTalkFrame(active=True))
        size = FRAME_MS * BYTES_PER_MS
        self._turns.extend(bytes(self._sound[at : at + size]) for at in range(0, len(self._sound), size))
        self._turns.append(PushToTalkFrame(active=False))
        self._turns.extend(bytes(size) for _ in range(TAIL_MS // FRAME_MS))
        self._n_committed += len(self._sound) + TAIL_MS * BYTES_PER_MS
        self._sound.clear()
        self._changed.set()

    def clear(self) -> None:
        """Drop what waits."""
        self._sound.clear()

    async def next(self) -> bytes | Frame:
        """What is to be heard next, at its time."""
        size = FRAME_MS * BYTES_PER_MS
        while True:
            if self._turns:
                # It is all there: others get their turns in between.
                await asyncio.sleep(0)
                heard = self._turns.popleft()
                if isinstance(heard, bytes):
                    self._n_committed -= len(heard)
                    self.heard_ms += len(heard) // BYTES_PER_MS
                return heard
            if not self._detects_turns or len(self._sound) < size:
                self._changed.clear()
                await self._changed.wait()
            elif (early_secs := self._due_secs - time.monotonic() - BURST_SECS) > CLOCK_SECS:
                await asyncio.sleep(early_secs)
            else:
                heard = bytes(self._sound[:size])
                del self._sound[:size]
                self._due_secs = max(self._due_secs, time.monotonic()) + FRAME_MS / 1000 / PACE
                self.heard_ms += FRAME_MS
                return heard
