"""What the agent answers without a language model: found by the words of a turn, answered from the tools.

In:  the user's words and the messages before them.   Out: a Reflex, or None: the language model answers.
"""

import secrets
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from fractions import Fraction
from typing import Any

from pipecat.processors.aggregators.llm_context import LLMContext, LLMContextMessage, standard_message_text

from agent.tools.camera import TOOL, Camera
from agent.tools.clock import Now, local_now
from agent.tools.consent import Request
from agent.tools.failures import why_not
from agent.tools.memory_reflexes import FORGET_ALL, MemoryReflexes
from agent.tools.reflex_words import Matched, ReflexWords
from agent.tools.results import is_error
from agent.tools.sums import calculate, told
from agent.tools.timer_reflexes import CANCEL, KINDS, LISTS, TimerReflexes
from agent.tools.timers import Timer, TimerBook
from agent.tools.tool import Tool, ToolError
from agent.tools.toolbox import Emit, Toolbox
from processors.llm.reflex import Reflex
from processors.manner import Manner

# Those that change something.
ACTING = {
    *("cancel_running", "create_file", "slower", "faster", "quieter", "louder", "turn_down", "turn_up"),
    *("look", "undo"),
}
# What may be said of the voice, and of a loudspeaker at home as well.
TURNED = {"turn_down": "quieter", "turn_up": "louder"}
# What each needs to be switched on.
NEEDS = {
    "time": "current_time",
    "date": "current_time",
    "sum": "calculate",
    "convert": "convert",
    "set_timer": "set_timer",
    "set_alarm": "set_alarm",
    "alarm_time": "set_alarm",
    **dict.fromkeys((CANCEL, "cancel_it", *KINDS), CANCEL),
    **dict.fromkeys(LISTS, "list_timers"),
    "create_file": "create_file",
    "forget_all": FORGET_ALL,
}


