"""Which of the speech that waits goes out before its time: all of the reply that is being said, none of the next one.

In:  what waits in the playout gate, as it is taken and released.   Out: SoundAheadFrames, in its order.

A far side that has sound in hand bridges what its network holds back. What it has can be cut, and neither ducked nor
paused.
"""

from collections.abc import Collection
from itertools import islice

from pipecat.frames.frames import (
    Frame,
    LLMFullResponseEndFrame,
    LLMFullResponseStartFrame,
    TTSAudioRawFrame,
    TTSStartedFrame,
    TTSStoppedFrame,
    TTSTextFrame,
)

from processors.frames import SoundAheadFrame
from processors.voice.loudness import Level, scaled

BYTES_PER_SAMPLE = 2
STEPS_PER_SEC = 10


class SentAhead:
    """That of one gate."""

    def __init__(self) -> None:
        # Of what waits, from its head on.
        self._n_sent = 0
        self._in_reply = self._in_speech = False
        self._level = Level()

    def next(self, waiting: Collection[Frame], gain: float) -> SoundAheadFrame | None:
        """What is to be sent now; None: all that may be was sent.

        Args:
            waiting: All that waits, in order.
            gain: How loud the agent speaks.
        """
        audio, following = bytearray(), islice(waiting, self._n_sent, None)
        for frame in following:
            if self._n_sent and self._begins_another(frame):
                break
            self._n_sent += 1
            is_over = self._ends(frame)
            if isinstance(frame, TTSAudioRawFrame):
                audio += scaled(frame.audio, *self._level.ramp(frame.audio, gain))
            word = frame.text if isinstance(frame, TTSTextFrame) else ""
            if word or is_over or len(audio) * STEPS_PER_SEC >= _bytes_per_sec(frame):
                return SoundAheadFrame(bytes(audio), word, is_over)
        return SoundAheadFrame(bytes(audio)) if audio else None

    def release(self) -> None:
        """What stood at the head is said now."""
        self._n_sent = max(0, self._n_sent - 1)

    def cut(self, kept: Collection[int]) -> None:
        """The agent was cut.

        Args:
            kept: Where that stood which waits on.
        """
        self._n_sent = sum(at < self._n_sent for at in kept)
        self._in_reply = self._in_speech = False
        self._level.reset()

    def _begins_another(self, frame: Frame) -> bool:
        is_open = self._in_reply or self._in_speech
        return not is_open and isinstance(frame, LLMFullResponseStartFrame | TTSStartedFrame)

    def _ends(self, frame: Frame) -> bool:
        """Whether it is the end of a reply with all of its speech."""
        was_open = self._in_reply or self._in_speech
        match frame:
            case LLMFullResponseStartFrame():
                self._in_reply = True
            case TTSStartedFrame():
                self._in_speech = True
            case LLMFullResponseEndFrame():
                self._in_reply = False
            case TTSStoppedFrame():
                self._in_speech = False
            case _:
                pass
        return was_open and not (self._in_reply or self._in_speech)


def _bytes_per_sec(frame: Frame) -> float:
    return frame.sample_rate * BYTES_PER_SAMPLE if isinstance(frame, TTSAudioRawFrame) else float("inf")
