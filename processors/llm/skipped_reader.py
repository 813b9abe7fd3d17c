"""Reads over what is left out of a reply: thoughts, one within another, and tool calls, up to what closes them.

In:  what a ReplyCursor holds, behind an opening mark.   Out: nothing, but what may prove to be no thought is kept.
"""

import re
from collections.abc import Set

from processors.llm.answer_reader import LOOK_AHEAD_CHARS
from processors.llm.marks import MARK, is_special, kind_of, may_become_mark, opened
from processors.llm.turn_reader import AFTER_MENTION, BEFORE_MENTION, QUOTES, TurnReader

_MAX_NESTED = 8
_MARK_START = re.compile(r"[<\[◁]")
# They end what came before them, and say what follows.
_BEGINS_TURN = ("<|start|>", "<|channel|>", "<|im_start|>")


class SkippedReader(TurnReader):
    """The states of what is left out.

    Args:
        tools: The tools that were offered.

    Attributes:
        closed_unopened: Whether a closing mark came whose opening mark was never seen.
    """

    def __init__(self, tools: Set[str]) -> None:
        super().__init__(tools)
        self.closed_unopened = False
        self._thought_before = False
        # What is the answer if no closing mark comes any more.
        self._unproven: list[str] = []
        self._opener = ""
        self._inner: list[str] = []
        self._holds = False
        self._drops = False
        self._skipped_before = " "
        self._skipped_text = False

    def _thought(self) -> bool:
        closed = self._skip()
        if closed:
            self._thought_before = True
            self._state = self._read
        return closed is not None

    def _call(self) -> bool:
        closed = self._skip()
        if closed:
            self._state = self._read
        return closed is not None

    def _inside(self) -> bool:
        """A thought that is only assumed, until a closing mark proves it or an opening one begins another."""
        cursor = self._cursor
        if not self._skipped_text and cursor.here.isspace():
            self._skip_over(cursor.take(1))
            return True
        if not self._skipped_text and cursor.here in "<[◁":
            found = cursor.match(MARK)
            if found is None and not cursor.final and may_become_mark(cursor.rest(LOOK_AHEAD_CHARS)):
                return False
            if found and kind_of(found[0]) in ("thought", "channel"):
                self._unproven.clear()
                self._state = self._read
                return True
        closed = self._skip()
        if closed:
            self._unproven.clear()
            self._state = self._read
            self.closed_unopened = self._thought_before = True
        return closed is not None

    def _skip(self) -> bool | None:
        """Read on in what is left out; True behind its closing mark, None to wait."""
        cursor = self._cursor
        self._skip_over(cursor.take_until(_MARK_START))
        if cursor.done:
            return False
        found = cursor.match(MARK)
        if found is None:
            if not cursor.final and may_become_mark(cursor.rest(LOOK_AHEAD_CHARS)):
                return None
            self._skip_over(cursor.take(1))
            return False
        mark, end = found[0], found.end()
        n_open = self._open_behind(mark)
        nests = n_open is None and self._may_nest(mark)
        if (nests or self._skipped_before in QUOTES) and not cursor.final and end == len(cursor.text):
            return None
        next_to = cursor.text[end : end + 1]
        quoted = self._skipped_before in QUOTES and bool(next_to) and next_to in QUOTES
        if n_open is None or quoted:
            if nests and not (self._skipped_before in BEFORE_MENTION and next_to in AFTER_MENTION):
                self._inner.append(mark)
                self._drops = self._holds
            begun = self._skipped_text
            self._skip_over(cursor.take(len(mark)))
            self._skipped_text = begun or kind_of(mark) != "thought"
            return False
        if mark.lower() not in _BEGINS_TURN:
            cursor.at = end
        self._unproven.clear()
        self._skipped_before, self._skipped_text = " ", n_open > 0
        self._drops, self._holds, self._inner = False, n_open > 0, self._inner[: max(0, n_open - 1)]
        if n_open == 0:
            self._opener = ""
            return True
        # It was the end of all if no other one comes.
        self._thought_before = True
        self.closed_unopened = self.closed_unopened or self._state == self._inside
        return False

    def _open_behind(self, mark: str) -> int | None:
        """How many thoughts are still open behind this mark; None if it closes none."""
        openers = [self._opener, *self._inner]
        for level in range(len(openers) - 1, -1, -1):
            if openers[level] and mark.lower() == f"{openers[level][0]}/{openers[level][1:]}".lower():
                return level
        for level in range(len(self._inner), 0, -1):
            closes = opened(self._inner[level - 1])
            if closes and closes.by(mark):
                return level
        return 0 if self._closes.by(mark) else None

    def _may_nest(self, mark: str) -> bool:
        """Whether a mark begins a thought within this one."""
        within = bool(self._opener) or self._state == self._inside
        within = within and self._skipped_text and len(self._inner) < _MAX_NESTED
        return within and not is_special(mark) and kind_of(mark) == "thought"

    def _skip_over(self, text: str) -> None:
        if text:
            self._skipped_before = text[-1]
            self._skipped_text = self._skipped_text or not text.isspace()
            if self._state == self._call:
                self._texts.add(text)
            if not self._drops and (self._holds or self._state not in (self._thought, self._call)):
                self._unproven.append(text)
