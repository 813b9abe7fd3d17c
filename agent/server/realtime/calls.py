"""The client's functions: told to the language model as tools, done by the client.

In:  calls that the model makes; `function_call_output` items.   Out: the calls, for the client; results, for the model.

A result is handed on when the next response is asked for, or when the user speaks: Pipecat asks the model anew as soon
as a call has its result, and here the client says when.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from pipecat.frames.frames import FunctionCallsStartedFrame

from agent.server.realtime.open_response import Call
from agent.server.realtime.problems import RealtimeProblem
from agent.server.realtime.session_config import FunctionTool
from agent.tools.results import as_json
from agent.tools.tool import CALL_ID, GivenArguments, Tool

# A client may have to ask its own user.
LIMIT_SECS = 600.0
MAX_OUTPUT_CHARS = 256_000
NEVER_TOLD = "it was not done: the user spoke before it was begun"
ANYTHING: dict[str, Any] = {"type": "object", "properties": {}}


class ClientCalls:
    """Those of one conversation."""

    def __init__(self) -> None:
        self._names: set[str] = set()
        self._lent: set[str] = set()
        self._results: dict[str, asyncio.Future[str]] = {}
        # What the client has answered, and the model has not been told.
        self._answered: dict[str, str] = {}
        self._cut: set[str] = set()

    @property
    def are_open(self) -> bool:
        """Whether the model waits for a result."""
        return any(not result.done() for result in self._results.values())

    @property
    def asks(self) -> bool:
        """Whether the model is asked for the rest of its reply once it is told what has been answered."""
        is_wanted = any(call_id not in self._cut for call_id in self._answered)
        open_ids = [call_id for call_id, result in self._results.items() if not result.done()]
        is_whole = all(call_id in self._answered or call_id in self._cut for call_id in open_ids)
        return is_wanted and is_whole

    def tools(self, functions: Sequence[FunctionTool]) -> list[Tool]:
        """The client's functions as tools of the agent's, from now on."""
        self._names |= {function.name for function in functions}
        return function_tools(functions, self._wait)

    def lent(self, functions: Sequence[FunctionTool]) -> list[Tool]:
        """The same of functions that a single response is told of, in place of those that were lent before."""
        self._lent = {function.name for function in functions}
        return function_tools(functions, self._wait)

    def begin(self, frame: FunctionCallsStartedFrame) -> list[Call]:
        """The model calls; the calls that are the client's."""
        calls = [call for call in frame.function_calls if call.function_name in self._names | self._lent]
        for call in calls:
            self._result_of(call.tool_call_id)
        return [Call(call.tool_call_id, call.function_name, as_json(call.arguments)) for call in calls]

    def answer(self, call_id: object, output: object) -> None:
        """The client has done it.

        Args:
            call_id: Of the call, anything at all.
            output: What came of it, anything at all.

        Raises:
            RealtimeProblem: There is no such call, it is answered already, or the output is no text.
        """
        result = self._results.get(call_id) if isinstance(call_id, str) else None
        if result is None or result.done() or call_id in self._answered:
            raise RealtimeProblem(f"no call {str(call_id)[:60]!r} waits for its output", param="item.call_id")
        if not isinstance(output, str) or len(output) > MAX_OUTPUT_CHARS:
            raise RealtimeProblem(f"output must be text of at most {MAX_OUTPUT_CHARS} characters", param="item.output")
        self._answered[str(call_id)] = output

    def cut(self, call_id: str) -> None:
        """The reply that made the call was cut; its result is remembered, and nobody asks about it by itself."""
        self._cut.add(call_id)

    def give_up(self, call_ids: Sequence[str]) -> None:
        """The client was never told of them: the reply was cut before its calls were its turn.

        Args:
            call_ids: Of calls.
        """
        for call_id in call_ids:
            self._settle(call_id, NEVER_TOLD)

    def hand_on(self) -> bool:
        """Tell the model what has been answered.

        Returns:
            Whether the model is asked for the rest of its reply thereby.
        """
        asks, answered, self._answered = self.asks, self._answered, {}
        for call_id, output in answered.items():
            self._settle(call_id, output)
        return asks

    def close(self) -> None:
        """The conversation is over."""
        for result in self._results.values():
            result.cancel()
        self._results, self._answered, self._cut = {}, {}, set()

    async def _wait(self, _: GivenArguments) -> object:
        # The call may be on its way to the client yet.
        call_id = CALL_ID.get()
        try:
            return await self._result_of(call_id)
        finally:
            self._results.pop(call_id, None)

    def _settle(self, call_id: str, output: str) -> None:
        """The result stays until it is fetched: a quick client answers before its call has begun to wait."""
        if (result := self._results.get(call_id)) and not result.done():
            result.set_result(output)

    def _result_of(self, call_id: str) -> "asyncio.Future[str]":
        return self._results.setdefault(call_id, asyncio.get_running_loop().create_future())


async def _nothing(_: GivenArguments) -> object:
    return None


def function_tools(
    functions: Sequence[FunctionTool], run: Callable[[GivenArguments], Awaitable[object]] = _nothing
) -> list[Tool]:
    """A client's functions as the language model is told of them.

    Args:
        functions: As the client gave them.
        run: Waits for what comes of a call; default: nothing does.
    """
    return [
        Tool(
            function.name,
            function.description or function.name,
            GivenArguments,
            run,
            # It is finished whatever is said meanwhile, and what came of it stands in the history.
            acts=True,
            limit_secs=LIMIT_SECS,
            schema=function.parameters or ANYTHING,
        )
        for function in functions
    ]
