"""Takes what is not meant for the listener out of a reply: thoughts, tool calls and control marks, token by token.

In:  text as the model streams it, marks possibly split anywhere.   Out: the text that is meant for the listener.

A thought is only what opens the reply, or a later one where the model's template allows it; a mark that is mentioned
in the answer, in prose or in code, is text. What has come out is never taken back. Which marks there are: see `marks`.
Some chat templates end the prompt with the opening mark, so that the reply starts in the middle of a thought: see
`starts_inside`.
"""

import re
from collections.abc import Set

from processors.llm.answer_reader import LOOK_AHEAD_CHARS
from processors.llm.marks import (
    ANY_CLOSING,
    MARK,
    call_closes,
    ends_text,
    is_bare_call,
    is_doubtful,
    is_result,
    is_special,
    kind_of,
    may_become_mark,
    may_open_content,
    opened,
    opens_content,
)
from processors.llm.skipped_reader import SkippedReader
from processors.llm.turn_reader import AFTER_MENTION, BEFORE_MENTION, QUOTES

# A thought never begins so, but a sentence about its mark does.
_IS_NAMED = re.compile(
    r"[ \t](?:is|are|was|and|or|opens?|closes?|marks?|means?|tags?|tokens?|starts?|begins?|stands?)\b|, "
)
_NAMED_CHARS = 9
_SENTENCE_ENDS = tuple(".!?…:;。！？")
_HALF_SPECIAL = re.compile(r"<[|｜][A-Za-z][^\s<>|｜]{0,64}[|｜]?")


