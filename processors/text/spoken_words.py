"""Abbreviations, titles, emoticons and Roman numerals as words.

In:  one line without markup.   Out: the line, those that its language's pack knows written out.
"""

import re
from functools import lru_cache

from processors.text.language_pack import Pack
from processors.text.spoken_numbers import cardinal, ordinal

_EMOTICON = re.compile(r"(?<!\S)(?:[:;]['’]?-?[)(DPpOo|/\]\[*3]|<3|[xX]D|\^_?\^|:[a-z0-9_+-]{2,30}:)(?=[\s.,!?]|\Z)")
_ETC = re.compile(r"(?<![A-Za-z/])etc(?:\.(?P<end>(?=[\"')\]]*(?:\s*\Z|\s+[\"'(]*[A-Z])))|\b\.?)(?!/)")
_SHARP = re.compile(r"\b([CF])#(?!\w)")
_WITH = re.compile(r"\bw/(?=\s)")
_NAME = r"[A-Z][a-z'’]+"
_DRIVE = re.compile(
    r"(?P<before>\b(?:on|at|down|along|off|near|of|to|from|[0-9]{1,6}(?:th|st|nd|rd)?) (?:[NSEW]\. )?"
    rf"(?:{_NAME} ){{1,2}})(?P<kind>Dr|St|Ct|Pl)\.(?=[\s,;:!?)]|\Z)"
)
_STREET_LAST = re.compile(
    rf"(?P<before>\b{_NAME} |[0-9](?:th|st|nd|rd) )(?P<kind>Dr|St)\.(?=\s*(?:[,;:!?)]|\Z|[a-z0-9]))"
)
_NO_STREET = re.compile(r"\b(?:Mount|Mt\.?|Fort|Port|Lake|Cape|Saint|Church|Cathedral) \Z")
_DOCTOR = re.compile(r"\bDr\.(?= ?[A-Z])")
_SAINT = re.compile(r"\bSt\.(?= ?[A-Z])")
_STREETS = {"Dr": "Drive", "St": "Street", "Ct": "Court", "Pl": "Place"}
_ROMAN_TOKEN = re.compile(r"(?<![\w.'-])(?P<roman>[IVXLCDM]{1,9})(?P<mark>er|e|ème|\.(?= [a-zäöü])|[°ºª])?(?![\w-])")
_MAY_BE_PART = re.compile(r"[IVX](?: ?[-–] ?[IVX]|[A-C])")
_ROMAN_PART = re.compile(
    r"(?P<noun>[^\W\d_]{2,20}) (?P<first>[IVX]{1,5})(?: ?[-–] ?(?P<last>[IVX]{1,5})|(?P<letter>[A-C]))(?![\w-])"
)
_ROMAN = re.compile(r"M{0,3}(?:CM|CD|D?C{0,3})(?:XC|XL|L?X{0,3})(?:IX|IV|V?I{0,3})\Z")
_VALUES = {"I": 1, "V": 5, "X": 10, "L": 50, "C": 100, "D": 500, "M": 1000}
_WORD_BEFORE = re.compile(r"(?:([^\W\d_]+) )?([^\W\d_]+) \Z")
# `World Wars I and II`: the noun stands before the first.
_ROMAN_JOINED = re.compile(r"([^\W\d_]+) ([IVX]{1,5})(?:(?:,? (?:and|or|und|oder|et|ou|y|o|e)|,|[-–]| [-–]) ?)\Z")
_WORD_AFTER = re.compile(r" ([^\W\d_]+)")
_VERB_AFTER = re.compile(
    r" (?:am|was|have|had|would|will|can|could|should|do|did|think|like|know|want|met|saw|love|wrote|read|went|bought"
    r"|got|made|need|mean|mentioned|said|told|feel|believe|see|found|just|really|never|always|also)\b"
)


