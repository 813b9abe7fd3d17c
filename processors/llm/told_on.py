"""A language model whose calls are told, and done elsewhere if at all.

In:  LLMContextFrame.   Out: as of LocalLLMService; FunctionCallsStartedFrame is all that becomes of a call.
"""

from collections.abc import Sequence

from pipecat.frames.frames import FunctionCallFromLLM, FunctionCallsStartedFrame
from pipecat.services.llm_service import FunctionCallParams

from processors.llm.service import LocalLLMService


class CallsToldOn(LocalLLMService):
    """Answers once, or as often as it is asked."""

    _tells_all = False

    def may_call(self, names: Sequence[str], *, or_tries_to: bool = False) -> None:
        """What may be called.

        Args:
            names: Of functions that its context tells of.
            or_tries_to: Whether calls of what there is not are told, too, for the model to learn so.
        """
        self._tells_all = or_tries_to
        for name in names:
            self.register_function(name, _nothing)

    async def run_function_calls(self, function_calls: Sequence[FunctionCallFromLLM]) -> None:
        """Tell of them."""
        told = [call for call in function_calls if self._tells_all or self.has_function(call.function_name)]
        if told:
            await self.push_frame(FunctionCallsStartedFrame(function_calls=told))


async def _nothing(_: FunctionCallParams) -> None:
    """It is done elsewhere."""
