"""What a turn asks of the memory, for a model too small to know: a fact to be kept, or a question about one.

In:  `Remember that my cat is called Tom.`   Out: the fact `my cat is called Tom`, as it was said.
In:  `What's my cat called?`                 Out: {cat}, which `my cat is called Tom` tells of.

A table's `memory` tells how both are said. A question is answered from memory only by a text that has all of its words
which say something; the language model answers any other.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from agent.tools.written_words import WrittenWords
from processors.text.clauses import Boundary, Strength, find_boundaries

# How the memory tells of a fact who said it.
ASKED_TO_REMEMBER = "the user asked to remember this"
MIN_FACT_WORDS = 3
# Of a longer word an ending may differ: "birthdays", "Tages".
MIN_STEM_CHARS = 4
ENDING_CHARS = 2
# Any word that asks for a name: "called" and "name" are one.
NAMING = ""


class MemoryWords:
    """Of one language.

    Args:
        table: What it says under `memory`: `remember` and `forget` are regular expressions of a whole turn, in which
            {fact} takes words; a question begins with one of `asks`; `naming` are words that ask for a name; a
            question that has one of `latest` and tells nothing else asks for what was remembered last; `bare` are
            words that tell nothing of what is asked about, beside those of `choice` that do not.
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
        self._facts, self._forgotten = (
            [written.whole_turn(pattern.replace("{fact}", "(?P<fact>.+)")) for pattern in table[name]]
            for name in ("remember", "forget")
        )
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
        return self._said(text, self._facts)

    def forgotten(self, text: str) -> str:
        """The fact that is to be forgotten, as it was said; empty where that is not certain.

        Args:
            text: One turn.
        """
        said = self._said(text, self._forgotten)
        # "Forget that idea" is nothing of the memory's.
        return said if len(said.split()) >= MIN_FACT_WORDS else ""

    def _said(self, text: str, patterns: Sequence[re.Pattern[str]]) -> str:
        for pattern in patterns:
            if found := pattern.fullmatch(" ".join(text.split())):
                said = self._written.certain(found["fact"].strip(" ,:"), asked=bool(found["polite"]))
                # A second sentence may take it back.
                return "" if _has_sentences(said) else said
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

    def asked_of(self, about: str) -> frozenset[str] | None:
        """The words that what is remembered must have for an answer.

        Args:
            about: A question, or words that a model looks for; empty: the latest.

        Returns:
            None where nothing would be an answer.
        """
        asked = self.asked_about(about) if about else frozenset()
        return asked if asked is not None else frozenset(self._telling(self._plain(about).split())) or None

    def tells_of(self, asked: frozenset[str], text: str) -> bool:
        """Whether a text has all that was asked about, and is no question itself.

        Args:
            asked: What `asked_of` gave.
            text: What is remembered.
        """
        words = self._plain(text).split()
        if self.asked_about(text) is not None or text.rstrip().endswith("?"):
            return False
        told = [NAMING if word in self._naming else word for word in words]
        if asked == {NAMING} and NAMING in told:
            # The user's own name is asked for, and not that of a cat.
            return not self._telling(words[: told.index(NAMING)])
        return all(any(_same(word, one) for one in told) for word in asked)

    def _telling(self, words: Sequence[str]) -> set[str]:
        told = {word for word in words if len(word) > 1 or word.isdigit()}
        return {NAMING if word in self._naming else word for word in told - self._bare}


def _has_sentences(text: str) -> bool:
    ends = (one for one in find_boundaries(text) if isinstance(one, Boundary) and one.strength is Strength.SENTENCE)
    return any(end.start < len(text) for end in ends)


def _same(one: str, other: str) -> bool:
    if one == other or NAMING in (one, other):
        return one == other
    n_chars = max(MIN_STEM_CHARS, min(len(one), len(other)) - ENDING_CHARS)
    return min(len(one), len(other)) >= n_chars and one[:n_chars] == other[:n_chars] and abs(len(one) - len(other)) <= 2
