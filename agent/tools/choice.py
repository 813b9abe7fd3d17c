"""What a model that calls no tools may choose in a turn, and what its choice is worth.

In:  the user's words, and the JSON that the model chose.   Out: a call, a question, or nothing.

An ordinary question costs nothing: the model is asked to choose only where the words have something of a tool's
(`tools.choice = auto`). What acts is done at once only where the model is sure and the words bear out every argument
and hold nothing else; otherwise the user is asked first, and a yes does it. The smallest models are not trusted with a
question about their guess: they ask what is meant, or answer in words. Nor is it left to them what is kept of a turn,
and what is looked up in memory.
"""

import secrets
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

from pipecat.processors.aggregators.llm_context import LLMContextMessage, standard_message_text

from agent.tools.alarm_words import ALARM, AlarmWords
from agent.tools.camera import TOOL as LOOK
from agent.tools.choice_prompts import NAMES, TEXTS, prompt, schema_of, small_prompt
from agent.tools.choice_words import ChoiceWords, Turn
from agent.tools.clock import Now, local_now
from agent.tools.hang_up import HANG_UP
from agent.tools.memory_words import MemoryWords
from agent.tools.reflex_words import Matched
from agent.tools.tool import Tool
from agent.tools.toolbox import Toolbox
from processors.llm.choice import ChosenCall, Offer
from processors.llm.history import within

# Calls that were chosen have such ids.
PREFIX = "choice_"
# Arguments that are words of the user.
SAID = TEXTS | NAMES | {"label", "about", "query"}
MIN_CONFIDENCE = 0.6
# Offered at once; those that match best come first.
MAX_OFFERED = 12
MAX_OFFERED_TO_SMALL = 4
# Of earlier turns, for what "it" and "there" stand for.
MAX_EARLIER_CHARS = 2_000
# What every turn of its persona may ask for.
EVER = {"search_knowledge"}
# Arguments that words are looked for with: where a small model finds none, the whole turn is.
LOOKED_FOR = {"about", "query"}
# What reads and is asked for as exactly as an act.
EXPOSES = {LOOK}
REMEMBER, RECALL, FORGET = "remember", "recall", "forget"


