"""The words that stand for symbols, in the languages that have a table here.

A language without a table keeps its digits, `%` and currency signs: its voice reads them.
"""

from dataclasses import dataclass

from num2words import num2words


@dataclass(frozen=True)
class Lexicon:
    """What a voice says for a symbol, in one language.

    Attributes:
        num2words_code: The language's name in num2words.
        decimal_mark: What separates the fraction of a number, `.` or `,`; the other one groups thousands.
        point: The spoken decimal mark.
        dot: The dot of an address.
        code_block: Said in place of a block of code, a sentence of its own.
        words: A symbol and its words.
    """

    num2words_code: str
    decimal_mark: str
    point: str
    dot: str
    at: str
    dash: str
    to: str
    minus: str
    degrees: str
    code_block: str
    words: dict[str, str]

    def spell_integer(self, digits: str) -> str:
        """Say a whole number of at most 15 digits."""
        return str(num2words(int(digits), lang=self.num2words_code)).replace(",", "")


ENGLISH = Lexicon(
    "en", ".", "point", "dot", "at", "dash", "to", "minus", "degrees", "Code omitted.",
    {
        "&": "and", "+": "plus", "=": "equals", "×": "times", "÷": "divided by", "±": "plus or minus",
        "≠": "is not equal to", "≤": "is at most", "≥": "is at least", "<": "is less than", ">": "is greater than",
        "≈": "is about", "→": "to", "√": "square root of", "∞": "infinity", "∑": "sum of", "∫": "integral of",
        "°": "degrees", "%": "percent", "‰": "per thousand", "§": "section", "^": "to the power of",
        "²": "squared", "³": "cubed", "/": "slash", "@": "at", "¢": "cents",
    },
)  # fmt: skip
GERMAN = Lexicon(
    "de", ",", "Komma", "Punkt", "at", "Strich", "bis", "minus", "Grad", "Code ausgelassen.",
    {
        "&": "und", "+": "plus", "=": "gleich", "×": "mal", "÷": "geteilt durch", "±": "plus minus",
        "≈": "ungefähr", "→": "nach", "°": "Grad", "%": "Prozent", "²": "hoch zwei", "³": "hoch drei",
        "€": "Euro", "$": "Dollar", "£": "Pfund",
    },
)  # fmt: skip
FRENCH = Lexicon(
    "fr", ",", "virgule", "point", "arobase", "tiret", "à", "moins", "degrés", "Code omis.",
    {
        "&": "et", "+": "plus", "=": "égale", "×": "fois", "÷": "divisé par", "±": "plus ou moins",
        "≈": "environ", "→": "vers", "°": "degrés", "%": "pour cent", "²": "au carré", "³": "au cube",
        "€": "euros", "$": "dollars", "£": "livres",
    },
)  # fmt: skip
SPANISH = Lexicon(
    "es", ",", "coma", "punto", "arroba", "guion", "a", "menos", "grados", "Código omitido.",
    {
        "&": "y", "+": "más", "=": "igual a", "×": "por", "÷": "dividido por", "±": "más o menos",
        "≈": "aproximadamente", "→": "a", "°": "grados", "%": "por ciento", "²": "al cuadrado", "³": "al cubo",
        "€": "euros", "$": "dólares", "£": "libras",
    },
)  # fmt: skip
ITALIAN = Lexicon(
    "it", ",", "virgola", "punto", "chiocciola", "trattino", "a", "meno", "gradi", "Codice omesso.",
    {
        "&": "e", "+": "più", "=": "uguale a", "×": "per", "÷": "diviso", "±": "più o meno",
        "≈": "circa", "→": "a", "°": "gradi", "%": "per cento", "²": "al quadrato", "³": "al cubo",
        "€": "euro", "$": "dollari", "£": "sterline",
    },
)  # fmt: skip
PORTUGUESE = Lexicon(
    "pt", ",", "vírgula", "ponto", "arroba", "hífen", "a", "menos", "graus", "Código omitido.",
    {
        "&": "e", "+": "mais", "=": "igual a", "×": "vezes", "÷": "dividido por", "±": "mais ou menos",
        "≈": "aproximadamente", "→": "para", "°": "graus", "%": "por cento", "²": "ao quadrado", "³": "ao cubo",
        "€": "euros", "$": "dólares", "£": "libras",
    },
)  # fmt: skip

_LEXICONS = {
    "en": ENGLISH,
    "de": GERMAN,
    "fr": FRENCH,
    "es": SPANISH,
    "it": ITALIAN,
    "pt": PORTUGUESE,
}


def lexicon_of(language: str) -> Lexicon | None:
    """Find a language's words.

    Args:
        language: ISO 639-1 code, a region may follow: `en`, `de-AT`, `pt_BR`.

    Returns:
        The lexicon; None for a language that has none.
    """
    return _LEXICONS.get(language.replace("_", "-").split("-")[0].lower())
