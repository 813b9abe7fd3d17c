"""Amounts: a number with its sign and with what it counts, a currency, a unit or a percentage.

In:  text and the index of a digit.   Out: the amount that stands there, and its words.
"""

import re
from functools import lru_cache
from typing import NamedTuple

from processors.text import cldr
from processors.text.currencies import currency_forms
from processors.text.language_pack import Forms, Pack
from processors.text.qualifying import qualifies_noun
from processors.text.spoken_numbers import END, Number, cardinal, find_amount, find_number, say_number, year

_PREFIX_MAX_CHARS = 14
# The two characters before a number that a sign or a currency ends with.
_MAY_BE_PREFIX = re.compile(r"(?s:.?)[^\w \s(,;:\"'%]|[^\w\s(,;:\"'!?] |[A-Z][ 0-9]|[złtčs.][ .]|.?[A-Zs]")
_LETTERS = "A-Za-zµΩ\u0400-\u04ff\u0900-\u097f\u00c0-\u024f"
_UNIT = re.compile(
    rf"(?P<gap>[ -]?)(?P<unit>[°º] ?[CF]|[{_LETTERS}]{{1,6}}|°)(?P<power>[²³]|\^[23](?!\d))?"
    rf"(?:/(?P<per>[{_LETTERS}]{{1,8}}(?:[²³])?))?{END}"
)
_WORD = re.compile(r"(?P<gap>[ -]?)(?P<word>[^\W\d_](?:[^\W\d_]|[\u0900-\u0903\u093a-\u094f])*\.?)")
_DOT_GOES_ON = re.compile(r"\. [a-z]")
_FRACTION = re.compile(r"[0-9]{1,15}(?![0-9]|[.,][0-9])")
_PER_NUMBER = re.compile(r"/(?=[0-9])")
_PERCENT = re.compile(r" ?([%‰])")
_PRICE_UNIT = re.compile(rf"[{_LETTERS}]{{1,4}}[²³]?{END}")
_SECOND_PER = re.compile(rf"/(day|d|h|hr|hour|min|minute|s|sec|week|month){END}")
_UNKNOWN_RATE = re.compile(rf"/(?=[{_LETTERS}])")
# What is counted in thousands or millions, or a range to another such number; a `5K run` has five kilometers.
_COUNTED_AHEAD = re.compile(
    r" (?!runs|races)(?:[a-z]{3,20} )?(?:(?!runs|races)[a-z]{2,20}[^s\W]s|people|data)\b"
    r"|[-–][0-9]{1,6}(?:\.[0-9]{1,3})?[kKMB]\b"
)
_RANGE_BEFORE = re.compile(r"(?<![\w.,-])[0-9.]{1,6}[kKMB]?[-–][0-9.]{1,8}\Z")
_SLASH_WORD = re.compile(rf" ?/ ?(?=[{_LETTERS}0-9])")
# A unit of one letter that is a word or a grade as well is read as one only right behind its number.
_GLUED_ONLY = frozenset("A")
_AMBIGUOUS_SUFFIXES = frozenset("k K m M b B T MM mi bi Mi Bi mille mil".split())
_PER_UNITS = {
    "s": "duration-second", "sec": "duration-second", "second": "duration-second", "min": "duration-minute",
    "minute": "duration-minute", "h": "duration-hour", "hr": "duration-hour", "hour": "duration-hour",
    "day": "duration-day", "d": "duration-day", "Tag": "duration-day", "week": "duration-week",
    "month": "duration-month", "year": "duration-year", "m": "length-meter", "km": "length-kilometer",
    "kg": "mass-kilogram", "L": "volume-liter", "l": "volume-liter", "ml": "volume-milliliter",
    "mL": "volume-milliliter", "dl": "volume-deciliter", "dL": "volume-deciliter", "m²": "area-square-meter",
    "m³": "volume-cubic-meter", "cm³": "volume-cubic-centimeter", "cm²": "area-square-centimeter",
}  # fmt: skip
_BEFORE_SIGN = re.compile(r"[^\W\u2e80-\u9fff\uac00-\ud7af]|[)\]%°'\"$€£+−–-]")


