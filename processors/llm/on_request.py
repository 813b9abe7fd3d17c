"""Whether a turn is answered by itself, or when somebody asks: for doors whose clients decide.

In:  LLMContextFrame of a turn that has ended; AnswerFrame, NextReplyFrame.   Out: LLMContextFrame where an answer is
wanted.
"""

from pipecat.frames.frames import Frame, LLMContextFrame
from pipecat.processors.aggregators.llm_context import LLMContext
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor

from processors.frames import TERMS, AnswerFrame, NextReplyFrame, ReplyTerms, WrittenReplyFrame


class AnswersOnRequest(FrameProcessor):
    """Stands before the language model.

    Args:
        context: The conversation's history, which an AnswerFrame has answered.

    Attributes:
        automatic: Whether every turn is answered.
        written: Whether answers are read, not heard.
    """

    def __init__(self, context: LLMContext) -> None:
        super().__init__()
        self._context = context
        self.automatic = True
        self.written = False

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        """Pass on what is to be answered, and everything else."""
        await super().process_frame(frame, direction)
        if direction is FrameDirection.UPSTREAM:
            await self.push_frame(frame, direction)
        elif isinstance(frame, AnswerFrame):
            asked = LLMContextFrame(self._context)
            asked.metadata[TERMS] = frame.terms
            await self._ask(asked, frame.terms)
        elif isinstance(frame, NextReplyFrame):
            await self._tell_how(frame.terms)
            await self.push_frame(frame)
        elif not isinstance(frame, LLMContextFrame):
            await self.push_frame(frame, direction)
        elif self.automatic:
            await self._ask(frame)

    async def _ask(self, frame: LLMContextFrame, terms: ReplyTerms | None = None) -> None:
        await self._tell_how(terms)
        await self.push_frame(frame)

    async def _tell_how(self, terms: ReplyTerms | None) -> None:
        written = terms.written if terms else None
        await self.push_frame(WrittenReplyFrame(self.written if written is None else written))
