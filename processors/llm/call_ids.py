"""Names of tool calls that are one call's in the whole conversation; some servers number theirs anew in each reply."""

import itertools
from collections.abc import Sequence

from pipecat.adapters.llm.schemas.tools_schema import ToolsSchema
from pipecat.frames.frames import Frame, FunctionCallsStartedFrame
from pipecat.processors.aggregators.llm_context import LLMContext, LLMContextMessage

# The latest ones that are remembered beside those in the history: calls on their way there are far fewer.
MAX_BEGUN = 1000


class CallIds:
    """Of one conversation, however long."""

    def __init__(self) -> None:
        self._begun: dict[str, None] = {}
        self._of_reply: set[str] = set()

    def begin_reply(self) -> None:
        """What was not begun of the last reply, such as one that was thrown away, is no call."""
        self._of_reply = set()

    def note(self, frame: Frame) -> None:
        """Look at a frame that leaves the language model."""
        if isinstance(frame, FunctionCallsStartedFrame):
            self._begun |= dict.fromkeys(call.tool_call_id for call in frame.function_calls)
            while len(self._begun) > MAX_BEGUN:
                del self._begun[next(iter(self._begun))]

    def unused(self, given: str, messages: Sequence[LLMContextMessage]) -> str:
        """A name like the given one that no call has.

        Args:
            given: By the server.
            messages: The history; may be older than this object.
        """
        used = {str(message.get("tool_call_id")) for message in messages if isinstance(message, dict)}
        used |= self._begun.keys() | self._of_reply
        names = itertools.chain([given], (f"{given}_{number}" for number in itertools.count(2)))
        name = next(name for name in names if name and name not in used)
        self._of_reply.add(name)
        return name


def tool_names(context: LLMContext) -> frozenset[str]:
    """Of the tools that a context offers."""
    tools = context.tools
    if not isinstance(tools, ToolsSchema):
        return frozenset()
    return frozenset(tool.name for tool in tools.standard_tools)
