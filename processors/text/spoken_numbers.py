"""Numbers as words: dates, times, money, units, ordinals, fractions, ranges, years, decimals.

In:  one line without markup.   Out: English without a digit that stands alone; in the other languages of the
lexicon, decimals and grouped thousands as words and plain whole numbers as digits, which their voices read.

A digit inside a name, as in `MP3` or `4K`, stays a digit.
"""

import re
from datetime import date
from functools import lru_cache

from num2words import num2words

from processors.text.spoken_lexicon import ENGLISH, Lexicon
from processors.text.spoken_units import NUMBER, NUMBER_START, expand_currencies, expand_units

_LONGEST_INTEGER_DIGITS = 15
_DIGIT_WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
_MONTHS = (
    "January February March April May June July August September October November December".split()
)  # fmt: skip
_MONTH = (
    r"(?P<month>Jan(?:uary|\.)?|Feb(?:ruary|\.)?|Mar(?:ch|\.)?|Apr(?:il|\.)?|May|June?|July?|Aug(?:ust|\.)?"
    r"|Sept?(?:ember|\.)?|Oct(?:ober|\.)?|Nov(?:ember|\.)?|Dec(?:ember|\.)?)"
)

_LONG_DIGITS = re.compile(rf"(?:(?<=[0-9])\.)?(?<![0-9])[0-9]{{{_LONGEST_INTEGER_DIGITS + 1},}}")
_ISO_DATE = re.compile(
    r"(?<![\w-])(\d{4})-(\d\d)-(\d\d)(?:T(\d\d:\d\d)(?::\d\d(?:\.\d{1,9})?)?(?:Z|[+-]\d\d:?\d\d)?)?(?![\w-])",
    re.ASCII,
)
_MONTH_DAY = re.compile(rf"\b{_MONTH} (?P<day>[0-9]{{1,2}})(?:st|nd|rd|th)?(?![\w:/%]|[.,-][0-9])")
_DAY_MONTH = re.compile(rf"(?:\b[Tt]he )?(?<![\w.,:/-])(?P<day>[0-9]{{1,2}})(?:st|nd|rd|th)? {_MONTH}(?!\w)")
_CLOCK = re.compile(
    r"(?<![\w:.])(?P<hour>[01]?[0-9]|2[0-4]):(?P<minute>[0-5][0-9])(?::(?P<second>[0-5][0-9]))?"
    r"(?:\s?(?P<half>[apAP])\.?[mM]\b\.?)?(?![\w:])"
)
_HOUR = re.compile(r"(?<![\w:.,$])(?P<hour>1[0-2]|[1-9])\s?(?P<half>[apAP])\.?[mM]\b\.?")
_PHONE = re.compile(
    r"(?<![\w.+-])(?:\+[0-9]{1,3}(?:[ .-]?\(?[0-9]{1,4}\)?){2,5}|\([0-9]{3}\) ?[0-9]{3}[ .-][0-9]{4}"
    r"|[0-9]{3}[-.][0-9]{3}[-.][0-9]{4}|[0-9]{3}-[0-9]{4})(?![\w-])"
)
_MONEY_RANGE = re.compile(r"([$€£¥₹])([0-9][0-9,.]{0,15})\s?[-–]\s?(?=[0-9])")
_DIFFERENCE = re.compile(r"(?<=[0-9])\s?[-−]\s?(?=[0-9][0-9.,]{0,15}\s?=)|(?<=[0-9])(?: [-−] |−)(?=[0-9])")
_DIGIT_CHAIN = re.compile(r"(?<![\w-])[0-9]{1,15}(?:-[0-9]{1,15}){2,20}(?![\w-])")
_RANGE = re.compile(rf"{NUMBER_START}({NUMBER}[%°]?)(?:\s?–\s?(?=[$€£]?[0-9])|-(?=[0-9]))")
_CLOCK_TIME = r"[0-9]{1,2}(?::[0-9]{2}(?:\s?[aApP]\.?[mM]\b\.?)?|\s?[aApP]\.?[mM]\b\.?)"
_CLOCK_RANGE = re.compile(rf"(?<![\w:.])({_CLOCK_TIME})\s?[-–]\s?(?={_CLOCK_TIME})")
_RATING = re.compile(r"(?<![\w./,])([0-9]{1,3}\.[0-9]{1,3})/([0-9]{1,3})(?![\w/]|\.[0-9])")
_NEGATIVE = re.compile(r"(?<![\w)\].%'\"-])[-−](?=[$€£]?\.?[0-9])")
_SCIENTIFIC = re.compile(rf"{NUMBER_START}({NUMBER})[eE]([+-]?)([0-9]{{1,3}})(?!\w)")
_VERSION = re.compile(r"(?<![\w.,])(?:[vV](?=[0-9]))?[0-9]{1,6}(?:\.[0-9]{1,6}){2,6}(?!\w)")
_VERSION_MARK = re.compile(r"(?<!\w)[vV](?=[0-9])")
_TIMES_FACTOR = re.compile(r"(?<=[0-9])[x×](?!\w)")
_DIMENSIONS = re.compile(r"(?<=[0-9])\s?[x×]\s?(?=[0-9])")
_ORDINAL = re.compile(r"(?<![\w.])([0-9]{1,3}(?:,[0-9]{3}){1,4}|[0-9]{1,15})(?:st|nd|rd|th)\b")
_DECADE = re.compile(r"(?<![\w.,])([12][0-9]{2}0)'?s\b|(?<=\b[Tt]he )'?([1-9]0)'?s\b|(?<!\w)'([1-9]0)s\b")
_FRACTION = re.compile(r"(?<![\w./])(?:([0-9]{1,3}) )?([0-9]{1,3})[/⁄]([0-9]{1,3})(?![\w/]|\.[0-9])")
_DIVISION = re.compile(r"(?<=[0-9)]) / (?=[0-9(])")
_LIST_COMMA = re.compile(r"(?<=[0-9]),(?=(?:[0-9]{1,2}|[0-9]{4,15})(?![0-9]))")
_RATIO = re.compile(r"(?<![\w:.])([0-9]{1,6}):([0-9]{1,6})(?![\w:])")
_NUMBER_SIGN = re.compile(r"(?<!\w)(?:#\s?|№\s?|[Nn]o\. )(?=[0-9])")
_LEADING_POINT = re.compile(r"(?<![\w.])\.(?=[0-9])")
_PLAIN = re.compile(rf"{NUMBER_START}{NUMBER}(?![0-9A-Za-z_]|[.,][0-9])")
_FOREIGN_RANGE = re.compile(r"(?<![\w.,-])([0-9]{1,15})\s?[–-]\s?([0-9]{1,15})(?![\w-]|[.,][0-9])")
_FOREIGN_SIGN_FIRST = re.compile(r"([€$£])\s?([0-9][0-9.,]{0,20}(?<![.,]))")
_FOREIGN_SIGN_LAST = re.compile(r"(?<=[0-9])\s?([€$£])")
_FOREIGN_NEGATIVE = re.compile(r"(?<![\w)\].%'\"-])[-−](?=[0-9])")


