"""Abbreviations, emoticons and mathematical symbols as words.

In:  one line without markup, its numbers already words.   Out: the line in words.
"""

import re
import unicodedata

from processors.text.spoken_lexicon import ENGLISH, Lexicon

_EMOTICON = re.compile(r"(?<!\S)(?:[:;]['’]?-?[)(DPpOo|/\]\[*3]|<3|[xX]D|\^_?\^|:[a-z0-9_+-]{2,30}:)(?=[\s.,!?]|\Z)")
_ABBREVIATIONS = [
    (re.compile(pattern), words)
    for pattern, words in (
        (r"(?<![A-Za-z])[Ee]\.\s?g\.", "for example"),
        (r"(?<![A-Za-z])[Ii]\.\s?e\.", "that is"),
        (r"(?<![A-Za-z])etc\.(?=[\"')\]]*(?:\s*\Z|\s+[\"'(]*[A-Z]))", "et cetera."),
        (r"(?<![A-Za-z])etc\b\.?", "et cetera"),
        (r"\bvs\b\.?", "versus"),
        (r"\bapprox\.", "approximately"),
        (r"\ba\.k\.a\.|\baka\b", "also known as"),
        (r"\bDr\.(?= ?[A-Z])", "Doctor"),
        (r"\bMr\.", "Mister"),
        (r"\bMrs\.", "Missus"),
        (r"\bMs\.", "Miz"),
        (r"\bProf\.", "Professor"),
        (r"\bw/o\b", "without"),
        (r"\bw/(?=\s)", "with"),
        (r"\band/or\b", "and or"),
        (r"\b([Cc])\+\+", r"\1 plus plus"),
        (r"\b([CF])#(?!\w)", r"\1 sharp"),
    )
]
_ARROW = re.compile(r"[-=]{1,3}>")
_BACK_ARROW = re.compile(r"<[-=]{1,3}(?=\s|\Z)")
_OPERATORS = (("!=", "≠"), ("<=", "≤"), (">=", "≥"), ("^2", "²"), ("^3", "³"), ("^{2}", "²"), ("^{3}", "³"))
_COMPARISON = re.compile(r"(?<=\s)[<>](?=\s)|(?<=[\w)%°])[<>](?=[\w($€£])|(?<=\s)[<>](?=[0-9$€£])")
_EQUALS = re.compile(r"(?<=\s)={1,3}(?=\s)|(?<=[\w)\]])={1,3}(?=[\w\"'(\[-])")
# Full-width stand-ins keep the operators that have operands while the others are dropped.
_STAND_INS = str.maketrans("<=>", "＜＝＞")
_DROP_AND_RESTORE = str.maketrans("<=>＜＝＞", "   <=>")
_ABOUT = re.compile(r"(?:(?<!\w)~|(?:\A|(?<=\())≈)\s?(?=[$€£]?[0-9])")
# Said with their amount, so that the words come in order; alone they say nothing.
_AMOUNT_SIGNS = "€$£"
_GREEK = re.compile("(?<![\u0370-\u03ff])[α-ωΑ-Ω](?![\u0370-\u03ff])")


def expand_abbreviations(line: str, lexicon: Lexicon | None) -> str:
    """Drop emoticons, and write English abbreviations in full.

    Args:
        line: A line without markup.
        lexicon: The language's words; abbreviations are known in English only.
    """
    line = _EMOTICON.sub("", line)
    if lexicon is not ENGLISH:
        return line
    for pattern, words in _ABBREVIATIONS:
        line = pattern.sub(words, line)
    return line


def unify_operators(line: str, lexicon: Lexicon | None) -> str:
    """Write operators that take two characters, and those that mean something only between operands, as one.

    To be done before numbers become words, for the operands decide. Operators without operands vanish.
    """
    line = _BACK_ARROW.sub(" ", _ARROW.sub(" → ", line))
    for ascii_form, symbol in _OPERATORS:
        line = line.replace(ascii_form, symbol)
    line = _ABOUT.sub("about " if lexicon is ENGLISH else "≈ ", line)
    line = _COMPARISON.sub(lambda match: f" {match[0].translate(_STAND_INS)} ", line)
    line = _EQUALS.sub(" ＝ ", line)
    return line.translate(_DROP_AND_RESTORE)


def speak_symbols(line: str, lexicon: Lexicon | None) -> str:
    """Say the symbols that the language has words for."""
    if lexicon is None:
        return line
    if lexicon is ENGLISH:
        line = _GREEK.sub(lambda match: f" {_greek_name(match[0])} ", line)
    return line.translate(_translation(lexicon))


def _greek_name(letter: str) -> str:
    name = unicodedata.name(letter).split()[3:][0].lower()
    return {"lamda": "lambda", "final": "sigma"}.get(name, name)


_translations: dict[str, dict[int, str]] = {}


def _translation(lexicon: Lexicon) -> dict[int, str]:
    if lexicon.num2words_code not in _translations:
        table = {ord(symbol): f" {words} " for symbol, words in lexicon.words.items() if symbol not in _AMOUNT_SIGNS}
        _translations[lexicon.num2words_code] = table
    return _translations[lexicon.num2words_code]
