"""Reads the answer that stands in a reply: lines, code, and tool calls that no mark tells.

In:  what a ReplyCursor holds.   Out: text for the listener or reader, in `_out`.

Every state is a method that reads on and says whether it did; False waits for more text. What it does depends on the
text only and never on where the pieces were cut.
"""

import re
from collections.abc import Callable, Set
from typing import Literal, get_args

from processors.llm import marks
from processors.llm.call_lines import CallLines
from processors.llm.call_texts import CallTexts
from processors.llm.marks import kind_of, may_become_mark
from processors.llm.named_calls import NamedCall, NamedCalls
from processors.llm.reply_cursor import ReplyCursor
from processors.llm.written_calls import CallGuess, may_begin_call, opens_call

LOOK_AHEAD_CHARS = 200
# Byte-order marks and joints may stand before the first character that is seen.
_UNSEEN = " \t\ufeff\u200b\u200c\u200d\u2060"

_FENCE = re.compile(r"(`{3,}|~{3,})([^\n`]*)")
_SPECIALS = "<[{◁`\n"
_SPECIAL = re.compile(rf"[{re.escape(_SPECIALS)}]")
_TICKS = re.compile("`*")
_CODE_STOP = re.compile(r"[\n<]")
_CALL_FENCES = frozenset(("tool_code", "tool_call", "tool_calls", "tool_use", "function_call", "function_calls"))
_DATA_FENCES = frozenset(("", "json", "xml", "tool", "python", "javascript"))
_MAX_INFO_CHARS = 80
# What a call may begin with.
_Guess = Literal["brace", "list", "named", "fence"]
# Before a list of calls, as Phi-4 writes it.
_LIST_HEAD = "functools["
# Words that open a thought, and words that open its answer; behind the last, a call in brackets.
_OPENINGS = (
    *marks.PHRASES,
    ("analysis", marks.BARE_HARMONY_CLOSES),
    ("assistantanalysis", marks.BARE_HARMONY_CLOSES),
    (_LIST_HEAD, ()),
    *((words, ()) for words in marks.BARE_CALLS),
)