@lru_cache(maxsize=32)
def _table(pack: Pack) -> tuple[re.Pattern[str] | None, dict[str, str]]:
    """The pack's abbreviations as one pattern; those before numbers apart, by what follows."""
    known = pack.abbreviations | pack.titles
    branches = [re.escape(name) for name in sorted(known, key=len, reverse=True)]
    numbered = [re.escape(name) for name in sorted(pack.before_numbers, key=len, reverse=True)]
    parts = []
    if branches:
        parts.append(rf"(?:{'|'.join(branches)})(?![^\W_])")
    if numbered:
        parts.append(rf"(?:{'|'.join(numbered)})\s?(?=[0-9])")
    pattern = re.compile(rf"(?<![^\W])(?:{'|'.join(parts)})") if parts else None
    return pattern, known | pack.before_numbers


def expand_abbreviations(line: str, pack: Pack) -> str:
    """Drop emoticons, and write abbreviations in full."""
    if ":" in line or ";" in line or "<" in line or "D" in line or "^" in line:
        line = _EMOTICON.sub("", line)
    pattern, _ = _table(pack)
    if pattern is None:
        return line
    if pack.is_english:
        line = _streets_and_saints(line)
        if "etc" in line:
            line = _ETC.sub(lambda match: "et cetera" + ("." if match["end"] is not None else ""), line)
        line = _WITH.sub("with", _SHARP.sub(r"\1 sharp", line))
    return pattern.sub(lambda match: _words_of(match, pack), line)


def _words_of(match: re.Match[str], pack: Pack) -> str:
    _, known = _table(pack)
    name = match[0].rstrip()
    if name in pack.money and match.string[match.start() - 2 : match.start() - 1].isdecimal():
        return match[0]
    words = known[name]
    if name in pack.before_numbers and name not in pack.abbreviations and name not in pack.titles:
        return words + " "
    # An abbreviation that ends a sentence takes its full stop with it.
    ends = name.endswith(".") and name not in pack.titles and ends_behind_abbreviation(match.string, match.end())
    return words + ("." if ends and not _goes_on(name, match, pack) else "")


_END_BEHIND = re.compile(r"[\"')\]]*(?:\s*\Z|\s+[A-ZÄÖÜ¿¡])")


def ends_behind_abbreviation(line: str, end: int) -> bool:
    """Whether a sentence may end behind an abbreviation: the text ends there, or a capital follows."""
    return _END_BEHIND.match(line, end) is not None


# With one of these behind it, the name goes on: `Martin Luther King Jr. Day`.
NAME_GOES_ON = frozenset(
    "Day Boulevard Drive Street Avenue Award Awards Memorial Library School Foundation Center Centre Hospital Bridge "
    "Airport Park National Institute University College Hall Road Way Highway Stadium Prize Museum House".split()
)
_NEVER_LAST = frozenset("e.g. E.g. i.e. I.e. vs. approx.".split())
_NEXT_WORD = re.compile(r"\s*([^\W\d_]*)")


def _goes_on(name: str, match: re.Match[str], pack: Pack) -> bool:
    """Whether no sentence ends behind an abbreviation though a capital follows, as every noun has in German."""
    rest = match.string[match.end() :]
    if name in _NEVER_LAST:
        return bool(rest.strip())
    word = _NEXT_WORD.match(rest)
    if word and word[1] in NAME_GOES_ON:
        return True
    return pack.ordinal_dot and bool(rest.strip()) and bool(word) and word[1] not in pack.sentence_starters


def _streets_and_saints(line: str) -> str:
    if "Dr." in line or "St." in line or "Ct." in line or "Pl." in line:
        line = _DRIVE.sub(_street_words, line)
        line = _STREET_LAST.sub(_street_words, line)
        line = _SAINT.sub("Saint", _DOCTOR.sub("Doctor", line))
    return line


def _street_words(match: re.Match[str]) -> str:
    if match["kind"] == "St" and _NO_STREET.search(match["before"]):
        return match[0]
    ends = re.compile(r"\s*\Z|\s+[A-Z]").match(match.string, match.end())
    return f"{match['before']}{_STREETS[match['kind']]}{'.' if ends else ''}"