class Amount(NamedTuple):
    """A number and what it counts.

    Attributes:
        start: Index of the first character: a sign, a currency, a digit.
        end: Index behind the last.
        sign: "-", "+" or nothing.
        currency: Sign or code as written.
        magnitude: Word or suffix of the pack's table.
        unit: The words around the number, with `{0}` in its place.
        hyphen: The number and its unit are an adjective, as in `5-km run`.
        per: A price for each of what follows.
        per_unit: The unit that the price is for, in words.
    """

    start: int
    end: int
    number: Number
    sign: str = ""
    currency: str = ""
    magnitude: str = ""
    unit: str = ""
    hyphen: bool = False
    per: bool = False
    per_unit: str = ""

    @property
    def is_plain(self) -> bool:
        """Whether it is a number and nothing else."""
        return not (self.sign or self.currency or self.magnitude or self.unit)


@lru_cache(maxsize=32)
def _currencies(pack: Pack) -> tuple[re.Pattern[str], re.Pattern[str]]:
    """Currencies in front of a number, with its signs, and behind one."""
    known = sorted(pack.currency_codes, key=len, reverse=True)
    one = "|".join(rf"(?<![^\W_]){re.escape(name)}" if name[0].isalpha() else re.escape(name) for name in known)
    before = re.compile(
        rf"(?P<sign>[-−+])?(?P<currency>{one}|(?<![^\W_])Rs\.?)? ?(?P<inner>[-−])?(?P<point>\.)?\Z", re.DOTALL
    )
    after = "|".join(re.escape(name) + (END if name[-1].isalpha() else "") for name in known)
    of = r"(?: (?:de|di) | d')?" if "many_of" in pack.words else ""
    firsts = "".join(sorted({re.escape(name[0]) for name in known}))
    near = rf"(?= ?(?:d[ei] |d')?[{firsts}])"
    return before, re.compile(rf"{near}(?:{of}| ?)(?P<currency>{after})(?![0-9])".replace("(?:|", "(?:"))


def read_amount(line: str, floor: int, digit: int, pack: Pack) -> Amount | None:
    """Read the amount whose first digit stands at `digit`; nothing before `floor` belongs to it."""
    before, after = _currencies(pack)
    prefix = None
    if digit > floor and _MAY_BE_PREFIX.match(line, max(0, digit - 2)):
        word = line.rfind(" ", 0, digit - 1) + 1 if digit else 0
        prefix = before.search(line, max(floor, digit - _PREFIX_MAX_CHARS, word), digit)
    start, sign, currency, point, is_counted_only = digit, "", "", False, False
    if prefix:
        start, sign, currency, point = _prefix(line, prefix, digit)
    if not currency and digit > floor and not _starts_number(line, start if point else digit):
        return None
    if point:
        fraction = _FRACTION.match(line, digit)
        number = Number(fraction.end(), f"0.{fraction[0]}") if fraction else None
    else:
        number = find_number(line, digit, pack)
        if number is None:
            # Digits with the other language's decimal mark are a number only where something counts them.
            number, is_counted_only = find_amount(line, digit, pack), True
    if number is None:
        return None
    amount = Amount(start, number.end, number, sign, currency)
    if line[start - 1 : start] == "%" and pack.templates.get("%", "").endswith("{0}") and start > floor:
        start -= 1
        if start > floor and line[start - 1] in "-−" and not _BEFORE_SIGN.match(line[start - 2 : start - 1] or " "):
            start, amount = start - 1, amount._replace(sign="-")
        return amount._replace(start=start, unit=pack.templates["%"])
    amount = _with_money(line, amount, after, pack)
    if not amount.currency and not amount.magnitude:
        amount = _with_unit(line, amount, pack)
    if is_counted_only and amount.is_plain:
        return None
    return amount


