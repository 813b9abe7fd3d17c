"""What is said over the agent without wanting the floor, and what takes it at once.

In:  the words so far.   Out: whether they are a backchannel ("mm-hm"), a command ("stop"), or anything else.

Backchannels: V. Yngve, "On getting a word in edgewise", 1970. The same word may be either: "yes" to an agent that
tells a story is a backchannel, and to one that has just asked it is an answer.
"""

from enum import Enum

from processors.text.bare_words import bare


class Meaning(Enum):
    """What speech over the agent wants."""

    NOTHING = "no words"
    BACKCHANNEL = "the agent is to go on"
    COMMAND = "the agent is to stop at once"
    FLOOR = "the user wants to say something"


# Sounds that carry no more than attention, whatever was asked. As the recognizers write them, without punctuation.
SOUNDS = {
    "en": "mm|mhm|mmhm|mm hm|mmm|hm|hmm|uh huh|mm hmm|mhmm|uh|um|ah|oh|aha|huh|ooh|wow|ha|haha|ha ha|hehe|ugh|ahem",
    "es": "mm|ajá|aja|mhm|hm|eh|ah|oh|uy|ja|jaja|ja ja",
    "de": "mm|mhm|hm|hmm|aha|ah|oh|äh|ähm|ha|haha|ha ha|ach|tja",
    "fr": "mm|mhm|hm|hum|ah|oh|euh|ha|haha|ha ha|hein",
}
# Words that agree or encourage; an answer where the agent has asked.
WORDS = {
    "en": (
        "yeah|yes|yep|yup|right|okay|ok|alright|all right|sure|i see|got it|gotcha|cool|nice|great|good|fine|really"
        "|exactly|true|indeed|of course|i know|makes sense|go on|interesting|lovely|perfect|totally|absolutely|no way"
        "|fair enough|i understand|that's right"
    ),
    "es": "sí|si|vale|claro|bueno|ya|ya veo|entiendo|de acuerdo|exacto|qué bien|perfecto|genial|anda|sigue",
    "de": "ja|jaja|genau|klar|okay|ok|gut|stimmt|verstehe|ach so|achso|richtig|schön|toll|na klar|alles klar|eben",
    "fr": "oui|ouais|d'accord|ok|okay|bien|très bien|je vois|bien sûr|exact|exactement|voilà|c'est vrai",
}
# Alone they want nothing; what a small recognizer makes of a hum.
FRAGMENTS = {
    "en": "you|i|the|a|an|and|him|them|it|in|on|of|to|but|or|he|she|we|they|his|her|at|that|this|is|are|well|the|ye",
    "es": "el|la|los|un|una|y|o|de|a|en|lo|le|tú|yo",
    "de": "der|die|das|ein|und|oder|in|zu|du|ich|er|sie|es",
    "fr": "le|la|les|un|une|et|ou|de|à|il|elle|je|tu",
}
# The agent stops as soon as these are heard, whatever follows.
COMMANDS = {
    "en": (
        "stop|wait|never mind|nevermind|hold on|hang on|shut up|be quiet|quiet|enough|pause|cancel|one moment|no stop"
        "|no wait|okay stop|okay wait|please stop"
    ),
    "es": "para|espera|detente|basta|silencio|un momento|cancela|olvídalo|no espera|cállate",
    "de": "stopp|stop|halt|warte|moment|sei still|ruhe|vergiss es|genug|abbrechen|nein warte|nein stopp",
    "fr": "arrête|stop|attends|attendez|silence|ça suffit|un instant|tais toi|laisse tomber|annule|non attends",
}


# What may stand before a command: "okay but stop", "no wait".
LEADS = {
    "en": "but|no|so|and|please|just|hey|well|actually|now",
    "es": "pero|no|y|por favor|oye|bueno|ahora",
    "de": "aber|nein|nee|und|bitte|hey|jetzt|doch",
    "fr": "mais|non|et|s'il te plaît|s'il vous plaît|hé|bon|maintenant",
}


def _phrases(table: dict[str, str]) -> dict[str, frozenset[tuple[str, ...]]]:
    return {
        language: frozenset(tuple(bare(phrase).split()) for phrase in text.split("|"))
        for language, text in table.items()
    }


_SOUNDS = _phrases(SOUNDS)
_AGREEMENTS = _phrases(WORDS)
_FRAGMENTS = _phrases(FRAGMENTS)
_COMMANDS = _phrases(COMMANDS)
_LEADS = _phrases(LEADS)
_LONGEST = 3


def meaning_of(text: str, language: str, *, asked: bool) -> Meaning:
    """What these words over the agent want.

    Args:
        text: What was recognized so far, punctuated or not.
        language: ISO 639-1 code; of an unknown one, sounds and words are those of English.
        asked: Whether the agent has just asked something, so that agreement is an answer.
    """
    words = tuple(bare(text).split())
    if not words:
        return Meaning.NOTHING
    language = language if language in _SOUNDS else "en"
    if _commands(words, language):
        return Meaning.COMMAND
    if words in _FRAGMENTS[language] and not asked:
        return Meaning.BACKCHANNEL
    allowed = _SOUNDS[language] if asked else _SOUNDS[language] | _AGREEMENTS[language]
    return Meaning.BACKCHANNEL if _made_of(words, allowed) else Meaning.FLOOR


def sounds_like_command(text: str, language: str) -> bool:
    """Whether a word of these is a command but for one letter: "top" may have been "stop".

    Args:
        text: What was recognized, by a recognizer that is not sure of it.
        language: ISO 639-1 code; an unknown one stands for English.
    """
    commands = [command[0] for command in _COMMANDS[language if language in _SOUNDS else "en"] if len(command) == 1]
    return any(_but_for_one_letter(word, command) for word in bare(text).split() for command in commands)


def _but_for_one_letter(word: str, other: str) -> bool:
    shorter, longer = sorted((word, other), key=len)
    if len(longer) < 4 or len(longer) - len(shorter) > 1:
        return False
    at = next((at for at, letter in enumerate(shorter) if letter != longer[at]), len(shorter))
    return shorter[at + (len(shorter) == len(longer)) :] == longer[at + 1 :]


def _commands(words: tuple[str, ...], language: str) -> bool:
    """Whether a command stands first, or after nothing but agreement."""
    before = _SOUNDS[language] | _AGREEMENTS[language] | _LEADS[language]
    return any(
        words[at : at + len(command)] == command and _made_of(words[:at], before)
        for at in range(len(words))
        for command in _COMMANDS[language]
    )


def _made_of(words: tuple[str, ...], phrases: frozenset[tuple[str, ...]]) -> bool:
    """Whether the words are these phrases one after another."""
    # reached[n]: whether the first n words are.
    reached = [True]
    for end in range(1, len(words) + 1):
        lengths = range(1, min(_LONGEST, end) + 1)
        reached.append(any(reached[end - length] and words[end - length : end] in phrases for length in lengths))
    return reached[-1]
