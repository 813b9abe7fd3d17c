"""A language model whose calls are told, and done elsewhere if at all.

In:  LLMContextFrame.   Out: as of LocalLLMService; FunctionCallsStartedFrame is all that becomes of a call.
"""

from collections.abc import Sequence

from pipecat.frames.frames import FunctionCallFromLLM, FunctionCallsStartedFrame
from pipecat.services.llm_service import FunctionCallParams

from processors.llm.service import LocalLLMService


class CallsToldOn(LocalLLMService):
    """Answers once."""

    def may_call(self, names: Sequence[str]) -> None:
        """What may be called.

        Args:
            names: Of functions that its context tells of.
        """
        for name in names:
            self.register_function(name, _nothing)

    async def run_function_calls(self, function_calls: Sequence[FunctionCallFromLLM]) -> None:
        """Tell of them."""
        known = [call for call in function_calls if self.has_function(call.function_name)]
        if known:
            await self.push_frame(FunctionCallsStartedFrame(function_calls=known))


async def _nothing(_: FunctionCallParams) -> None:
    """It is done elsewhere."""