def _prefix(line: str, prefix: re.Match[str], digit: int) -> tuple[int, str, str, bool]:
    start, currency = prefix.start(), prefix["currency"] or ""
    sign = prefix["sign"] or prefix["inner"] or ""
    point = bool(prefix["point"]) and (bool(currency) or _may_precede_point(line, prefix.start("point")))
    if prefix["sign"] and _BEFORE_SIGN.match(line[start - 1 : start] or " "):
        sign, start = prefix["inner"] or "", start + 1
    if not currency:
        # Without a currency a sign stands right before its number.
        start = digit - (1 if point else 0)
        signed = line[start - 1 : start] in ("-", "−", "+") and sign
        allowed = signed and not _BEFORE_SIGN.match(line[start - 2 : start - 1] or " ")
        sign = line[start - 1] if allowed else ""
        start -= 1 if sign else 0
    return start, sign.replace("−", "-"), currency, point


def _may_precede_point(line: str, point: int) -> bool:
    return not re.match(r"[\w.]", line[point - 1 : point] or " ")


def _starts_number(line: str, digit: int) -> bool:
    before = line[digit - 1 : digit] or " "
    return not (_LETTER.match(before) or (before in ".,:" and line[digit - 2 : digit - 1].isdecimal()))


_LETTER = re.compile(r"[^\W\u2e80-\u9fff\uac00-\ud7af]")


def _with_money(line: str, amount: Amount, after: re.Pattern[str], pack: Pack) -> Amount:
    """Add a magnitude and a currency that stand behind the number."""
    word = _WORD.match(line, amount.end)
    end, magnitude = amount.end, ""
    if not amount.currency and not word and not after.match(line, end):
        return amount
    if word and (word["word"] in pack.magnitudes or word["word"].rstrip(".") in pack.magnitudes):
        magnitude = word["word"] if word["word"] in pack.magnitudes else word["word"].rstrip(".")
        end = word.start("word") + len(magnitude)
        if word["gap"] == "-" and not amount.currency:
            magnitude, end = "", amount.end
    currency = None if amount.currency else after.match(line, end)
    if currency is None and magnitude and not amount.currency and not _stands_alone(magnitude, amount, line, end, pack):
        magnitude, end = "", amount.end
        currency = after.match(line, end)
    if currency and (amount.sign or _starts_number(line, amount.start)):
        amount, end = amount._replace(currency=currency["currency"]), currency.end()
    hyphen = bool(magnitude and amount.currency and word and word["gap"] == "-")
    if pack.is_english and amount.currency and (magnitude or "." not in amount.number.digits):
        hyphen = hyphen or qualifies_noun(line, amount.start, end)
    if end == amount.end and not amount.currency:
        return amount
    per = _SLASH_WORD.match(line, end) if amount.currency else None
    amount = amount._replace(magnitude=magnitude, end=per.end() if per else end, per=bool(per), hyphen=hyphen)
    return _with_price_unit(line, amount, pack) if per and "per" in pack.words else amount


def _with_price_unit(line: str, amount: Amount, pack: Pack) -> Amount:
    """Add the unit behind `€/kg`."""
    match = _PRICE_UNIT.match(line, amount.end)
    pattern = _named(match[0], "one", pack) if match else ""
    if not match or not pattern.startswith("{0} "):
        return amount
    return amount._replace(end=match.end(), per_unit=pattern.removeprefix("{0} "))


def with_currency_of(line: str, amount: Amount, other: Amount, pack: Pack) -> Amount:
    """Read the second amount of `$5-10 million` in the currency of the first."""
    return _with_money(line, amount._replace(currency=other.currency), _currencies(pack)[1], pack)


def _stands_alone(magnitude: str, amount: Amount, line: str, end: int, pack: Pack) -> bool:
    """Whether a suffix is a magnitude without any currency: `1.5M`, `3 bn`, `5 Mio.`, `10K followers`."""
    if magnitude in pack.magnitudes[magnitude].values():
        return False
    if magnitude not in _AMBIGUOUS_SUFFIXES:
        return True
    if magnitude not in ("k", "K", "M", "B") or line[end - 2 : end - 1] == " ":
        return False
    if magnitude == "K" and amount.number.digits in ("4", "8"):
        return False  # The sharpness of a picture.
    return "." in amount.number.digits or bool(
        pack.is_english and (_COUNTED_AHEAD.match(line, end) or _RANGE_BEFORE.search(line, max(0, end - 20), end - 1))
    )


