"""What the Unicode CLDR knows, through Babel: units and currencies by plural form, months, the order of dates.

In:  a pack's locale and a name.   Out: words, kept after the first time. None: the CLDR has none in that language.
"""

from datetime import date
from functools import lru_cache

from babel.core import Locale
from babel.dates import format_date
from babel.numbers import get_currency_name
from babel.units import format_compound_unit, format_unit

# A number of each plural category is among these, in every language of the CLDR.
_SAMPLES = (5, 1, 2, 3, 0, 7, 11, 20, 100, 1_000_000, 1.5, 0.5)


@lru_cache(maxsize=4096)
def unit_pattern(locale: Locale, unit: str, category: str, per: str = "") -> str | None:
    """Find the text around a number with its unit: `{0} kilometers per hour`.

    Args:
        locale: Language and region.
        unit: The CLDR's name of the unit, such as `length-kilometer`.
        category: Plural category of the number.
        per: The unit that it is divided by, if any.
    """
    sample = next((n for n in _SAMPLES if locale.plural_form(n) == category), 5)
    number = str(sample)
    numbers = "0" if isinstance(sample, int) else "0.0"
    if per:
        text = format_compound_unit(sample, unit, denominator_unit=per, length="long", format=numbers, locale=locale)
    else:
        text = format_unit(sample, unit, "long", format=numbers, locale=locale)
    if text and unit in text and not per:
        # Some languages share one form with their short one; a sign in Latin letters says nothing.
        text = format_unit(sample, unit, "short", format=numbers, locale=locale) or ""
        text = "" if any(char.isascii() and char.isalpha() for char in text) else text
    if not text or unit in text:
        return None
    shown = number if number in text else number.replace(".", ",")
    text = text.replace(shown, "{0}", 1) if shown in text else text
    return " ".join(text.split())


@lru_cache(maxsize=1024)
def currency_words(locale: Locale, code: str, sample: float) -> str | None:
    """Name a currency as it is said behind a number of the sample's plural form; None for an unknown code."""
    name = get_currency_name(code, sample, locale)
    return None if name == code else name


@lru_cache(maxsize=512)
def sample_of(locale: Locale, category: str) -> float:
    """A number of a plural category."""
    return next((n for n in _SAMPLES if locale.plural_form(n) == category), 5)


@lru_cache(maxsize=64)
def month_names(locale: Locale) -> dict[str, int]:
    """Names and abbreviations of the months as they stand in a date, in lower case without a dot, and their numbers."""
    names: dict[str, int] = {}
    for width in ("abbreviated", "wide"):
        for number, name in locale.months["format"][width].items():
            if len(name) > 2 and not name[0].isdigit():
                names[name.lower().rstrip(".")] = number
    return names


def month_name(locale: Locale, month: int) -> str:
    """The month as it stands in a date with its day."""
    return locale.months["format"]["wide"][month]


@lru_cache(maxsize=64)
def date_order(locale: Locale) -> str:
    """The order of a short date in the locale's region, such as `dmy`."""
    pattern = locale.date_formats["short"].pattern.lower()
    return "".join(sorted("dmy", key=pattern.index))


@lru_cache(maxsize=512)
def long_date(locale: Locale, day: date) -> str:
    """A date in words and digits: `1. maj 2024`."""
    return format_date(day, "long", locale)
