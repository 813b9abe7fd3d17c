"""The words of names at home: nearly the same, written together or apart, and of which kind of thing they speak.

In:  the words of a name as it was heard, and those of a thing.   Out: whether the thing is called so.
"""

import unicodedata
from collections.abc import Sequence
from itertools import pairwise

from rapidfuzz import fuzz, utils
from rapidfuzz.distance import Levenshtein

# Words that a recogniser heard a little wrong are this alike; shorter ones have to be the same.
ALIKE = 84.0
MIN_ALIKE_CHARS = 5
MIN_KIND_CHARS = 3
MIN_STEM_CHARS = 3
# Home Assistant's domain of a kind, or a name of our own where it has none; then the words for it, without accents.
KINDS = {
    "light": (
        "light lights lamp lamps bulb chandelier licht lichter lampe lampen leuchte leuchten lumiere "
        "lumieres lampes ampoule luz luces lampara lamparas luce luci lampada lampade luzes lampadas "
    ),
    "cover": (
        "blind blinds shutter shutters curtain curtains rollo rollos rollladen rolladen jalousie "
        "jalousien vorhang volet volets store stores rideau rideaux persiana persianas cortina cortinas "
        "tapparella tapparelle tenda tende estore estores "
    ),
    "media_player": (
        "tv television telly fernseher fernsehen tele televiseur televisor televisione televisore televisao "
    ),
    "fan": "fan fans ventilator ventilateur ventilador ventilatore lufter",
    "climate": (
        "heater heating radiator thermostat heizung heizkorper chauffage radiateur calefaccion "
        "calefactor radiador termostato riscaldamento termosifone aquecedor aquecimento "
    ),
    "door": "door doors tur turen porte portes puerta puertas porta porte portas",
    "gate": "gate gates tor tore portail porton cancello cancelli portao",
    "window": "window windows fenster fenetre fenetres ventana ventanas finestra finestre janela janelas",
    "socket": "socket plug outlet steckdose prise enchufe presa tomada",
    "machine": "machine maker maschine automat maquina macchina",
    "speaker": "speaker speakers lautsprecher box enceinte altavoz altoparlante coluna",
    "radio": "radio",
    "lock": "lock schloss serrure cerradura serratura fechadura",
    "alarm": "alarm alarme alarma allarme",
    "sensor": "sensor capteur sensore",
    "camera": "camera kamera telecamera",
}
_KINDS_OF: dict[str, set[str]] = {}
for _kind, _words in KINDS.items():
    for _word in _words.split():
        _KINDS_OF.setdefault(_word, set()).add(_kind)
_HEADS = sorted(_KINDS_OF, key=len, reverse=True)
# Of compounds, in German; the longest first.
_ENDS = [one for one in _HEADS if len(one) > MIN_KIND_CHARS or one in ("tur", "tor")]
_SMALL = frozenset(
    "the a an all every in on at of for to my our please "
    "die der das den dem des ein eine einen alle im am an auf vom von zur zum bei mein meine "
    "le la les l un une tous toutes du de des d dans sur au aux mon ma mes "
    "el los las una todas todos del en mi "
    "il lo gli i tutte tutti di della dello dei delle degli nel nella sul sulla mio mia "
    "o os as um uma do da dos das no na nos nas em meu minha todos".split()
)
# What may be switched and is of no kind that its domain tells.
_ANY = {"switch", "input_boolean"}
_SAME_ROOM = ("room", "zimmer", "raum", "way")


def plain(text: str) -> str:
    """Without case, accents and punctuation; ß is ss."""
    apart = unicodedata.normalize("NFKD", utils.default_process(text.casefold()))
    return "".join(one for one in apart if not unicodedata.combining(one))


def words_of_name(name: str) -> list[str]:
    """Its words, plain, without articles and the like."""
    return [word for word in plain(name).split() if word not in _SMALL]


def kind_of_all(name: str) -> str | None:
    """The domain of which all are meant, where only a kind was said."""
    words = words_of_name(name)
    kinds = _KINDS_OF.get(words[0], set()) & {"light", "cover"} if len(words) == 1 else set()
    return next(iter(kinds), None)


