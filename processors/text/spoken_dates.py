"""Dates: `2024-05-01`, `12/25/2024` in the order of the region, `25.12.`, `May 5, 2024`, `5. Nov. 2020`, `1er mai`.

In:  a line and the index of a digit.   Out: the stretch that is a date, in words.
"""

import re
from datetime import date
from functools import lru_cache

from processors.text import cldr
from processors.text.found import Found
from processors.text.language_pack import Pack
from processors.text.spoken_numbers import ordinal, year
from processors.text.spoken_ordinals import inflected, with_mark
from processors.text.spoken_times import find_time

_ISO = re.compile(
    r"(?P<y>[0-9]{4})(?P<sep>[-/.])(?P<a>[0-9]{1,2})(?P=sep)(?P<b>[0-9]{1,2})"
    r"(?:T(?P<time>[0-9]{2}:[0-9]{2})(?::[0-9]{2}(?:\.[0-9]{1,9})?)?(?:Z|[+-][0-9]{2}:?[0-9]{2})?)?(?![\w-]|\.[0-9])"
)
_NUMERIC = re.compile(
    r"(?P<a>[0-9]{1,2})(?P<sep>[-/.])(?P<b>[0-9]{1,2})(?P=sep)(?P<y>[0-9]{4}|[0-9]{2})(?![\w/-]|[.,:][0-9])"
)
_DOTTED_DAY = re.compile(r"(?P<a>[0-3]?[0-9])\.(?P<b>[01]?[0-9])\.(?![0-9])")
_PAIR = re.compile(r"(?P<a>[0-9]{1,2})/(?P<b>[0-9]{1,2})(?![\w/]|\.[0-9]| of\b|-[0-9])")
_NOT_BEFORE = re.compile(r"[\w./+,:$€£-]")
_WORD_BEFORE = re.compile(r"([^\W\d_]+) \Z")


def find_date(line: str, floor: int, digit: int, pack: Pack) -> Found | None:
    """Find the date that begins at a digit, or whose month stands right before it."""
    if not pack.is_known:
        return None
    with_month = _with_month(line, floor, digit, pack) if pack.dates or pack.is_english else None
    if with_month:
        return with_month
    before = line[digit - 1 : digit]
    if before and _NOT_BEFORE.match(before) and ord(before) < 0x2E80:
        return None
    return (
        _marked_year(line, digit, pack)
        or _iso(line, digit, pack)
        or _numeric(line, digit, pack)
        or _pair(line, digit, pack)
    )


_YEAR = re.compile(r"[12][0-9]{3}")


def _marked_year(line: str, digit: int, pack: Pack) -> Found | None:
    """A year with the language's mark, in the case that the word before asks for: `в 2024 г.`, `w 2024 r.`"""
    mark, year_digits = pack.dates.get("year_mark", ""), _YEAR.match(line, digit)
    if not mark or not year_digits or not line.startswith(f" {mark}", digit + 4):
        return None
    words = pack.dates["year_words"]
    before = _WORD_BEFORE.search(line[max(0, digit - 16) : digit])
    word = words.get(before[1].lower() if before else "", words["alone"])
    return Found(digit, digit + 5 + len(mark), f"{year_digits[0]} {word}")


def _iso(line: str, digit: int, pack: Pack) -> Found | None:
    match = _ISO.match(line, digit)
    if match is None or (match["sep"] == "." and len(match["a"]) + len(match["b"]) < 4):
        return None
    day = _valid(int(match["y"]), int(match["a"]), int(match["b"]))
    if day is None:
        return None
    words = _say(day, pack, line[:digit][-24:], month_first=True)
    time = find_time(match["time"], 0, 0, pack) if match["time"] else None
    if match["time"]:
        words += (" at " if pack.is_english else ", ") + (time.words if time else match["time"])
    return Found(digit, match.end(), words)


def _numeric(line: str, digit: int, pack: Pack) -> Found | None:
    match = _NUMERIC.match(line, digit)
    if match is None:
        return None
    short = len(match["y"]) == 2
    dotted = bool(pack.dates.get("dotted"))
    if short and not (match["sep"] == "/" or (match["sep"] == "." and dotted)):
        return None
    number = int(match["y"])
    full_year = number + (2000 if number < 70 else 1900) if short else number
    a, b = int(match["a"]), int(match["b"])
    month_first = cldr.date_order(pack.locale).index("m") < cldr.date_order(pack.locale).index("d")
    if match["sep"] == ".":
        month_first = False
    day = _valid(full_year, a, b) if month_first else _valid(full_year, b, a)
    day = day or (_valid(full_year, b, a) if month_first else _valid(full_year, a, b))
    return Found(digit, match.end(), _say(day, pack, line[:digit][-24:], month_first)) if day else None


