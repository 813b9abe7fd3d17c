"""What units are called, in the words of a language: CLDR's names, and those that people use beside them.

In:  `5 feet 11 inches` and `centimeters`.   Out: the amount in that unit; a unit's name, and an amount in words.
"""

import itertools
import re
from collections.abc import Mapping, Sequence
from decimal import Decimal
from fractions import Fraction
from typing import Literal

from babel.core import Locale
from babel.units import format_unit

from agent.tools.tool import ToolError
from agent.tools.units import FACTORS, convert, kind_of

# Where the countries of a language call them otherwise.
_LOCALES = {"en": ("en", "en_GB"), "pt": ("pt", "pt_PT")}
# In every language.
_SIGNS = {
    "length-kilometer": "km",
    "length-meter": "m",
    "length-centimeter": "cm",
    "length-millimeter": "mm",
    "length-foot": "ft",
    "mass-kilogram": "kg",
    "mass-gram": "g",
    "mass-milligram": "mg",
    "mass-pound": "lb lbs",
    "mass-ounce": "oz",
    "volume-liter": "l",
    "volume-deciliter": "dl",
    "volume-centiliter": "cl",
    "volume-milliliter": "ml",
    "speed-kilometer-per-hour": "km/h kmh kph",
    "speed-mile-per-hour": "mph",
    "digital-kilobyte": "kb",
    "digital-megabyte": "mb",
    "digital-gigabyte": "gb",
    "digital-terabyte": "tb",
    "energy-kilowatt-hour": "kwh",
    "energy-kilocalorie": "kcal",
    "pressure-pound-force-per-square-inch": "psi",
    "temperature-celsius": "celsius c",
    "temperature-fahrenheit": "fahrenheit f",
    "temperature-kelvin": "kelvin",
}
_NUMBER = r"-?\d+(?:\.\d+|/[1-9]\d*)?"
_DIGITS = "#,##0.############"
# Of what is not exact, so many digits are told.
TOLD_DIGITS = 4


