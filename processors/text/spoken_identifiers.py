"""Digits that are no quantity: telephone numbers, card and book numbers, versions, internet addresses.

In:  a line and the index of a digit.   Out: the stretch that is one of these, said digit by digit in groups.
"""

import re

from processors.text.found import Found
from processors.text.language_pack import Pack
from processors.text.spoken_amounts import say_plain
from processors.text.spoken_numbers import LONGEST_DIGITS, Number, say_digits

_INTERNATIONAL = re.compile(r"[0-9]{1,3}(?:[ .'/-]?\(?[0-9]{1,4}\)?){2,7}(?![\w-]|[.,][0-9])")
_LONG = re.compile(rf"[0-9]{{{LONGEST_DIGITS + 1},}}")
_CHAIN = re.compile(r"[0-9]{1,15}(?:-[0-9X]{1,15}){2,20}(?![\w-])")
_AREA_IN_BRACKETS = re.compile(r"[0-9]{2,5}\) ?[0-9]{2,8}(?:[ .-][0-9]{2,8}){0,3}(?![\w-])")
_NORTH_AMERICAN = re.compile(r"(?:1[ .-])?[0-9]{3}([-. ])[0-9]{3}\1[0-9]{4}(?![\w-]|[.,][0-9])")
_SEVEN = re.compile(r"[2-9][0-9]{2}-[0-9]{4}(?![\w-]|[.,][0-9])")
_LEADING_ZERO = re.compile(r"0[0-9]{1,5}(?:[ /-][0-9]{2,8}){1,5}(?![\w-]|[.,/][0-9]| ?[%€$£°])")
_SPACED = re.compile(r"[0-9]{2,3}(?: [0-9]{2,4}){2,4}(?![\w-]|[.,][0-9]| ?[%€$£°]| [0-9])")
_RUSSIAN = re.compile(r"(?:[78][ -])?(?:\([0-9]{3}\) ?|[0-9]{3}[ -])?[0-9]{3}-[0-9]{2}-[0-9]{2}(?![\w-])")
_FIVE_FOUR = re.compile(r"[0-9]{5}-[0-9]{4}(?![\w-])")
_VANITY = re.compile(r"(?:1[-. ])?8[0-9]{2}-(?=[A-Z0-9-]{0,12}[A-Z]{2})[A-Z0-9]{1,8}(?:-[A-Z0-9]{1,8}){0,2}(?![\w-])")
_CARD = re.compile(r"[0-9]{4}([ -])[0-9]{4}\1[0-9]{4}(?:\1[0-9]{1,4}){0,2}(?![\w-])")
_ADDRESS = re.compile(r"(?:[0-9]{1,3}\.){3}[0-9]{1,3}(?::(?P<port>[0-9]{1,5}))?(?:/(?P<mask>[0-9]{1,2}))?(?![\w.]*\w)")
_VERSION = re.compile(r"[0-9]{1,6}(?:\.[0-9]{1,6}){2,6}(?![\w])")
_EXTENSION = re.compile(r",? ?(?:\b[Ee]xt\.?|\b[Ee]xtension|(?<=[0-9 ])x) ?([0-9]{1,6})(?!\w)")
_SHORT = re.compile(r"(?:[0-9]{3,4}|[0-9]{6,15})(?![\w/%°$€£:-]|[.,][0-9]| [0-9])")
_THREE = re.compile(r"[0-9]{3}(?![\w/%°$€£:-]|[.,][0-9]| [0-9])")
_COUNTED_NEXT = re.compile(
    r" (?!was\b|is\b|has\b|as\b|calls?\b|operators\b|services?\b|dispatchers?\b)"
    r"(?:[a-z]{1,20}s|people|feet|children|men|women|million|thousand)\b"
)
# What may stand between the word and the number.
_BETWEEN = frozenset(
    "us me them at the number to on is die den le el al il o für or and unter an sie uns mich numéro número numero "
    "au police emergency services".split()
)
_JOINED = re.compile(r"[0-9]+(?:[-./ '()]{1,2}[0-9]|\))")
_VERSION_MARK = re.compile(r"(?<!\w)[vV]\.? ?\Z")
_SPELLED = re.compile(
    r"\b(?:PIN|ISBN|ZIP|CEP|PLZ|SSN|OTP|CVV|CVC|IMEI|passcode|[Cc]ode|[Cc]ódigo|[Cc]odice):? (?:is |#)?\Z"
)
_SPELLED_DIGITS = re.compile(r"[0-9]{3,15}(?![\w/%°$€£:-]|[.,][0-9]| [0-9])")
_ONE_GROUP_DIGITS = 6
_MOBILE = re.compile(r"3[0-9]{2} [0-9]{6,7}(?![\w-]|[.,][0-9]| [0-9])")
_NINE = re.compile(r"[6-9][0-9]{2} [0-9]{3} [0-9]{3}(?![\w-]|[.,][0-9]| [0-9]| ?[^\W\d]| ?[%$€£°])")
_CHINESE_MOBILE = re.compile(r"1[3-9][0-9]{9}(?![0-9]|[.,][0-9])")
_NAMED_BEFORE = re.compile(r"(?:[Pp]orsche|[Ff]light|[Rr]oom|[Rr]oute|[Aa]rea) \Z")


