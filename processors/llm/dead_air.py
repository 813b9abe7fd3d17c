"""No dead air: the greeting, a word or a soft sound where a reply is slow to come, a word about a tool that is slow.

In:  what the language model service sends on, and the microphone's first sound.
Out: the same, and now and then a TTSSpeakFrame or a short TTSAudioRawFrame ahead of the reply.

It stands behind the language model. A speculative reply is not waited for aloud: nobody knows yet that one is due.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import cycle
from typing import Literal

import numpy as np
from pipecat.frames.frames import (
    Frame,
    FunctionCallCancelFrame,
    FunctionCallInProgressFrame,
    FunctionCallResultFrame,
    InputAudioRawFrame,
    InterruptionFrame,
    LLMFullResponseEndFrame,
    LLMTextFrame,
    TTSAudioRawFrame,
    TTSSpeakFrame,
    UserStartedSpeakingFrame,
    UserStoppedSpeakingFrame,
)
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor, FrameProcessorSetup

from processors.frames import ReplyBegunFrame, WrittenReplyFrame

# Set in the metadata of what is said for want of an answer.
FILLER = "filler"
Filler = Literal["off", "words", "sound"]
SOUND_SECS = 0.35
SOUND_HZ = (523.25, 659.25)
SOUND_DBFS = -32.0


@dataclass(frozen=True)
class DeadAirOptions:
    """What is said when, beside the answers.

    Attributes:
        greeting: Said at the start; None: the user begins.
        filler: What bridges the wait for a slow reply.
        filler_after_secs: From the end of the user's turn.
        filler_words: Taken in turn.
        tool_words: Said when a tool takes long; None: nothing.
        tool_after_secs: From the tool's start.
    """

    greeting: str | None = None
    filler: Filler = "off"
    filler_after_secs: float = 1.0
    filler_words: Sequence[str] = ("Hmm.", "Let me think.")
    tool_words: str | None = "One moment, please."
    tool_after_secs: float = 1.5


class DeadAir(FrameProcessor):
    """Speaks where there would be silence.

    Args:
        options: What is said when.
    """

    def __init__(self, options: DeadAirOptions) -> None:
        super().__init__()
        self._options = options
        self._words = cycle(options.filler_words)
        self._greeted = options.greeting is None
        self._out_rate_hz = 24_000
        self._reply_is_speculative = self._reply_has_come = self._written = False
        self._waiting: asyncio.Task[None] | None = None
        self._tools: dict[str, asyncio.Task[None]] = {}

    def change(self, options: DeadAirOptions) -> None:
        """Speak where these say so, from now on; who was greeted is not greeted again.

        Args:
            options: What is said when.
        """
        self._options = options
        self._words = cycle(options.filler_words)
        self._greeted = True

    async def setup(self, setup: FrameProcessorSetup) -> None:
        """Learn the loudspeaker's rate."""
        await super().setup(setup)
        self._out_rate_hz = setup.audio_out_sample_rate

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        """Pass everything on, and speak where it is time."""
        await super().process_frame(frame, direction)
        if isinstance(frame, (InterruptionFrame, LLMTextFrame, LLMFullResponseEndFrame)):
            self._reply_has_come = True
            await self._wait_no_longer()
        if isinstance(frame, InterruptionFrame):
            await self._forget_tools()
        await self.push_frame(frame, direction)
        if direction is FrameDirection.DOWNSTREAM:
            await self._look_at(frame)

    async def cleanup(self) -> None:
        """Wait for nothing."""
        await super().cleanup()
        await self._wait_no_longer()
        await self._forget_tools()

    async def _look_at(self, frame: Frame) -> None:
        if isinstance(frame, InputAudioRawFrame):
            if not self._greeted and self._options.greeting:
                self._greeted = True
                await self.push_frame(TTSSpeakFrame(self._options.greeting, append_to_context=True))
        elif isinstance(frame, UserStartedSpeakingFrame):
            self._written = False
        elif isinstance(frame, WrittenReplyFrame):
            self._written = frame.written
        elif isinstance(frame, ReplyBegunFrame):
            self._reply_is_speculative, self._reply_has_come = frame.speculative, False
            await self._wait_for_reply()
        elif isinstance(frame, UserStoppedSpeakingFrame) and self._reply_is_speculative:
            self._reply_is_speculative = False
            await self._wait_for_reply()
        elif isinstance(frame, FunctionCallInProgressFrame):
            self._watch_tool(frame.tool_call_id)
        elif isinstance(frame, (FunctionCallResultFrame, FunctionCallCancelFrame)):
            await self._forget_tool(frame.tool_call_id)

    async def _wait_for_reply(self) -> None:
        await self._wait_no_longer()
        due = not (self._reply_is_speculative or self._reply_has_come or self._written)
        if self._options.filler != "off" and due:
            self._waiting = self.create_task(self._bridge())

    async def _bridge(self) -> None:
        await asyncio.sleep(self._options.filler_after_secs)
        self._waiting = None
        if self._options.filler == "sound":
            sound = TTSAudioRawFrame(soft_sound(self._out_rate_hz), self._out_rate_hz, 1)
            sound.metadata[FILLER] = True
            await self.push_frame(sound)
        else:
            await self._say(next(self._words))

    async def _say(self, text: str) -> None:
        frame = TTSSpeakFrame(text, append_to_context=False)
        frame.metadata[FILLER] = True
        await self.push_frame(frame)

    async def _wait_no_longer(self) -> None:
        if self._waiting:
            waiting, self._waiting = self._waiting, None
            await self.cancel_task(waiting)

    def _watch_tool(self, call_id: str) -> None:
        if self._options.tool_words and call_id not in self._tools:
            self._tools[call_id] = self.create_task(self._announce_tool(call_id, self._options.tool_words))

    async def _announce_tool(self, call_id: str, words: str) -> None:
        await asyncio.sleep(self._options.tool_after_secs)
        await self._say(words)
        # One announcement is enough for all tools that are running.
        del self._tools[call_id]
        await self._forget_tools()

    async def _forget_tool(self, call_id: str) -> None:
        if task := self._tools.pop(call_id, None):
            await self.cancel_task(task)

    async def _forget_tools(self) -> None:
        for call_id in list(self._tools):
            await self._forget_tool(call_id)


def soft_sound(rate_hz: int) -> bytes:
    """Two quiet notes that say "I am thinking": a third, about -32 dBFS.

    Args:
        rate_hz: Of the sound.

    Returns:
        Little-endian s16 mono, SOUND_SECS long.
    """
    at_secs = np.arange(round(SOUND_SECS * rate_hz)) / rate_hz
    second = at_secs >= SOUND_SECS / 2
    tone = np.where(second, np.sin(2 * np.pi * SOUND_HZ[1] * at_secs), np.sin(2 * np.pi * SOUND_HZ[0] * at_secs))
    since_secs = np.where(second, at_secs - SOUND_SECS / 2, at_secs)
    shape = np.minimum(since_secs / 0.01, 1.0) * np.exp(-since_secs * 18.0)
    return np.round(32767 * 10 ** (SOUND_DBFS / 20) * tone * shape * 2).astype("<i2").tobytes()