def covered(heard: Sequence[str], called: Sequence[str], domain: str) -> int | None:
    """Whether a thing is called as it was heard.

    Args:
        heard: Words, plain.
        called: Those of the thing, plain.
        domain: The thing's; empty where it is no thing.

    Returns:
        How many words of the thing were not heard; None where something was heard that it is not.
    """
    found = _cover(heard, called, domain)
    return None if found is None else len(called) - len(found)


def _cover(heard: Sequence[str], called: Sequence[str], domain: str) -> set[int] | None:
    """The places of words that were heard, whichever way covers most."""
    # Of what was heard from each word on; from the last to the first, so that none is looked at twice.
    covers: list[set[int] | None] = [None] * len(heard) + [set()]
    for at in reversed(range(len(heard))):
        for n_taken in (1, 2)[: len(heard) - at]:
            places = _places("".join(heard[at : at + n_taken]), called, domain, joined=n_taken > 1)
            rest, best = covers[at + n_taken], covers[at]
            if places is not None and rest is not None and (best is None or len(places | rest) > len(best)):
                covers[at] = places | rest
    return covers[0]


def _places(word: str, called: Sequence[str], domain: str, *, joined: bool) -> set[int] | None:
    """Where a word stands in a name; an empty set where only the thing's kind says so; None: nowhere."""
    for at, one in enumerate(called):
        if word == one if joined else _is_same(word, one):
            return {at}
    for at, pair in enumerate(pairwise(called)):
        if word == "".join(pair):
            return {at, at + 1}
    if joined:
        return None
    for one in called:
        stem, _ = _apart(one)
        if stem and _is_same(word, stem):
            return set()
    return _places_of_kind(word, called, domain)


def _places_of_kind(word: str, called: Sequence[str], domain: str) -> set[int] | None:
    kinds = _kinds_heard(word)
    if not kinds:
        return None
    if any(kinds & _kinds_in(one) for one in called):
        # Half of a compound was not heard.
        return {at for at, one in enumerate(called) if kinds & _KINDS_OF.get(one, set())}
    # A name that says what it is is nothing else, whatever switches it.
    says_kind = any(_kinds_in(one) for one in called)
    return set() if not says_kind and (domain in kinds or domain in _ANY) else None


def _is_same(heard: str, called: str) -> bool:
    if heard == called or (min(len(heard), len(called)) >= MIN_KIND_CHARS and _singular(heard) == _singular(called)):
        return True
    (stem_heard, kind_heard), (stem_called, kind_called) = _apart(heard), _apart(called)
    if kind_heard and kind_called:
        return bool(kind_heard & kind_called) and bool(stem_heard) and _is_near(stem_heard, stem_called)
    return not kind_heard and not kind_called and _is_near(_room(heard), _room(called))


def _is_near(heard: str, called: str) -> bool:
    if heard == called:
        return True
    if any(one.isdigit() for one in heard + called):
        return False
    long_enough = min(len(heard), len(called)) >= MIN_ALIKE_CHARS
    return long_enough and heard[:1] == called[:1] and fuzz.ratio(heard, called) >= ALIKE


def _kinds_heard(word: str) -> set[str]:
    """Of a word alone; also of one that is a letter away from it and no word for a thing itself."""
    if word in _KINDS_OF or len(word) < MIN_KIND_CHARS:
        return _KINDS_OF.get(word, set())
    near = [
        one
        for one in _HEADS
        if one[0] == word[0] and Levenshtein.distance(word, one, score_cutoff=1) <= 1 and abs(len(one) - len(word)) < 2
    ]
    return set[str]().union(*(_KINDS_OF[one] for one in near))


def _kinds_in(word: str) -> set[str]:
    return _KINDS_OF.get(word, set()) or _apart(word)[1]


def _apart(word: str) -> tuple[str, set[str]]:
    """A compound's first part, and the kinds that its last part names: Stehlampe is a lamp."""
    if word in _KINDS_OF:
        return "", _KINDS_OF[word]
    for head in _ENDS:
        if word.endswith(head) and len(word) >= len(head) + MIN_STEM_CHARS:
            return word.removesuffix(head), _KINDS_OF[head]
    return "", set()


def _room(word: str) -> str:
    """bathroom and bath, hallway and hall, are the same place."""
    for end in _SAME_ROOM:
        stem = word.removesuffix(end)
        if stem != word and len(stem) > MIN_STEM_CHARS and (end != "way" or stem == "hall"):
            return stem
    return word


def _singular(word: str) -> str:
    return word.removesuffix("s")
