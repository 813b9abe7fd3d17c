"""Symbols as words: operators between operands, arrows, Greek letters and the signs of mathematics.

In:  one line without markup.   Out: the line, its symbols said where the language has words for them.
"""

import re
import unicodedata
from functools import lru_cache

from processors.text.currencies import currency_name
from processors.text.language_pack import Pack

_ARROW = re.compile(r"-{1,3}>|={1,3}>|(?<=\s)=>")
_BACK_ARROW = re.compile(r"<(?:-{1,3}|={2,3})(?=\s|\Z)")
_OPERATORS = (
    ("!==", "≠"), ("===", "="), ("!=", "≠"), ("<=", "≤"), (">=", "≥"), ("=<", "≤"), ("=>", "→"), ("&&", "&"),
    ("/=", "≠"), ("<>", "≠"),
)  # fmt: skip
_LIMIT_SIGN = re.compile("[<>≤≥≈]")
_MAY_OPERATE = re.compile("[<=>＜＞]")
_ASSIGNMENT = re.compile(r"(?<=\w )([+−*/-])=(?=\s)")
_COMPARISON = re.compile(
    r"(?<=\s)[<>](?=\s)|(?<=[\w)%°])[<>](?=[\w($€£])|(?<=\s)[<>](?=[0-9$€£−-])|\A[<>](?= ?[0-9$€£−-])"
)
_EQUALS = re.compile(
    r"(?<=\s)={1,3}(?=\s)|(?<=[\w)\]%°²³])={1,3}(?=[\w\"'(\[√−$€-])|(?<=\s)=(?=[\w(])|(?<=[\w)])=(?=\s)"
)
# Full-width stand-ins keep the operators that have operands while the others are dropped.
_STAND_INS = str.maketrans("<=>", "＜＝＞")
_DROP_AND_RESTORE = str.maketrans("<=>＜＝＞", "   <=>")
_DIVISION = re.compile(r"(?<=[0-9)]) / (?=[0-9(])")
_ABOUT = re.compile(r"(?:(?<![\w~])~|(?:\A|(?<=\())≈)\s?(?=[$€£]?[0-9])")
_TERM = "(?:[0-9()+×÷*/ –−-]|[.,](?=[0-9]))"
_EQUATION = re.compile(f"{_TERM}{{1,60}}=|={_TERM}{{1,60}}")
_EQUATION_MINUS = re.compile(r"(?<=[0-9)]) ?[-–] ?(?=[0-9(])")
_VARIABLE = "[b-hj-zB-HJ-Z]"
_LETTER_MINUS = re.compile(
    rf"(?<![^\W_])([0-9]{{0,3}}{_VARIABLE}[²³]?) ?[-−–] ?(?=(?:[0-9]{{1,4}}|{_VARIABLE})(?![^\W_]|[-–]))"
)
_GREEK = re.compile("(?<![\u0370-\u03ff])[α-ωΑ-Ω](?![\u0370-\u03ff])")
_CURRENCY_SIGN = re.compile("[$€£¥₹₩₽₺]")
_CURRENCY = re.compile(r"(?:(?<![^\W_])(?:HK|NZ|US|AU|CA|NT|MX|A|C|S|R))?[$€£¥₹₩₽₺]")


@lru_cache(maxsize=32)
def _limit(pack: Pack) -> re.Pattern[str]:
    """A comparison that limits what follows: it has no left side, `Take < 5 mg`, or a noun, `patients ≥ 18`."""
    signs = "".join(sign for sign in "<>≤≥≈" if sign in pack.limits)
    words = "|".join(pack.limits["behind"].split())
    return re.compile(rf"(\A\s{{0,3}}|[(,;:.!?]\s{{0,3}}|\b(?:{words})\s{{1,3}})([{signs}])\s{{0,3}}(?=\w)")


def unify_operators(line: str, pack: Pack) -> str:
    """Write operators that take two characters, and those that mean something only between operands, as one.

    To be done before numbers become words, for the operands decide. Operators without operands vanish.
    """
    if _MAY_OPERATE.search(line):
        line = _ASSIGNMENT.sub(r"\1 = ", line)
        for ascii_form, symbol in _OPERATORS[:2]:
            line = line.replace(ascii_form, symbol)
        line = _BACK_ARROW.sub(" ", line)
        for ascii_form, symbol in _OPERATORS[2:5]:
            line = line.replace(ascii_form, f" {symbol} ")
        line = _ARROW.sub(" → ", line)
        for ascii_form, symbol in _OPERATORS[5:]:
            line = line.replace(ascii_form, f" {symbol} ")
        if "=" in line:
            line = _EQUATION.sub(lambda match: _EQUATION_MINUS.sub(" − ", match[0]), line)
            line = _LETTER_MINUS.sub(r"\1 − ", line)
        line = _COMPARISON.sub(lambda match: f" {match[0].translate(_STAND_INS)} ", line)
        line = _EQUALS.sub(" ＝ ", line)
        line = line.translate(_DROP_AND_RESTORE)
    if " / " in line and "÷" in pack.symbols:
        line = _DIVISION.sub(" ÷ ", line)
    if "~" in line or "≈" in line:
        line = _ABOUT.sub(f"{pack.words['about']} " if "about" in pack.words else "≈ ", line)
    return line


def speak_symbols(line: str, pack: Pack) -> str:
    """Say the symbols that the language has words for."""
    if not pack.symbols:
        return line
    if line.isascii() and line.replace(" ", "").isalpha():
        return line
    if pack.is_english and not line.isascii():
        line = _GREEK.sub(lambda match: f" {_greek_name(match[0])} ", line)
    if pack.limits and _LIMIT_SIGN.search(line):
        line = _limit(pack).sub(lambda match: f"{match[1]}{pack.limits[match[2]]} ", line)
    if _CURRENCY_SIGN.search(line):
        line = _CURRENCY.sub(lambda match: _currency_name(match[0], pack), line)
    return line.translate(_translation(pack))


def _currency_name(sign: str, pack: Pack) -> str:
    """A currency that stands alone; a lone sign says nothing, one with its country does."""
    return f" {currency_name(sign, pack)} " if len(sign) > 1 else sign


def _greek_name(letter: str) -> str:
    name = unicodedata.name(letter).split()[3:][0].lower()
    return {"lamda": "lambda", "final": "sigma"}.get(name, name)


@lru_cache(maxsize=32)
def _translation(pack: Pack) -> dict[int, str]:
    powers = {"^": pack.words["power"]} if "power" in pack.words else {}
    return {ord(symbol): f" {words} " for symbol, words in (powers | pack.symbols).items()}
