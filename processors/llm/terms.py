"""What is particular to one reply, where whoever asks for it says so: instructions, tools, length.

In:  LLMContextFrame with terms, or NextReplyFrame before functions' results ask for the rest of a reply.
Out: the context as this reply is asked for.
"""

import copy
from typing import Any

from pipecat.frames.frames import LLMContextFrame
from pipecat.processors.frame_processor import FrameDirection

from processors.frames import TERMS, NextReplyFrame, ReplyTerms
from processors.llm.history import last_user_words


class Terms:
    """Those of the replies of one conversation.

    Attributes:
        current: Of the reply that is under way.
        speculated: The words that it answers, where their turn may not be over.
    """

    def __init__(self) -> None:
        self.current = ReplyTerms()
        self.speculated = ""
        self._next: ReplyTerms | None = None

    def expect(self, frame: NextReplyFrame) -> None:
        """How the reply goes on that functions' results ask for next."""
        self._next = frame.terms
        frame.done()

    def cut(self) -> None:
        """Nobody asks for the rest any more."""
        self._next = None

    def begin(self, frame: LLMContextFrame, direction: FrameDirection) -> LLMContextFrame:
        """A reply is asked for.

        Args:
            frame: With the history.
            direction: Upstream, where functions' results ask.

        Returns:
            The same, with the tools of this reply; the messages are the history's own.
        """
        self.speculated = last_user_words(frame.context.messages) if frame.speculation else ""
        if direction is FrameDirection.UPSTREAM:
            # What the agent's own tools give goes on with the reply that called them.
            self.current, self._next = self._next or self.current, None
        else:
            self.current = frame.metadata.get(TERMS, ReplyTerms())
        if self.current.tools is None:
            return frame
        context = copy.copy(frame.context)
        context.set_tools(self.current.tools)
        return LLMContextFrame(context, speculation=frame.speculation)

    def bound(self, fields: dict[str, Any]) -> dict[str, Any]:
        """The fields of a request, with no more tokens than this reply may have."""
        most = self.current.max_tokens
        return fields if most is None else {**fields, "max_tokens": min(most, fields["max_tokens"])}
