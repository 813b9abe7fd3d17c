"""What a turn asks to be written down, as it was said: with its capitals, its numbers and its commas.

In:  `Create a file named notes saying Call Anna at 5 p.m.`
Out: create_file with {name: "notes", text: "Call Anna at 5 p.m."}.

Only what is surely the text itself: what is said about it, such as `a poem` or `that`, and an order after it, such as
`and then read it to me`, are the language model's. Quotes make anything a text.
"""

import re
from collections.abc import Mapping
from typing import Any

_OPENING, _CLOSING = "\"'“„«»‚‘", "\"'”“»«’‘"
_QUOTED = re.compile(rf"[{_OPENING}](?P<text>[^{_OPENING}{_CLOSING}]+|.+)[{_CLOSING}]")
_AROUND_NAME = " \"'“”„«»:,."
# Their full stop is their own, in the six languages.
_ABBREVIATIONS = set(
    "etc mr mrs ms dr prof jr sr vs inc ltd usw bzw ca nr str hr fr sra srta ud uds ecc sig dott cf mme mlle".split()
)


class WrittenWords:
    """Of one language.

    Args:
        table: The language's: `written` has regular expressions of the whole turn by the tool's name, in which {name}
            and {text} take words; `orders` begin a further order, those of one word only after a comma or a full stop;
            `unsaid` are regular expressions of whole texts that are none, or may be none, until they are quoted;
            `unnamed` are words that no name has.
        polite: Regular expression of what may stand before.
    """

    def __init__(self, table: Mapping[str, Any], polite: str) -> None:
        self._before = rf"(?P<polite>(?:(?:{polite})[ ,]+)*)"
        self._patterns = [
            (name, self.whole_turn(_places(pattern)))
            for name, several in table["written"].items()
            for pattern in several
        ]
        phrases, words = ("|".join(one for one in table["orders"] if (" " in one) is many) for many in (True, False))
        self._order = re.compile(rf"[\s,.;:!?](?:{phrases})\b|[,.;:!?]\s?(?:{words})\b", re.IGNORECASE)
        self._unsaid = re.compile("|".join(table["unsaid"]), re.IGNORECASE)
        self._politely = re.compile(rf"(?:.*[\s,])?(?:{polite})[.!?]*", re.IGNORECASE)
        self._unnamed = re.compile(rf"\b(?:{'|'.join(table['unnamed'])})\b", re.IGNORECASE)

    def match(self, text: str) -> tuple[str, dict[str, str]] | None:
        """The tool and its arguments; None where the words are the language model's.

        Args:
            text: One turn.
        """
        for name, pattern in self._patterns:
            if found := pattern.fullmatch(" ".join(text.split())):
                said = {
                    "name": found["name"].strip(_AROUND_NAME),
                    "text": self._text(found["text"].strip(" ,:"), asked=bool(found["polite"])),
                }
                surely = all(said.values()) and not self._unnamed.search(said["name"])
                return (name, said) if surely else None
        return None

    def whole_turn(self, pattern: str) -> re.Pattern[str]:
        """A regular expression of a whole turn, which may begin politely (group `polite`).

        Args:
            pattern: Of the rest.
        """
        return re.compile(f"{self._before}{pattern}", re.IGNORECASE)

    def certain(self, said: str, *, asked: bool) -> str:
        """A text without the end of its turn; empty where an order may follow it, or a word to the agent.

        Args:
            said: What stands behind the words that ask to write it down.
            asked: Whether the turn is a polite question.
        """
        bare = _without_end(said, asked=asked)
        return "" if self._order.search(bare) or self._politely.fullmatch(bare) else bare

    def is_unsaid(self, text: str) -> bool:
        """Whether a text is none, or may be none, such as `a poem` or `that`."""
        return self._unsaid.fullmatch(text.strip().rstrip(".!?")) is not None

    def is_unnamed(self, name: str) -> bool:
        """Whether a name has words that no name has, such as `it`."""
        return self._unnamed.search(name) is not None

    def _text(self, said: str, *, asked: bool) -> str:
        """What is to be written; empty where that is not certain."""
        bare = _without_end(said, asked=asked)
        # The end of the turn stands after the quotes.
        if quoted := _QUOTED.fullmatch(said) or _QUOTED.fullmatch(bare.rstrip("!")):
            return quoted["text"]
        if bare[:1] and bare[0] in _OPENING:
            return ""
        # A "please" at the end may be meant for the agent.
        return "" if self._unsaid.fullmatch(bare.rstrip(".!?")) else self.certain(said, asked=asked)


def _without_end(text: str, *, asked: bool) -> str:
    """Without the full stop that ends the turn, unless the text needs it; of a polite question without its mark."""
    if text.endswith("?") and asked:
        return text[:-1].rstrip()
    rest = text.removesuffix(".")
    last = rest.rpartition(" ")[2].casefold()
    return text if "." in rest or last in _ABBREVIATIONS else rest


def _places(pattern: str) -> str:
    return pattern.replace("{name}", r"(?P<name>.{1,60}?)").replace("{text}", r"(?P<text>.+)")
