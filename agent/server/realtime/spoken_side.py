"""What leaves the pipeline, handed to the response that is under way; nothing any more once its conversation is over.

In:  a DoorTransport's frames and sound, in their order.   Out: calls of Responses.
"""

from collections.abc import Callable

from pipecat.frames.frames import (
    BotStoppedSpeakingFrame,
    Frame,
    FunctionCallsStartedFrame,
    LLMFullResponseEndFrame,
    LLMFullResponseStartFrame,
    TTSStartedFrame,
    TTSStoppedFrame,
    TTSTextFrame,
)

from agent.server.realtime.calls import ClientCalls
from agent.server.realtime.responses import Responses
from processors.frames import USAGE, SoundAheadFrame, WrittenTextFrame


class SpokenSide:
    """Listens to one transport.

    Args:
        responses: Told of it.
        calls: Of the client's functions.
        on_cut: Told that the agent was cut.
        on_reply: Told that a reply begins.
    """

    def __init__(
        self,
        responses: Responses,
        calls: ClientCalls,
        on_cut: Callable[[], None],
        on_reply: Callable[[], None],
    ) -> None:
        self._responses = responses
        self._calls = calls
        self._on_cut = on_cut
        self._on_reply = on_reply
        self._is_ahead = responses.outlet.is_ahead
        self.is_over = False

    async def ready_for_sound(self) -> None:
        """Sound comes at its time, and the client may have to take it first."""
        await self._responses.outlet.ready()

    async def ready_for(self, frame: Frame) -> None:
        """Sound before its time waits until the client has taken in what it was sent."""
        if isinstance(frame, SoundAheadFrame) and not self.is_over:
            await self._responses.outlet.ready()

    def send_sound(self, pcm16: bytes) -> bool:
        """Sound at its time, which the client may have had before."""
        if not self.is_over and not self._is_ahead:
            self._responses.sound(pcm16)
        return not self.is_over

    def clear(self) -> None:
        """The agent was cut."""
        if not self.is_over:
            self._on_cut()

    def take(self, frame: Frame) -> None:
        """Everything else."""
        if self.is_over:
            return
        responses = self._responses
        match frame:
            case LLMFullResponseStartFrame():
                self._on_reply()
                responses.begin_reply()
            case LLMFullResponseEndFrame():
                responses.end_reply(frame.metadata.get(USAGE))
            case TTSStartedFrame():
                responses.begin_speech()
            case TTSStoppedFrame() | BotStoppedSpeakingFrame():
                responses.end_speech()
            case SoundAheadFrame():
                _send_ahead(responses, frame)
            case TTSTextFrame():
                if not self._is_ahead:
                    responses.place_word(frame.text)
                responses.word(frame.text)
            case WrittenTextFrame():
                responses.text(frame.text)
            case FunctionCallsStartedFrame():
                if calls := self._calls.begin(frame):
                    responses.call(calls)
                else:
                    responses.calls_own()
            case _:
                pass


def _send_ahead(responses: Responses, frame: SoundAheadFrame) -> None:
    if frame.audio:
        responses.sound(frame.audio)
    if frame.word:
        responses.place_word(frame.word)
    if frame.is_last:
        responses.end_sound()
