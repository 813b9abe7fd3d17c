"""The languages that recognizers know, and how a language is read wherever one is named.

OpenAI's API writes them out (`english`) where the engines have codes (`en`). Source: ISO 639-1, and the three further
codes that Whisper has (haw, jw, yue).
"""

import re
from collections.abc import Collection

LANGUAGE_NAMES = {
    "af": "afrikaans",
    "am": "amharic",
    "ar": "arabic",
    "as": "assamese",
    "az": "azerbaijani",
    "ba": "bashkir",
    "be": "belarusian",
    "bg": "bulgarian",
    "bn": "bengali",
    "bo": "tibetan",
    "br": "breton",
    "bs": "bosnian",
    "ca": "catalan",
    "cs": "czech",
    "cy": "welsh",
    "da": "danish",
    "de": "german",
    "el": "greek",
    "en": "english",
    "es": "spanish",
    "et": "estonian",
    "eu": "basque",
    "fa": "persian",
    "fi": "finnish",
    "fo": "faroese",
    "fr": "french",
    "ga": "irish",
    "gl": "galician",
    "gu": "gujarati",
    "ha": "hausa",
    "haw": "hawaiian",
    "he": "hebrew",
    "hi": "hindi",
    "hr": "croatian",
    "ht": "haitian creole",
    "hu": "hungarian",
    "hy": "armenian",
    "id": "indonesian",
    "is": "icelandic",
    "it": "italian",
    "ja": "japanese",
    "jw": "javanese",
    "ka": "georgian",
    "kk": "kazakh",
    "km": "khmer",
    "kn": "kannada",
    "ko": "korean",
    "la": "latin",
    "lb": "luxembourgish",
    "ln": "lingala",
    "lo": "lao",
    "lt": "lithuanian",
    "lv": "latvian",
    "mg": "malagasy",
    "mi": "maori",
    "mk": "macedonian",
    "ml": "malayalam",
    "mn": "mongolian",
    "mr": "marathi",
    "ms": "malay",
    "mt": "maltese",
    "my": "myanmar",
    "ne": "nepali",
    "nl": "dutch",
    "nn": "nynorsk",
    "no": "norwegian",
    "oc": "occitan",
    "pa": "punjabi",
    "pl": "polish",
    "ps": "pashto",
    "pt": "portuguese",
    "ro": "romanian",
    "ru": "russian",
    "sa": "sanskrit",
    "sd": "sindhi",
    "si": "sinhala",
    "sk": "slovak",
    "sl": "slovenian",
    "sn": "shona",
    "so": "somali",
    "sq": "albanian",
    "sr": "serbian",
    "su": "sundanese",
    "sv": "swedish",
    "sw": "swahili",
    "ta": "tamil",
    "te": "telugu",
    "tg": "tajik",
    "th": "thai",
    "tk": "turkmen",
    "tl": "tagalog",
    "tr": "turkish",
    "tt": "tatar",
    "uk": "ukrainian",
    "ur": "urdu",
    "uz": "uzbek",
    "vi": "vietnamese",
    "yi": "yiddish",
    "yo": "yoruba",
    "yue": "cantonese",
    "zh": "chinese",
}
LANGUAGE_CODES = {name: code for code, name in LANGUAGE_NAMES.items()}
# Written without spaces between sentences.
SPACELESS = frozenset({"bo", "ja", "km", "lo", "my", "th", "yue", "zh"})


