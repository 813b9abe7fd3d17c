"""Web and e-mail addresses and file names as words: `https://example.com/a` becomes `example dot com`.

In:  one line, its markup already gone.   Out: the line without address punctuation.
"""

import re

from processors.text.spoken_lexicon import Lexicon

_URL = re.compile(r"(?:\b(?:https?|ftps?|wss?|file)://|\bwww\.)[^\s<>()\[\]{}\"'`|\\^，。、；]{1,2000}", re.IGNORECASE)
# Only endings that are not words of a language; a missing space after a full stop is no address.
_TOP_DOMAINS = "com|org|net|edu|gov|io|dev|ai|app|info|uk|de|fr|eu|nl|ch|jp|cn|ca|xyz|tech|local"
_DOMAIN = re.compile(
    rf"(?<![\w@./-])(?:[a-z0-9][a-z0-9-]{{0,62}}\.){{1,5}}(?:{_TOP_DOMAINS})(?::[0-9]{{1,5}})?"
    r"(?:/[^\s,;)\"]{0,500})?(?![\w-]|\.\w)",
    re.IGNORECASE,
)
_EMAIL = re.compile(r"(?<![\w.+%-])(?:mailto:)?([\w.+%-]{1,64})@((?:[\w-]{1,63}\.){1,5}[A-Za-z]{2,24})\b")
_DOTTED_NAME = re.compile(
    r"(?<![\w.])[^\W\d_][\w-]{0,60}[^\W_](?:\.[^\W\d_][\w-]{1,30}){1,6}(?!\w)|(?<![\w.])[^\W\d_]\w{1,60}\.[chrm]\b(?!\.)"
)
_LEADING_DOT = re.compile(r"(?<!\S)\.(?=[A-Za-z]{2})")
_MISSING_SPACE = re.compile(r"(?<=[^\W\d_][^\W\d_]\.)(?=[$€£]?[0-9])")
_TRAILING_MARKS = ".,;:!?*_~…/"


def speak_addresses(line: str, lexicon: Lexicon | None) -> str:
    """Say the host of web addresses, and the dots and the at sign of e-mail addresses and file names.

    Args:
        line: A line without markup.
        lexicon: The language's words; without it the dots stay.
    """
    line = _URL.sub(lambda match: _host_words(match[0], lexicon), line)
    line = _EMAIL.sub(lambda match: _email_words(match, lexicon), line)
    line = _DOMAIN.sub(lambda match: _host_words(match[0], lexicon), line)
    if lexicon is None:
        return line
    line = _DOTTED_NAME.sub(lambda match: match[0].replace(".", f" {lexicon.dot} "), line)
    line = _MISSING_SPACE.sub(" ", line)
    return _LEADING_DOT.sub(f"{lexicon.dot} ", line)


def _host_words(address: str, lexicon: Lexicon | None) -> str:
    kept = address.rstrip(_TRAILING_MARKS)
    ending = address[len(kept) :].replace("/", "")
    host = re.split(r"[/?#]", kept.partition("://")[2] or kept, maxsplit=1)[0]
    host = host.rpartition("@")[2].partition(":")[0]
    if host.lower().startswith("www."):
        host = host[len("www.") :]
    return _spell_dots(host, lexicon) + ending


def _email_words(match: re.Match[str], lexicon: Lexicon | None) -> str:
    at = f" {lexicon.at} " if lexicon else "@"
    return f"{_spell_dots(match[1], lexicon)}{at}{_spell_dots(match[2], lexicon)}"


def _spell_dots(name: str, lexicon: Lexicon | None) -> str:
    if lexicon is None:
        return name
    spelled = name.replace(".", f" {lexicon.dot} ").replace("-", f" {lexicon.dash} ")
    return spelled.replace("_", " ").replace("+", f" {lexicon.words['+']} ")