def _with_unit(line: str, amount: Amount, pack: Pack) -> Amount:
    percent = _PERCENT.match(line, amount.end)
    if percent:
        pattern = _percent_pattern(percent[1], amount, pack)
        return amount._replace(unit=pattern, end=percent.end()) if pattern else amount
    match = _UNIT.match(line, amount.end)
    if match is None:
        return amount
    unit = match["unit"].replace("º", "°").replace("μ", "µ").replace(" ", "")
    power = {"^2": "²", "^3": "³"}.get(match["power"] or "", match["power"] or "")
    if unit + "." in pack.units and line[match.end("unit") : match.end("unit") + 1] == ".":
        unit += "."
    hyphen = match["gap"] == "-"
    if (unit in _GLUED_ONLY and match["gap"] and pack.is_english) or (hyphen and len(unit) == 1):
        return amount
    qualifies = pack.is_english and qualifies_noun(line, amount.start, match.end())
    category = "one" if (hyphen or qualifies) and pack.is_english else pack.plural(_plural_value(amount.number))
    pattern, end = _unit_pattern(match, unit, power, category, pack)
    if not pattern:
        return amount
    if (unit[-1] == "." and line[end : end + 1] == ".") or (pack.is_english and _DOT_GOES_ON.match(line, end)):
        end += 1
    if pack.is_english and (rate := _SECOND_PER.match(line, end)):
        pattern, end = f"{pattern} per {_PER_UNITS[rate[1]].rpartition('-')[2]}", rate.end()
    elif "per" in pack.words and _UNKNOWN_RATE.match(line, end):
        pattern, end = f"{pattern} {pack.words['per']} ", end + 1
    per_number = "per" in pack.words and _PER_NUMBER.match(line, end)
    return amount._replace(unit=pattern, end=end + 1 if per_number else end, hyphen=hyphen, per=bool(per_number))


def unit_behind(line: str, end: int, digits: str, pack: Pack) -> tuple[str, int]:
    """The unit that stands behind a number of so much: the words around `{0}`, "" for none, and where it ends."""
    amount = _with_unit(line, Amount(end, end, Number(end, digits)), pack)
    return amount.unit, amount.end


def _plural_value(number: Number) -> float:
    value = number.value
    return int(value) if "." not in number.digits else value


def _percent_pattern(sign: str, amount: Amount, pack: Pack) -> str:
    if sign in pack.templates:
        return pack.templates[sign]
    if pack.is_known and pack.language not in ("en", "de", "fr", "es", "it", "pt"):
        name = "concentr-percent" if sign == "%" else "concentr-permille"
        found = cldr.unit_pattern(pack.locale, name, pack.plural(_plural_value(amount.number)))
        if found and sign not in found and "٪" not in found:
            return found
    return f"{{0}} {pack.symbols[sign]}" if sign in pack.symbols else ""


def _unit_pattern(match: re.Match[str], unit: str, power: str, category: str, pack: Pack) -> tuple[str, int]:
    """The words around the number, and where the unit ends; nothing where the language does not know it."""
    per = match["per"] or ""
    whole = f"{unit}{power}/{per}" if per else unit + power
    pattern = _named(whole, category, pack)
    if pattern or not per:
        return pattern, match.end()
    name = pack.units.get(unit + power)
    if pack.is_known and name and per in _PER_UNITS and unit + power not in pack.unit_words:
        pattern = cldr.unit_pattern(pack.locale, name, category, _PER_UNITS[per]) or ""
        if pattern and "/" not in pattern:
            return pattern, match.end()
    end = match.end("power") if match["power"] else match.end("unit")
    pattern = _named(unit + power, category, pack)
    if pattern and pack.is_english and per in _PER_UNITS:
        return f"{pattern} per {_PER_UNITS[per].rpartition('-')[2]}", match.end()
    return pattern, end


@lru_cache(maxsize=4096)
def _named(unit: str, category: str, pack: Pack) -> str:
    if unit in pack.templates:
        return pack.templates[unit]
    if unit in pack.unit_words:
        forms = pack.unit_words[unit]
        return f"{{0}}{pack.gap}{forms.get(category, forms.get('other', ''))}"
    name = pack.units.get(unit)
    return (cldr.unit_pattern(pack.locale, name, category) if pack.is_known and name else None) or ""


