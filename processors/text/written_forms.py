"""Other ways to write the same made one, for the rules that say it: a dash for a minus, `5,- €`, `12€50`, `2h 30m`.

In:  one line without markup.   Out: the line, its numbers written as the rules of its language expect them.
"""

import re

from processors.text.language_pack import Pack

_ZEROS = "٠۰०০੦૦୦௦౦೦൦๐"
_DIGITS_OF_ALL_SCRIPTS = {ord(zero) + value: str(value) for zero in _ZEROS for value in range(10)} | {ord("٪"): "%"}
_ARABIC_MARK = re.compile("(?<=[0-9])[٫٬](?=[0-9])")
# The Greek letter, where the sign of a millionth is meant.
_MU = re.compile(r"(?<=[0-9 ])μ(?=[A-Za-zΩ])")
_WAVE = re.compile("(?<=[^\\W\\d_])[〜～](?=[0-9])")
_DASH_MINUS = re.compile(r"(?<![0-9%°€$£)] )(?<![^\s(\[:=<>≤≥])–(?=[$€£¥₹₩₽₺]?\.?[0-9])")
_DOUBLE_DASH = re.compile(r"(?<=[0-9%°€$£CF])--(?=[0-9])")
_DASH_BEFORE_MINUS = re.compile(r"(?<=[0-9%°€$£CF])(?:–|-)(?=[-−][$€£]?[0-9])")
_NO_CENTS = re.compile(r"(?<=[0-9]),(?:--?|–|—)(?=[\s.!?)€]|\Z)")
_CURRENCY_WITHIN = re.compile(r"(?<![0-9.,])([0-9]{1,6}) ?([€£])([0-9]{2})(?![0-9]|[.,][0-9])")
_SIGN_BEHIND_CURRENCY = re.compile(r"(?<=[$€£¥₹₩₽₺]) (?=[-−][0-9])")
_DOTTED_PHONE = re.compile(r"(?<![\w.])0[0-9](?:\.[0-9]{2}){4}(?![\w.]*[0-9])")
_BRAZILIAN_PHONE = re.compile(r"(?<![\w(-])([1-9][0-9]) (9?[0-9]{4}-[0-9]{4})(?![\w-])")
_HOURS_MINUTES = re.compile(r"(?<![\w.,])([0-9]{1,3}) ?h(?:rs?)? ([0-9]{1,2}) ?m(?![^\W])")
_MINUTES_SECONDS = re.compile(r"(?<![\w.,])([0-9]{1,3}) ?m ([0-9]{1,2}) ?s(?![^\W])")
_QUARTER = re.compile(r"(?<=[0-9][\"'°])(?=[NSEWO](?![^\W]))")
_COMMA_DECIMALS = re.compile(r"(?<![\w.,])([0-9]{1,3}(?:\.[0-9]{3}){1,4}),([0-9]{1,2})(?![0-9]|[.,][0-9])")
_POINT_DECIMALS = re.compile(r"(?<![\w.,])([0-9]{1,3}(?:[,'][0-9]{3}){1,4})\.([0-9]{1,2})(?![0-9]|[.,][0-9])")
_UNGROUPED = re.compile("[,']")
_COMMA_EUROS = re.compile(
    r"(?:(?<=€)|(?<=€ )|(?<![\w.,])(?=[0-9]{1,6},[0-9]{2} ?€))([0-9]{1,6}),([0-9]{2})(?![0-9]|[.,][0-9])"
)
_LETTERS_DIFFERENCE = re.compile(
    r"(?<![\w'’.-])(?<![0-9] )([b-hj-z]) [-–] (?=(?:[b-hj-z]|[0-9]{1,4})(?![^\W]|['’]|\.\w))"
)
_INCHES = re.compile(
    r"(?<=[0-9])(?P<gap> ?)in(?:\.(?=,| [a-z])|(?= (?:by|wide|long|tall|high|deep|thick)\b| ?[x×] ?[0-9]))"
)
_FEET_INCHES = re.compile(r"([0-9] ?(?:ft|feet|foot)\.?,? [0-9]{1,2}(?:\.[0-9])?) ?in(?:\.|(?![^\W]))")
_PRICE_PER = re.compile(r"(?<=[0-9kKMB])/(mo|hr|yr|wk|ea)(?![^\W])\.?")
_PRICE_PERIODS = {"mo": "month", "hr": "hour", "yr": "year", "wk": "week", "ea": "each"}
_DECADES = re.compile(r"(?<=0s)[-–](?='?[0-9]{2}(?:[0-9]{2})?s)")
_TURKISH_PERCENT = re.compile(r"([-−])?% ?(?=[0-9])")


def unify_written_forms(line: str, pack: Pack) -> str:
    """Write digits, signs, prices and spans of time in one way; every rule looks a bounded number of characters far."""
    if not line.isascii():
        line = _MU.sub("µ", line.translate(_DIGITS_OF_ALL_SCRIPTS))
        if "٬" in line or "٫" in line:
            line = _ARABIC_MARK.sub(lambda match: "'" if match[0] == "٬" else pack.decimal_mark, line)
    if not any(char.isdecimal() for char in line):
        return _LETTERS_DIFFERENCE.sub(r"\1 − ", line) if pack.symbols else line
    if pack.tight and "to" in pack.words:
        line = _WAVE.sub(pack.words["to"], line)
    line = _DASH_MINUS.sub("-", line)
    line = _DASH_BEFORE_MINUS.sub(" – ", _DOUBLE_DASH.sub("–", line))
    line = _NO_CENTS.sub("", line)
    line = _CURRENCY_WITHIN.sub(rf"\1{pack.decimal_mark}\3 \2", line)
    line = _SIGN_BEHIND_CURRENCY.sub("", line)
    line = _DOTTED_PHONE.sub(lambda match: match[0].replace(".", " "), line)
    line = _MINUTES_SECONDS.sub(r"\1 min \2 s", _HOURS_MINUTES.sub(r"\1 h \2 min", line))
    line = _QUARTER.sub(" ", line)
    if pack.symbols:
        line = _LETTERS_DIFFERENCE.sub(r"\1 − ", line)
    if pack.language == "pt":
        line = _BRAZILIAN_PHONE.sub(r"(\1) \2", line)
    if pack.templates.get("%", "").endswith("{0}"):
        line = _TURKISH_PERCENT.sub(lambda match: f"{match[1] or ''}%", line)
    if pack.decimal_mark == ",":
        return _POINT_DECIMALS.sub(lambda match: f"{_UNGROUPED.sub('', match[1])},{match[2]}", line)
    return _english_forms(line) if pack.is_english else line


def _english_forms(line: str) -> str:
    line = _COMMA_DECIMALS.sub(lambda match: f"{match[1].replace('.', '')}.{match[2]}", line)
    line = _COMMA_EUROS.sub(r"\1.\2", line)
    line = _FEET_INCHES.sub(r"\1 inches", line)
    line = _INCHES.sub(" inches", line)
    line = _PRICE_PER.sub(lambda match: f"{' ' if match[1] == 'ea' else '/'}{_PRICE_PERIODS[match[1]]}", line)
    return _DECADES.sub(" to ", line)