def expand_numbers(line: str, lexicon: Lexicon) -> str:
    """Write the numbers of a line as words.

    Args:
        line: A line without markup.
        lexicon: The language's words.
    """
    if not any(char in line for char in "0123456789"):
        return line
    if lexicon is not ENGLISH:
        return _expand_foreign(line, lexicon)
    line = _LONG_DIGITS.sub(lambda m: (" point " if m[0][0] == "." else "") + _digits(m[0].lstrip(".")), line)
    line = _NUMBER_SIGN.sub("number ", line)
    line = _expand_dates_and_times(line)
    line = _PHONE.sub(_phone_words, line)
    line = _VERSION.sub(_version_words, line)
    line = _VERSION_MARK.sub("version ", line)
    line = _MONEY_RANGE.sub(r"\1\2 to \1", line)
    line = _DIFFERENCE.sub(" minus ", line)
    line = _DIGIT_CHAIN.sub(lambda m: m[0].replace("-", " "), line)
    line = _RANGE.sub(r"\1 to ", line)
    line = _NEGATIVE.sub("minus ", line)
    line = _SCIENTIFIC.sub(lambda m: f"{m[1]} times 10 to the power of {'minus ' * (m[2] == '-')}{m[3]}", line)
    line = _DIMENSIONS.sub(lambda m: " by " if "x" in m[0] else " times ", line)
    line = _TIMES_FACTOR.sub(" times", line)
    line = _DECADE.sub(_decade_words, line)
    line = expand_currencies(line, spell_number)
    line = expand_units(line)
    line = _ORDINAL.sub(lambda m: _ordinal(int(m[1].replace(",", ""))), line)
    line = _FRACTION.sub(_fraction_words, line)
    line = _RATING.sub(r"\1 out of \2", line)
    line = _DIVISION.sub(" ÷ ", line)
    line = _RATIO.sub(r"\1 to \2", line)
    line = _LIST_COMMA.sub(", ", line)
    line = _LEADING_POINT.sub("0.", line)
    return _PLAIN.sub(lambda m: _year_or_number(m[0]), line)


def spell_number(digits: str) -> str:
    """Say an English number such as `1,234.5`; a leading zero or great length makes it single digits."""
    whole, _, fraction = digits.replace(",", "").partition(".")
    if len(whole) > _LONGEST_INTEGER_DIGITS or (len(whole) > 1 and whole[0] == "0"):
        words = _digits(whole)
    else:
        words = _cardinal(int(whole))
    return f"{words} point {_digits(fraction)}" if fraction else words


def _expand_dates_and_times(line: str) -> str:
    line = _ISO_DATE.sub(_iso_date_words, line)
    line = _MONTH_DAY.sub(lambda m: _month_words(m, "{month} {day}"), line)
    line = _DAY_MONTH.sub(lambda m: _month_words(m, "the {day} of {month}"), line)
    line = _CLOCK_RANGE.sub(r"\1 to ", line)
    line = _CLOCK.sub(_clock_words, line)
    return _HOUR.sub(lambda m: f"{_cardinal(int(m['hour']))} {m['half'].lower()}.m.", line)