def find_identifier(line: str, floor: int, digit: int, pack: Pack) -> Found | None:
    """Find the telephone number, version or other chain of digits that begins at a digit."""
    before = line[digit - 1 : digit] if digit > floor else ""
    if long := _LONG.match(line, digit):
        return _long(line, digit, long, pack)
    if before in ("v", "V"):
        return _version(line, floor, digit, pack)
    if before == "+" or (before == "(" and line[digit - 2 : digit - 1] == "+"):
        start = digit - len(before) - (before == "(")
        match = _INTERNATIONAL.match(line, digit)
        if match and sum(char.isdecimal() for char in match[0]) >= 7:
            return _phone(line, start, match.end(), match[0], pack, plus=True)
        return None
    if before and (before in "_.,+-/:" or before.isalnum()) and ord(before) < 0x2E80:
        return None
    if before == "(" and (match := _AREA_IN_BRACKETS.match(line, digit)):
        return _phone(line, digit - 1, match.end(), match[0], pack)
    if vanity := _VANITY.match(line, digit):
        groups = re.findall("[0-9]+|[A-Z]+", vanity[0])
        words = ", ".join(_say_group(group, pack) if group.isdecimal() else group for group in groups)
        return Found(digit, vanity.end(), words)
    if _JOINED.match(line, digit) and (found := _grouped(line, digit, pack) or _version(line, floor, digit, pack)):
        return found
    return _spelled(line, digit, pack) or _called(line, digit, pack)


def _spelled(line: str, digit: int, pack: Pack) -> Found | None:
    """Digits behind `PIN` or `ISBN`, and ungrouped numbers of mobile telephones."""
    if (match := _SPELLED_DIGITS.match(line, digit)) and _SPELLED.search(line, max(0, digit - 14), digit):
        if len(match[0]) <= _ONE_GROUP_DIGITS:
            return Found(digit, match.end(), say_digits(match[0], pack))
        return _phone(line, digit, match.end(), match[0], pack)
    if pack.language == "zh" and (match := _CHINESE_MOBILE.match(line, digit)):
        groups = (match[0][:3], match[0][3:7], match[0][7:])
        return Found(digit, match.end(), ", ".join(say_digits(group, pack) for group in groups))
    return None


def _grouped(line: str, digit: int, pack: Pack) -> Found | None:
    local = {"it": (_MOBILE,), "es": (_NINE,), "pt": (_NINE,)}.get(pack.language, ())
    for pattern in (*local, _RUSSIAN, _FIVE_FOUR, _NORTH_AMERICAN, _CARD, _LEADING_ZERO, _SPACED, _SEVEN, _CHAIN):
        match = pattern.match(line, digit)
        if match is None:
            continue
        groups = re.findall("[0-9X]+", match[0])
        total = sum(map(len, groups))
        if pattern is _CARD and all(1800 <= int(group) <= 2100 for group in groups):
            continue
        if pattern is _LEADING_ZERO and not 7 <= total <= 15:
            continue
        if pattern is _SPACED and (not 9 <= total <= 11 or all(len(group) == 3 for group in groups)):
            continue
        if pattern is _SEVEN and not _is_local_number(line, digit, match, pack):
            continue
        if pattern is _CHAIN and total < 9 and not any(len(group) > 1 and group[0] == "0" for group in groups):
            words = " ".join(say_plain(Number(0, group), pack) for group in groups)
            return Found(digit, match.end(), words) if pack.is_english else None
        return _phone(line, digit, match.end(), match[0], pack)
    return None


def _is_local_number(line: str, digit: int, match: re.Match[str], pack: Pack) -> bool:
    if match[0].startswith("555") or match[0][4] == "0" or _is_called(line, digit, pack):
        return True
    return not line[match.end() : match.end() + 2].strip().isalpha()


def _is_called(line: str, digit: int, pack: Pack) -> bool:
    """Whether one of the three words before, within the sentence, is one that a telephone number follows."""
    calls = pack.phones.get("calls")
    if not calls:
        return False
    before = line[max(0, digit - 28) : digit].replace(":", "").split()[-3:]
    for index, word in enumerate(reversed(before)):
        if word in calls or word.lower() in calls:
            return index == 0 or before[-1].lower() in _BETWEEN
        if word[-1] in ".,;!?":
            return False
    return False