def _pair(line: str, digit: int, pack: Pack) -> Found | None:
    """A day and a month without a year: `25.12.` where dates have dots, `12/25` behind a preposition."""
    before = line[max(0, digit - 16) : digit]
    dotted = _DOTTED_DAY.match(line, digit) if pack.dates.get("dotted") else None
    if dotted:
        day = _valid(2024, int(dotted["b"]), int(dotted["a"]))
        return Found(digit, dotted.end(), _say(day, pack, before, False, with_year=False)) if day else None
    match, word = _PAIR.match(line, digit), _WORD_BEFORE.search(before)
    if not match or not word or word[1].lower() not in pack.dates.get("prepositions", "").split():
        return None
    month_first = cldr.date_order(pack.locale).index("m") < cldr.date_order(pack.locale).index("d")
    a, b = int(match["a"]), int(match["b"])
    day = _valid(2024, a, b) if month_first else _valid(2024, b, a)
    return Found(digit, match.end(), _say(day, pack, before, month_first, with_year=False)) if day else None


def _valid(full_year: int, month: int, day: int) -> date | None:
    try:
        return date(full_year, month, day)
    except ValueError:
        return None


@lru_cache(maxsize=32)
def _month_pattern(pack: Pack) -> re.Pattern[str]:
    """A day with its month behind it."""
    names = "|".join(re.escape(name) for name in sorted(cldr.month_names(pack.locale), key=len, reverse=True))
    if pack.is_english:
        names = names.replace("sep|", "sept|sep|")
    of = f"(?: {pack.dates['of']})?" if "of" in pack.dates else ""
    mark = r"(?:st|nd|rd|th)" if pack.is_english else r"\.?(?:er|[ºª°])|\."
    month = rf"(?P<month>{names})(?![^\W_])(?P<dot>\.(?= ?(?-i:[0-9a-z,;)])))?"
    day = r"(?P<day>[0-3]?[0-9])"
    behind = rf"{day}(?P<mark>{mark})?{of} {month}"
    if not pack.is_english:
        joint = f" {pack.dates['of']} " if "of" in pack.dates else " "
        behind += rf"(?P<joint>,? |{joint})?(?P<year>(?<= )[12][0-9]{{3}}(?![\w]|[.,:][0-9]))?"
    return re.compile(behind, re.IGNORECASE)


_DAY_AND_WORD = re.compile(r"[0-9]{1,2}(?:\.?[a-zèºª°]{0,3})?(?: d[ei])? ([^\W\d_]+)")
_ENGLISH_DAY = re.compile(
    r"(?P<day>[0-9]{1,2})(?:st|nd|rd|th)?(?![\w:/%°$]|[.,-][0-9]| ?(?:percent|million|billion)\b)"
)


_ENGLISH_DAYS = re.compile(
    r"(?P<day>[0-9]{1,2})(?:st|nd|rd|th)? ?[-–] ?(?P<last>[0-9]{1,2})(?:st|nd|rd|th)?(?![\w:/%°$-]|[.][0-9])"
)
_DAYS_OF_MONTH = re.compile(r"(?P<day>[0-3]?[0-9]) ?[-–] ?(?P<last>[0-3]?[0-9]) (?P<month>[A-Z][a-z]{2,8})(?!\w)")


