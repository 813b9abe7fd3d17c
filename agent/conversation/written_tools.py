"""What may be called while an answer is written: tools of the agent's that only read; functions of the caller's.

In:  the tools, and the calls that the model makes.   Out: what the model is told of; results, or calls for the caller.

Nobody is there who could say yes, hear of what is done later, or take something back: what acts belongs to calls.
"""

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

from pipecat.adapters.llm.schemas.tools_schema import ToolsSchema
from pipecat.frames.frames import FunctionCallFromLLM
from pipecat.metrics.metrics import LLMTokenUsage
from pipecat.processors.aggregators.llm_context import NOT_GIVEN, LLMContext

from agent.tools.results import as_json, within_budget
from agent.tools.schemas import function_of
from agent.tools.tool import Tool
from agent.tools.toolbox import Toolbox
from processors.llm.routing import Answering

# Of one answer: how often the model may ask for more, and how many calls at once.
MAX_ROUNDS = 5
MAX_CALLS = 16
TOO_MANY = {"error": f"more than {MAX_CALLS} calls at once; this one was not done"}

Choice = Literal["auto", "required"]


@dataclass
class AnswerNotes:
    """What becomes known of an answer beside its words.

    Attributes:
        answering: Which of two models answers; before its first word.
        used: Names of the agent's own tools that were called.
        calls: Of the caller's functions, with which the answer ends.
        prompt_tokens: As far as the model says.
        completion_tokens: The same.
    """

    answering: Answering | None = None
    used: list[str] = field(default_factory=list)
    calls: list[FunctionCallFromLLM] = field(default_factory=list)
    prompt_tokens: int = 0
    completion_tokens: int = 0

    def note_usage(self, usage: LLMTokenUsage | None) -> None:
        """Add what one request took.

        Args:
            usage: As the model says it, if it does.
        """
        if usage:
            self.prompt_tokens += usage.prompt_tokens
            self.completion_tokens += usage.completion_tokens


class WrittenTools:
    """Those of one answer.

    Args:
        own: The agent's; one that is called as a function of the caller's is left out, and so is whatever does not fit
            `only_reads`.
        functions: The caller's.
        choice: `required`: the model has to call one of the caller's.
    """

    def __init__(self, own: Sequence[Tool] = (), functions: Sequence[Tool] = (), choice: Choice = "auto") -> None:
        self.choice: Choice = choice
        self._functions = {tool.name: tool for tool in functions}
        mine = [] if choice == "required" else [tool for tool in own if tool.name not in self._functions]
        self._toolbox = Toolbox([tool for tool in mine if only_reads(tool)])
        self._n_rounds = 0

    @property
    def names(self) -> list[str]:
        """Of all that can be called."""
        return [*self._functions, *self._toolbox.tools]

    @property
    def has_functions(self) -> bool:
        """Whether there are any of the caller's."""
        return bool(self._functions)

    @contextmanager
    def told_to(self, context: LLMContext) -> Iterator[None]:
        """Have a history tell of them within a block.

        Args:
            context: The history.
        """
        told = [function_of(tool) for tool in [*self._functions.values(), *self._toolbox.tools.values()]]
        context.set_tools(ToolsSchema(told) if told else NOT_GIVEN)
        context.set_tool_choice("required" if told and self.choice == "required" else NOT_GIVEN)
        try:
            yield
        finally:
            context.set_tools()
            context.set_tool_choice(NOT_GIVEN)

    def may_go_on(self) -> bool:
        """Whether the model may be asked for more once more; each time counts."""
        self._n_rounds += 1
        return self._n_rounds <= MAX_ROUNDS

    async def do(
        self, context: LLMContext, said: str, calls: Sequence[FunctionCallFromLLM], notes: AnswerNotes
    ) -> bool:
        """Do what the model calls, and put it into the history; the caller's functions are left to him.

        Args:
            context: The history.
            said: What the model said before.
            calls: Its calls.
            notes: Told of them.

        Returns:
            Whether the model is to be asked for more.
        """
        notes.calls = [call for call in calls if call.function_name in self._functions]
        if notes.calls:
            # What the agent's own would give is asked for again with what the caller's have given.
            return False
        notes.used += [call.function_name for call in calls]
        results = await asyncio.gather(*map(self._result, calls[:MAX_CALLS]))
        results += [TOO_MANY] * (len(calls) - len(results))
        called: dict[str, Any] = {"role": "assistant", "tool_calls": [as_told(call) for call in calls]}
        messages: list[Any] = [{**called, "content": said} if said else called]
        for call, result in zip(calls, results, strict=True):
            content = as_json(within_budget(result))
            messages.append({"role": "tool", "tool_call_id": call.tool_call_id, "content": content})
        context.add_messages(messages)
        return True

    async def _result(self, call: FunctionCallFromLLM) -> object:
        return await self._toolbox.call(call.function_name, call.arguments, call.tool_call_id)


def only_reads(tool: Tool) -> bool:
    """Whether a tool can be used where an answer is written: it changes nothing, asks nobody, and is done at once.

    Args:
        tool: Any.
    """
    return not (tool.acts or tool.asks or tool.beside)


def as_told(call: FunctionCallFromLLM) -> dict[str, Any]:
    """A call in the shape of OpenAI's API.

    Args:
        call: As the language model made it.
    """
    function = {"name": call.function_name, "arguments": as_json(call.arguments)}
    return {"id": call.tool_call_id, "type": "function", "function": function}
