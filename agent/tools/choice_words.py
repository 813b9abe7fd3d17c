"""Whether words ask for a tool, and whether they say what it is to be called with.

In:  a turn, and a tool with arguments that a model has chosen.   Out: how well the words bear it out.

A table's `choice` tells what a turn must have for a tool to be offered (`needs`; of a phrase all words, in any order),
which other words go with it (`also`), and words that may stand in any order (`fillers`). An act is certain only if
every word of the turn is one of these or stands in an argument: `not`, `if`, `should I` and `she said` belong to none.
Its `order` tells which of two texts is which, by the words between them: "name to new_name" of "rename a to b".
"""

import itertools
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from agent.tools.tool import Tool
from agent.tools.written_words import WrittenWords

# In the name of a tool that no table knows.
MIN_NAME_CHARS = 3
MAX_WORDS = 40
MAX_CHARS = 400
MAX_DURATION_WORDS = 10
# Pieces are as many as half the square of their words.
MAX_PIECED = 14
_TIME = re.compile(r"(\d{1,2}):(\d{2})")
_WORD = re.compile(r"\w+")
_FILE_NAME = re.compile(r"\S+\.[a-z]{1,5}", re.IGNORECASE)
_ENDINGS = {"txt": "text"}
# Files may be called as their tools' words are: a list, the notes.
_OWN_NAMES = {"name", "new_name", "text", "fact"}
# Texts that nobody takes for another one's: a time of day, a room.
_TOLD_APART = {"time", "area"}
# Of words in a turn: their indexes.
Place = tuple[int, ...]


@dataclass(frozen=True)
class Turn:
    """A turn's words, ready to be compared.

    Attributes:
        text: As it was said.
        words: Plain, numbers in digits; none of a turn that is too long.
        durations: In seconds, as they were said, and where.
    """

    text: str
    words: tuple[str, ...]
    durations: tuple[tuple[float, Place], ...]