def _with_month(line: str, floor: int, digit: int, pack: Pack) -> Found | None:
    names = cldr.month_names(pack.locale)
    if pack.is_english and line[digit - 1 : digit] == " ":
        written = line[max(floor, digit - 11) : digit - 1].rpartition(" ")[2]
        month = names.get(written.rstrip(".").lower()[: 3 if written.startswith("Sept") else None], 0)
        day = _ENGLISH_DAY.match(line, digit) if month and written[0].isupper() else None
        if day and 1 <= int(day["day"]) <= 31 and not _ENGLISH_DAYS.match(line, digit):
            words = f"{cldr.month_name(pack.locale, month)} {ordinal(int(day['day']), pack)}"
            return Found(digit - 1 - len(written), day.end(), words)
        days = _ENGLISH_DAYS.match(line, digit) if month and written[0].isupper() else None
        if days and 1 <= int(days["day"]) < int(days["last"]) <= 31:
            first, last = (ordinal(int(days[name]), pack) for name in ("day", "last"))
            words = f"{cldr.month_name(pack.locale, month)} {first} to {last}"
            return Found(digit - 1 - len(written), days.end(), words)
    if (
        pack.is_english
        and (span := _DAYS_OF_MONTH.match(line, digit))
        and not _NOT_BEFORE.match(line[digit - 1 : digit] or " ")
    ):
        month = names.get(span["month"].lower(), 0)
        if month and span["month"][0].isupper() and 1 <= int(span["day"]) < int(span["last"]) <= 31:
            first, last = (ordinal(int(span[name]), pack) for name in ("day", "last"))
            words = f"the {first} to the {last} of {cldr.month_name(pack.locale, month)}"
            return Found(digit, span.end(), words)
    near = _DAY_AND_WORD.match(line, digit)
    if near is None or (near[1].lower() not in names and not (pack.is_english and near[1].lower() == "sept")):
        return None
    match = _month_pattern(pack).match(line, digit)
    if match is None or not 1 <= int(match["day"]) <= 31:
        return None
    joins = digit == floor and line[digit - 2 : digit] == ".-"
    if not joins and _NOT_BEFORE.match(line[digit - 1 : digit] or " "):
        return None
    name = cldr.month_name(
        pack.locale, names[match["month"].lower().replace("sept", "sep") if pack.is_english else match["month"].lower()]
    )
    if pack.is_english:
        if not match["month"][0].isupper():
            return None
        the = re.compile(r"\b[Tt]he \Z").search(line, max(floor, digit - 4), digit)
        return Found(the.start() if the else digit, match.end(), f"the {ordinal(int(match['day']), pack)} of {name}")
    return _local_with_month(line, digit, match, name, pack)


def _local_with_month(line: str, digit: int, match: re.Match[str], name: str, pack: Pack) -> Found:
    day = int(match["day"])
    # A month in full has no dot of its own.
    dotted = match["dot"] and match["month"].lower() != name.lower()
    end = match.end("year") if match["year"] else match.end("dot") if dotted else match.end("month")
    template = pack.dates.get("day_month") or "{first} {month}"
    words = template.format(
        first=_first(day, match["mark"] or "", pack),
        ordinal=inflected(line, digit, day, name, pack) or f"{day}.",
        month=name,
        day=day,
        month_number=0,
    )
    if match["year"]:
        joint = match["joint"] if "of" in pack.dates and pack.dates["of"] in (match["joint"] or "") else " "
        words += f"{joint}{match['year']}"
        mark = pack.dates.get("year_mark", "")
        if mark and line.startswith(f" {mark}", end):
            words, end = f"{words} {pack.dates['year_words']['date']}", end + 1 + len(mark)
    return Found(digit, end, words)


def _first(day: int, mark: str, pack: Pack) -> str:
    """The first of a month is an ordinal in some languages; the others are cardinals there."""
    if mark.strip(".") and day > 1:
        return with_mark(day, mark, pack) or f"{day}{mark}"
    if day == 1 and "first" in pack.dates:
        return pack.dates["first"]
    return str(day)


def _say(day: date, pack: Pack, before: str, month_first: bool, with_year: bool = True) -> str:
    name = cldr.month_name(pack.locale, day.month)
    if pack.is_english:
        words = f"{name} {ordinal(day.day, pack)}" if month_first else _day_of(day, name, before, pack)
        return f"{words}, {year(day.year, pack)}" if with_year else words
    template = pack.dates.get("date" if with_year else "day_month")
    if template is None:
        return cldr.long_date(pack.locale, day)
    return template.format(
        day=day.day,
        month=name,
        month_number=day.month,
        year=day.year,
        first=_first(day.day, "", pack),
        ordinal=inflected(before + "0", len(before), day.day, name, pack) or f"{day.day}.",
    )


def _day_of(day: date, name: str, before: str, pack: Pack) -> str:
    the = "" if before.lower().endswith("the ") else "the "
    return f"{the}{ordinal(day.day, pack)} of {name}"
