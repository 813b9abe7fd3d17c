"""The words of reflexes, a table a language: patterns in, answers out.

In:  `Set a timer for twenty-five minutes, please.`   Out: the reflex `set_timer` with {duration: "25 minutes"}.

A table is words/LANGUAGE.toml; a translator adds one. Patterns match whole turns only: what is merely like one of them
is left to the language model.
"""

import functools
import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from fractions import Fraction
from pathlib import Path
from typing import Any

from babel.core import Locale
from babel.dates import format_date, format_time
from babel.lists import format_list
from babel.units import format_unit
from text_to_num import alpha2digit

from agent.tools.choice_words import ChoiceWords
from agent.tools.clock_words import ClockWords, SaidTime
from agent.tools.duration_words import NUMBER, UNIT_SECS, DurationWords
from agent.tools.memory_words import MemoryWords
from agent.tools.unit_words import UnitWords
from agent.tools.units import convert
from agent.tools.which_words import WhichWords
from agent.tools.written_words import WrittenWords

TABLES = Path(__file__).parent / "words"
MAX_CHARS = 200
_NARROW = str.maketrans({"\u00a0": " ", "\u202f": " "})
_SUM = re.compile(rf"-?{NUMBER}(?:%(?= of))?(?: (?:[-+*/]|% of|of) ?-?{NUMBER})+")
_PLACES = {
    "duration": r"(?P<duration>.+)",
    "sum": r"(?P<sum>.+)",
    "bare_sum": r"(?P<bare_sum>.+)",
    "label": r"(?P<label>\w+(?: \w+)?)",
    "clock": r"(?P<clock>.+)",
    "day": r"(?P<day>.+)",
}
_PLACES |= {"amount": r"(?P<amount>.+)", "unit": r"(?P<unit>[^\d]+?)"}


@dataclass(frozen=True)
class Matched:
    """A reflex that a turn's words ask for.

    Attributes:
        name: Of the pattern.
        secs: The duration that was said; None without one.
        label: What it is for; empty where nobody said.
        sum: What is to be calculated, as an expression; empty without one.
        amount: What was converted, in its new unit; None without a conversion.
        unit: That unit, as units.py calls it.
        said: What is written down as it was said, by the tool's arguments.
        at: The time of day that was said; None without one.
        day: A day that was said without a time, plain; empty without one.
    """

    name: str
    secs: float | None = None
    label: str = ""
    sum: str = ""
    amount: Fraction | None = None
    unit: str = ""
    said: Mapping[str, str] = field(default_factory=dict)
    at: SaidTime | None = None
    day: str = ""