class ChoiceWords:
    """Of one language.

    Args:
        table: What it says under `choice`.
        plain: Makes words plain.
        read_secs: Reads plain words as a duration; None where they are none.
        written: Knows what is surely a text.
    """

    def __init__(
        self,
        table: Mapping[str, Any],
        plain: Callable[[str], str],
        read_secs: Callable[[str], float | None],
        written: WrittenWords,
    ) -> None:
        self._plain = plain
        self._read_secs = read_secs
        self._written = written
        self._needs: Mapping[str, Sequence[str]] = table["needs"]
        self._also: Mapping[str, Sequence[str]] = table["also"]
        self._values: Mapping[str, Sequence[str]] = table.get("values", {})
        self._fillers = {word for one in table["fillers"] for word in plain(one).split() or [one]}
        self._orders = {name: [one.split() for one in orders] for name, orders in table["order"].items()}
        self._dots = set(table["dots"])
        self._polite, self._no_order = set(table["polite"]), set(table["no_order"])
        self._last = Turn("", (), ())
        # Of what tables and tools say, which is the same in each turn.
        self._known: dict[str, tuple[str, ...]] = {}

    def turn(self, text: str) -> Turn:
        """A turn as it is compared.

        Args:
            text: Its words.
        """
        if text != self._last.text:
            words = self._words(text) if len(text) <= MAX_CHARS else ()
            words = words if len(words) <= MAX_WORDS else ()
            self._last = Turn(text, words, tuple(self._durations(words)))
        return self._last

    def n_matching(self, tool: Tool, turn: Turn) -> int:
        """How much of a turn asks for a tool: how many of the words that it needs one of.

        Args:
            tool: Any.
            turn: Said.
        """
        return sum(set(self._phrase(one)) <= set(turn.words) for one in self._needed(tool))

    def may_ask_for(self, name: str, turn: Turn) -> bool:
        """Whether a turn has words that a tool needs, which may be switched off.

        Args:
            name: Of a tool that the table knows.
            turn: Said.
        """
        return any(set(self._phrase(one)) <= set(turn.words) for one in self._needs.get(name, ()))

    def is_order(self, tool: Tool, turn: Turn) -> bool:
        """Whether a turn begins as an order to this tool does.

        Args:
            tool: Any.
            turn: Said.
        """
        return self._may_be_order(turn) and turn.words[0] in self._own_words(tool)

    def surely_asks_for(self, tool: Tool, turn: Turn) -> bool:
        """Whether a turn can hardly ask for anything else: an order with two words of the tool's, or its words alone.

        Args:
            tool: Any.
            turn: Said.
        """
        if not self.n_matching(tool, turn):
            return False
        if not tool.acts:
            return self.bears_out(tool, {}, turn, wholly=True)
        return self.is_order(tool, turn) and len(self._own_words(tool) & set(turn.words)) > 1

    def bears_out(self, tool: Tool, arguments: Mapping[str, Any], turn: Turn, *, wholly: bool) -> bool:
        """Whether arguments are what was said, each in words of its own.

        Args:
            tool: What is to be called.
            arguments: With what.
            turn: Said.
            wholly: Whether nothing else may have been said, either.
        """
        placed = self._placed(tool, arguments, turn)
        if not turn.words or any(place is None for place in placed.values()):
            return False
        if wholly and tool.acts and not (self._may_be_order(turn) and self._is_in_order(tool, arguments, placed, turn)):
            return False
        spans = sorted(place for name, place in placed.items() if place and isinstance(arguments[name], str))
        # "Call Anna" is one text, and not two arguments.
        if any(earlier[-1] + 1 == later[0] for earlier, later in itertools.pairwise(spans)):
            return False
        taken = {at for place in placed.values() for at in place or ()}
        left = {word for at, word in enumerate(turn.words) if at not in taken}
        return not wholly or not left - self._fillers - self._own_words(tool)

    def in_order(self, tool: Tool, arguments: Mapping[str, Any], turn: Turn) -> Mapping[str, Any]:
        """The arguments, two texts exchanged where the words between them tell that a model has confused them.

        Args:
            tool: What is to be called.
            arguments: With what.
            turn: Said.
        """
        placed = self._placed(tool, arguments, turn)
        if self._is_in_order(tool, arguments, placed, turn):
            return arguments
        for first, *_, last in self._orders.get(tool.name, ()):
            if {first, last} <= set(arguments):
                exchanged = {**arguments, first: arguments[last], last: arguments[first]}
                if self._is_in_order(tool, exchanged, self._placed(tool, exchanged, turn), turn):
                    return exchanged
        return arguments

    def without_made_up(self, tool: Tool, arguments: Mapping[str, Any], turn: Turn) -> dict[str, Any]:
        """The arguments without texts that nobody said, where the tool needs none.

        Args:
            tool: What is to be called.
            arguments: With what.
            turn: Said.
        """
        placed = self._placed(tool, arguments, turn)
        fields = tool.arguments.model_fields
        return {
            name: value
            for name, value in arguments.items()
            if placed[name] is not None or name not in fields or fields[name].is_required()
        }

    def pieces(self, turn: Turn) -> list[str]:
        """What may be a text within a turn: what stands between any two of its words, in its own spelling.

        Args:
            turn: Said.
        """
        said = turn.text.strip().rstrip(".!?").split()[:MAX_PIECED]
        ends = [*range(len(said), 1, -1)]
        return [" ".join(said[at:end]) for end in ends for at in range(1, end)]

    def as_said(self, value: str, turn: Turn) -> str:
        """A text without the underscores that a model has put into it.

        Args:
            value: It.
            turn: What was said.
        """
        return value if value in turn.text else value.replace("_", " ")

    def _is_in_order(
        self, tool: Tool, arguments: Mapping[str, Any], placed: Mapping[str, Place | None], turn: Turn
    ) -> bool:
        """Whether of several texts the words between them tell which is which; of one there is no doubt."""
        said = {name: place for name, place in placed.items() if place and name not in _TOLD_APART}
        texts = {
            name: place
            for name, place in said.items()
            if isinstance(arguments[name], str) and arguments[name] not in self._values
        }
        if len(texts) < 2:
            return True
        for first, *between, last in self._orders.get(tool.name, ()):
            if {first, last} == set(texts):
                joining = turn.words[texts[first][-1] + 1 : texts[last][0]]
                if _found(joining, self._phrase(" ".join(between)), ()) is not None:
                    return True
        return False

    def _may_be_order(self, turn: Turn) -> bool:
        """Whether a turn does not begin as a statement or a question does, such as "I forget what you said"."""
        if not turn.words or turn.words[0] in self._no_order:
            return False
        first = _WORD.search(turn.text.casefold())
        return not turn.text.rstrip().endswith("?") or (first is not None and first[0] in self._polite)

    def _needed(self, tool: Tool) -> Sequence[str]:
        if tool.name in self._needs:
            return self._needs[tool.name]
        return [word for word in re.split(r"[^\w]+|_", tool.name.casefold()) if len(word) >= MIN_NAME_CHARS]

    def _own_words(self, tool: Tool) -> set[str]:
        phrases = [*self._needed(tool), *self._also.get(tool.name, ())]
        return {word for phrase in phrases for word in self._phrase(phrase)}

    def _placed(self, tool: Tool, arguments: Mapping[str, Any], turn: Turn) -> dict[str, Place | None]:
        """Where in the turn each argument was said; numbers first, which are the surest."""
        placed: dict[str, Place | None] = {}
        used: set[int] = set()
        for name in sorted(arguments, key=lambda one: (isinstance(arguments[one], str), -len(str(arguments[one])))):
            place = self._place(tool, name, arguments[name], turn, used)
            placed[name] = place
            used |= set(place or ())
        return placed

    def _place(self, tool: Tool, name: str, value: object, turn: Turn, used: Collection[int]) -> Place | None:
        if isinstance(value, bool) or not isinstance(value, (int, float, str)):
            return None
        if not isinstance(value, str):
            if name == "seconds":
                return next((place for secs, place in turn.durations if secs == value), None)
            return _found(turn.words, (f"{value:g}",), used)
        if name == "time" and (time := _TIME.fullmatch(value)):
            return _said_time(int(time[1]), int(time[2]), turn.words, used)
        if value in self._values:
            places = (_found(turn.words, self._phrase(phrase), used) for phrase in self._values[value])
            return next((place for place in places if place), None)
        # "A poem about the sea" is asked for, and not the text itself; of a file, what it holds may be.
        if name == "text" and (self._written.is_unsaid(value) or self._is_file_name(value)):
            return None
        words = self._words(self.as_said(value, turn))
        if set(words) <= self._fillers | (set() if name in _OWN_NAMES else self._own_words(tool)):
            return None
        if (len(words) == 1 or "name" in name) and self._written.is_unnamed(value):
            return None
        return _found(turn.words, words, used)

    def _is_file_name(self, text: str) -> bool:
        words = text.split()
        return bool(_FILE_NAME.fullmatch(text.strip())) or (len(words) > 2 and words[-2].casefold() in self._dots)

    def _phrase(self, phrase: str) -> tuple[str, ...]:
        if phrase not in self._known:
            self._known[phrase] = self._words(phrase)
        return self._known[phrase]

    def _words(self, text: str) -> tuple[str, ...]:
        return tuple(_ENDINGS.get(word, word) for word in self._plain(text).split() if word not in self._dots)

    def _durations(self, words: Sequence[str]) -> list[tuple[float, Place]]:
        found: list[tuple[float, Place]] = []
        start = 0
        while start < len(words):
            for end in range(min(len(words), start + MAX_DURATION_WORDS), start + 1, -1):
                if (secs := self._read_secs(" ".join(words[start:end]))) is not None:
                    found.append((secs, tuple(range(start, end))))
                    start = end - 1
                    break
            start += 1
        return found


def _said_time(hour: int, minute: int, words: Sequence[str], used: Collection[int]) -> Place | None:
    """Where a time of day was said; only its numbers as they are, for "seven" is not surely seven in the evening."""
    ways = [(str(hour), str(minute)), (str(hour), f"{minute:02}"), (f"{hour}.{minute:02}",)]
    places = (_found(words, way, used) for way in [*ways, *([(str(hour),)] if minute == 0 else [])])
    return next((place for place in places if place), None)


def _found(words: Sequence[str], said: Sequence[str], used: Collection[int]) -> Place | None:
    """Where words were said one after another, and stand for nothing else."""
    for at in range(len(words) - len(said) + 1):
        place = tuple(range(at, at + len(said)))
        if said and tuple(words[at : at + len(said)]) == tuple(said) and not set(place) & set(used):
            return place
    return None
