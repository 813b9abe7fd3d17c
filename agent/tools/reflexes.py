"""What the agent answers without a language model: found by the words of a turn, answered from the tools.

In:  the user's words and the messages before them.   Out: a Reflex, or None: the language model answers.
"""

import secrets
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from fractions import Fraction
from typing import Any

from pipecat.processors.aggregators.llm_context import LLMContextMessage, standard_message_text

from agent.tools.camera import TOOL, Camera
from agent.tools.clock import Now, local_now
from agent.tools.consent import Request
from agent.tools.failures import why_not
from agent.tools.reflex_words import Matched, ReflexWords
from agent.tools.results import is_error
from agent.tools.sums import calculate, told
from agent.tools.timers import Timer, TimerBook
from agent.tools.tool import Tool, ToolError
from agent.tools.toolbox import Emit, Toolbox
from processors.llm.reflex import Reflex
from processors.manner import Manner

# The name of no reflex.
NOBODY = ""
# Those that change something.
ACTING = {
    *("set_timer", "cancel_timer", "cancel_timers", "cancel_it", "cancel_running", "create_file"),
    *("slower", "faster", "quieter", "louder", "turn_down", "turn_up"),
    *("look", "undo"),
}
# After them "cancel it" means the timer.
ABOUT_TIMERS = {"set_timer", "time_left"}
TIMER_TOOLS = {"set_timer", "set_alarm", "list_timers"}
# What may be said of the voice, and of a loudspeaker at home as well.
TURNED = {"turn_down": "quieter", "turn_up": "louder"}
# What each needs to be switched on.
NEEDS = {
    "time": "current_time",
    "date": "current_time",
    "sum": "calculate",
    "convert": "convert",
    "set_timer": "set_timer",
    "cancel_timer": "cancel_timer",
    "cancel_timers": "cancel_timer",
    "cancel_it": "cancel_timer",
    "time_left": "list_timers",
    "create_file": "create_file",
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
    ) -> None:
        self._words = words
        self._toolbox = toolbox
        self._book = book
        self._emit = emit
        self._now = now
        self._all_of_them = all_of_them
        self._only_voice = only_voice
        # The last turn of the user that a reflex answered, if it was about timers.
        self._about_timers = ""
        self._answers: dict[str, Callable[[Matched, Sequence[LLMContextMessage]], Awaitable[str]]] = {
            "time": self._time,
            "date": self._date,
            "sum": self._sum,
            "convert": self._convert,
            "set_timer": self._set_timer,
            "cancel_timer": self._cancel_timers,
            "cancel_timers": self._cancel_timers,
            "cancel_it": self._cancel_timers,
            "time_left": self._time_left,
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
        only = self._meant(text, earlier)
        matched = self._words.match(text, only) if self._all_of_them else None
        if matched is None or matched.name not in self._answers or not self._can(matched):
            return None
        if matched.name == "cancel_it" != only:
            return None
        return Reflex(matched.name, matched.name in ACTING, lambda: self._answer(text, matched, earlier))

    async def _answer(self, text: str, matched: Matched, earlier: Sequence[LLMContextMessage]) -> str:
        self._about_timers = text if matched.name in ABOUT_TIMERS else ""
        return await self._answers[matched.name](matched, earlier)

    def _spoke_of_timers(self, earlier: Sequence[LLMContextMessage]) -> bool:
        """Whether the turn before was about timers, whoever answered it."""
        for message in reversed(earlier):
            if not isinstance(message, dict):
                continue
            if message.get("role") == "user":
                return bool(self._about_timers) and standard_message_text(message) == self._about_timers
            calls: Any = message.get("tool_calls") or []
            if any(call["function"]["name"] in TIMER_TOOLS for call in calls):
                return True
        return False

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

    def _meant(self, text: str, earlier: Sequence[LLMContextMessage]) -> str | None:
        """Of what can be called off, what the words are about; None: any reflex."""
        running = self._toolbox.beside.running()
        if running and self._words.match(text, "cancel_running"):
            # Another one or a timer may be meant as well: the language model knows, or asks.
            return NOBODY if self._book.pending() or len(running) > 1 else "cancel_running"
        spoken_of = self._words.match(text, "cancel_it") and self._spoke_of_timers(earlier)
        return "cancel_it" if spoken_of else None

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
        n_timers = len(self._book.pending())
        if matched.name in ("cancel_timer", "cancel_it"):
            # Of several the language model may ask which; without one it may be about anything.
            return n_timers == 1
        if matched.name in ("cancel_timers", "time_left"):
            return n_timers > 0
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

    async def _set_timer(self, matched: Matched, _: object) -> str:
        arguments = {"seconds": matched.secs, "label": matched.label}
        if hindered := await self._hindered("set_timer", arguments):
            return hindered
        answer = "set_label" if matched.label else "set_timer"
        return self._words.say(answer, duration=self._words.duration(matched.secs or 0.0), label=matched.label)

    async def _cancel_timers(self, _: Matched, __: object) -> str:
        count = len(self._book.pending())
        if hindered := await self._hindered("cancel_timer", {"all": True} if count > 1 else {}):
            return hindered
        return self._words.say("cancelled" if count == 1 else "cancelled_all", count=count)

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

    async def _time_left(self, _: Matched, __: object) -> str:
        answers = []
        for timer in self._book.pending():
            duration = self._words.duration(timer.left_secs(self._book.now_secs()))
            answers.append(
                self._words.say("left_label" if timer.label else "left", duration=duration, label=timer.label)
            )
        return " ".join(answers)

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
