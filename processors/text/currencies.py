"""What currencies are called, from a language's pack, else from the CLDR."""

from processors.text import cldr
from processors.text.language_pack import Forms, Pack


def currency_forms(sign: str, pack: Pack) -> Forms:
    """Words of a currency by plural category, from the pack, else from the CLDR."""
    if sign in pack.money:
        return pack.money[sign]
    code = pack.currency_codes.get(sign, "INR" if sign.startswith("Rs") else sign)
    if code in pack.money:
        return pack.money[code]
    if not pack.is_known:
        return {"other": sign}
    forms: Forms = {}
    for category in sorted({pack.plural(n) for n in (0, 1, 2, 3, 5, 1.5, 1_000_000)}):
        name = cldr.currency_words(pack.locale, code, cldr.sample_of(pack.locale, category))
        forms[category] = (name or sign).lower() if pack.language == "pt" else name or sign
    forms.setdefault("other", next(iter(forms.values())))
    if forms["other"].endswith("dollars"):
        forms |= {"cent": "cent", "cents": "cents"}
    return forms | _hundredths(code, pack)


def _hundredths(code: str, pack: Pack) -> Forms:
    """What the currency's sign has of them: EUR has those of €."""
    for sign, known in pack.currency_codes.items():
        if known == code and sign in pack.money:
            return {name: words for name, words in pack.money[sign].items() if name in ("cent", "cents")}
    return {}


def currency_name(sign: str, pack: Pack) -> str:
    """Name a currency that stands without an amount, in the plural."""
    forms = currency_forms(sign, pack)
    return forms.get("whole") or forms.get("many") or forms.get("other", sign)
