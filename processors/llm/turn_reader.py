"""Whose turn it is in a reply, and in which channel: the headers that chat templates write in front of a message.

In:  what a ReplyCursor holds, at a header.   Out: the state that the message behind it is read in.
"""

import re
from collections.abc import Set

from processors.llm.answer_reader import AnswerReader
from processors.llm.marks import ANY_CLOSING, OWN_SPEAKERS, SPEAKERS, Closes

QUOTES = "`\"'“”‘’„«»「」『』"
BEFORE_MENTION = " \t(" + QUOTES
AFTER_MENTION = " \t.,;:!?)" + QUOTES
_SPEAKER = re.compile(r"\s{0,16}([A-Za-z]{0,16})")
_THOUGHT_CLOSES = Closes(frozenset(("<|end|>", "<|return|>", "<|call|>", "<|start|>", "<|channel|>")))
# The channel of a call may stand in its header, behind the name of the tool.
_CALL_CLOSES = Closes(frozenset(("<|end|>", "<|return|>", "<|call|>", "<|start|>")))
_HEADER = re.compile(r"\s*(\w*)([^<]*(?:<\|(?:constrain|channel)\|>[^<]*){0,3})<\|message\|>")
_NAME = re.compile(r"\s*(analysis|commentary|final)?( to=[\w.]+)?", re.IGNORECASE)
_CHANNELS = ("analysis", "commentary", "final")
_TO_TOOL = " to="
_HEADER_CHARS = 160


class TurnReader(AnswerReader):
    """Reads headers: `<|im_start|>assistant`, and harmony's `<|start|>assistant<|channel|>final<|message|>`.

    Args:
        tools: The tools that were offered.
    """

    def __init__(self, tools: Set[str]) -> None:
        super().__init__(tools)
        self._closes = ANY_CLOSING
        self._harmony = False
        self._turn_over = False

    def _thought(self) -> bool:
        raise NotImplementedError

    def _call(self) -> bool:
        raise NotImplementedError

    @property
    def _glued(self) -> bool:
        """Whether the text goes on without a blank, a quote or a bracket, so that a mark here is no mention."""
        ideograph = self._before > "\u2e80" and self._before.isalpha()
        return self._before not in BEFORE_MENTION and not ideograph

    def _others_begin(self) -> bool:
        """Whether what stands behind the mark of another speaker is theirs."""
        return self._visible and (self._line_start or self._turn_over or self._glued)

    def _read_speaker(self, end: int) -> bool:
        """Read the name behind `<|im_start|>` and its like."""
        cursor = self._cursor
        found = _SPEAKER.match(cursor.text, end)
        if found is None or (found.end() == len(cursor.text) and not cursor.final):
            return False
        rest = cursor.text[found.end() : found.end() + len(_TO_TOOL)]
        if not cursor.final and rest != _TO_TOOL and _TO_TOOL.startswith(rest):
            return False
        speaker = found[1].lower()
        cursor.at = found.end() if speaker in SPEAKERS else end
        if speaker in SPEAKERS and rest == _TO_TOOL:
            self._closes, self._state = _CALL_CLOSES, self._call
            self._take_call(rest)
            return True
        foreign = speaker in SPEAKERS and speaker not in OWN_SPEAKERS
        own_line = cursor.text[found.end() : found.end() + 1] == "\n"
        if foreign and self._visible and (self._line_start or self._turn_over or (self._glued and own_line)):
            self._state = self._over
        self._turn_over = True
        return True

    def _read_channel(self, end: int) -> bool:
        """Read `<|channel|>analysis<|message|>` and its like; the name counts even where its end is lost."""
        cursor = self._cursor
        if not cursor.final and len(cursor.text) - end < _HEADER_CHARS and "<|message|>" not in cursor.text[end:]:
            return False
        header = _HEADER.match(cursor.text[: end + _HEADER_CHARS], end)
        if self._visible and not (self._harmony or self._turn_over) and not _heads(header):
            cursor.at = end
            return True
        self._harmony = True
        found = header or _NAME.match(cursor.text, end)
        cursor.at = found.end() if found else end
        name, to_tool = (found[1] or "", found[2] or "") if found else ("", "")
        if "to=" in to_tool:
            self._closes, self._state = _CALL_CLOSES, self._call
            self._take_call(to_tool)
        elif name.lower() not in ("final", "commentary"):
            self._closes, self._state = _THOUGHT_CLOSES, self._thought
        elif self._visible and not self._before.isspace():
            self._pass_on("\n")
        return True

    def _over(self) -> bool:
        """The model goes on with what others might say: nothing of it counts."""
        self._cursor.take_all()
        return True


def _heads(header: re.Match[str] | None) -> bool:
    """Whether a header behind words is one, and no sentence about it."""
    return header is not None and (header[1].lower() in _CHANNELS or _TO_TOOL in f" {header[2]}")
