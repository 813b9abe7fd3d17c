"""What of a conversation's acts can be taken back: each once, by a mark that no other conversation knows of."""

import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from agent.tools.tool import Tool

# The newest ones; what is older stays as it is.
MAX_UNDOS = 64

Act = Callable[[], Awaitable[object]]


@dataclass(frozen=True)
class Undo:
    """What takes a call back.

    Attributes:
        mark: Names it; chance makes it.
        call_id: Of the call.
        tool: That was called.
        act: Takes it back.
    """

    mark: str
    call_id: str
    tool: Tool
    act: Act


class Undos:
    """Of one conversation.

    Attributes:
        is_lasting: Whether what was done last cannot be taken back: nor is what came before it, unless by its mark.
    """

    def __init__(self) -> None:
        self._open: dict[str, Undo] = {}
        self.is_lasting = False

    def add(self, call_id: str, tool: Tool, act: Act) -> str:
        """Keep what takes a call back; returns its mark."""
        undo = Undo(secrets.token_hex(8), call_id, tool, act)
        self.is_lasting = False
        self._open[undo.mark] = undo
        while len(self._open) > MAX_UNDOS:
            del self._open[next(iter(self._open))]
        return undo.mark

    def take(self, mark: str) -> Undo | None:
        """The undo of that mark, which nobody gets again; None where there is none."""
        return self._open.pop(mark, None)

    def take_newest(self) -> Undo | None:
        """The undo of what was done last, which nobody gets again; None where there is none, or that is lasting."""
        return self._open.pop(next(reversed(self._open))) if self._open and not self.is_lasting else None
