"""What came of a call that was chosen, in a plain sentence of ours, so that no model need be asked for one.

In:  a history whose last message is a tool's result.   Out: a Reflex; None: the language model answers, told as data.

Acts that are done have a sentence for every model. What was read, or went wrong, has one for the smallest models only:
others find better words.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from typing import Any

from pipecat.processors.aggregators.llm_context import LLMContextMessage

from agent.tools.alarm_words import ALARM
from agent.tools.beside import BEGUN
from agent.tools.choice import EVER, ToolChooser, is_chosen
from agent.tools.clock import Now, local_now
from agent.tools.failures import why_not
from agent.tools.hang_up import HANG_UP
from agent.tools.memory_words import ASKED_TO_REMEMBER
from agent.tools.reflex_words import ReflexWords
from agent.tools.results import is_error
from agent.tools.tool import Tool
from processors.llm.reflex import Reflex

TOLD = "told"
MAX_CHARS = 500
# Of what was recalled, so many are said.
MAX_RECALLED = 2
Arguments = Mapping[str, Any]


class PlainAnswers:
    """Of one conversation.

    Args:
        words: The language's.
        chooser: Has chosen the calls.
        tools: Gives the tools by their names.
        now: Gives the local time, with its zone.
    """

    def __init__(
        self,
        words: ReflexWords,
        chooser: ToolChooser,
        tools: Callable[[], Mapping[str, Tool]],
        now: Now = local_now,
    ) -> None:
        self._words = words
        self._chooser = chooser
        self._tools = tools
        self._now = now
        self._reads: dict[str, Callable[[Any, Arguments], str]] = {
            "recall": self._recalled,
            "read_file": self._read,
            "list_files": self._files,
            "list_timers": self._timers,
        }

    def find(self, messages: Sequence[LLMContextMessage]) -> Reflex | None:
        """The sentence for the last message.

        Args:
            messages: The history.
        """
        called = _called(messages)
        if called is None:
            return None
        name, arguments, result = called
        sentence = self._sentence(name, arguments, result)

        async def answer() -> str:
            return sentence

        return Reflex(TOLD, False, answer) if sentence else None

    def _sentence(self, name: str, arguments: Arguments, result: Any) -> str:
        tool = self._tools().get(name)
        if is_error(result):
            if name in EVER:
                # Nobody has asked for it.
                return ""
            return why_not(self._words, tool, str(result["error"])) if self._chooser.small else ""
        if name == HANG_UP:
            return self._words.say("goodbye")
        if tool and tool.beside:
            return self._words.say("okay") if result == BEGUN else ""
        if tool and tool.acts:
            return self._acted(name, arguments, result)
        read = self._reads.get(name) if self._chooser.small else None
        return read(result, arguments)[:MAX_CHARS] if read else ""

    def _acted(self, name: str, arguments: Arguments, result: Any) -> str:
        left_secs = result.get("seconds_left") if isinstance(result, dict) else None
        if name == ALARM and isinstance(left_secs, (int, float)):
            now = self._now()
            # A whole minute: what is left was told in whole seconds.
            due = (now + timedelta(seconds=left_secs + 30)).replace(second=0, microsecond=0)
            return self._words.alarm_set(due, now, str(arguments.get("label") or ""))
        secs = arguments.get("seconds")
        if name != "set_timer" or not isinstance(secs, (int, float)):
            return self._words.say("done")
        label = str(arguments.get("label") or "")
        answer = "set_label" if label else "set_timer"
        return self._words.say(answer, duration=self._words.duration(secs), label=label)

    def _recalled(self, result: Any, arguments: Arguments) -> str:
        words = self._words.memory
        found = _items(result, "from_memory")
        facts = [str(one["text"]) for one in found if one.get("who") == ASKED_TO_REMEMBER]
        texts = facts or [str(one["text"]) for one in found]
        asked = words.asked_of(str(arguments.get("about", "")).strip())
        if asked is None:
            return ""
        texts = [text for text in texts if not asked or words.tells_of(asked, text)]
        # Nothing of it may be about what was asked: then the model answers as well as it can.
        return self._words.say("recalled", text=". ".join(texts[:MAX_RECALLED])) if texts else ""

    def _read(self, result: Any, _: Arguments) -> str:
        if not isinstance(result, dict) or not str(result.get("text", "")).strip():
            return self._words.say("nothing")
        return self._words.say("says", name=result.get("file", ""), text=result["text"])

    def _files(self, result: Any, _: Arguments) -> str:
        names = [str(one["name"]) for one in _items(result, "files")]
        return self._words.say("there_are", names=", ".join(names)) if names else self._words.say("nothing")

    def _timers(self, result: Any, _: Arguments) -> str:
        if not isinstance(result, list) or not result:
            return self._words.say("nothing")
        told: list[str] = []
        for one in result:
            secs = one.get("seconds_left") if isinstance(one, dict) else None
            if not isinstance(secs, (int, float)):
                # Another's tool of that name.
                return ""
            duration = self._words.duration(secs)
            answer = "left_label" if one.get("label") else "left"
            told.append(self._words.say(answer, duration=duration, label=one.get("label", "")))
        return " ".join(told)


def _called(messages: Sequence[LLMContextMessage]) -> tuple[str, Arguments, Any] | None:
    """The chosen call that the last message answers: its tool, arguments and result; None where it answers another."""
    last: Any = messages[-1] if messages else None
    if not isinstance(last, dict) or not is_chosen(call_id := last.get("tool_call_id")):
        return None
    for message in reversed(messages):
        calls: Any = message.get("tool_calls") if isinstance(message, dict) else None
        for call in calls or []:
            if call["id"] == call_id:
                function = call["function"]
                return function["name"], _json(function["arguments"]) or {}, _json(last.get("content"))
    return None


def _json(text: Any) -> Any:
    try:
        return json.loads(text)
    except (TypeError, ValueError, RecursionError):
        return text


def _items(result: Any, name: str) -> list[Mapping[str, Any]]:
    found = result.get(name) if isinstance(result, dict) else None
    return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []
