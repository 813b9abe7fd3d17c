"""What is typed while the user speaks: a turn of its own, which waits until what is being said has been answered.

In:  TypedTurnFrame; voice, turns and the agent's floor, which tell when its time has come.   Out: the same.

It stands before the user's turn. A typed turn cuts off an agent that speaks; it never ends, joins or cuts the answer to
what the user was saying when it was typed.
"""

import asyncio
from collections import deque

from pipecat.frames.frames import (
    Frame,
    InputAudioRawFrame,
    InterruptionFrame,
    UserStartedSpeakingFrame,
    UserStoppedSpeakingFrame,
    VADUserStartedSpeakingFrame,
    VADUserStoppedSpeakingFrame,
)
from pipecat.processors.frame_processor import FrameDirection

from processors.frames import FalseInterruptionFrame, FloorFrame, GoBackFrame, StartOverFrame, TypedTurnFrame
from processors.sound_step import SoundStep

# Between the parts of one answer (a tool's result and what is said of it, an error and its apology) nobody has the
# floor for a moment.
FREE_SECS = 0.5


class TypedQueue(SoundStep):
    """Holds typed turns back, in their order."""

    def __init__(self) -> None:
        # A queue of its own would cost every frame of the microphone a task.
        super().__init__(enable_direct_mode=True)
        self._waiting: deque[TypedTurnFrame] = deque()
        self._voice = False
        # Whether it is open what speech over the agent wants.
        self._undecided = False
        self._turn_open = self._turn_is_typed = False
        # Whether what the user said while something waits here has not been answered to the end.
        self._answering = False
        self._freeing: asyncio.Task[None] | None = None

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        """Pass everything on, typed turns at their time."""
        await super().process_frame(frame, direction)
        if isinstance(frame, InputAudioRawFrame):
            return
        if isinstance(frame, TypedTurnFrame):
            self._waiting.append(frame)
            await self._release()
            return
        await self.push_frame(frame, direction)
        if isinstance(frame, StartOverFrame | GoBackFrame):
            self._waiting.clear()
        elif isinstance(frame, FloorFrame):
            await self._follow_agent(frame.held)
        elif self._follow_user(frame, direction):
            await self._release()

    async def turn_ended(self, text: str) -> None:
        """A turn of the user's is over.

        Args:
            text: Its words; without any there is no answer to wait for.
        """
        self._answering &= bool(text)
        await self._release()

    async def cleanup(self) -> None:
        """Wait for nothing."""
        await super().cleanup()
        await self._free_no_more()

    def _follow_user(self, frame: Frame, direction: FrameDirection) -> bool:
        """Whether what waits may have its time now."""
        match frame:
            case VADUserStartedSpeakingFrame():
                self._voice = True
                self._undecided = not self._turn_open
            case VADUserStoppedSpeakingFrame():
                self._voice = False
            case UserStartedSpeakingFrame():
                self._undecided, self._turn_open = False, True
            case UserStoppedSpeakingFrame():
                self._answering = bool(self._waiting) and not self._turn_is_typed
                self._turn_open = self._turn_is_typed = False
            case FalseInterruptionFrame():
                self._undecided = False
            case InterruptionFrame() if direction is FrameDirection.DOWNSTREAM:
                # By a key or the page: nothing is answered any more, and speech over the agent is heard anew.
                self._undecided = self._answering = False
            case _:
                return False
        return True

    async def _follow_agent(self, held: bool) -> None:
        await self._free_no_more()
        if self._answering and not held:
            self._freeing = self.create_task(self._free())

    async def _free(self) -> None:
        await asyncio.sleep(FREE_SECS)
        self._freeing = None
        self._answering = False
        await self._release()

    async def _free_no_more(self) -> None:
        if self._freeing:
            freeing, self._freeing = self._freeing, None
            await self.cancel_task(freeing)

    async def _release(self) -> None:
        """Let the next one go; the one after it waits for that one's end."""
        if self._waiting and not (self._voice or self._undecided or self._turn_open or self._answering):
            self._turn_open = self._turn_is_typed = True
            await self.push_frame(self._waiting.popleft())
