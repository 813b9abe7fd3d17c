"""Language packs: the tables of `packs/`, one TOML file a language, that say how signs are spoken.

A new language is a new file there: copy the one that is nearest, keep what holds, drop what is not known. What a pack
does not know comes from the CLDR where that knows it, and else stays as it was written, for the voice to read.
"""

import tomllib
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

from babel.core import Locale, UnknownLocaleError
from num2words import CONVERTER_CLASSES

_PACKS = Path(__file__).parent / "packs"
# Names that speech engines have for languages the CLDR calls otherwise.
_OTHER_NAMES = {"cmn": "zh", "yue": "zh", "no": "nb", "nn": "nb", "in": "id", "iw": "he", "jp": "ja"}

Forms = dict[str, str]


@dataclass(frozen=True, eq=False)
class Pack:
    """How one language says signs; see `packs/de.toml` for every table, filled.

    Attributes:
        language: ISO 639-1 code.
        locale: The language in the CLDR, with the region where one was given; its root for an unknown language.
        is_known: The CLDR knows the language.
        decimal_mark: `.` or `,`; the other one groups thousands.
        spells: Decimals and grouped numbers become words; else they stay digits, without their grouping.
        ordinal_dot: `3.` before a noun is an ordinal.
        tight: Words are written without spaces between them.
        words: Spoken joints: point, dot, at, to, minus, over and so on.
        symbols: A sign and its words, where it stands alone between other words.
        magnitudes: A word or suffix for a large number, and its words by plural category.
        money: A currency's sign or code, and its words by plural category; `cent` and `cents` for its hundredth.
        units: A unit's sign and its name in the CLDR.
        unit_words: A unit's sign and its words by plural category, where the CLDR has none.
        limits: A comparison sign and its words before a limit; `behind` has the words it follows.
        templates: A sign and a text around `{0}`, where the number does not stand in front.
    """

    language: str
    locale: Locale
    is_known: bool = True
    decimal_mark: str = "."
    num2words: str = ""
    spells: bool = False
    ordinal_dot: bool = False
    tight: bool = False
    phone_pairs: bool = False
    words: dict[str, str] = field(default_factory=dict)
    symbols: dict[str, str] = field(default_factory=dict)
    magnitudes: dict[str, Forms] = field(default_factory=dict)
    money: dict[str, Forms] = field(default_factory=dict)
    units: dict[str, str] = field(default_factory=dict)
    unit_words: dict[str, Forms] = field(default_factory=dict)
    currency_codes: dict[str, str] = field(default_factory=dict)
    templates: dict[str, str] = field(default_factory=dict)
    limits: dict[str, str] = field(default_factory=dict)
    titles: dict[str, str] = field(default_factory=dict)
    abbreviations: dict[str, str] = field(default_factory=dict)
    before_numbers: dict[str, str] = field(default_factory=dict)
    idioms: dict[str, str] = field(default_factory=dict)
    fractions: dict[str, str] = field(default_factory=dict)
    times: dict[str, str] = field(default_factory=dict)
    dates: dict[str, Any] = field(default_factory=dict)
    phones: dict[str, frozenset[str]] = field(default_factory=dict)
    ordinals: dict[str, frozenset[str]] = field(default_factory=dict)
    ordinal_marks: dict[str, list[str]] = field(default_factory=dict)
    romans: dict[str, Any] = field(default_factory=dict)
    sentence_starters: frozenset[str] = frozenset()

    @property
    def is_english(self) -> bool:
        """Whether every number becomes words, with English forms for times, years and fractions."""
        return self.language == "en"

    @property
    def gap(self) -> str:
        """What stands between a number and the word behind it."""
        return "" if self.tight else " "

    @property
    def unknown_signs(self) -> frozenset[str]:
        """Signs that carry a value and that the language has no words for: they are left to the voice."""
        return _unknown_signs(self)

    def plural(self, value: float) -> str:
        """The CLDR's plural category of a number: one, few, many, other and so on."""
        return _plural(self, value)