def say_romans(line: str, pack: Pack) -> str:
    """Read Roman numerals behind the words that they follow, as numbers or as ordinals."""
    if not pack.romans:
        return line
    if _MAY_BE_PART.search(line):
        line = _ROMAN_PART.sub(lambda match: _roman_range(match, pack), line)
    return _ROMAN_TOKEN.sub(lambda match: _roman_words(match, pack), line)


def _roman_range(match: re.Match[str], pack: Pack) -> str:
    """Say `Types I–III` and `Stage IIIB`."""
    first, last = roman_value(match["first"]), roman_value(match["last"] or "I")
    if match["noun"] not in pack.romans.get("nouns", ()) or not first or not last:
        return match[0]
    words = f"{match['noun']} {cardinal(first, pack)}"
    if match["letter"]:
        return f"{words} {match['letter']}"
    return f"{words} {pack.words['to']} {cardinal(last, pack)}"


def roman_value(numeral: str) -> int:
    """The value of a Roman numeral; 0 for letters that are none."""
    if not numeral or not _ROMAN.match(numeral):
        return 0
    values = [_VALUES[letter] for letter in numeral]
    return sum(
        -value if value < following else value for value, following in zip(values, [*values[1:], 0], strict=True)
    )


def _roman_words(match: re.Match[str], pack: Pack) -> str:
    value = roman_value(match["roman"])
    line, table, mark = match.string, pack.romans, match["mark"] or ""
    before = _WORD_BEFORE.search(line, max(0, match.start() - 32), match.start())
    after = _WORD_AFTER.match(line, match.end())
    if not value:
        return match[0]
    if after and (after[1] in table.get("before_nouns", ()) or (mark and mark in table.get("ordinal_behind", ()))):
        return (
            _with_feminine(ordinal(value, pack), value, "", pack) if "before_nouns" in table else ordinal(value, pack)
        )
    if before is None:
        return match[0]
    joined = _ROMAN_JOINED.search(line, max(0, match.start() - 40), match.start())
    if joined and roman_value(joined[2]) and joined[1] in table.get("nouns", ()):
        return cardinal(value, pack)
    earlier, last = before[1] or "", before[2]
    alone = match["roman"] == "I"
    if alone and mark == "" and _VERB_AFTER.match(line, match.end()):
        return match[0]
    name = last in table.get("names", ())
    if (
        (name and not (alone and pack.is_english))
        or (name and earlier in table.get("titles", ()))
        or (alone and mark == "er")
    ):
        return _regnal(value, last, mark, pack)
    strong = (earlier == "World" and last == "War") or last in table.get("nouns", ())
    if strong and (not alone or last != "Grade"):
        return cardinal(value, pack) + ("." if mark == "." else "")
    capital = last[0].isupper() and pack.is_english and not line[: match.start()].rstrip().endswith(".")
    if capital and 2 <= len(match["roman"]) <= 5 and value < 40 and match["roman"] not in ("XX", "XXX"):
        return cardinal(value, pack) + ("." if mark == "." else "")
    return match[0]


def _regnal(value: int, name: str, mark: str, pack: Pack) -> str:
    table = pack.romans
    if pack.is_english:
        return f"the {ordinal(value, pack)}"
    if pack.language == "de":
        article = "die" if name in table["article"]["feminine_names"].split() else "der"
        return f"{article} {ordinal(value, pack).capitalize()}"
    if table.get("style") == "cardinal" or value > table.get("ordinal_max", 1000):
        return "premier" if value == 1 and pack.language == "fr" else cardinal(value, pack)
    return _with_feminine(ordinal(value, pack), value, name, pack)


def _with_feminine(words: str, value: int, name: str, pack: Pack) -> str:
    if name and name in pack.romans.get("feminine_names", ()) and words.endswith("o"):
        return words[:-1] + "a"
    return words