def _called(line: str, digit: int, pack: Pack) -> Found | None:
    """A short or ungrouped number behind a word such as `call`, and the emergency number anywhere."""
    is_emergency = line[digit : digit + 3] in pack.phones.get("emergency", ())
    match = _THREE.match(line, digit) if is_emergency else None
    if match and not _COUNTED_NEXT.match(line, match.end()):
        is_name = _NAMED_BEFORE.search(line, max(0, digit - 10), digit) or line[digit - 1 : digit] in tuple("$€£-–")
        if not is_name:
            return Found(digit, match.end(), say_digits(match[0], pack))
    match = _SHORT.match(line, digit)
    if match and pack.phone_pairs and len(match[0]) < 5:
        return None
    if match and _is_called(line, digit, pack) and not _COUNTED_NEXT.match(line, match.end()):
        return _phone(line, digit, match.end(), match[0], pack)
    return None


def _phone(line: str, start: int, end: int, text: str, pack: Pack, plus: bool = False) -> Found:
    groups = re.findall("[0-9X]+", text)
    if len(groups) == 1:
        groups = _grouping(groups[0], plus)
    words = ", ".join(_say_group(group, pack) for group in groups)
    if plus:
        words = f"{pack.words.get('plus', '+')} {words}"
    extension = _EXTENSION.match(line, end)
    if extension and "extension" in pack.words:
        words += f", {pack.words['extension']} {say_digits(extension[1], pack)}"
        end = extension.end()
    return Found(start, end, words)


def _say_group(group: str, pack: Pack) -> str:
    if pack.phone_pairs and len(group) == 2:
        return group
    letters = [say_digits(part, pack) if part != "X" else part for part in re.findall("[0-9]+|X", group)]
    return " ".join(letters)


_SHORT_CODES = frozenset(
    "20 27 30 31 32 33 34 36 39 40 41 43 44 45 46 47 48 49 51 52 53 54 55 56 57 58 60 61 62 63 64 65 66 81 82 84 86 90 "
    "91 92 93 94 95 98".split()
)


def _grouping(digits: str, plus: bool) -> list[str]:
    """Cut ungrouped digits into groups of three, the last of four at most; the country's code stands alone."""
    if plus:
        n_code = 1 if digits[0] in "17" else 2 if digits[:2] in _SHORT_CODES else 3
        return [digits[:n_code], *_grouping(digits[n_code:], False)]
    if len(digits) <= 4:
        return [digits]
    if len(digits) == 11 and digits[0] == "1":
        return ["1", *_grouping(digits[1:], False)]
    return [digits[:3], *_grouping(digits[3:], False)]


def _long(line: str, digit: int, match: re.Match[str], pack: Pack) -> Found:
    """More digits than a number has names for: one by one; those behind a point too."""
    words = say_digits(match[0], pack)
    if line[digit - 1 : digit] == "." and line[digit - 2 : digit - 1].isdecimal() and "point" in pack.words:
        return Found(digit - 1, match.end(), f" {pack.words['point']} {words}")
    return Found(digit, match.end(), words)


def _version(line: str, floor: int, digit: int, pack: Pack) -> Found | None:
    mark = _VERSION_MARK.search(line, max(floor, digit - 3), digit)
    start, name = (mark.start(), f"{pack.words['version']} ") if mark and "version" in pack.words else (digit, "")
    if not mark and line[digit - 1 : digit].isalpha() and digit > floor and ord(line[digit - 1]) < 0x2E80:
        return None
    if (address := _ADDRESS.match(line, digit)) and "dot" in pack.words:
        words = f" {pack.words['dot']} ".join(
            _part(part, pack) for part in address[0].split(":")[0].split("/")[0].split(".")
        )
        for joint, part in (
            (" port " if pack.is_english else " ", address["port"]),
            (f" {pack.words.get('slash', '')} ", address["mask"]),
        ):
            words += joint + _part(part, pack) if part else ""
        return Found(start, address.end(), name + words)
    match = _VERSION.match(line, digit)
    if match and pack.decimal_mark == "," and all(len(part) == 3 for part in match[0].split(".")[1:]):
        return None
    if match and ("point" if pack.is_english else "dot") in pack.words:
        joint = pack.words["point" if pack.is_english else "dot"]
        return Found(start, match.end(), name + f" {joint} ".join(_part(part, pack) for part in match[0].split(".")))
    return Found(start, digit, name) if mark and name else None


def _part(part: str, pack: Pack) -> str:
    return say_plain(Number(0, part), pack, may_be_year=False)