@lru_cache(maxsize=4096)
def _cardinal(value: int) -> str:
    return str(num2words(value)).replace(",", "")


@lru_cache(maxsize=1024)
def _ordinal(value: int) -> str:
    return str(num2words(value, to="ordinal")).replace(",", "")


def _digits(digits: str) -> str:
    return " ".join(_DIGIT_WORDS[int(digit)] for digit in digits)


def _year_or_number(digits: str) -> str:
    if len(digits) == 4 and digits.isdecimal() and 1010 <= int(digits) < 2100:
        return str(num2words(int(digits), to="year"))
    return spell_number(digits)


def _iso_date_words(match: re.Match[str]) -> str:
    try:
        day = date(int(match[1]), int(match[2]), int(match[3]))
    except ValueError:
        return match[0]
    time_of_day = f" at {match[4]}" if match[4] else ""
    return f"{_MONTHS[day.month - 1]} {_ordinal(day.day)}, {match[1]}{time_of_day}"


def _month_words(match: re.Match[str], form: str) -> str:
    day = int(match["day"])
    if not 1 <= day <= 31:
        return match[0]
    month = next(name for name in _MONTHS if name.startswith(match["month"][:3]))
    return form.format(month=month, day=_ordinal(day))


def _clock_words(match: re.Match[str]) -> str:
    hour, minute = int(match["hour"]), int(match["minute"])
    half = f" {match['half'].lower()}.m." if match["half"] else ""
    second = f" and {_cardinal(int(match['second']))} seconds" if match["second"] else ""
    if minute:
        minutes = f" oh {_cardinal(minute)}" if minute < 10 else f" {_cardinal(minute)}"
    elif half or second:
        minutes = ""
    elif 1 <= hour <= 12:
        minutes = " o'clock"
    else:
        minutes = " hundred"
    return f"{_cardinal(hour)}{minutes}{second}{half}"


def _phone_words(match: re.Match[str]) -> str:
    plus = "plus " if match[0].startswith("+") else ""
    return plus + ", ".join(_digits(group) for group in re.findall("[0-9]+", match[0]))


def _version_words(match: re.Match[str]) -> str:
    mark = "version " if match[0][0] in "vV" else ""
    parts = match[0].lstrip("vV").split(".")
    joint = " dot " if len(parts) == 4 else " point "
    return mark + joint.join(spell_number(part) for part in parts)


def _decade_words(match: re.Match[str]) -> str:
    words = _year_or_number(match[1] or match[2] or match[3])
    return f"{words[:-1]}ies" if words.endswith("y") else f"{words}s"


def _fraction_words(match: re.Match[str]) -> str:
    whole, above, below = match[1], int(match[2]), int(match[3])
    if (above, below) in ((24, 7), (9, 11)):
        words = f"{_cardinal(above)} {_cardinal(below)}"
    elif below in (10, 100) and whole is None:
        words = f"{_cardinal(above)} out of {_cardinal(below)}"
    elif not 2 <= below <= 20 or (above >= below and whole is None):
        words = f"{_cardinal(above)} over {_cardinal(below)}"
    else:
        part = {2: "half", 4: "quarter"}.get(below) or _ordinal(below)
        words = f"{_cardinal(above)} {part if above == 1 else 'halves' if below == 2 else part + 's'}"
    return f"{_cardinal(int(whole))} and {words}" if whole else words


def _expand_foreign(line: str, lexicon: Lexicon) -> str:
    line = _FOREIGN_RANGE.sub(rf"\1 {lexicon.to} \2", line)
    line = _FOREIGN_NEGATIVE.sub(f"{lexicon.minus} ", line)
    line = _FOREIGN_SIGN_FIRST.sub(r"\2 \1", line)
    line = _FOREIGN_SIGN_LAST.sub(lambda match: f" {lexicon.words[match[1]]}", line)
    mark = re.escape(lexicon.decimal_mark)
    group = re.escape(".,".replace(lexicon.decimal_mark, ""))
    pattern = (
        rf"(?<![\w.,])(?P<whole>[0-9]{{1,3}}(?:{group}[0-9]{{3}}){{1,4}}|[0-9]{{1,15}})"
        rf"(?:{mark}(?P<fraction>[0-9]{{1,15}}))?(?![\w]|[.,:][0-9])"
    )
    return re.sub(pattern, lambda match: _foreign_words(match, lexicon), line)


def _foreign_words(match: re.Match[str], lexicon: Lexicon) -> str:
    whole = match["whole"].replace(".", "")
    if match["fraction"] is None and whole == match["whole"]:
        return match[0]
    words = lexicon.spell_integer(whole)
    if match["fraction"] is None:
        return words
    return " ".join([words, lexicon.point, *(lexicon.spell_integer(digit) for digit in match["fraction"])])
