"""Quantities: amounts, ranges and differences of two, factors, dimensions, and a length in feet and inches.

In:  a line and the index of a digit.   Out: the stretch that is one quantity, in words.
"""

import re

from processors.text import cldr
from processors.text.found import Found
from processors.text.language_pack import Pack
from processors.text.spoken_amounts import Amount, read_amount, say_amount, say_plain, with_currency_of
from processors.text.spoken_numbers import Number, cardinal, find_number, say_number
from processors.text.spoken_times import find_time

_JOINT = re.compile(
    r"(?P<left> ?)(?P<dash>[-–−~～〜])(?P<right> ?)(?=(?:[A-Z]{0,3}[$€£¥₹₩₽₺] ?|[A-Z]{3} )?[-−]?\.?(?P<digit>[0-9]))"
)
_OPERATOR_AFTER = re.compile(r" ?(?:[=×÷*]|\+ ?[0-9(])")
_OPERATOR_BEFORE = "=+×÷*("
_ASKS_RESULT = re.compile(
    r"(?:\b(?:is|what's|compute|calculate|evaluate|solve|ist|font|es|è|é|fait)) \Z", re.IGNORECASE
)
_TIGHT_UNIT = re.compile(r"[^\W\d_]")
_PRIME_NEAR = re.compile(r"[0-9.]{1,8}[°'\"]")
_FEET = re.compile(r"([0-9]{1,2})' ?([0-9]{1,2}(?:\.5)?)(?:\"|'')?(?![0-9'])")
_ONE_PRIME = re.compile(
    r"([0-9]{1,4}(?:\.[0-9]{1,2})?)(['\"])(?= ?[x×] ?[0-9]|[ -](?:tall|wide|long|deep|high|thick|diameter|by [0-9]|TV"
    r"|screen|monitor|display|pizza|pipe|wheel|laptop|ceiling|board|nail|rim|pole|ladder|rope|fence|bolt|hose|tree|boat|wall)s?\b)"
)
_NOUN_NEXT = re.compile(r"[ -](?!x\b|tall|wide|long|deep|high|thick|by |diameter)[a-zA-Z]")
_LAST_PRIME = re.compile(r"[x×] ?\Z")
_DEGREES = re.compile(r"([0-9]{1,3})° ?([0-9]{1,2})'(?: ?([0-9]{1,2}(?:\.[0-9]{1,4})?)\")?")
_DIMENSION = re.compile(r" ?[x×] ?(?=\.?[0-9])")
_FACTOR = re.compile(r"[x×](?!\w| ?[-−–+=^*/÷×≤≥<>)²³] ?[\w(√])")
_TEN_TO_THE = re.compile(r"10 ?[\^²³]")
_BY_LOOK = re.compile(
    r"[0-9]{3,5}×[0-9]{3,5}(?![0-9.,])"
    r"|[0-9.]{1,6} ?× ?[0-9.]{1,6}(?: ?× ?[0-9.]{1,6})? ?(?:mm|cm|m|px|ft|in|inches)(?!\w)"
)
_COEFFICIENT_X = re.compile(r"x(?= ?[-−–+=^*/÷×≤≥<>)²³])")
# What follows is not known, so that the first number is not half of what is changed.
_RANGE_OF_UNKNOWN = re.compile(r"[-–][0-9]{1,9}[A-Za-z]")
_SCIENTIFIC = re.compile(r"[eE]([+-]?)([0-9]{1,3})(?!\w)")
_LETTERS_FOLLOW = re.compile(r"[^\W\d_\u0e00-\u0eff\u2e80-\u9fff\uac00-\ud7af]|_")


def find_quantity(line: str, floor: int, digit: int, pack: Pack) -> Found | None:
    """Find the quantity whose first digit stands at `digit`."""
    if _PRIME_NEAR.match(line, digit) and pack.words and (found := _primes(line, digit, pack)):
        return found
    first = read_amount(line, floor, digit, pack)
    if first is None:
        return None
    joined = _joined(line, first, pack)
    if joined:
        return joined
    return _single(line, first, pack)