@lru_cache(maxsize=64)
def _unknown_signs(pack: Pack) -> frozenset[str]:
    signs = {sign for sign in "%‰≤≥≠<>=×÷±√" if sign not in pack.symbols}
    if "^" not in pack.symbols and "power" not in pack.words:
        signs.add("^")
    if "over" not in pack.words:
        signs.add("/")
    return frozenset(signs)


@lru_cache(maxsize=4096)
def _plural(pack: Pack, value: float) -> str:
    return pack.locale.plural_form(value)


@lru_cache(maxsize=64)
def pack_of(language: str) -> Pack:
    """Read a language's pack.

    Args:
        language: ISO 639-1 code or a speech engine's name for a language; a region may follow: `en`, `de-AT`, `cmn`.

    Returns:
        The pack; one that only knows the CLDR, or nothing at all, for a language without a table.
    """
    parts = language.replace("_", "-").lower().split("-")
    base = _OTHER_NAMES.get(parts[0], parts[0])
    locale = _locale_of(base, parts[1].upper() if len(parts) > 1 else "")
    path = _PACKS / f"{base}.toml"
    known = base.isalpha() and base != "units" and path.is_file()
    table = tomllib.loads(path.read_text(encoding="utf-8")) if known else {}
    shared = tomllib.loads((_PACKS / "units.toml").read_text(encoding="utf-8"))
    codes = dict(shared["currencies"])
    codes |= {code: code for code in codes.pop("codes").split()}
    codes |= {sign: codes.get(sign, sign) for sign in table.get("money", {})}
    starters = table.pop("sentence_starters", "") or table.get("ordinals", {}).pop("sentence_starters", "")
    return Pack(
        language=base,
        locale=locale or Locale.parse("root"),
        is_known=locale is not None,
        decimal_mark=_decimal_mark(locale),
        num2words=_number_language(table.pop("num2words", ""), locale),
        magnitudes=_forms(table.pop("magnitudes", {})),
        money=_forms(table.pop("money", {})),
        units=shared["units"] | table.pop("units", {}) if locale else {},
        unit_words=_forms(table.pop("unit_words", {})),
        currency_codes=codes,
        phones=_word_sets(table.pop("phones", {})),
        ordinals=_word_sets(table.pop("ordinals", {})),
        romans={
            key: frozenset(value.split()) if isinstance(value, str) and key != "style" else value
            for key, value in table.pop("romans", {}).items()
        },
        sentence_starters=frozenset(starters.split()),
        **{key: value for key, value in table.items() if key in Pack.__dataclass_fields__},
    )


def _number_language(name: str, locale: Locale | None) -> str:
    """The language's name in num2words, of the region where that counts otherwise: lakhs in India."""
    regional = f"{name}_{locale.territory or ('BR' if name == 'pt' else '')}" if locale else name
    return regional if name and regional in CONVERTER_CLASSES else name


def _locale_of(base: str, region: str) -> Locale | None:
    for name in (f"{base}_{region}", base) if region else (base,):
        try:
            return Locale.parse(name)
        except (UnknownLocaleError, ValueError):
            continue
    return None


def _decimal_mark(locale: Locale | None) -> str:
    symbols = locale.number_symbols if locale else {}
    mark = symbols.get("latn", symbols).get("decimal", ".")
    return "," if mark == "," else "."


def _word_sets(table: dict[str, str]) -> dict[str, frozenset[str]]:
    return {key: frozenset(words.split()) for key, words in table.items()}


def _forms(table: dict[str, Any]) -> dict[str, Forms]:
    """Words by plural category, from one word, from `[one, other, cent, cents]` or from a table of categories."""
    forms: dict[str, Forms] = {}
    for sign, words in table.items():
        if isinstance(words, str):
            forms[sign] = {"other": words}
        elif isinstance(words, list):
            forms[sign] = dict(zip(("one", "other", "cent", "cents"), words, strict=False))
        else:
            forms[sign] = words
    return forms