class ThinkFilter(SkippedReader):
    """An incremental filter for one reply; each character is looked at a bounded number of times.

    Args:
        starts_inside: The reply begins inside a thought. Nothing comes out before the closing mark; if it never
            comes, `flush` returns everything, because then it was no thought.
        again: The model's template allows thoughts in the middle of a reply.
        tools: The tools that were offered; JSON in the middle of a reply that calls one of them is a tool call.
        thought_apart: A thought came before, outside of the text.

    Attributes:
        closed_unopened: Whether a closing mark came whose opening mark was never seen: the next reply of this
            model is best read with `starts_inside`.
    """

    def __init__(
        self,
        *,
        starts_inside: bool = False,
        again: bool = False,
        tools: Set[str] = frozenset(),
        thought_apart: bool = False,
    ) -> None:
        super().__init__(tools)
        self._again = again
        self._thought_before = thought_apart
        self._mentioned = False
        self._struck = False
        self._answer_wrapped = False
        if starts_inside:
            self._state = self._inside

    @property
    def call_texts(self) -> list[str]:
        """What was taken out as tool calls; whole once the reply has ended."""
        return self._texts.texts

    @property
    def thinking(self) -> bool:
        """Whether the text so far ends inside a thought."""
        return self._state in (self._inside, self._thought, self._worded_thought)

    def feed(self, text: str) -> str:
        """Take more of the reply and return what of it may be spoken; a possible half mark waits for its end."""
        self._cursor.add(text)
        while not self._cursor.done and self._state():
            pass
        spoken = "".join(self._out)
        self._out.clear()
        return spoken

    def flush(self) -> str:
        """End the reply and return what was held back; the rest of an unfinished thought is dropped."""
        self._cursor.final = True
        spoken = self.feed("")
        while self._state == self._guessing:
            # A list without an end may hold whole calls, and words behind them.
            doubtful = self._visible and self._guessed == "list" and not self._guess.is_long
            self._end_guess(is_call=self._guess.looks_unfinished and not doubtful)
            spoken += self.feed("")
        self._texts.end()
        if self._unproven:
            plain = ThinkFilter(again=self._again, tools=self._tools, thought_apart=self._thought_before)
            plain._reads_openings = False
            held = "".join(self._unproven)
            self._unproven.clear()
            spoken += plain.feed(held) + plain.flush()
            self.called = plain.called
            self._texts = plain._texts
        return spoken

    # ---- marks in the answer ----

    def _read_mark(self) -> bool:
        cursor = self._cursor
        found = cursor.match(MARK)
        if found is None:
            return self._read_half_mark()
        mark, end = found[0], found.end()
        kind = kind_of(mark)
        if self._n_ticks:
            self._pass_on(cursor.take(len(mark)))
            return True
        if kind != "text" and self._needs_more(kind, mark, end):
            return False
        if kind == "turn":
            return self._read_speaker(end)
        if kind == "channel":
            return self._read_channel(end)
        cursor.at = end
        if kind == "text" or not self._takes_out(kind, mark, cursor.next_after(end) or ""):
            self._mentioned = self._mentioned or kind == "thought"
            self._pass_on(mark)
        return True

    def _read_half_mark(self) -> bool:
        cursor = self._cursor
        if not cursor.final and may_become_mark(cursor.rest(LOOK_AHEAD_CHARS)):
            return False
        half = cursor.match(_HALF_SPECIAL) if cursor.final and not self._n_ticks else None
        if half and half.end() == len(cursor.text) and (self._glued or not self._visible):
            cursor.take_all()
        else:
            self._pass_on(cursor.take(1))
        return True

    def _needs_more(self, kind: str, mark: str, end: int) -> bool:
        """Whether what a mark means is told by text that has not come yet."""
        cursor = self._cursor
        if cursor.final or (is_special(mark) and kind not in ("call", "closing")):
            return False
        if cursor.next_after(end) is None and kind in ("call", "closing"):
            return True
        if kind == "call" and self._visible and may_open_content(cursor.text, end):
            return True
        behind = cursor.text[end : end + _NAMED_CHARS]
        return not behind or (not self._visible and behind[0] in " \t," and len(behind) < _NAMED_CHARS)

    def _takes_out(self, kind: str, mark: str, after: str) -> bool:
        """Do what a mark says; False where it is only mentioned."""
        special = is_special(mark)
        next_to = self._cursor.text[self._cursor.at : self._cursor.at + 1]
        if kind == "thought":
            return self._begins_thought(mark)
        if kind == "closing":
            return special or self._is_closing(next_to)
        if kind == "empty":
            return not self._visible
        if kind == "call":
            return self._begins_call(mark, after, self._cursor.at)
        if kind == "answer":
            if mark[1] == "/" or mark.lower().startswith("[end"):
                return self._answer_wrapped
            opens = not self._visible and (self._thought_before or next_to not in (" ", "\t", ""))
            self._answer_wrapped = self._answer_wrapped or opens
            return opens
        if not special and mark.lower() in ("<s>", "</s>"):
            return self._strike(mark)
        if not special and self._is_mention(next_to):
            return False
        if kind == "speaker" or ends_text(mark):
            self._state = self._over if self._others_begin() else self._state
        self._turn_over = self._turn_over or kind != "speaker"
        return True

    def _begins_thought(self, mark: str) -> bool:
        special = is_special(mark)
        if self._visible:
            mention = self._before in BEFORE_MENTION
            if not (self._again and not mention) and not (special and (self._line_start or self._glued)):
                return special
        elif not special and _IS_NAMED.match(self._cursor.text, self._cursor.at):
            return False
        doubtful = is_doubtful(mark)
        if doubtful and not self._reads_openings:
            return False
        self._closes, self._state = opened(mark) or ANY_CLOSING, self._thought
        self._opener = "" if special else mark
        self._holds = doubtful
        self._skipped_text = False
        if doubtful:
            self._unproven.append(mark)
        return True

    def _begins_call(self, mark: str, after: str, end: int) -> bool:
        special = is_special(mark)
        data = bool(after) and after in "{[<"
        alone = not self._visible or self._line_start
        begins = alone or self._before.isspace() or self._before in _SENTENCE_ENDS
        if is_bare_call(mark) and not (begins and data):
            return False
        told = data or (self._before not in QUOTES and opens_content(self._cursor.text, end, self._tools))
        if not (alone or told or self._before in _SENTENCE_ENDS or (special and self._glued)):
            return special
        self._closes, self._state = call_closes(mark), self._call
        self._take_call(mark)
        if is_result(mark):
            self._texts.end()
        return True

    def _is_mention(self, next_to: str) -> bool:
        """Whether a mark that is no special token is spoken of."""
        if not self._visible:
            return _IS_NAMED.match(self._cursor.text, self._cursor.at) is not None
        return self._before in BEFORE_MENTION and bool(next_to) and next_to in AFTER_MENTION

    def _is_closing(self, next_to: str) -> bool:
        """Whether a closing mark without an opening one is more than a mention."""
        if not self._visible:
            self.closed_unopened = self.closed_unopened or not self._thought_before
            return True
        if self._thought_before or self._mentioned:
            return False
        if self._before in BEFORE_MENTION and (not next_to or next_to in AFTER_MENTION):
            return False
        self.closed_unopened = self._thought_before = True
        return True

    def _strike(self, mark: str) -> bool:
        if mark.lower() == "<s>":
            self._struck = self._visible
            return not self._visible
        struck, self._struck = self._struck, False
        return not struck

    def _worded_thought(self) -> bool:
        """A thought without marks, until the words in which the answer begins."""
        cursor = self._cursor
        rest = cursor.rest()
        found = [(rest.find(words), words) for words in self._phrases if words in rest]
        if found:
            at, words = min(found)
            cursor.take(at + len(words))
            self._unproven.clear()
            self._state, self._thought_before, self._answer_wrapped = self._read, True, True
            return True
        kept = 0 if cursor.final else max(map(len, self._phrases)) - 1
        dropped = max(0, len(rest) - kept)
        self._skip_over(cursor.take(dropped))
        return False