def _single(line: str, amount: Amount, pack: Pack) -> Found | None:
    end = amount.end
    if not (amount.unit or amount.currency or amount.magnitude):
        science = _SCIENTIFIC.match(line, end)
        if science and "power" in pack.words and "times" in pack.words:
            exponent = cardinal(int(science[2]), pack) if pack.is_english else science[2]
            minus = f"{pack.words['minus']} " if science[1] == "-" else ""
            times = pack.symbols.get("×", pack.words["times"])
            ten = cardinal(10, pack) if pack.is_english else "10"
            words = f"{say_amount(amount, pack)} {times} {ten} {pack.words['power']} {minus}{exponent}"
            return Found(amount.start, science.end(), words)
        if dimension := _DIMENSION.match(line, end):
            joint = _dimension_words(line, amount, dimension, pack)
            if joint:
                return Found(amount.start, dimension.end(), f"{say_amount(amount, pack)} {joint} ")
        if (factor := _FACTOR.match(line, end)) and "times" in pack.words:
            return Found(amount.start, factor.end(), f"{say_amount(amount, pack)} {pack.words['times']}")
        if pack.is_english and _COEFFICIENT_X.match(line, end):
            return Found(amount.start, end, f"{say_amount(amount, pack)} ")
        if _LETTERS_FOLLOW.match(line, end) or _RANGE_OF_UNKNOWN.match(line, end):
            return None
    elif amount.unit and (dimension := _DIMENSION.match(line, end)) and "by" in pack.words:
        return Found(amount.start, dimension.end(), f"{say_amount(amount, pack)} {pack.words['by']} ")
    if (amount.sign and "minus" not in pack.words) or (amount.currency and not pack.is_known):
        return None
    return Found(amount.start, end, say_amount(amount, pack))


def _dimension_words(line: str, amount: Amount, dimension: re.Match[str], pack: Pack) -> str:
    """What stands between `3 x 5` and `1920×1080`, and what between `3 × 5` and `6.02 x 10²³`."""
    measures = "x" in dimension[0] or _BY_LOOK.match(line, amount.start)
    if measures and not _TEN_TO_THE.match(line, dimension.end()):
        return pack.words.get("by", "")
    return pack.symbols.get("×", "")


def _joined(line: str, first: Amount, pack: Pack) -> Found | None:
    """A range or a difference of two amounts."""
    joint = _JOINT.match(line, first.end)
    if joint is None or bool(joint["left"]) != bool(joint["right"]) or "to" not in pack.words:
        return None
    time = find_time(line, joint.end(), joint.start("digit"), pack)
    if time and first.is_plain:
        words = f"{say_plain(first.number, pack, False)}{pack.gap}{pack.words['to']}{pack.gap}{time.words}"
        return Found(first.start, time.end, words)
    second = read_amount(line, joint.end(), joint.start("digit"), pack)
    if second is None or second.start != joint.end():
        return None
    if _LETTERS_FOLLOW.match(line, second.end) and not (second.unit or second.currency or second.magnitude):
        return None
    if first.currency and not second.currency:
        # In `£5-10m` the letter is no meter.
        paid = with_currency_of(line, second._replace(unit="", end=second.number.end), first, pack)
        second = paid if second.is_plain or paid.magnitude else second
    if _is_difference(line, first, joint, second) and "minus" in pack.words:
        minus = pack.symbols.get("−", pack.words["minus"])
        words = f"{say_amount(first, pack)}{pack.gap}{minus}{pack.gap}{say_amount(second, pack)}"
        return Found(first.start, second.end, words)
    words = _range_words(first, second, pack)
    since = f"{pack.words['since']} " if "since" in pack.words and (first.sign or second.sign) else ""
    words = words if line.endswith(since, 0, first.start) else since + words
    return Found(first.start, second.end, words)


