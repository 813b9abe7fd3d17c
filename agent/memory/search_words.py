"""Words to look for, as SQLite's FTS5 reads them: only ever quoted ones, whatever the text.

In:  any text.   Out: text to be indexed, or a query.

FTS5's unicode61 takes words where letters stand together. Scripts that put no space between words (Han, Kana, Thai,
Lao, Khmer, Burmese) are indexed sign by sign, and looked for in pairs of neighbours. Endings differ ("birthdays",
"Tages"), so that a long word is also looked for by its beginning.
Source: sqlite.org/fts5.html, sections 3.1 (strings) and 4.3.1 (unicode61).
"""

import itertools
import re
import unicodedata
from collections.abc import Callable, Sequence

MAX_WORDS = 24
# Of texts that share words with a question, those with the rarest are ranked.
MAX_RANKED = 1_000
# A word of so many letters is looked for also as the beginning of others.
_PREFIX = 4
_UNSPACED = (
    "\u0e01-\u0e3a\u0e40-\u0e4e\u0e80-\u0edf\u1000-\u109f\u1780-\u17dd"
    "\u3005-\u3007\u3040-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U000323af"
)
_SIGN = re.compile(f"([{_UNSPACED}])")
_RUN_OR_WORD = re.compile(f"[{_UNSPACED}]+|[^\\W_{_UNSPACED}]+")
_HANGUL = re.compile("[\uac00-\ud7a3]")


def indexed(text: str) -> str:
    """What is indexed of a text.

    Args:
        text: Any; a lone surrogate, which no database takes, becomes a question mark.
    """
    return _SIGN.sub(r" \1 ", _folded(text)).strip()


def queries(text: str) -> list[str]:
    """A query for each word of a text; each may stand in brackets between AND and OR.

    Args:
        text: Any; of very many words the first count.
    """
    return [_either(word) for word in _words(text)]


def rarest(words: Sequence[str], count: Callable[[str, int], int]) -> tuple[str, bool]:
    """A query for the rarest of words, and whether what has them is little enough to be ranked.

    What half of all texts have ("the") tells nothing, and ranking is the dear part.

    Args:
        words: Queries, one a word.
        count: From a query and the most that matters to how many texts it finds.
    """
    counted = sorted((n, word) for word in words if (n := count(word, MAX_RANKED + 1)))
    taken, n_texts = [word for _, word in counted[:1]], sum(n for n, _ in counted[:1])
    for n, word in counted[1:]:
        n_texts += n
        if n_texts > MAX_RANKED:
            break
        taken.append(word)
    return " OR ".join(taken), bool(counted) and counted[0][0] <= MAX_RANKED


def matches(about: str, text: str) -> bool:
    """Whether a short text has all words of another one, or what begins so.

    Args:
        about: Any text; without words nothing matches.
        text: Any.
    """
    words, folded = _words(about), indexed(text)
    return bool(words) and all(word in folded for word in words)


def _folded(text: str) -> str:
    return unicodedata.normalize("NFKC", text.encode("utf-8", "replace").decode()).casefold()


def _words(text: str) -> list[str]:
    """Distinct words, and pairs of signs with a space between."""
    found: dict[str, None] = {}
    for match in _RUN_OR_WORD.finditer(_folded(text)):
        run = match[0]
        if not _SIGN.match(run):
            found[run] = None
            continue
        pairs = [f"{first} {second}" for first, second in itertools.pairwise(run)] or [run]
        found.update(dict.fromkeys(pairs))
    return list(found)[:MAX_WORDS]


def _either(word: str) -> str:
    if " " in word or _SIGN.match(word):
        return f'"{word}"'
    if _HANGUL.search(word):
        # A particle of one or two syllables may stand behind the word.
        return f'"{word[: max(2, len(word) - 2)]}" *'
    if len(word) < _PREFIX:
        return f'"{word}"'
    return f'("{word}" OR "{word[: max(_PREFIX, len(word) - 2)]}" *)'
