"""What the user is asked before it is done: one thing at a time, done on a yes, dropped with the turn after.

In:  calls of tools that ask, and the conversation's events.
Out: the request that is open, and the question that is due.

A yes counts only once the question was heard, or written: what is said before that is no answer to it, and drops it.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from agent.tools.tool import Arguments, Tool

WAITING: Mapping[str, str] = {
    "waiting": "nothing was done yet: the user is being asked whether it may be done, and it is done on a yes"
}
BUSY: Mapping[str, str] = {"error": "the user is being asked about something else; call this again afterwards"}
# Of the question's arguments, where the language has no words for the tool.
MAX_QUESTION_CHARS = 120
# So much of a question must have been heard; people answer into its last word.
HEARD_SHARE = 0.8
# Of calls that may still come.
MAX_DOUBTED = 32

Event = Mapping[str, Any]


@dataclass
class Request:
    """A call that waits for a yes.

    Attributes:
        call_id: Of the call.
        tool: What is asked for.
        arguments: Checked.
        question: What is said; empty while it has yet to be made.
        is_heard: Whether it has been heard, or written.
        n_turns: How many turns have begun since it was heard.
    """

    call_id: str
    tool: Tool
    arguments: Arguments
    question: str = ""
    is_heard: bool = False
    n_turns: int = 0

    @property
    def values(self) -> Mapping[str, Any]:
        """The arguments by their names."""
        return self.arguments.model_dump()

    @property
    def shown(self) -> str:
        """The arguments in one line, for those who have no better words."""
        text = ", ".join(
            f"{name} {value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)}"
            for name, value in self.values.items()
            if value not in ("", None)
        )
        return text if len(text) <= MAX_QUESTION_CHARS else f"{text[:MAX_QUESTION_CHARS]}…"


class Consent:
    """Of one conversation.

    Attributes:
        open: What the user has been asked, or is about to be; None without any.
    """

    def __init__(self) -> None:
        self.open: Request | None = None
        # Calls that nobody is certain of.
        self._doubted: dict[str, None] = {}
        # Of the reply that is being written: its number, and its text so far.
        self._reply: tuple[int, str] = (-1, "")

    def ask(self, call_id: str, tool: Tool, arguments: Arguments) -> Mapping[str, str]:
        """Ask before this is done; the same call again changes nothing, another one of this turn must wait.

        Args:
            call_id: Of the call.
            tool: What is asked for.
            arguments: Checked.

        Returns:
            What the language model is told.
        """
        if self.open and self.open.n_turns == 0:
            same = (self.open.tool.name, self.open.arguments) == (tool.name, arguments)
            return WAITING if same else BUSY
        self.open = Request(call_id, tool, arguments)
        return WAITING

    def doubt(self, call_id: str) -> None:
        """Ask before this call is done, whatever its tool may do by itself.

        Args:
            call_id: Of a call to come.
        """
        self._doubted[call_id] = None
        while len(self._doubted) > MAX_DOUBTED:
            del self._doubted[next(iter(self._doubted))]

    def doubts(self, call_id: str) -> bool:
        """Whether this call is asked about first, whatever its tool may do by itself."""
        return call_id in self._doubted

    def question_due(self) -> Request | None:
        """The request whose question has yet to be made."""
        return self.open if self.open and not self.open.question else None

    def awaits_answer(self) -> bool:
        """Whether the turn that is under way may be a yes or a no."""
        return self.open is not None and self.open.is_heard

    def follow(self, event: Event) -> Request | None:
        """See what becomes of the question.

        Args:
            event: Any of the conversation's.

        Returns:
            The request that is dropped: something was said before its question was heard.
        """
        request = self.open
        if request is None:
            return None
        match event["event"]:
            case "bot_written":
                number, text = self._reply
                number, text = event["reply"], (text if number == event["reply"] else "") + event["text"]
                self._reply = number, text
            case "bot_word" if "written" in event and request.question:
                self._hear(request, event["reply"], event["written"][1])
            case "reply_text":
                request.is_heard |= bool(request.question)
            case "turn_started" if not request.is_heard:
                return self.take()
        return None

    def _hear(self, request: Request, number: int, end: int) -> None:
        at = self._reply[1].find(request.question) if self._reply[0] == number else -1
        request.is_heard |= at >= 0 and end >= at + HEARD_SHARE * len(request.question)

    def take(self) -> Request | None:
        """The request, which is settled with this."""
        request, self.open = self.open, None
        return request

    def turn_begins(self) -> Request | None:
        """A turn begins: the first one may answer.

        Returns:
            The request that has not been answered by then; it is dropped.
        """
        if self.open is None:
            return None
        self.open.n_turns += 1
        return self.take() if self.open.n_turns > 1 else None
