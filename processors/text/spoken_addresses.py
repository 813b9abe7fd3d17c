"""Web and e-mail addresses and file names as words: `https://example.com/a` becomes `example dot com`.

In:  one line, its markup already gone.   Out: the line without address punctuation.
"""

import re

from processors.text.language_pack import Pack

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
_PATH = re.compile(
    r"(?<![\w./:~@)$€£¥₹%°²³-])(?:(?:~|\.{1,2})(?=/[\w.]))?(?:/(?:\.{1,2}|\.?[\w+-]{1,60}(?:\.[\w+-]{1,60}){0,4})){1,12}/?(?![\w/])"
)
_LEADING_DOT = re.compile(r"(?<!\S)\.(?=[A-Za-z]{2})")
_LETTER_BEHIND_DOT = re.compile(r"\.[^\W\d_]|://")
_MISSING_SPACE = re.compile(r"(?<=[^\W\d_][^\W\d_]\.)(?=[$€£]?[0-9])")
_TRAILING_MARKS = ".,;:!?*_~…/"
_SCHEME_MAX_CHARS = 5


def address_end(text: str, mark: int, floor: int) -> int:
    """Where the web address ends whose `://` or `www.` stands at `mark` and that begins at `floor` at the earliest."""
    for start in range(max(floor, mark - _SCHEME_MAX_CHARS), mark + 1):
        if match := _URL.match(text, start):
            return match.end()
    return mark


def speak_addresses(line: str, pack: Pack) -> str:
    """Say the host of web addresses, and the dots and the at sign of e-mail addresses and file names.

    Args:
        line: A line without markup.
        pack: Its language; where it has no word for the dot, dots stay.
    """
    if "/" in line and "slash" in pack.words:
        line = _PATH.sub(lambda match: _path_words(match[0], pack), line)
    if not _LETTER_BEHIND_DOT.search(line):
        return _MISSING_SPACE.sub(" ", line) if "dot" in pack.words else line
    if "://" in line or "www." in line.lower():
        line = _URL.sub(lambda match: _host_words(match[0], pack), line)
    if "@" in line:
        line = _EMAIL.sub(lambda match: _email_words(match, pack), line)
    line = _DOMAIN.sub(lambda match: _host_words(match[0], pack), line)
    if "dot" not in pack.words:
        return line
    line = _DOTTED_NAME.sub(lambda match: match[0].replace(".", f" {pack.words['dot']} "), line)
    line = _MISSING_SPACE.sub(" ", line)
    return _LEADING_DOT.sub(f"{pack.words['dot']} ", line)


def _path_words(path: str, pack: Pack) -> str:
    """A path from its root, from home or from here; `etc` is spelled, for a voice reads it as et cetera."""
    slash, dot = pack.words["slash"], pack.words["dot"]
    if path.count("/") == 1 and (path[1:2].isdecimal() or len(path) < 3):
        return path
    parts = ["E T C" if part == "etc" else part.replace(".", f" {dot} ") for part in path.split("/")]
    return f" {slash} ".join(parts).replace("~", "home" if pack.is_english else "~").replace("_", " ").strip()


def _host_words(address: str, pack: Pack) -> str:
    kept = address.rstrip(_TRAILING_MARKS)
    ending = address[len(kept) :].replace("/", "")
    host = re.split(r"[/?#]", kept.partition("://")[2] or kept, maxsplit=1)[0]
    host = host.rpartition("@")[2].partition(":")[0]
    if host.lower().startswith("www."):
        host = host[len("www.") :]
    return _spell_dots(host, pack) + ending


def _email_words(match: re.Match[str], pack: Pack) -> str:
    at = f" {pack.words['at']} " if "at" in pack.words else "@"
    return f"{_spell_dots(match[1], pack)}{at}{_spell_dots(match[2], pack)}"


def _spell_dots(name: str, pack: Pack) -> str:
    if "dot" not in pack.words:
        return name
    spelled = name.replace(".", f" {pack.words['dot']} ").replace("-", f" {pack.words['dash']} ")
    return spelled.replace("_", " ").replace("+", f" {pack.words['plus']} ")