def say_amount(amount: Amount, pack: Pack, bare: bool = False) -> str:
    """Say an amount.

    Args:
        amount: The amount.
        pack: Its language.
        bare: Only the number and its sign, since the unit follows at the end of the range.
    """
    sign = _say_sign(amount.sign, pack)
    if bare or amount.is_plain or not (amount.currency or amount.magnitude or amount.unit):
        return sign + say_plain(amount.number, pack, may_be_year=not sign and not bare)
    words = say_number(amount.number, pack)
    if amount.currency:
        return f"{sign}{_say_money(amount, words, pack)}"
    if amount.magnitude:
        return f"{sign}{words}{pack.gap}{_form(pack.magnitudes[amount.magnitude], amount.number, pack)}"
    if amount.hyphen and pack.is_english:
        return sign + amount.unit.replace("{0} ", "{0}-").format(words)
    per = f" {pack.words['per']} " if amount.per else ""
    if amount.unit in pack.templates.values():
        return sign + amount.unit.format(words) + per
    return amount.unit.format(sign + words) + per


def _say_sign(sign: str, pack: Pack) -> str:
    if sign == "-":
        return pack.words["minus"] + pack.gap if "minus" in pack.words else "-"
    return (pack.words["plus"] + pack.gap if "plus" in pack.words else "+") if sign else ""


def say_plain(number: Number, pack: Pack, may_be_year: bool = True) -> str:
    """Say a number that counts nothing; in English four digits are a year."""
    digits = number.digits
    looks_like_year = pack.is_english and not number.grouped and len(digits) == 4 and digits.isdecimal()
    if may_be_year and looks_like_year and 1010 <= int(digits) < 2100:
        return year(int(digits), pack)
    return say_number(number, pack)


def _form(forms: Forms, number: Number, pack: Pack) -> str:
    return forms.get(pack.plural(_plural_value(number)), forms.get("other", ""))


def _say_money(amount: Amount, words: str, pack: Pack) -> str:
    per = f" {pack.words['per']} " if amount.per and "per" in pack.words else " " if amount.per else ""
    if amount.per_unit:
        vowel = amount.per_unit[0] in "aeiou" and "per_vowel" in pack.words
        per = f" {pack.words['per_vowel']}{amount.per_unit}" if vowel else per + amount.per_unit
    forms = currency_forms(amount.currency, pack)
    if amount.magnitude:
        magnitude = _form(pack.magnitudes[amount.magnitude], amount.number, pack)
        name = forms.get("whole") or forms.get("other", "")
        if amount.hyphen and pack.is_english:
            name = forms.get("one", name)
        of = ""
        if "many_of" in pack.words and magnitude not in ("mil", "mille", "mila", "tausend"):
            vowel = name[:1].lower() in "aeiouyéh" and "many_of_vowel" in pack.words
            of = pack.words["many_of_vowel"] if vowel else pack.words["many_of"] + " "
        return f"{words}{pack.gap}{magnitude}{pack.gap}{of}{name}{per}"
    if not forms.get("cent"):
        return f"{words}{pack.gap}{_form(forms, amount.number, pack)}{per}"
    return _with_cents(amount, forms, pack) + per


def _with_cents(amount: Amount, forms: Forms, pack: Pack) -> str:
    digits, _, fraction = amount.number.digits.partition(".")
    if len(fraction) not in (0, 2) or "cents" not in pack.words:
        return f"{say_number(amount.number, pack)} {forms['other']}"
    whole, cents = amount.number._replace(digits=digits), int(fraction or 0)
    # "A five-dollar note".
    name = forms["one"] if amount.hyphen and pack.is_english else _form(forms, whole, pack)
    big = f"{say_number(whole, pack)} {name}"
    number = cardinal(cents, pack) if pack.is_english else str(cents)
    cent = forms["cent"] if cents == 1 else forms["cents"]
    if cents and int(digits):
        return pack.words.get("few_cents" if cents < 10 else "cents", pack.words["cents"]).format(big, number, cent)
    return f"{number} {cent}" if cents else big
