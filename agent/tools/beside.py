"""Calls that run beside the conversation: their progress, their end, and their cancellation.

In:  a task that does one, and the ids of the calls that wait for it.
Out: one end for each call: a result, or a cancellation.
"""

import asyncio
import math
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass

from pydantic import Field

from agent.errors import one_line
from agent.tools.tool import Arguments, Tool, ToolError

BEGUN: Mapping[str, str] = {
    "running": "it has begun and goes on beside the conversation; the user is told by itself when it is done"
}
# Of one call, events no more often than this.
PROGRESS_SECS = 1.0
# After so long the user is told once that it still runs.
LONG_SECS = 60.0
MAX_MESSAGE_CHARS = 200
MAX_GIVEN_CHARS = 120
MAX_RUNNING = 8
MAX_TOLD = 64
CANCEL_RUNNING = "cancel_running"

Progress = Callable[[float, float | None, str], None]
_report: ContextVar[Progress | None] = ContextVar("progress", default=None)


def progress() -> Progress:
    """How the tool that is being run may tell how far it is: done, of how much (None: nobody knows), and a message.

    It is asked for within the tool's own run, and may be called from anywhere on the event loop.
    """
    return _report.get() or (lambda *_: None)


def telling(report: Progress) -> None:
    """Have what runs in this task tell its progress.

    Args:
        report: Told.
    """
    _report.set(report)


@dataclass
class Running:
    """One that is under way.

    Attributes:
        tool: What is done.
        call_ids: The calls that it is the answer of.
        task: Does it.
        cancelled: Whether the user has called it off.
        far: How far it is, in words; empty where it has not said.
        number: Tells it from others, from 1.
        given: What the tool was called with, in one line.
    """

    tool: Tool
    call_ids: list[str]
    task: asyncio.Task[object]
    cancelled: bool = False
    far: str = ""
    number: int = 0
    given: str = ""
    reminder: asyncio.TimerHandle | None = None


class Beside:
    """Those of one conversation.

    Args:
        emit: Told of events: the name, then fields.
        ended: Called with each that has ended, and its result; None if it was cancelled.
        takes_long: Called with one that takes very long, once.
    """

    def __init__(
        self,
        emit: Callable[..., None],
        ended: Callable[[Running, object | None], None],
        takes_long: Callable[[Tool], None],
    ) -> None:
        self._emit, self._ended, self._takes_long = emit, ended, takes_long
        self._running: list[Running] = []
        self._n_begun = 0
        # When each call last told how far it is.
        self._told_secs: dict[str, float] = {}

    def running(self) -> list[Running]:
        """What is under way, the latest last."""
        return list(self._running)

    def is_full(self) -> bool:
        """Whether no more may begin."""
        return len(self._running) >= MAX_RUNNING

    def add(self, call_id: str, tool: Tool, task: asyncio.Task[object], given: str = "") -> None:
        """Follow one to its end.

        Args:
            call_id: The call that it is the answer of; a further call for the same task shares its end.
            tool: What is done.
            task: Does it.
            given: What it was called with.
        """
        for one in self._running:
            if one.task is task:
                one.call_ids.append(call_id)
                return
        self._n_begun += 1
        running = Running(tool, [call_id], task, number=self._n_begun, given=one_line(given, MAX_GIVEN_CHARS))
        self._running.append(running)
        running.reminder = asyncio.get_running_loop().call_later(LONG_SECS, self._takes_long, tool)
        task.add_done_callback(lambda _: self._end(running))

    def note(self, tool: Tool, call_id: str, done: float, total: float | None, message: str) -> None:
        """A tool tells how far it is.

        Args:
            tool: It.
            call_id: The call that it is run for.
            done: So much.
            total: Of so much; None where nobody knows.
            message: What it says of it.
        """
        if not math.isfinite(done):
            return
        total = total if total is not None and math.isfinite(total) else None
        message = one_line(message, MAX_MESSAGE_CHARS)
        running = next((one for one in self._running if call_id in one.call_ids), None)
        if running:
            amount = f"{done:g}" if total is None else f"{done:g} of {total:g}"
            running.far = f"{amount}: {message}" if message else amount
        now_secs = asyncio.get_running_loop().time()
        if now_secs - self._told_secs.get(call_id, float("-inf")) < PROGRESS_SECS:
            return
        self._told_secs[call_id] = now_secs
        while len(self._told_secs) > MAX_TOLD:
            del self._told_secs[next(iter(self._told_secs))]
        for one in running.call_ids if running else [call_id]:
            self._emit("tool_progress", id=one, name=tool.name, progress=done, total=total, message=message)

    def cancel(self, only: Running | None = None) -> list[Running]:
        """Call off what runs; each one's end follows.

        Args:
            only: The one that is meant; default: all.
        """
        cancelled = [one for one in self._running if not one.task.done() and not one.cancelled and only in (None, one)]
        for one in cancelled:
            one.cancelled = True
            one.task.cancel()
        return cancelled

    def close(self) -> None:
        """The conversation is over: what only reads is of no use any more."""
        for one in self._running:
            if one.reminder:
                one.reminder.cancel()
            if not one.tool.acts:
                one.task.cancel()

    def _end(self, running: Running) -> None:
        self._running.remove(running)
        if running.reminder:
            running.reminder.cancel()
        cancelled = running.task.cancelled() or running.task.exception() is not None
        self._ended(running, None if cancelled else running.task.result())


class Cancel(Arguments):
    """What to call off."""

    number: int | None = Field(None, description="which of several; left out: there is only one")
    all: bool = Field(False, description="whether the user wants all of them stopped")


def canceller(beside: Beside) -> Tool:
    """The tool by which a language model calls off what runs beside the conversation; of several it must say which.

    Args:
        beside: What does.
    """

    async def cancel(arguments: Cancel) -> object:
        running = {one.number: one for one in beside.running() if not one.cancelled}
        if not running:
            raise ToolError("nothing is running")
        there_are = "; ".join(f"number {number}: {one.tool.name} {one.given}" for number, one in running.items())
        if arguments.number is None and len(running) > 1 and not arguments.all:
            raise ToolError(f"several are running; ask the user which one is meant, or whether all are: {there_are}")
        if arguments.number is not None and arguments.number not in running:
            raise ToolError(f"nothing runs under number {arguments.number}; there are {there_are}")
        cancelled = beside.cancel(running[arguments.number] if arguments.number is not None else None)
        return {"cancelled": [f"{one.tool.name} {one.given}".strip() for one in cancelled]}

    about = "Call off what runs beside the conversation, when the user wants it stopped."
    return Tool(CANCEL_RUNNING, about, Cancel, cancel, acts=True)