class ReflexWords:
    """The table of one language.

    Args:
        language: ISO 639-1 code; there must be a table of it.
        table: What the table says.
    """

    def __init__(self, language: str, table: Mapping[str, Mapping[str, object]]) -> None:
        self.language = language
        self.answers: Mapping[str, str] = table["answers"]  # pyright: ignore[reportAttributeAccessIssue]
        self._locale = Locale.parse(language)
        self._acts: Mapping[str, str] = table["acts"]  # pyright: ignore[reportAttributeAccessIssue]
        self._polite = _any_of([str(one) for one in table["polite"]])
        self._thanks = _any_of([str(one) for one in table["thanks"]])
        self._yes, self._no = (_agreement(str(one) for one in table[name]) for name in ("yes", "no"))
        much = _agreement(str(one) for one in table["much"])
        self._patterns = {
            name: [_compiled(str(one), much) for one in patterns]  # pyright: ignore[reportGeneralTypeIssues]
            for name, patterns in table["patterns"].items()
        }
        self._written = WrittenWords(table, self._polite)
        numbers = {str(key): str(value) for key, value in table["numbers"].items()}
        self._numbers = {key: numbers[key] for key in sorted(numbers, key=len, reverse=True)}
        self._durations = DurationWords(table["durations"], self._numbers)  # pyright: ignore[reportArgumentType]
        self._unit = re.compile(rf"(\s*\b(?:{_any_of(list(self._durations.units))})\b\s*)")
        articles = _any_of([str(one) for one in table["articles"]]) or "(?!)"
        self._article = re.compile(rf"\b(?:{articles}) (?=\d{{3}})")
        self.clock = ClockWords(table["clock"])
        self.which = WhichWords(table["which"], self._durations.read, self.clock.read)
        self._operators: Mapping[str, list[str]] = table["operators"]  # pyright: ignore[reportAttributeAccessIssue]
        asked: Mapping[str, list[str]] = table["asked_operators"]  # pyright: ignore[reportAssignmentType]
        self._asked_operators = {sign: [*said, *asked.get(sign, [])] for sign, said in self._operators.items()}
        self._said_units = {str(key): str(value) for key, value in table["units"].items()}
        self.choice = ChoiceWords(table["choice"], self.plain, self._durations.read, self._written)
        self.memory = MemoryWords(table["memory"], table["choice"], self.plain, self._written)  # pyright: ignore[reportArgumentType]

    @functools.cached_property
    def units(self) -> UnitWords:
        """What units are called; only where somebody asks."""
        of = self._durations
        return UnitWords(self.language, self._said_units, self._numbers, of.joining, of.passed)

    def match(self, text: str, only: str | None = None) -> Matched | None:
        """What the words ask for; None where they are the language model's.

        Args:
            text: One turn.
            only: The one reflex that they may ask for; default: any.
        """
        words = self.bare(text)
        if not words:
            return None
        if only is None and (written := self._written.match(text)):
            return Matched(written[0], said=written[1])
        for name, patterns in self._patterns.items():
            if only not in (None, name):
                continue
            for pattern in patterns:
                if (found := pattern.fullmatch(words)) and (matched := self._read(name, found.groupdict())):
                    return matched
        return None

    def bare(self, text: str) -> str:
        """A turn's words, plain and without thanks; empty of one that is too long.

        Args:
            text: One turn.
        """
        words = self.plain(text) if len(text) <= MAX_CHARS else ""
        return re.sub(rf"^(?:{self._thanks}) (?=.)|(?<=.) (?:{self._thanks})$", "", words)

    def agrees(self, text: str) -> bool | None:
        """Whether the words are a yes or a no and nothing else; None where they are neither, or both.

        Args:
            text: One turn.
        """
        words = self.plain(text, polite=True) if len(text) <= MAX_CHARS else ""
        for pattern, agreed in ((self._yes, True), (self._no, False)):
            beside = f"{self._polite}|{self._thanks}"
            if re.fullmatch(rf"(?:(?:{beside}) )*(?:{pattern})(?: (?:{pattern}|{beside}))*", words):
                return agreed
        return None

    def question(self, tool: str, values: Mapping[str, Any], shown: str) -> str:
        """Whether a tool may do this.

        Args:
            tool: Its name.
            values: What it takes.
            shown: The same in one line, for a tool that the language has no words for.
        """
        by_action = f"{tool}_{'all' if values.get('all') else values.get('action')}"
        tool = by_action if by_action in self._acts else tool
        if tool not in self._acts:
            answer = "ask_tool" if shown else "ask_tool_alone"
            return self.say(answer, tool=tool.replace("_", " "), arguments=shown)
        durations = {"duration": self.duration(values["seconds"])} if "seconds" in values else {}
        return self.say("ask", what=self._acts[tool].format(**{**values, **durations}))

    def say(self, answer: str, **values: object) -> str:
        """An answer of the table with its values.

        Args:
            answer: Its name.
            values: What it has places for.
        """
        return self.answers[answer].format(**values)

    def time(self, at: datetime) -> str:
        """A time of day as the language writes it."""
        return format_time(at, "short", locale=self._locale).translate(_NARROW)

    def alarm_set(self, due: datetime, now: datetime, label: str) -> str:
        """That an alarm is set.

        Args:
            due: When it goes off, today or tomorrow.
            now: The local time.
            label: What it is for; may be empty.
        """
        time = self.time(due)
        time = time if due.date() == now.date() else self.say("tomorrow_at", time=time)
        return self.say("set_alarm_label" if label else "set_alarm", time=time, label=label)

    def date(self, at: datetime) -> str:
        """A date with its weekday."""
        return format_date(at, "full", locale=self._locale)

    def duration(self, secs: float) -> str:
        """Hours, minutes and seconds in words, such as `1 hour and 5 minutes`.

        Args:
            secs: Whole seconds are told.
        """
        left, parts = max(0, round(secs)), list[str]()
        for unit, unit_secs in UNIT_SECS.items():
            count, left = divmod(left, unit_secs)
            if count:
                parts.append(format_unit(count, f"duration-{unit}", "long", locale=self._locale))
        nothing = format_unit(0, "duration-second", "long", locale=self._locale)
        return format_list(parts or [nothing], locale=self._locale).translate(_NARROW)

    def number(self, value: str) -> str:
        """A decimal number as the language writes it."""
        return value.replace(".", self._locale.number_symbols["latn"]["decimal"])

    def either(self, names: Iterable[str]) -> str:
        """Names as something to choose from, such as `the tea timer or the alarm`."""
        return format_list(list(names), "or", locale=self._locale)

    def plain(self, text: str, *, polite: bool = False) -> str:
        """Words in lower case, without punctuation, numbers in digits.

        Args:
            text: As it was said.
            polite: Whether polite words stay.
        """
        symbols = self._locale.number_symbols["latn"]
        grouped = rf"(?<=\d){re.escape(symbols['group'])}(?=\d{{3}}(?!\d))"
        lower = re.sub(r"(?<=\d)[.,](?=\d)", ".", re.sub(grouped, "", text.casefold()))
        # Joined to its numbers, a minus or a slash is that of a date, a telephone number or 24/7.
        lower = re.sub(r"(\d)\s*([+*×÷x])\s*(?=\d)", r"\1 \2 ", lower).replace("×", "*").replace("÷", "/")
        # Hyphens part words; a full stop within a number stays.
        lower = re.sub(r"(?<=\w)-(?=\w)", " ", lower)
        lower = re.sub(r"[^\w\s.%*/+-]|\.(?!\d)", " ", lower)
        lower = " ".join(lower.split())
        # Units apart, for "thirty second" is no 32nd.
        digits = "".join(
            part if part.strip() in self._durations.units else alpha2digit(part, self.language, threshold=0)
            for part in self._unit.split(lower)
        )
        left = digits if polite else re.sub(rf"\b(?:{self._polite})\b", " ", digits)
        return " ".join(re.sub(r"(?<=\d),(?=\d)", ".", left).split())

    def _read(self, name: str, found: Mapping[str, str | None]) -> Matched | None:
        # "A hundred seconds."
        found = {place: self._article.sub("", words) if words else words for place, words in found.items()}
        secs = expression = None
        if (duration := found.get("duration")) is not None and (secs := self._durations.read(duration)) is None:
            return None
        for place, operators in (("sum", self._asked_operators), ("bare_sum", self._operators)):
            if (said := found.get(place)) is not None and (expression := self._read_sum(said, operators)) is None:
                return None
        at, day = None, found.get("day") or ""
        if (clock := found.get("clock")) is not None and (at := self.clock.read(clock)) is None:
            return None
        if day and not self.clock.is_day(day):
            return None
        amount, unit = None, ""
        if (words := found.get("amount")) is not None and (wanted := found.get("unit")):
            if (converted := self._convert(words, wanted)) is None:
                return None
            amount, unit = converted
        label = found.get("label") or ""
        return Matched(name, secs, label, expression or "", amount, unit, at=at, day=day)

    def _convert(self, amount: str, wanted: str) -> tuple[Fraction, str] | None:
        # Said before a number, less than nothing.
        below = re.sub(rf"^(?:{_any_of(self._operators['-'])}) (?=\d)", "-", amount)
        found = self.units.read(below, wanted.strip())
        if found is None and (secs := self._durations.read(amount)) is not None:
            # "An hour and a half."
            unit = self.units.unit(wanted.strip(), "duration-second")
            return (convert(Fraction(secs), "duration-second", unit), unit) if unit else None
        return found

    def _read_sum(self, words: str, operators: Mapping[str, list[str]]) -> str | None:
        """An expression of what was said, such as `12 * 7`; None where it is no sum."""
        left = re.sub(rf"^(?:{_any_of(operators['-'])}) (?=\d)", "-", words)
        for sign, said in operators.items():
            left = re.sub(rf"(?<=[\d%])\s*\b(?:{_any_of(said)})\b\s*(?=-?\d)", f" {sign} ", left)
        left = " ".join(left.split())
        return left if _SUM.fullmatch(left) else None


def words_of(language: str) -> ReflexWords | None:
    """The table of a language; None where there is none.

    Args:
        language: A BCP 47 tag, such as en-us.
    """
    code = language.partition("-")[0].lower()
    return _table(code) if code.isalpha() and (TABLES / f"{code}.toml").is_file() else None


def english_words() -> ReflexWords:
    """The table for languages that have none."""
    return _table("en")


@functools.cache
def _table(code: str) -> ReflexWords:
    return ReflexWords(code, tomllib.loads((TABLES / f"{code}.toml").read_text("utf-8")))


def _compiled(pattern: str, much: str) -> re.Pattern[str]:
    for place, takes in {**_PLACES, "much": f"(?:{much})"}.items():
        pattern = pattern.replace(f"{{{place}}}", takes)
    return re.compile(_folded(pattern))


def _agreement(words: Iterable[str]) -> str:
    return _folded("|".join(sorted(words, key=len, reverse=True)))


def _folded(pattern: str) -> str:
    """As plain words are: `casefold` writes `heisst`."""
    return pattern.replace("ß", "ss")


def _any_of(words: list[str]) -> str:
    return "|".join(re.escape(word) for word in sorted(words, key=len, reverse=True))
