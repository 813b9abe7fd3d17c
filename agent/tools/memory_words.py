"""What a turn asks of the memory, for a model too small to know: a fact to be kept, or a question about one.

In:  `Remember that my cat is called Tom.`   Out: the fact `my cat is called Tom`, as it was said.
In:  `What's my cat called?`                 Out: {cat}, which `my cat is called Tom` tells of.

A table's `memory` tells how both are said. A question is answered from memory only by a text that has all of its words
which say something; the language model answers any other.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from agent.tools.written_words import WrittenWords

# How the memory tells of a fact who said it.
ASKED_TO_REMEMBER = "the user asked to remember this"
# Of a longer word an ending may differ: "birthdays", "Tages".
MIN_STEM_CHARS = 4
ENDING_CHARS = 2
# Any word that asks for a name: "called" and "name" are one.
NAMING = ""


class MemoryWords:
    """Of one language.

    Args:
        table: What it says under `memory`: `remember` are regular expressions of a whole turn, in which {fact} takes
            words; a question begins with one of `asks`; `naming` are words that ask for a name; a question that has
            one of `latest` and tells nothing else asks for what was remembered last; `bare` are words that tell
            nothing of what is asked about, beside those of `choice` that do not.
        choice: What it says under `choice`.
        plain: Makes words plain.
        written: Knows where a text ends.
    """

    def __init__(
        self,
        table: Mapping[str, Sequence[str]],
        choice: Mapping[str, Any],
        plain: Callable[[str], str],
        written: WrittenWords,
    ) -> None:
        self._plain = plain
        self._written = written
        self._facts = [written.whole_turn(pattern.replace("{fact}", "(?P<fact>.+)")) for pattern in table["remember"]]
        # Polite words are no part of what is compared.
        self._asks = [words for one in table["asks"] if (words := tuple(plain(one).split()))]
        self._latest, self._naming = ({plain(one) for one in table[name]} for name in ("latest", "naming"))
        said = [*table["bare"], *table["latest"], *table["asks"], *choice["fillers"], *choice["no_order"]]
        self._bare = {word for one in said for word in plain(one).split() or [one]} - self._naming

    def fact(self, text: str) -> str:
        """What is to be remembered, as it was said; empty where that is not certain.

        Args:
            text: One turn.
        """
        for pattern in self._facts:
            if found := pattern.fullmatch(" ".join(text.split())):
                return self._written.certain(found["fact"].strip(" ,:"), asked=bool(found["polite"]))
        return ""

    def asked_about(self, text: str) -> frozenset[str] | None:
        """The words that tell what a question is about; none where it asks for the latest; None: it is no such one.

        Args:
            text: One turn.
        """
        words = self._plain(text).split()
        if not any(asks == tuple(words[: len(asks)]) for asks in self._asks):
            return None
        telling = self._telling(words)
        if telling - {NAMING}:
            return frozenset(telling - {NAMING})
        return frozenset(telling) if telling or self._latest & set(words) else None

    def tells_of(self, asked: frozenset[str], text: str) -> bool:
        """Whether a text has all that was asked about, and is no question itself.

        Args:
            asked: What `asked_about` gave.
            text: What is remembered.
        """
        words = self._plain(text).split()
        if self.asked_about(text) is not None or text.rstrip().endswith("?"):
            return False
        told = {NAMING if word in self._naming else word for word in words}
        return all(any(_same(word, one) for one in told) for word in asked)

    def _telling(self, words: Sequence[str]) -> set[str]:
        told = {word for word in words if len(word) > 1 or word.isdigit()}
        return {NAMING if word in self._naming else word for word in told - self._bare}


def _same(one: str, other: str) -> bool:
    if one == other or NAMING in (one, other):
        return one == other
    n_chars = max(MIN_STEM_CHARS, min(len(one), len(other)) - ENDING_CHARS)
    return min(len(one), len(other)) >= n_chars and one[:n_chars] == other[:n_chars] and abs(len(one) - len(other)) <= 2