class Reflexes:
    """Of one conversation.

    Args:
        words: The language's.
        toolbox: Does what acts.
        book: The user's timers.
        emit: Told of calls as events: the name, then fields.
        named: Whether the agent is itself; another persona says in its own words who it is.
        all_of_them: Whether more is answered than a yes or a no to what the user was asked.
        now: Gives the local time, with its zone.
        manner: How the agent speaks; None where it has no voice.
        only_voice: Whether nothing else that the agent has can be louder, such as a loudspeaker at home.
        camera: What it sees with; None where nothing is said of that.
        memory_off: The setting that keeps the memory off; empty where nothing is said of that.
    """

    def __init__(
        self,
        words: ReflexWords,
        toolbox: Toolbox,
        book: TimerBook,
        emit: Emit,
        *,
        named: bool = True,
        all_of_them: bool = True,
        now: Now = local_now,
        manner: Manner | None = None,
        only_voice: bool = True,
        camera: Camera | None = None,
        memory_off: str = "",
    ) -> None:
        self._words = words
        self._toolbox = toolbox
        self._book = book
        self._emit = emit
        self._now = now
        self._all_of_them = all_of_them
        self._only_voice = only_voice
        self._timers = TimerReflexes(words, toolbox, book, self._hindered, now)
        self._memory = MemoryReflexes(words, toolbox, self._hindered, memory_off)
        self._answers: dict[str, Callable[[Matched, Sequence[LLMContextMessage]], Awaitable[str]]] = {
            "time": self._time,
            "date": self._date,
            "sum": self._sum,
            "convert": self._convert,
            "cancel_running": self._cancel_running,
            "create_file": self._write_file,
            "undo": self._undo,
            "repeat": self._repeat,
            "never_mind": self._okay,
            "stop": self._okay,
        }
        if camera:
            self._camera = camera
            self._answers["look"] = self._look
        if named:
            self._answers["who"] = self._who
        if manner:
            self._changes: dict[str, Callable[[], bool]] = {
                "slower": lambda: manner.hasten(-1),
                "faster": lambda: manner.hasten(1),
                "quieter": lambda: manner.raise_voice(-1),
                "louder": lambda: manner.raise_voice(1),
            }
            self._answers |= dict.fromkeys([*self._changes, *TURNED], self._change_manner)

    def find(self, text: str, earlier: Sequence[LLMContextMessage]) -> Reflex | None:
        """The reflex that these words ask for, or that says what the user is asked.

        Args:
            text: The user's turn; empty where a tool has just answered.
            earlier: The messages before it.
        """
        if not text:
            request = self._toolbox.consent.question_due()
            return Reflex("ask", False, lambda: self._ask(request)) if request else None
        if self._toolbox.consent.awaits_answer() and (agreed := self._words.agrees(text)) is not None:
            return Reflex("yes", True, self._yes) if agreed else Reflex("no", True, self._no)
        if not self._all_of_them:
            return None
        if self._toolbox.beside.running() and self._words.match(text, "cancel_running"):
            return self._call_off(text, earlier)
        matched = self._words.match(text)
        if found := self._timers.find(text, matched, earlier) or self._memory.find(text, matched):
            return found
        if matched is None or matched.name not in self._answers or not self._can(matched):
            return None
        return Reflex(matched.name, matched.name in ACTING, lambda: self._answers[matched.name](matched, earlier))

    def _call_off(self, text: str, earlier: Sequence[LLMContextMessage]) -> Reflex | None:
        """What runs beside the conversation; a timer or another one may be meant: the language model knows, or asks."""
        if self._book.pending() or len(self._toolbox.beside.running()) > 1:
            return None
        matched = Matched("cancel_running")
        return Reflex(matched.name, True, lambda: self._cancel_running(matched, earlier))

    def amend(self, context: LLMContext) -> None:
        """Put into the history, before it is sent, what the language model must know of what was done and cannot be.

        Args:
            context: The conversation's.
        """
        self._toolbox.amend(context)
        self._memory.amend(context)

    def warm_up(self) -> None:
        """Read what is large, some tens of milliseconds' worth; may be called in a thread."""
        _ = self._words.units

    def due_words(self, timer: Timer) -> str:
        """What is said when a timer is due.

        Args:
            timer: It.
        """
        labelled = "_label" if timer.label else ""
        if timer.alarm:
            due = datetime.fromtimestamp(timer.due_secs).astimezone()
            return self._words.say(f"alarm{labelled}", time=self._words.time(due), label=timer.label)
        duration = self._words.duration(timer.due_secs - timer.set_secs)
        return self._words.say(f"due{labelled}", duration=duration, label=timer.label)

    def missed_words(self, timer: Timer) -> str:
        """What is said of one that was due while nobody was there."""
        return self._words.say("missed", due=self.due_words(timer))

    def still_words(self, tool: Tool) -> str:
        """What is said of one that runs for very long.

        Args:
            tool: It.
        """
        return self._words.say("still", tool=tool.name.replace("_", " "))

    def _can(self, matched: Matched) -> bool:
        if (needed := NEEDS.get(matched.name)) and not self._toolbox.has(needed):
            return False
        # What only reads is asked by the language model's call.
        if needed and matched.name not in ACTING and self._toolbox.tools[needed].asks:
            return False
        if matched.name in TURNED:
            return self._only_voice and not self._toolbox.is_served()
        if matched.name == "cancel_running":
            return bool(self._toolbox.beside.running())
        if matched.name == "undo":
            return any(tool.acts for tool in self._toolbox.tools.values())
        return matched.name != "sum" or _has_value(matched.sum)

    async def _time(self, _: Matched, __: object) -> str:
        return self._words.say("time", time=self._words.time(self._now()))

    async def _date(self, _: Matched, __: object) -> str:
        return self._words.say("date", date=self._words.date(self._now()))

    async def _sum(self, matched: Matched, _: object) -> str:
        value = told(calculate(matched.sum)).removeprefix("about ")
        return self._words.say("sum", value=self._words.number(value))

    async def _convert(self, matched: Matched, _: object) -> str:
        value, is_exact = self._words.units.told(matched.amount or Fraction(0), matched.unit)
        return self._words.say("sum" if is_exact else "about", value=value)

    async def _write_file(self, matched: Matched, _: object) -> str:
        return await self._hindered(matched.name, dict(matched.said)) or self._words.say("done")

    async def _look(self, _: Matched, __: object) -> str:
        """Where there is a picture, the language model says what is in it."""
        if not self._camera.has_page:
            return self._words.say("sees_nothing")
        if not self._camera.has_eyes:
            return self._words.say("blind")
        hindered = await self._hindered(TOOL, {})
        return self._words.say("no_picture") if hindered.startswith(self._words.say("cannot")) else hindered

    async def _undo(self, _: Matched, __: object) -> str:
        return self._words.say(await self._toolbox.undo_newest())

    async def _cancel_running(self, _: Matched, __: object) -> str:
        return self._words.say("called_off" if self._toolbox.beside.cancel() else "cannot")

    async def _repeat(self, _: Matched, earlier: Sequence[LLMContextMessage]) -> str:
        for message in reversed(earlier):
            is_answer = isinstance(message, dict) and message.get("role") == "assistant"
            if is_answer and (text := standard_message_text(message)):
                return text
        return self._words.say("nothing_to_repeat")

    async def _okay(self, _: Matched, __: object) -> str:
        return self._words.say("okay")

    async def _who(self, _: Matched, __: object) -> str:
        return self._words.say("who")

    async def _change_manner(self, matched: Matched, _: object) -> str:
        """Said in the new manner already."""
        name = TURNED.get(matched.name, matched.name)
        return self._words.say(name if self._changes[name]() else "at_limit")

    async def _ask(self, request: Request) -> str:
        request.question = self._words.question(request.tool.name, request.values, request.shown)
        return request.question

    async def _yes(self) -> str:
        """What was done is told at once; what was found out, or went wrong, in the language model's words."""
        tool = self._toolbox.consent.open.tool if self._toolbox.consent.open else None
        acts = tool is not None and tool.acts
        result = await self._toolbox.confirm()
        if tool is not None and tool.beside and not is_error(result):
            return self._words.say("okay")
        return self._words.say("done") if acts and not is_error(result) else ""

    async def _no(self) -> str:
        self._toolbox.refuse()
        return self._words.say("refused")

    async def _hindered(self, name: str, arguments: dict[str, Any]) -> str:
        """Do it once in this turn, told as events; what is said where it was not done, else nothing."""
        call_id = f"reflex_{secrets.token_hex(4)}"
        self._emit("tool_call", id=call_id, name=name, arguments=arguments)
        result = await self._toolbox.call(name, arguments, call_id)
        self._emit("tool_result", id=call_id, name=name, result=result)
        self._toolbox.record(call_id, name, arguments, result)
        if request := self._toolbox.consent.question_due():
            return await self._ask(request)
        if not isinstance(result, dict) or not is_error(result):
            return ""
        return why_not(self._words, self._toolbox.tools.get(name), str(result["error"]))


def _has_value(expression: str) -> bool:
    try:
        calculate(expression)
    except ToolError:
        return False
    return True
