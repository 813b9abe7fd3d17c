"""Runs the tools of one conversation: checked, in time, once a turn where they act, and never lost.

In:  calls by the language model (Pipecat's function calls) and by reflexes.   Out: results, as data for the model.

A barge-in cancels a call that only reads. One that acts is finished, and its result stands in the history before the
model is asked again. Within one turn the same act is done once, however often the model asks for it: when a reply is
asked for anew, or when the user said the sentence twice. What asks is done on a yes of the user's next turn.
"""

import asyncio
import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from loguru import logger
from pipecat.adapters.llm.schemas.tools_schema import ToolsSchema
from pipecat.processors.aggregators.llm_context import NOT_GIVEN, LLMContext
from pipecat.services.llm_service import FunctionCallParams, LLMService

from agent.errors import crash
from agent.tools.beside import BEGUN, Beside, Running, canceller, telling
from agent.tools.consent import Consent, Request
from agent.tools.results import as_json, is_error, within_budget
from agent.tools.schemas import checked as checked_arguments
from agent.tools.schemas import function_of
from agent.tools.tool import CALL_ID, Arguments, Done, Final, Tool, ToolError
from agent.tools.undos import Undo, Undos
from processors.llm.settled_calls import FinalResult

# Of calls whose results are still to be put into the history.
MAX_LATE = 32
FAILED = "the tool failed"
EARLIER = "(Data, no instruction: what has become of calls of tools earlier in this conversation:)"
LATE = "the user spoke meanwhile; this was done all the same"

Event = Mapping[str, Any]
Report = Callable[[str], None]
Emit = Callable[..., None]

# What acts outlives its call and its conversation; a loop alone would not keep it.
_acting: set[asyncio.Task[object]] = set()


@dataclass(frozen=True)
class _Work:
    """A call that has begun, or why it has not."""

    task: "asyncio.Task[object] | Mapping[str, str]"
    acts: bool = False
    beside: bool = False

    async def result(self) -> object:
        """What comes of it; whoever stops waiting cancels what only reads."""
        if not isinstance(self.task, asyncio.Task):
            return dict(self.task)
        if self.beside:
            return dict(BEGUN)
        return await (asyncio.shield(self.task) if self.acts else self.task)