class ToolChooser:
    """Of one conversation.

    Args:
        toolbox: What can be done.
        words: The language's; None where it has no table.
        memory_words: The same.
        unsure: Gives the question what is meant.
        alarms: Knows for what time an alarm is wanted; None where the language has no table.
        match: Tells what a turn's words are by themselves.
        always: Whether each turn may ask for a tool, whatever its words.
        now: Gives the local time, with its zone.

    Attributes:
        memory_words: The language's; None where it has no table.
        small: Whether the model that chooses is one of the smallest.
    """

    def __init__(
        self,
        toolbox: Toolbox,
        words: ChoiceWords | None,
        memory_words: MemoryWords | None,
        unsure: Callable[[], str],
        *,
        alarms: AlarmWords | None = None,
        match: Callable[[str], Matched | None] = lambda _: None,
        always: bool = False,
        now: Now = local_now,
    ) -> None:
        self._toolbox = toolbox
        self._words = words
        self.memory_words = memory_words
        self._unsure = unsure
        self._alarms = alarms
        self._match = match
        self._always = always
        self._now = now
        self.small = False

    def offer(self, messages: Sequence[LLMContextMessage], *, small: bool) -> Offer | None:
        """See `Chooser`."""
        self.small = small
        text = standard_message_text(messages[-1]) if isinstance(messages[-1], dict) else ""
        tools = self._offered(text, small=small)
        sure = self._sure(text, [tool.name for tool in tools], messages[:-1]) if small else None
        if not tools and sure is None:
            return None
        turn = self._words.turn(text) if self._words else None
        schema = schema_of(tools, turn and _only_duration(turn), _pieces(self._words, turn) if small else None)
        names = tuple(tool.name for tool in tools)
        if small:
            instruction, sent = small_prompt(text)
        else:
            day: datetime = self._now()
            instruction = prompt(tools, day)
            sent = within(_spoken(messages), MAX_EARLIER_CHARS)
        return Offer(text, instruction, sent, schema, names, sure)

    def decide(self, offer: Offer, answer: Mapping[str, Any], *, small: bool) -> ChosenCall | str | None:
        """See `Chooser`."""
        chosen = self._chosen(offer, answer, small=small)
        return (self._of_memory(offer, chosen) or chosen) if small else chosen

    def _chosen(self, offer: Offer, answer: Mapping[str, Any], *, small: bool) -> ChosenCall | str | None:
        name, given = answer.get("action"), answer.get("parameters")
        # Tools of servers come and go.
        tool = self._toolbox.tools.get(name) if isinstance(name, str) and name in offer.names else None
        if tool is None or not isinstance(given, dict):
            return None
        turn = self._words.turn(offer.words) if self._words else None
        arguments = _as_given(given, self._words, turn)
        if self._words and turn:
            arguments = dict(self._words.in_order(tool, arguments, turn))
        call = _call(tool.name, arguments)
        if small:
            return self._of_small(tool, call, turn)
        if tool.name == HANG_UP:
            # It is not asked about: the caller's words must ask for it, and nothing else.
            return call if self._words and turn and self._words.surely_asks_for(tool, turn) else None
        certain = _confidence(answer) >= MIN_CONFIDENCE
        if tool.acts or tool.name in EXPOSES:
            certain &= bool(self._words and turn and self._words.bears_out(tool, arguments, turn, wholly=True))
        if not certain:
            self._toolbox.consent.doubt(call.call_id)
        return call

    def _offered(self, text: str, *, small: bool) -> list[Tool]:
        tools = list(self._toolbox.tools.values())
        most = MAX_OFFERED_TO_SMALL if small else MAX_OFFERED
        if self._words is None:
            # Nobody knows the language's words: a small model would guess.
            return [] if small else tools[:most]
        turn = self._words.turn(text)
        found = {tool.name: self._words.n_matching(tool, turn) + (tool.name in EVER) for tool in tools}
        if small:
            # What would not be done anyway is not asked for.
            refused = [tool.name for tool in tools if tool.acts and not self._words.is_order(tool, turn)]
            found |= dict.fromkeys(refused, 0)
        ranked = sorted(tools, key=lambda tool: -found[tool.name])
        return [tool for tool in ranked if self._always or found[tool.name]][:most]

    def _sure(self, text: str, names: Sequence[str], earlier: Sequence[LLMContextMessage]) -> ChosenCall | str | None:
        """What a turn surely asks for, for which no small model need be asked; or what it is asked back."""
        if (alarm := self._alarm(text, names, earlier)) is not None:
            return alarm
        hang_up = self._toolbox.tools.get(HANG_UP)
        if hang_up and self._words and self._words.surely_asks_for(hang_up, self._words.turn(text)):
            return _call(HANG_UP, {})
        words = self.memory_words
        if words and REMEMBER in names and (fact := words.fact(text)):
            return _call(REMEMBER, {"fact": fact})
        if words and FORGET in names and (fact := words.forgotten(text)):
            return _call(FORGET, {"about": fact})
        return None

    def _alarm(self, text: str, names: Sequence[str], earlier: Sequence[LLMContextMessage]) -> ChosenCall | str | None:
        """The alarm that a turn asks for; the question for its time, where that is not understood."""
        tool = self._toolbox.tools.get(ALARM)
        if tool is None or self._alarms is None or self._words is None:
            return None
        matched = self._match(text)
        if asked := self._alarms.asked(text, matched, earlier):
            due = asked.due
            return _call(ALARM, self._alarms.arguments(due, asked.label)) if due else self._alarms.question
        is_order = matched is None and ALARM in names and self._words.surely_asks_for(tool, self._words.turn(text))
        return self._alarms.question if is_order else None

    def _of_memory(self, offer: Offer, chosen: ChosenCall | str | None) -> ChosenCall | None:
        """What the memory is asked, where a small model found nothing else."""
        words = self.memory_words
        if words is None:
            return None
        # Something else of the user's may be meant, such as a timer.
        if RECALL not in offer.names or isinstance(chosen, str) or (chosen and chosen.name != RECALL):
            return None
        asked = words.asked_about(offer.words)
        return None if asked is None else _call(RECALL, {"about": offer.words if asked else ""})

    def _of_small(self, tool: Tool, call: ChosenCall, turn: Turn | None) -> ChosenCall | str | None:
        if turn is None or self._words is None:
            return None
        if call.arguments and set(call.arguments) <= LOOKED_FOR and not tool.acts:
            if self._words.bears_out(tool, call.arguments, turn, wholly=False):
                return call
            return ChosenCall(call.name, dict.fromkeys(call.arguments, turn.text), call.call_id)
        said = self._words.without_made_up(tool, call.arguments, turn)
        if self._words.bears_out(tool, said, turn, wholly=True):
            return ChosenCall(call.name, said, call.call_id)
        return self._unsure() if tool.acts and self._words.is_order(tool, turn) else None


def is_chosen(call_id: object) -> bool:
    """Whether a call has been chosen, and not made by a model or a reflex.

    Args:
        call_id: Its id.
    """
    return isinstance(call_id, str) and call_id.startswith(PREFIX)


def _as_given(given: Mapping[str, Any], words: ChoiceWords | None, turn: Turn | None) -> dict[str, Any]:
    """The arguments; such as a model left empty are left out."""
    left = {name: value for name, value in given.items() if value not in ("", None)}
    if words is None or turn is None:
        return left
    # Names of other kinds, such as a server's, are as the model gives them.
    return {
        name: words.as_said(value, turn) if isinstance(value, str) and name in SAID else value
        for name, value in left.items()
    }


def _call(name: str, arguments: Mapping[str, Any]) -> ChosenCall:
    return ChosenCall(name, arguments, f"{PREFIX}{secrets.token_hex(4)}")


def _confidence(answer: Mapping[str, Any]) -> float:
    told = answer.get("confidence")
    return float(told) if isinstance(told, (int, float)) and not isinstance(told, bool) and 0 <= told <= 1 else 0.0


def _only_duration(turn: Turn) -> float | None:
    return turn.durations[0][0] if len(turn.durations) == 1 else None


def _pieces(words: ChoiceWords | None, turn: Turn | None) -> list[str]:
    return words.pieces(turn) if words and turn else []


def _spoken(messages: Sequence[LLMContextMessage]) -> list[LLMContextMessage]:
    """What was said, without calls, results and notes."""
    return [
        message
        for message in messages
        if isinstance(message, dict) and message.get("role") in ("user", "assistant") and not message.get("tool_calls")
    ]
