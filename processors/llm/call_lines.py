"""Which calls that nothing but a tool's name tells are meant: those that have a line, or the end of one, to themselves.

In:  what is spoken of a reply, and the calls between, in order.   Out: CallTexts without those in a sentence.

"Shall I run set_timer(60)?" and "cancel_timer() cancels it." speak of calls; "In a moment: set_timer(60)" makes one.
"""

import re

from processors.llm.call_texts import CallTexts

_TAIL_CHARS = 32
# Byte-order marks and joints are blanks, too.
_BLANKS = re.compile(r"[\s\ufeff\u200b\u200c\u200d\u2060]+")
_SENTENCE_ENDS = tuple(".:!。：！")
# A full stop that ends no sentence: an abbreviation's, or that of a number in a list.
_ABBREVIATED = re.compile(r"(?:\b(?:[a-z]\.[a-z]|p\. ?ej|ex|cf|vs|bzw|ca)|^\d{1,3})\.\Z", re.IGNORECASE)
# May stand behind a call, or between two in one line.
_BEHIND = " \t\r.,;"


class CallLines:
    """The line that a reply has come to.

    Args:
        texts: Where the calls go.
    """

    def __init__(self, texts: CallTexts) -> None:
        self._texts = texts
        # What is spoken of the line, or the end of it.
        self._spoken: list[str] = []
        # Of this line, as CallTexts numbers them: words behind them would make them part of a sentence.
        self._doubtful: list[int] = []

    def take(self, text: str) -> None:
        """A call comes next, which begins so, or is whole."""
        if not self._doubtful and not self._stands():
            self._texts.drop()
        elif (number := self._texts.begin(text)) is not None:
            self._doubtful.append(number)

    def pass_on(self, text: str) -> None:
        """What is spoken comes next."""
        if self._doubtful:
            self._pass_behind(text)
        if "\n" in text:
            self._spoken.clear()
            text = text.rpartition("\n")[2]
        self._spoken.append(text)

    def _pass_behind(self, text: str) -> None:
        first, ended, _ = text.partition("\n")
        spoken_on = bool(first.strip(_BEHIND))
        for number in self._doubtful if spoken_on else ():
            self._texts.withdraw(number)
        if spoken_on or ended:
            self._doubtful.clear()

    def _stands(self) -> bool:
        """Whether a line or a sentence begins here."""
        tail = _BLANKS.sub(" ", "".join(self._spoken))[-_TAIL_CHARS:]
        self._spoken[:] = [tail]
        tail = tail.strip()
        if not tail:
            return True
        return tail.endswith(_SENTENCE_ENDS) and not _ABBREVIATED.search(tail)
