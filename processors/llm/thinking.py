"""Takes what is not meant for the listener out of a reply: thoughts, tool calls and control marks, token by token.

In:  text as the model streams it, marks possibly split anywhere.   Out: the text that is meant for the listener.

A thought is only what opens the reply, or a later one where the model's template allows it; a mark that is mentioned
in the answer, in prose or in code, is text. What has come out is never taken back. Which marks there are: see `marks`.
Some chat templates end the prompt with the opening mark, so that the reply starts in the middle of a thought: see
`starts_inside`.
"""

import re
from collections.abc import Set

from processors.llm.answer_reader import LOOK_AHEAD_CHARS, AnswerReader
from processors.llm.marks import (
    ANY_CLOSING,
    MARK,
    OWN_SPEAKERS,
    SPEAKERS,
    Closes,
    call_closes,
    kind_of,
    may_become_mark,
    opened,
)

_MARK_START = re.compile(r"[<\[◁]")
_QUOTES = "`\"'“”‘’"
_BEFORE_MENTION = " \t(" + _QUOTES
_AFTER_MENTION = " \t.,;:!?)" + _QUOTES
_SPEAKER = re.compile(r"\s{0,16}([A-Za-z]{0,16})")
_HARMONY_CLOSES = Closes(frozenset(("<|end|>", "<|return|>", "<|call|>", "<|start|>", "<|channel|>")))
_HARMONY_HEADER = re.compile(r"\s*(\w*)([^<]*)(?:<\|constrain\|>[^<]*)?<\|message\|>")
_HARMONY_NAME = re.compile(r"\s*(analysis|commentary|final)?")
_HEADER_CHARS = 120
# They end what came before them, and say what follows.
_BEGINS_TURN = ("<|start|>", "<|channel|>", "<|im_start|>")