def _is_difference(line: str, first: Amount, joint: re.Match[str], second: Amount) -> bool:
    if joint["dash"] == "−":
        return True
    before = line[max(0, first.start - 12) : first.start]
    if _OPERATOR_AFTER.match(line, second.end) or before.rstrip()[-1:] in tuple(_OPERATOR_BEFORE[:-1]):
        return True
    if not joint["left"] or first.unit or first.currency:
        return False
    descends = first.number.value >= second.number.value
    asks = _ASKS_RESULT.search(before) and line[second.end : second.end + 2].strip(" ")[:1] in ("?", "", ".")
    percent = line[second.end - 1 : second.end] == "%"
    return bool((descends and (percent or not second.unit) and not second.magnitude) or asks)


def _range_words(first: Amount, second: Amount, pack: Pack) -> str:
    gap, to = pack.gap, pack.words["to"]
    if "range" in pack.words and (first.sign or second.sign):
        return f"{say_amount(first, pack)} {to} {say_amount(second, pack)}"
    if "range" in pack.words:
        gap, to = "", pack.words["range"]
        if (first.currency, first.unit, first.magnitude) == (second.currency, second.unit, second.magnitude):
            return f"{say_amount(first, pack, bare=True)}{to}{say_amount(second, pack)}"
    descends = first.number.value > second.number.value and first.is_plain and second.is_plain
    if descends and "ratio" in pack.words and not _is_year(first.number):
        to = pack.words["ratio"]
    if second.magnitude and not first.magnitude and first.currency == second.currency:
        return f"{say_amount(first, pack, bare=True)}{gap}{to}{gap}{say_amount(second, pack)}"
    if first.is_plain and (second.currency or second.unit or second.magnitude):
        return f"{say_amount(first, pack, bare=True)}{gap}{to}{gap}{say_amount(second, pack)}"
    return f"{say_amount(first, pack)}{gap}{to}{gap}{say_amount(second, pack)}"


def _is_year(number: Number) -> bool:
    return len(number.digits) == 4 and not number.grouped


def _primes(line: str, digit: int, pack: Pack) -> Found | None:
    """Feet and inches, or degrees, minutes and seconds, which share their signs."""
    if not pack.is_known:
        return None
    if degrees := _DEGREES.match(line, digit):
        units = ("angle-degree", "angle-arc-minute", "angle-arc-second")
        parts = [_counted(part, unit, pack) for part, unit in zip(degrees.groups(), units, strict=True) if part]
        return Found(digit, degrees.end(), f"{pack.gap or ' '}".join(parts))
    if (feet := _FEET.match(line, digit)) and float(feet[2]) < 12:
        if pack.is_english:
            return Found(digit, feet.end(), f"{cardinal(int(feet[1]), pack)} foot {_said(feet[2], pack)}")
        words = f"{_counted(feet[1], 'length-foot', pack)} {_counted(feet[2], 'length-inch', pack)}"
        return Found(digit, feet.end(), words)
    single = _ONE_PRIME.match(line, digit)
    if single is None and _LAST_PRIME.search(line[max(0, digit - 3) : digit]):
        single = re.compile(r"([0-9]{1,4}(?:\.[0-9]{1,2})?)(['\"])(?!\w)").match(line, digit)
    if single:
        unit = "length-foot" if single[2] == "'" else "length-inch"
        words = _counted(single[1], unit, pack)
        if pack.is_english and _NOUN_NEXT.match(line, single.end()):
            words = f"{_said(single[1], pack)}-{'foot' if single[2] == chr(39) else 'inch'}"
        if (dimension := _DIMENSION.match(line, single.end())) and "by" in pack.words:
            return Found(digit, dimension.end(), f"{words} {pack.words['by']} ")
        return Found(digit, single.end(), words)
    return None


def _said(digits: str, pack: Pack) -> str:
    number = find_number(digits.replace(".", pack.decimal_mark), 0, pack)
    return say_number(number, pack) if number else digits


def _counted(digits: str, unit: str, pack: Pack) -> str:
    value = float(digits)
    pattern = cldr.unit_pattern(pack.locale, unit, pack.plural(int(value) if value.is_integer() else value))
    return (pattern or "{0}").format(_said(digits, pack))