# Further English names, and further codes of the same languages.
_OTHER_NAMES = {
    "burmese": "my",
    "castilian": "es",
    "filipino": "tl",
    "flemish": "nl",
    "haitian": "ht",
    "mandarin": "zh",
    "moldavian": "ro",
    "norwegian bokmal": "no",
    "panjabi": "pa",
    "pushto": "ps",
    "sinhalese": "si",
    "valencian": "ca",
    "farsi": "fa",
    "letzeburgesch": "lb",
}
_OTHER_CODES = {
    "ara": "ar",
    "ces": "cs",
    "chi": "zh",
    "cmn": "zh",
    "dan": "da",
    "deu": "de",
    "dut": "nl",
    "ell": "el",
    "eng": "en",
    "fil": "tl",
    "fin": "fi",
    "fra": "fr",
    "fre": "fr",
    "ger": "de",
    "gre": "el",
    "heb": "he",
    "hin": "hi",
    "hun": "hu",
    "in": "id",
    "ind": "id",
    "ita": "it",
    "iw": "he",
    "jpn": "ja",
    "jv": "jw",
    "kor": "ko",
    "nb": "no",
    "nld": "nl",
    "nor": "no",
    "pol": "pl",
    "por": "pt",
    "ron": "ro",
    "rum": "ro",
    "rus": "ru",
    "spa": "es",
    "swe": "sv",
    "tha": "th",
    "tur": "tr",
    "ukr": "uk",
    "vie": "vi",
    "zho": "zh",
}
# What a voice's language is taken for where only the language is named, or a region that no voice has.
_VOICE_REGIONS = {"en": "en-us", "fr": "fr-fr", "zh": "cmn", "pt": "pt", "no": "nb", "jw": "jv"}
_LATIN_AMERICA = frozenset("ar bo cl co cr cu do ec gt hn mx ni pa pe pr py sv us uy ve 419".split())
# Languages of voices that no recognizer here knows.
_VOICE_ONLY = frozenset(
    "an bpy chr cu eo gn grc haw hyw ia io kaa kl kok ku ky lfn ltg mto nci nog or om pap piqd".split()
)
_VOICE_ONLY |= frozenset("py qdb qu quc qya rup sjn smj ti tn ug uk".split())
_TAG = re.compile(r"([a-z]{2,3})((?:-[a-z0-9]{1,8})*)")


def read_language(text: str) -> str:
    """A language as anybody writes it: `en-US`, `EN`, `en_us`, `English`, `eng` and `zh-Hans-CN` are understood.

    Args:
        text: A code of ISO 639 with or without a region, or an English name.

    Returns:
        The code in lower case, with what followed it: `en`, `en-us`, `zh-hans-cn`.

    Raises:
        ValueError: It is no language; one line says how to write one.
    """
    plain = " ".join(text.lower().replace("_", "-").split())
    name = plain.partition("(")[0].strip()
    if code := LANGUAGE_CODES.get(name) or _OTHER_NAMES.get(name):
        return code
    found = _TAG.fullmatch(re.split("[.@]", plain)[0])
    code = _OTHER_CODES.get(found[1], found[1]) if found else ""
    if found is None or (code not in LANGUAGE_NAMES and code not in _VOICE_ONLY):
        raise ValueError(f"{text!r} is no language that is known: give a code such as en, en-US or de")
    return code + found[2]


def language_code(text: str) -> str:
    """The code of a language without its region: `en`, `EN`, `en-US`, `en_us` and `english` are all `en`.

    Args:
        text: See `read_language`; what is none comes back in lower case, for the engine to judge.
    """
    try:
        return read_language(text).split("-", 1)[0]
    except ValueError:
        return text.strip().lower().replace("_", "-").split("-", 1)[0]


def voice_language(wanted: str, known: Collection[str]) -> str | None:
    """The language among those of an engine's voices that comes nearest to the one that is wanted.

    Args:
        wanted: See `read_language`; or one of `known`.
        known: As espeak-ng names them, such as `en-us`, `es-419`, `cmn`.

    Returns:
        One of `known`: the same region, else the usual one, else any of the language; None if there is none.
    """
    if wanted in known:
        return wanted
    try:
        tag = read_language(wanted)
    except ValueError:
        return None
    code, _, region = tag.partition("-")
    region = region.rpartition("-")[2]
    usual = _VOICE_REGIONS.get(code, code)
    nearest = [tag, f"{code}-{region}"]
    if code == "es" and region in _LATIN_AMERICA:
        nearest.append("es-419")
    if code == "en" and region in ("au", "ie", "in", "nz", "za"):
        nearest.append("en-gb")
    nearest += [usual, code]
    return next(
        (name for name in nearest if name in known),
        next((name for name in sorted(known) if name.split("-", 1)[0] in (code, usual)), None),
    )


def language_name(code: str | None) -> str:
    """The English name of a language, in lower case; the code itself where it is not known, `unknown` for None."""
    return LANGUAGE_NAMES.get(language_code(code), code) if code else "unknown"