class UnitWords:
    """Of one language.

    Args:
        language: ISO 639-1 code.
        said: Names that CLDR lacks, with the unit's key.
        numbers: Words for numbers, with their digits.
        joining: Words between amounts and before a fraction, such as `and`.
        passed: Words without a meaning of their own, such as `of`.
    """

    def __init__(
        self,
        language: str,
        said: Mapping[str, str],
        numbers: Mapping[str, str],
        joining: Sequence[str],
        passed: Sequence[str],
    ) -> None:
        self._locale = Locale.parse(language)
        self._numbers = numbers
        self._joining, self._passed = set(joining), {*joining, *passed}
        self._names: dict[str, list[str]] = {}
        for code in _LOCALES.get(language, (language,)):
            self._add_names(Locale.parse(code))
        signs = [(sign, unit) for unit, several in _SIGNS.items() for sign in several.split()]
        for name, unit in (*said.items(), *signs):
            self._add(name, unit)
        self._add_names_with_signs()
        # An ounce of a cup is one of volume.
        for name, units in self._names.items():
            if "mass-ounce" in units:
                self._add(name, "volume-fluid-ounce")
        names = sorted({*self._names, *numbers}, key=len, reverse=True)
        self._parts = re.compile(rf"(?<!\S)(?:{'|'.join(map(re.escape, names))}|{_NUMBER}|\S+)(?!\S)")

    def unit(self, name: str, like: str = "") -> str | None:
        """The key of a unit; None where nothing is called so.

        Args:
            name: In any letters.
            like: A unit that measures the same, for a name that several have.
        """
        units = self._names.get(_plain(name), [])
        return next((unit for unit in units if not like or kind_of(unit) == kind_of(like)), None)

    def read(self, amount: str, wanted: str) -> tuple[Fraction, str] | None:
        """What an amount is in another unit, and that unit; None where the words say no such thing.

        Args:
            amount: Such as `5 feet 11 inches`, numbers in digits.
            wanted: The other unit's name.
        """
        found = self._amounts(amount)
        if not found:
            return None
        for unit in self._names.get(wanted, []):
            try:
                parts = [(value, self.unit(name, unit)) for value, name in found]
                told = sum((convert(value, part, unit) for value, part in parts if part), Fraction(0))
            except ToolError:
                continue
            # Degrees do not add up.
            if all(part for _, part in parts) and (len(parts) == 1 or kind_of(unit) != "temperature"):
                return told, unit
        return None

    def told(self, value: Fraction, unit: str) -> tuple[str, bool]:
        """An amount as the language writes it, and whether it is exact.

        Args:
            value: In that unit.
            unit: Its key.
        """
        n_places = next(n for n in itertools.count() if abs(value) * 10**n >= 10 ** (TOLD_DIGITS - 1) or n == 12)
        n_places = max(n_places, 2)
        shown = Decimal(round(value * 10**n_places)).scaleb(-n_places)
        return _written(shown.normalize(), unit, self._locale), Fraction(shown) == value

    def _amounts(self, words: str) -> list[tuple[Fraction, str]]:
        """Each number with its unit's name; empty where anything else is said."""
        found: list[tuple[Fraction, str]] = []
        number: Fraction | None = None
        joined = False
        for part in self._parts.findall(words):
            digits = self._numbers.get(part, part)
            if re.fullmatch(_NUMBER, digits):
                number = _together(number, Fraction(digits), joined=joined or "/" in digits)
                if number is None:
                    return []
            elif part in self._names:
                if number is None:
                    return []
                found.append((number, part))
                number = None
            elif part not in self._passed:
                return []
            joined = part in self._joining
        if number is None:
            return found
        # "A mile and a half": half of the unit before.
        if not found or not 0 < number < 1:
            return []
        value, name = found[-1]
        return [*found[:-1], (value + number, name)]

    def _add_names(self, locale: Locale) -> None:
        for units in FACTORS.values():
            for unit in units:
                patterns = locale.unit_display_names.get(unit, {}).get("long")
                if patterns:
                    self._add(patterns, unit)
                for count in (1, 2, 5, Decimal("1.5")):
                    self._add(re.sub(r"\d+(?:[.,]\d+)?", "", _written(count, unit, locale)), unit)

    def _add_names_with_signs(self) -> None:
        """Kilometers per hour are km per hour, too."""
        for name, units in list(self._names.items()):
            first, _, rest = name.partition(" ")
            for unit in self._names.get(first, []) if rest else []:
                for sign in _SIGNS.get(unit, "").split():
                    for compound in units:
                        self._add(f"{sign} {rest}", compound)

    def _add(self, name: str, unit: str) -> None:
        plain = _plain(name)
        units = self._names.setdefault(plain, [])
        if plain and unit not in units:
            units.append(unit)


def _plain(name: str) -> str:
    """As turns are compared: hyphens part words, and degrees are left out."""
    return " ".join(re.sub(r"[^\w\s/]", " ", name.casefold()).split())


def _together(number: Fraction | None, more: Fraction, *, joined: bool) -> Fraction | None:
    """One number of two that follow each other; None where they are none.

    Args:
        number: The first, if there is one.
        more: The second.
        joined: Whether "and" stands between them, or the second is written as a fraction.
    """
    if number is None:
        return more
    if joined and number.denominator == 1 and 0 < more < 1:
        return number + more if number >= 0 else number - more
    # "Half a mile" is half of one.
    return number if more == 1 else None


def _written(count: int | Decimal, unit: str, locale: Locale) -> str:
    """A number with its unit; where CLDR has no long name in this language, with a shorter one."""
    patterns = locale._data["unit_patterns"].get(unit, {})
    length: Literal["long", "short"] = "long" if "other" in patterns.get("long", {}) else "short"
    text = format_unit(count, unit, length, format=_DIGITS, locale=locale)
    return text.replace("\u00a0", " ").replace("\u202f", " ")