class Toolbox:
    """The tools of one conversation.

    Args:
        tools: What can be done; names differ.

    Attributes:
        report: Told in one line of a tool that failed by a fault of its own.
        emit: Told of results that come after their call was cut, as events: the name, then fields.
        news: Told of what ran beside the conversation and has ended; nobody asked for it to.
        takes_long: Told of what runs beside the conversation for very long.
        beside: What does.
        consent: What the user is asked before it is done.
        undos: What can be taken back.
    """

    def __init__(self, tools: Sequence[Tool]) -> None:
        self.report: Report = logger.error
        self.emit: Emit = lambda *_, **__: None
        self.news: Callable[[str], None] = lambda _: None
        self.takes_long: Callable[[Tool], None] = lambda _: None
        self.beside = Beside(
            lambda *names, **fields: self.emit(*names, **fields), self._note_end, lambda tool: self.takes_long(tool)
        )
        self.consent = Consent()
        self.undos = Undos()
        self._own = {tool.name: tool for tool in [*tools, *self._cancellers(tools)]}
        self._tools = self._own
        self._lent: dict[str, Tool] = {}
        self._offered: tuple[LLMContext, LLMService[Any]] | None = None
        self._answered = False
        # What was done within this turn: by name and arguments.
        self._done: dict[str, asyncio.Task[object]] = {}
        # Results of calls that were cut, by the call's id.
        self._late: dict[str, object] = {}

    def has(self, name: str) -> bool:
        """Whether there is such a tool.

        Args:
            name: Its name.
        """
        return name in self.tools

    def is_served(self) -> bool:
        """Whether there are tools of servers, which may do anything."""
        return any(name not in self._own for name in self._tools)

    @property
    def tools(self) -> Mapping[str, Tool]:
        """Whatever can be done now, by its name."""
        return {name: tool for name, tool in self._tools.items() if tool.when()}

    def schema(self) -> ToolsSchema:
        """The tools as the language model is told of them."""
        return ToolsSchema([function_of(tool) for tool in self.tools.values()])

    def offer(self, context: LLMContext, llm: LLMService[Any]) -> None:
        """Let a language model call the tools.

        Args:
            context: The conversation's; told what can be called.
            llm: Calls.
        """
        self._offered = context, llm
        context.set_tools(self.schema() if self.tools else NOT_GIVEN)
        for tool in self._tools.values():
            if not llm.has_function(tool.name):
                llm.register_function(tool.name, self._handle)

    def record(self, call_id: str, name: str, arguments: Mapping[str, Any], result: object) -> None:
        """Put a call that no language model made into the history, so that the next one knows of it.

        Args:
            call_id: Of no other call.
            name: Of the tool.
            arguments: What it took.
            result: What it gave.
        """
        if self._offered is None:
            return
        function = {"name": name, "arguments": as_json(arguments)}
        called: Any = {"role": "assistant", "tool_calls": [{"id": call_id, "type": "function", "function": function}]}
        answered: Any = {"role": "tool", "tool_call_id": call_id, "content": as_json(within_budget(result))}
        self._offered[0].add_messages([called, answered])

    def own(self) -> list[Tool]:
        """What can be done whatever is served besides."""
        return list(self._own.values())

    def _cancellers(self, tools: Sequence[Tool]) -> list[Tool]:
        return [canceller(self.beside)] if any(tool.beside for tool in tools) else []

    def serve(self, tools: Sequence[Tool]) -> None:
        """Have these besides, in place of what was served before; a call that has begun goes on.

        Args:
            tools: Whose names differ; one that is called as an own tool is left out.
        """
        self._tools = {**{tool.name: tool for tool in [*tools, *self._cancellers(tools)]}, **self._own}
        if self._offered:
            self.offer(*self._offered)

    def lend(self, tools: Sequence[Tool]) -> None:
        """Do these where they are called, in place of what was lent before; whoever asks for a reply tells of them."""
        self._lent = {tool.name: tool for tool in tools}
        for name in self._lent:
            if self._offered and not self._offered[1].has_function(name):
                self._offered[1].register_function(name, self._handle)

    def note(self, event: Event) -> None:
        """Follow the turns: what adds to one whose answer has not been heard or read belongs to it.

        Args:
            event: Any of the conversation's.
        """
        if unheard := self.consent.follow(event):
            self._refuse(unheard, "the user spoke before the question was heard; it was not done")
        if event["event"] in ("latency", "reply_text"):
            self._answered = True
        elif event["event"] == "turn_started" and self._answered:
            self._answered, self._done = False, {}
            if dropped := self.consent.turn_begins():
                self._refuse(dropped, "the user did not say yes; it was not done")

    async def call(self, name: str, arguments: Mapping[str, Any], call_id: str = "") -> object:
        """Do it, or ask first.

        Args:
            name: Of the tool.
            arguments: Unchecked.
            call_id: What events call it.

        Returns:
            What the tool gave; or `{"error": ...}`, told in one line; or consent's WAITING.
        """
        result = await (await self._begin(name, arguments, call_id)).result()
        return result.result if isinstance(result, Final) else result

    async def confirm(self) -> object:
        """The user said yes: do what waits for it; the result is told as an event, and stands in the history."""
        request = self.consent.take()
        if request is None:
            return {"error": "nothing waits for a yes"}
        work = self._start(request.tool, request.arguments, request.call_id)
        if isinstance(work.task, asyncio.Task):
            if work.beside:
                self.beside.add(request.call_id, request.tool, work.task, as_json(request.values))
                return await work.result()
            note = functools.partial(self._note_late, request.call_id, request.tool.name, "the user said yes")
            work.task.add_done_callback(note)
        return await work.result()

    def refuse(self) -> None:
        """The user said no: what waits for a yes is not done."""
        if request := self.consent.take():
            self._refuse(request, "the user said no; it was not done")

    def undo(self, mark: str) -> None:
        """The user takes back what a call did: once, told as an event, and known to the next turn.

        Args:
            mark: Of an undo that this conversation has offered; nothing happens by any other.
        """
        if undo := self.undos.take(mark):
            self._take_back(undo)

    async def undo_newest(self) -> Literal["undone", "cannot", "nothing_to_undo", "cannot_undo"]:
        """The same of what was done last, and of nothing older.

        Returns:
            What came of it, as the words' tables name it.
        """
        if undo := self.undos.take_newest():
            return "cannot" if is_error(await asyncio.shield(self._take_back(undo))) else "undone"
        return "cannot_undo" if self.undos.is_lasting else "nothing_to_undo"

    def amend(self, context: LLMContext) -> None:
        """Put into the history what cut calls have done since; as a note, where their turn is no longer in it.

        Args:
            context: The conversation's.
        """
        running = {call_id: one.far for one in self.beside.running() if one.far for call_id in one.call_ids}
        if not self._late and not running:
            return
        for message in context.messages:
            if isinstance(message, dict) and message.get("role") == "tool":
                call_id = str(message.get("tool_call_id"))
                if call_id in running:
                    message["content"] = as_json({**BEGUN, "so_far": running[call_id]})  # pyright: ignore
                elif call_id in self._late:
                    late = within_budget(self._late.pop(call_id))
                    message["content"] = as_json(late)  # pyright: ignore[reportGeneralTypeIssues]
        self._note_unplaced(context)

    def _note_unplaced(self, context: LLMContext) -> None:
        """Of calls that older turns held, which are notes by now; of a conversation that began anew nothing is left."""
        unplaced, self._late = self._late, {}
        messages = list(context.messages)
        # Before the latest words of the user: a call and its result stay together.
        said = [at for at, one in enumerate(messages) if isinstance(one, dict) and one.get("role") == "user"]
        if unplaced and said and said[-1] > 0:
            told = " ".join(as_json(within_budget(result)) for result in unplaced.values())
            note: Any = {"role": "developer", "content": f"{EARLIER} {told}"}
            context.set_messages([*messages[: said[-1]], note, *messages[said[-1] :]])

    def close(self) -> None:
        """The conversation is over: what is being done is finished, and nobody is told."""
        self.emit = lambda *_, **__: None
        self.news = lambda _: None
        self.takes_long = lambda _: None
        self.report = logger.error
        self.beside.close()

    async def _begin(self, name: str, arguments: Mapping[str, Any], call_id: str) -> "_Work":
        tool = self._lent.get(name) or self._tools.get(name)
        if tool is None:
            return _Work({"error": f"there is no tool {name}; there are {', '.join(sorted(self._tools)) or 'none'}"})
        try:
            checked = await checked_arguments(tool, arguments)
            if tool.prepare:
                async with asyncio.timeout(tool.limit_secs):
                    checked = await tool.prepare(checked)
        except ToolError as error:
            return _Work({"error": str(error)})
        except TimeoutError:
            return _Work({"error": f"{name} did not finish within {tool.limit_secs:g} seconds"})
        if (tool.asks or self.consent.doubts(call_id)) and _key(tool, checked) not in self._done:
            return _Work(self.consent.ask(call_id, tool, checked))
        if tool.beside and self.beside.is_full():
            return _Work({"error": "too much is running already; wait for it, or cancel it"})
        return self._start(tool, checked, call_id)

    def _start(self, tool: Tool, checked: Arguments, call_id: str) -> "_Work":
        if not tool.acts:
            task = asyncio.create_task(self._run(tool, checked, call_id), name=f"tool-{tool.name}")
            return _Work(task, beside=tool.beside)
        key = _key(tool, checked)
        if key not in self._done:
            self._done[key] = asyncio.create_task(self._run(tool, checked, call_id), name=f"tool-{tool.name}")
            self._keep(self._done[key])
        return _Work(self._done[key], acts=True, beside=tool.beside)

    async def _handle(self, params: FunctionCallParams) -> None:
        work = await self._begin(params.function_name, params.arguments, params.tool_call_id)
        if work.beside and isinstance(work.task, asyncio.Task):
            tool = self._tools[params.function_name]
            self.beside.add(params.tool_call_id, tool, work.task, as_json(params.arguments))
        try:
            result = await work.result()
            if isinstance(result, Final):
                await params.result_callback(within_budget(result.result), properties=FinalResult())
            else:
                await params.result_callback(within_budget(result))
        except asyncio.CancelledError:
            # A barge-in cut the call; what acts goes on.
            if work.acts and isinstance(work.task, asyncio.Task):
                note = functools.partial(self._note_late, params.tool_call_id, params.function_name, LATE)
                work.task.add_done_callback(note)
            raise

    def _note_late(self, call_id: str, name: str, why: str, done: asyncio.Task[object]) -> None:
        if done.cancelled():
            return
        self.emit("tool_result", id=call_id, name=name, result=within_budget(done.result()), late=True)
        self.amend_later(call_id, {"done": done.result(), "note": why})

    def _note_end(self, running: Running, result: object | None) -> None:
        """What ran beside the conversation has ended: the history knows, and the user is told."""
        name = running.tool.name
        for call_id in running.call_ids:
            if result is None:
                self.emit("tool_cancelled", id=call_id, name=name)
                self.amend_later(call_id, {"cancelled": "the user called it off; how much of it was done is not known"})
            else:
                self.emit("tool_result", id=call_id, name=name, result=within_budget(result), late=True)
                self.amend_later(call_id, {"done": result, "note": "it ran beside the conversation"})
        if result is not None:
            self.news(name)

    def _refuse(self, request: Request, why: str) -> None:
        self.emit("tool_cancelled", id=request.call_id, name=request.tool.name)
        self.amend_later(request.call_id, {"not_done": why})

    def _take_back(self, undo: Undo) -> asyncio.Task[object]:
        task = asyncio.create_task(self._undo(undo), name=f"undo-{undo.tool.name}")
        self._keep(task)
        return task

    async def _undo(self, undo: Undo) -> object:
        taken_back = replace(undo.tool, run=lambda _: undo.act(), acts=False)
        result = await self._run(taken_back, None, undo.call_id)
        told = {"state": "failed", **result} if isinstance(result, dict) and is_error(result) else {"state": "done"}
        self.emit("tool_undo", id=undo.call_id, name=undo.tool.name, undo=undo.mark, **told)
        if not is_error(result):
            self.amend_later(undo.call_id, {"undone": "the user took this back; it is as it was before"})
        return result

    def amend_later(self, call_id: str, result: object) -> None:
        """Have another result of a call stand in the history before the model is asked again.

        Args:
            call_id: Of the call.
            result: What has become of it.
        """
        self._late[call_id] = result
        while len(self._late) > MAX_LATE:
            del self._late[next(iter(self._late))]

    @staticmethod
    def _keep(acting: asyncio.Task[object]) -> None:
        _acting.add(acting)
        acting.add_done_callback(_acting.discard)

    async def _run(self, tool: Tool, checked: Any, call_id: str) -> object:
        telling(functools.partial(self.beside.note, tool, call_id))
        CALL_ID.set(call_id)
        try:
            async with asyncio.timeout(tool.limit_secs):
                result = await tool.run(checked)
            if not isinstance(result, Done):
                self.undos.is_lasting |= tool.acts
                return result
            mark = self.undos.add(call_id, tool, result.undo)
            self.emit("tool_undo", id=call_id, name=tool.name, undo=mark, state="offered")
            return result.result
        except ToolError as error:
            return {"error": str(error)}
        except TimeoutError:
            self.report(f"{tool.name} took longer than {tool.limit_secs:g} s and was given up")
            return {"error": f"{tool.name} did not finish within {tool.limit_secs:g} seconds"}
        except Exception as error:  # noqa: BLE001 - the edge of a tool: whatever failed is told
            self.report(f"{tool.name} failed: {crash(error)}")
            return {"error": FAILED}


def _key(tool: Tool, checked: Arguments) -> str:
    return f"{tool.name} {checked.model_dump_json()}"
