"""Where a clause may be cut in two for speech, so that the joint sounds like a breath: before a conjunction, a
preposition or a verb, never behind a word that leans on the next one.

In:  text that may still grow, a place between two words of it.   Out: how well it can be cut there.
"""

import re
from enum import IntEnum

# Words that begin a new part of a sentence.
_OPENING = {
    "en": "and or but nor because although though while when where which who whose that if unless until since in on "
    "at by for from with without into onto over under about after before between through during against along "
    "around near is are was were has have had will would can could should may might must",
    "de": "und oder aber denn weil dass wenn als ob während obwohl in im auf mit bei nach von vom für über unter "
    "zwischen durch gegen ohne um ist sind war waren hat haben wird werden kann können soll muss",
    "fr": "et ou mais donc car que qui quand si comme dans sur sous avec pour par chez sans entre vers depuis est "
    "sont était a ont sera peut doit",
    "es": "y o pero porque que cuando si como en con por para sin sobre entre desde hasta hacia es son está están "
    "fue era ha han será puede debe",
    "it": "e o ma perché che quando se come in con per da senza su tra fra verso è sono era ha hanno sarà può deve",
    "pt": "e ou mas porque que quando se como em no na com por para sem sobre entre desde até é são está foi era tem "
    "pode deve",
}
# Words that lean on the next one.
_LEANING = {
    "en": "the a an this that these those my your his her its our their to of not no very more most some any each "
    "every as than so too i you he she it we they there",
    "de": "der die das den dem des ein eine einen einem einer eines mein dein sein ihr unser zu nicht kein keine "
    "sehr mehr ich du er sie es wir am zum zur",
    "fr": "le la les un une des du de d l ce cet cette ces mon ma mes ton ta tes son sa ses au aux à ne pas très "
    "plus je tu il elle on nous vous ils elles y en",
    "es": "el la los las un una unos unas del de al a mi tu su este esta estos estas no muy más yo él ella se lo le",
    "it": "il lo la i gli le un uno una del dello della dei di al alla a mio tuo suo questo questa non molto più io "
    "si ci",
    "pt": "o a os as um uma do da dos das de ao à meu teu seu este esta não muito mais eu ele ela se",
}
_OPENING_WORDS = {language: frozenset(words.split()) for language, words in _OPENING.items()}
_LEANING_WORDS = {language: frozenset(words.split()) for language, words in _LEANING.items()}

_LAST_WORD = re.compile(r"(?<![^\s])[^\W\d_]+(?:['’][^\W\d_]+)?\Z")
# A word that is complete, since something follows it that ends words.
_NEXT_WORD = re.compile(r"([^\W\d_]+(?:['’][^\W\d_]+)?)(?=[\s,;:!?])")
_NUMBER_BEFORE = re.compile(r"\d\s?\Z")
_LOOK_BACK_CHARS = 24


class Joint(IntEnum):
    """How well a clause can be cut at a place."""

    NONE = 0
    POSSIBLE = 1
    NATURAL = 2


def joint_at(text: str, end: int, start: int, language: str = "en") -> Joint:
    """How well a text can be cut between two words of a clause.

    Names, numbers, addresses and abbreviations are never cut: both words are plain ones, the second in small letters.

    Args:
        text: Written or speakable text.
        end: Index behind the last character of the left part.
        start: Index of the first character of the right part.
        language: ISO 639-1 code; in one that has no list of words a joint is POSSIBLE at best.
    """
    left = _LAST_WORD.search(text[max(0, end - _LOOK_BACK_CHARS) : end])
    right = _NEXT_WORD.match(text, start)
    if not left or not right or not right[1].islower():
        return Joint.NONE
    before = left[0].lower()
    opening, leaning = _OPENING_WORDS.get(language, frozenset()), _LEANING_WORDS.get(language, frozenset())
    if before in leaning or before in opening:
        return Joint.NONE
    if right[1] in opening:
        return Joint.NATURAL
    # A unit: what follows decides how it is said ("a 12 kilometer walk").
    if _NUMBER_BEFORE.search(text[max(0, end - _LOOK_BACK_CHARS) : end][: left.start()]):
        return Joint.NONE
    # "Ludwig van", "Rio de": small letters may stand in a name.
    return Joint.POSSIBLE if left[0].islower() else Joint.NONE