class AnswerReader:
    """The states of an answer; marks in it are read by `_read_mark`.

    Args:
        tools: The tools that were offered.

    Attributes:
        called: Whether a tool call was taken out.
    """

    def __init__(self, tools: Set[str]) -> None:
        self.called = False
        self._tools = tools
        self._named = NamedCalls(tools)
        self._texts = CallTexts()
        self._lines = CallLines(self._texts)
        self._cursor = ReplyCursor()
        self._out: list[str] = []
        self._state: Callable[[], bool] = self._read
        self._phrases: tuple[str, ...] = ()
        self._guess = CallGuess()
        self._guessed: _Guess = "brace"
        self._held = ""
        # Over so many characters no such guess is made again: each is read once for each kind.
        self._n_no_guess: dict[_Guess, int] = dict.fromkeys(get_args(_Guess), 0)
        self._fence = ""
        self._n_ticks = 0
        self._visible = False
        self._line_start = True
        self._before = ""
        self._reads_openings = True

    def _read_mark(self) -> bool:
        raise NotImplementedError

    def _worded_thought(self) -> bool:
        raise NotImplementedError

    def _read(self) -> bool:
        cursor = self._cursor
        if self._line_start and not self._n_ticks and (begun := self._begin_line()) is not None:
            return begun
        if not self._n_ticks and (begun := self._begin_named()) is not None:
            return begun
        if cursor.here not in _SPECIALS:
            # What stands here has been looked at; a name may begin behind it.
            self._pass_on(cursor.take(1) + cursor.take_until(self._named.starts or _SPECIAL))
            return True
        if cursor.here == "\n":
            if self._before == "\n":
                self._n_ticks = 0
            self._pass_on(cursor.take(1))
            return True
        if cursor.here == "`":
            begun = self._begin_fence(0) if self._visible and not self._n_ticks else None
            return self._read_ticks() if begun is None else begun
        if cursor.here in "{[" and (begun := self._begin_data()) is not None:
            return begun
        if cursor.here == "{":
            self._pass_on(cursor.take(1))
            return True
        return self._read_mark()

    def _begin_data(self) -> bool | None:
        """A call in JSON, or a list of calls, may stand behind words, too; None for none, False to wait."""
        cursor = self._cursor
        kind: _Guess = "brace" if cursor.here == "{" else "list"
        if self._n_ticks or not self._guesses(kind):
            return None
        rest = cursor.rest(LOOK_AHEAD_CHARS)
        begins = opens_call(rest, self._tools)
        if begins is not True and kind == "list" and self._tools:
            inside = len(rest) - len(rest[1:].lstrip())
            final = cursor.final or len(rest) == LOOK_AHEAD_CHARS
            called = self._named.at(rest, inside, final=final) if inside < len(rest) else None
            begins = None if called is None else isinstance(called, NamedCall) or begins
        if begins is None:
            return None if cursor.final or len(rest) == LOOK_AHEAD_CHARS else False
        if begins:
            self._start_guess(kind)
        return True if begins else None

    def _begin_named(self) -> bool | None:
        """A call that the name of an offered tool tells; None for none, False to wait."""
        cursor = self._cursor
        if not self._tools or self._before.isalnum() or self._before == "_":
            return None
        begun = cursor.rest(len(_LIST_HEAD))
        if _LIST_HEAD.startswith(begun) and self._guesses("list"):
            if begun == _LIST_HEAD:
                self._start_guess("list", cursor.take(len(_LIST_HEAD) - 1))
                return True
            if not cursor.final:
                return False
        call = self._named.at(cursor.text, cursor.at, final=cursor.final)
        if not isinstance(call, NamedCall):
            return False if call is None else None
        if call.is_word and self._before == ".":
            # What a thing can do, as in `image.save(...)`.
            return None
        if call.to_end:
            self._take_call("", by_name="to=" not in call.head)
            self._state = self._called_to_end
        elif self._guesses("named"):
            cursor.take(len(call.head))
            self._start_guess("named", head=call.head, name=call.name)
        else:
            return None
        return True

    def _called_to_end(self) -> bool:
        """A call without an end: what the model makes up as the tool's answer counts as little."""
        self._texts.add(self._cursor.take_all())
        return True

    def _take_call(self, text: str, *, by_name: bool = False) -> None:
        """Take out a call, which begins so; one that only a tool's name tells is made only where it stands alone."""
        self.called = True
        if by_name:
            self._lines.take(text)
        else:
            self._texts.begin(text)

    def _pass_on(self, text: str) -> None:
        if not text:
            return
        self._out.append(text)
        self._lines.pass_on(text)
        self._before = text[-1]
        for kind, n_chars in self._n_no_guess.items():
            self._n_no_guess[kind] = max(0, n_chars - len(text))
        if text.strip().strip(_UNSEEN):
            self._visible, self._line_start = True, False
        if text == "\n":
            self._line_start = True

    def _read_ticks(self) -> bool:
        cursor = self._cursor
        end = _TICKS.match(cursor.text, cursor.at).end()  # pyright: ignore[reportOptionalMemberAccess]
        if end == len(cursor.text) and not cursor.final:
            return False
        n_ticks = end - cursor.at
        self._n_ticks = n_ticks if not self._n_ticks else 0 if self._n_ticks == n_ticks else self._n_ticks
        self._pass_on(self._cursor.take(n_ticks))
        return True

    def _begin_line(self) -> bool | None:
        """Look for what only the beginning of a line can tell; None if it is an ordinary one, False to wait."""
        cursor = self._cursor
        rest = cursor.rest(LOOK_AHEAD_CHARS)
        line = rest.lstrip(_UNSEEN)
        if not line:
            return None if cursor.final or len(rest) == LOOK_AHEAD_CHARS else False
        if line[0] in "`~":
            return self._begin_fence(len(rest) - len(line))
        kind: _Guess = "brace" if line[0] == "{" else "list"
        if line[0] in "{[" and self._guesses(kind):
            begins = may_begin_call(line)
            if begins is None and not cursor.final:
                return False
            if begins:
                self._start_guess(kind)
                return True
        return self._begin_words(line) if self._reads_openings and not self._visible else None

    def _begin_words(self, line: str) -> bool | None:
        """Thoughts and calls that are told by the words that open the reply."""
        for words, closes in _OPENINGS:
            begun = line[: len(words)]
            if begun != words[: len(begun)]:
                continue
            whole = begun == words and (words != "analysis" or marks.BARE_HARMONY.match(line) is not None)
            if not whole and len(line) <= len(words) and not self._cursor.final:
                return False
            if not whole:
                continue
            self._cursor.take(self._cursor.text.index(words, self._cursor.at) - self._cursor.at)
            if words == _LIST_HEAD:
                self._start_guess("list", self._cursor.take(len(_LIST_HEAD) - 1))
            elif words in marks.BARE_CALLS:
                self._take_call(words)
                self._state = self._called_to_end
            else:
                self._phrases, self._state = closes, self._worded_thought
            return True
        return None

    def _guesses(self, kind: "_Guess") -> bool:
        return not self._n_no_guess[kind] and (not self._visible or bool(self._tools))

    def _start_guess(self, kind: "_Guess", held: str = "", *, head: str = "", name: str = "") -> None:
        self._guessed, self._held = kind, held
        self._guess = CallGuess(self._tools, any_name=not self._visible, name=name, head=head)
        self._state = self._guessing

    def _guessing(self) -> bool:
        cursor = self._cursor
        left = self._guess.feed(cursor.rest())
        cursor.at = len(cursor.text) - len(left)
        if self._guess.is_call is not None:
            self._end_guess(is_call=self._guess.is_call)
        return True

    def _end_guess(self, *, is_call: bool) -> None:
        self._state = self._read
        if is_call:
            self._take_call(self._guess.text, by_name=self._guess.by_name and not self._fence)
            self._state = self._fenced_call if self._fence else self._read
            return
        self._n_no_guess[self._guessed] = len(self._held) + len(self._guess.text)
        self._cursor.text = self._held + self._guess.text + self._cursor.rest()
        self._cursor.at = 0
        self._fence = ""

    def _begin_fence(self, indent: int) -> bool | None:
        cursor = self._cursor
        found = _FENCE.match(cursor.text, cursor.at + indent)
        if found is None:
            run = cursor.rest(indent + 3)[indent:]
            return False if run in ("`", "``", "~", "~~") and not cursor.final else None
        end = found.end()
        if len(found[2]) > _MAX_INFO_CHARS or cursor.text[end : end + 1] == "`":
            return None
        if end == len(cursor.text) and not cursor.final:
            return False
        fence, info = found[1], found[2].strip().lower()
        if info in _CALL_FENCES:
            return self._enter_fence(fence, self._fenced_call, end + 1, shown=False)
        if marks.is_thought_name(info) and not self._visible:
            return self._enter_fence(fence, self._fenced_call, end + 1, shown=False, calls=False)
        if info in _DATA_FENCES and self._guesses("fence"):
            inside = self._first_in_fence(end + 1)
            if inside is None:
                return False
            if inside == "mark":
                return self._enter_fence(fence, self._fenced_call, end + 1, shown=False)
            if inside == "json":
                self._fence = fence
                self._start_guess("fence", cursor.take(end + 1 - cursor.at))
                return True
        return self._enter_fence(fence, self._code, end + 1, shown=True)

    def _first_in_fence(self, at: int) -> str | None:
        """What a fence that may hold a call begins with: `json`, `mark`, or ""; None if more text is needed."""
        cursor = self._cursor
        first = cursor.next_after(at)
        if first is None or not first:
            return first
        inside = cursor.text[at : at + LOOK_AHEAD_CHARS].lstrip()
        if first in "{[":
            begins = may_begin_call(inside)
            return None if begins is None and not cursor.final else "json" if begins else ""
        mark = marks.MARK.match(inside)
        if mark:
            return "mark" if kind_of(mark[0]) == "call" else ""
        return None if first == "<" and may_become_mark(inside) and not cursor.final else ""

    def _enter_fence(self, fence: str, state: Callable[[], bool], end: int, *, shown: bool, calls: bool = True) -> bool:
        line = self._cursor.take(end - self._cursor.at)
        if shown:
            self._pass_on(line)
        elif calls:
            self._take_call("")
        else:
            self._texts.end()
        self._fence, self._state, self._line_start = fence, state, True
        return True

    def _code(self) -> bool:
        line = self._code_line()
        if line:
            self._pass_on(line)
        return bool(line) or self._state != self._code

    def _fenced_call(self) -> bool:
        line = self._code_line(keep_marks=True)
        if self._state == self._fenced_call:
            self._texts.add(line)
        return bool(line) or self._state != self._fenced_call

    def _code_line(self, *, keep_marks: bool = False) -> str:
        """The next piece of a fenced block; "" to wait. The fence that closes it ends the state."""
        cursor = self._cursor
        if self._line_start:
            line = cursor.rest(LOOK_AHEAD_CHARS).split("\n", 1)[0]
            bare = line.strip(" \t\r")
            closes = bool(bare) and set(bare) == {self._fence[0]}
            whole = "\n" in cursor.rest(LOOK_AHEAD_CHARS) or cursor.final
            if not whole and (closes or not bare) and len(line) < LOOK_AHEAD_CHARS:
                return ""
            if closes and len(bare) >= len(self._fence):
                self._state, self._fence, self._line_start = self._read, "", False
                return cursor.take(len(line))
        self._line_start = False
        if not keep_marks and cursor.here == "<":
            return self._code_mark()
        piece = cursor.take_until(_CODE_STOP)
        if piece:
            return piece
        if cursor.here == "\n":
            self._line_start = True
        return cursor.take(1)

    def _code_mark(self) -> str:
        """A mark in code is code, except for a control mark that is the last thing of the reply."""
        cursor = self._cursor
        found = cursor.match(marks.MARK)
        if found is None:
            waits = not cursor.final and may_become_mark(cursor.rest(LOOK_AHEAD_CHARS))
            return "" if waits else cursor.take(1)
        if kind_of(found[0]) == "control" and (follows := cursor.next_after(found.end())) in (None, ""):
            if follows is None:
                return ""
            if cursor.final and not cursor.text[found.end() :].strip():
                cursor.take_all()
                return ""
        return cursor.take(len(found[0]))