class ThinkFilter(AnswerReader):
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
        self.closed_unopened = False
        self._again = again
        self._closes = ANY_CLOSING
        self._unproven: list[str] = []
        self._thought_before = thought_apart
        self._mentioned = False
        self._struck = False
        self._answer_wrapped = False
        self._harmony = False
        self._turn_over = False
        self._skipped_before = " "
        self._skipped_text = False
        if starts_inside:
            self._state = self._inside

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
        if self._state == self._guessing:
            self._end_guess(is_call=self._guess.looks_unfinished and not self._visible)
            spoken += self.feed("")
        if self._unproven:
            plain = ThinkFilter(again=self._again, tools=self._tools)
            plain._reads_openings = False
            held = "".join(self._unproven)
            self._unproven.clear()
            spoken += plain.feed(held) + plain.flush()
            self.called = plain.called
        return spoken

    # ---- marks in the answer ----

    def _read_mark(self) -> bool:
        cursor = self._cursor
        found = cursor.match(MARK)
        if found is None:
            if not cursor.final and may_become_mark(cursor.rest(LOOK_AHEAD_CHARS)):
                return False
            self._pass_on(cursor.take(1))
            return True
        mark, end = found[0], found.end()
        kind = kind_of(mark)
        if self._n_ticks:
            self._pass_on(cursor.take(len(mark)))
            return True
        after = cursor.next_after(end)
        if after is None and kind in ("call", "closing"):
            return False
        if kind == "turn" or kind == "channel":
            return self._read_header(mark, end)
        cursor.at = end
        if kind == "text" or not self._takes_out(kind, mark, after or "", cursor.text[end : end + 1]):
            self._mentioned = self._mentioned or kind == "thought"
            self._pass_on(mark)
        return True

    def _takes_out(self, kind: str, mark: str, after: str, next_to: str) -> bool:
        """Do what a mark says; False where it is only mentioned."""
        special = "|" in mark or "｜" in mark
        alone = not self._visible or self._line_start
        if kind == "thought":
            mention = bool(self._before) and self._before in _BEFORE_MENTION
            if self._visible and not (self._again and not mention) and not (special and self._line_start):
                return special
            self._closes, self._state = opened(mark) or ANY_CLOSING, self._thought
        elif kind == "closing":
            return special or self._is_closing(next_to)
        elif kind == "call":
            if not alone and not (after and after in "{[<"):
                return special
            self._closes, self._state, self.called = call_closes(mark), self._call, True
        elif kind == "answer":
            if mark[1] == "/" or mark.lower().startswith("[end"):
                return self._answer_wrapped
            self._answer_wrapped = self._answer_wrapped or (self._thought_before and not self._visible)
            return not self._visible and self._thought_before
        elif kind == "speaker":
            if self._visible and (self._line_start or self._turn_over):
                self._state = self._over
        elif mark.lower() in ("<s>", "</s>"):
            return self._strike(mark)
        else:
            self._turn_over = True
        return True

    def _is_closing(self, next_to: str) -> bool:
        """Whether a closing mark without an opening one is more than a mention."""
        if not self._visible:
            self.closed_unopened = self.closed_unopened or not self._thought_before
            return True
        if self._thought_before or self._mentioned:
            return False
        if self._before in _BEFORE_MENTION and (not next_to or next_to in _AFTER_MENTION):
            return False
        self.closed_unopened = self._thought_before = True
        return True

    def _strike(self, mark: str) -> bool:
        if mark.lower() == "<s>":
            self._struck = self._visible
            return not self._visible
        struck, self._struck = self._struck, False
        return not struck

    # ---- whose turn it is, and which channel ----

    def _read_header(self, mark: str, end: int) -> bool:
        cursor = self._cursor
        if kind_of(mark) == "channel":
            if self._visible and not (self._harmony or self._turn_over):
                cursor.at = end
                return True
            if not cursor.final and len(cursor.text) - end < _HEADER_CHARS and "<|message|>" not in cursor.text[end:]:
                return False
            self._enter_channel(end)
            return True
        found = _SPEAKER.match(cursor.text, end)
        if found is None or (found.end() == len(cursor.text) and not cursor.final):
            return False
        speaker = found[1].lower()
        cursor.at = found.end() if speaker in SPEAKERS else end
        foreign = speaker in SPEAKERS and speaker not in OWN_SPEAKERS
        # Glued to the text before and with a line of its own behind, it is no mention.
        glued = self._before not in _BEFORE_MENTION and cursor.text[found.end() : found.end() + 1] == "\n"
        if foreign and self._visible and (self._line_start or self._turn_over or glued):
            self._state = self._over
        self._turn_over = True
        return True

    def _enter_channel(self, end: int) -> None:
        """Read `<|channel|>analysis<|message|>` and its like; the name counts even where its end is lost."""
        cursor = self._cursor
        self._harmony = True
        header = _HARMONY_HEADER.match(cursor.text[: end + _HEADER_CHARS], end)
        found = header or _HARMONY_NAME.match(cursor.text, end)
        cursor.at = found.end() if found else end
        name = found[1] if found else ""
        if header and "to=" in header[2]:
            self._closes, self._state, self.called = _HARMONY_CLOSES, self._call, True
        elif name not in ("final", "commentary"):
            self._closes, self._state = _HARMONY_CLOSES, self._thought
        elif self._visible and not self._before.isspace():
            self._pass_on("\n")

    def _over(self) -> bool:
        """The model goes on with what others might say: nothing of it counts."""
        self._cursor.take_all()
        return True

    # ---- thoughts and calls ----

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
        if not self._closes.by(mark):
            self._skip_over(cursor.take(len(mark)))
            return False
        if self._skipped_before in _QUOTES and not cursor.final and end == len(cursor.text):
            return None
        if self._skipped_before in _QUOTES and cursor.text[end : end + 1] in (*_QUOTES,):
            self._skip_over(cursor.take(len(mark)))
            return False
        if mark.lower() not in _BEGINS_TURN:
            cursor.at = end
        self._skipped_before, self._skipped_text = " ", False
        return True

    def _skip_over(self, text: str) -> None:
        if text:
            self._skipped_before = text[-1]
            self._skipped_text = self._skipped_text or not text.isspace()
            if self._state != self._thought and self._state != self._call:
                self._unproven.append(text)
