"""How long a pause must be before the user is done: one estimate from sound, words and the speaker's own pauses.

In:  smart-turn's probability, the words so far, how long this speaker pauses.   Out: seconds of silence to wait for.

A prosody model takes "how many days" for a whole question and "how are you today" for half of one; the words know
better. Words that cannot be the end ("... and", "set a timer for") hold the turn open whatever the voice says.
"""

from dataclasses import dataclass

from processors.text.bare_words import bare

# Completeness of the words, 0 (something must follow) to 1 (nothing can).
UNKNOWN = 0.5
OPEN = 0.05
NO_VERB = 0.1
PROBABLY_OPEN = 0.2
WHOLE = 0.95
# Below this the words decide, whatever the voice says; where they are not sure, a voice that is counts for something.
OPEN_BELOW = 0.35
SURE_VOICE = 0.95
SURE_VOICE_DONE = 0.55
# Words that say neither are given this much time to go on.
NEUTRAL_BELOW = 0.8
NEUTRAL_SECS = 0.4
# However the voice sounds, words that are whole, or a sentence of them, are not kept waiting for longer.
WHOLE_FROM, WHOLE_MAX_SECS = 0.85, 0.45
SENTENCE_FROM, SENTENCE_MAX_SECS = 0.6, 0.85
# How sure the estimate must be for the shortest pause, and how unsure for the longest.
SURE, UNSURE = 0.8, 0.25

# A turn does not end with these. Compared without case and punctuation.
OPEN_ENDINGS = {
    "en": "a an the my your his her its our their every and or but so because if when while than i'm i'd i'll um uh er",
    "es": (
        "el la los las un una unos unas mi tu su este esta ese esa y o pero porque si cuando que de del a al en con"
        " por para sin sobre entre hasta desde es son está están muy más no eh este pues"
    ),
    "de": (
        "der die das den dem des ein eine einen einem einer mein dein sein ihr und oder aber weil wenn dass als"
        " von zu zum zur in im an am auf für mit aus bei nach über unter vor ist sind war hat haben wird kann sehr"
        " nicht äh ähm also"
    ),
    "fr": (
        "le la les un une des du de à au aux mon ma mes ton ta son sa ce cette et ou mais parce que qui si quand"
        " dans en sur sous avec pour par sans est sont très ne pas euh ben donc"
    ),
}
# Nor often with these: "where are you from", "turn it on" and "yes I am" are whole.
SELDOM_ENDINGS = {
    "en": (
        "of to in on at for with from by about into over under between through after before until since as"
        " is are was were am be been being do does did has have had will would can could should shall may might must"
        " very really quite then tell set remind hmm thinking wondering"
        # Nouns that are of something, or in some place: "what's the weather ... in Berlin".
        " capital population price name number size height distance weather temperature author meaning definition"
    )
}
# Nor with these, unless the sentence asks: "where are you from", but "set a timer for".
WANTING_ENDINGS = {"en": "of with from by about into between than as for"}
# Nor with these phrases, nor with a verb that wants an object after "to": "remind me to call ... my sister".
OPEN_PHRASES = {"en": "tell me|show me|give me|remind me|let me|i want|i need|was thinking|was wondering"}
VERBS_WITH_OBJECT = {"en": "call play buy get send tell ask set book find make take order see visit read watch add put"}
# Said before what matters.
PREAMBLES = {
    "en": "um uh er so well okay ok and please",
    "es": "eh pues bueno oye",
    "de": "äh ähm also so na",
    "fr": "euh alors bon",
}
GREETINGS = {
    "en": "hello hi hey thanks goodbye bye",
    "es": "hola gracias adiós",
    "de": "hallo danke",
    "fr": "bonjour merci",
}
ORDERS = {
    "en": (
        "play set turn switch stop tell remind wake open close call send show find add book start give make read put"
        " take pause resume skip cancel order buy search look translate explain describe write say count sing"
    )
}
# Words that are a whole turn by themselves.
WHOLE_TURNS = {
    "en": (
        "yes no yeah yep nope sure okay ok stop wait hello hi hey thanks bye goodbye right correct exactly great"
        " please help continue next again cancel never mind|never mind|thank you|good morning|good night|go on"
    ),
    "es": "sí no vale claro hola gracias adiós para espera|buenos días|buenas noches|de acuerdo",
    "de": "ja nein doch klar hallo danke tschüss stopp halt warte|guten morgen|gute nacht",
    "fr": "oui non merci bonjour salut stop attends|d'accord|bonne nuit",
}
QUESTION_WORDS = {"en": "what who whom whose where when why how which what's who's where's when's how's why's"}
# A question with a question word has one of these, or it is not whole.
VERBS = {
    "en": (
        "is are was were am be do does did has have had can could will would should shall may might must"
        " what's who's where's when's how's that's whats whos wheres hows mean means happened happens goes go come"
        " comes makes make takes take costs cost wrote made won invented discovered painted lives"
    )
}
NUMBERS = {"en": "zero oh one two three four five six seven eight nine ten eleven twelve double triple"}
# Digits said one by one, as of a telephone number, go on until there are enough of them.
MAX_GREETING_WORDS = 3
MIN_DIGITS, ENOUGH_DIGITS = 3, 7
# "at seven ... thirty": one number may have another after it.
NUMBER_SECS = 0.7


def _sets(table: dict[str, str]) -> dict[str, frozenset[str]]:
    """Words, and phrases between bars."""
    found = {}
    for language, text in table.items():
        words, *phrases = text.split("|")
        found[language] = frozenset({*map(bare, words.split()), *map(bare, phrases)})
    return found


_OPEN_ENDINGS = _sets(OPEN_ENDINGS)
_SELDOM_ENDINGS = _sets(SELDOM_ENDINGS)
_WANTING_ENDINGS = _sets(WANTING_ENDINGS)
_WHOLE_TURNS = _sets(WHOLE_TURNS)
_QUESTION_WORDS = _sets(QUESTION_WORDS)
_VERBS = _sets(VERBS)
_NUMBERS = _sets(NUMBERS)
_OPEN_PHRASES = _sets({language: f"|{phrases}" for language, phrases in OPEN_PHRASES.items()})
_VERBS_WITH_OBJECT = _sets(VERBS_WITH_OBJECT)
_PREAMBLES = _sets(PREAMBLES)
_GREETINGS = _sets(GREETINGS)
_ORDERS = _sets(ORDERS)
_NONE: frozenset[str] = frozenset()


def completeness(text: str, language: str) -> float:
    """How complete the words are, as far as words can tell.

    Args:
        text: The turn so far, punctuated or not.
        language: ISO 639-1 code; UNKNOWN for all but trailing dots where the language is not known.

    Returns:
        0 (something must follow) to 1 (nothing can); UNKNOWN where nothing speaks for either.
    """
    words = bare(text).split()
    if not words:
        return UNKNOWN
    if text.rstrip().endswith(("...", "…", ",", "-", "—")):
        return OPEN
    if " ".join(words) in _WHOLE_TURNS.get(language, _NONE):
        return WHOLE
    if words[-1] in _OPEN_ENDINGS.get(language, _NONE):
        return OPEN
    while len(words) > 1 and words[0] in _PREAMBLES.get(language, _NONE):
        words = words[1:]
    if words[0] in _GREETINGS.get(language, _NONE) and len(words) <= MAX_GREETING_WORDS:
        return WHOLE
    return _of_ending(words, language) or _of_beginning(words, language)


def _of_ending(words: list[str], language: str) -> float | None:
    """How complete a sentence with this end is; None where the end says nothing."""
    questions = _QUESTION_WORDS.get(language, _NONE)
    if " ".join(words[-2:]) in _OPEN_PHRASES.get(language, _NONE):
        return OPEN
    if words[-1] in _WANTING_ENDINGS.get(language, _NONE) and questions.isdisjoint(words[:-1]):
        return OPEN
    if words[-1] in _SELDOM_ENDINGS.get(language, _NONE):
        # "how far away the moon is", within a longer question.
        embedded = words[-1] in ("is", "are", "was", "were") and not questions.isdisjoint(words[1:-2])
        return WHOLE_FROM if embedded else PROBABLY_OPEN
    if len(words) > 1 and words[-2] == "to" and words[-1] in _VERBS_WITH_OBJECT.get(language, _NONE):
        # "I want to read" may be whole; "remind me to call" is not.
        return OPEN if words[0] in _ORDERS.get(language, _NONE) else PROBABLY_OPEN
    numbers = _NUMBERS.get(language, _NONE)
    n_digits = next((index for index, word in enumerate(reversed(words)) if word not in numbers), len(words))
    if n_digits >= MIN_DIGITS:
        return PROBABLY_OPEN if n_digits < ENOUGH_DIGITS else SENTENCE_FROM
    return None


def _of_beginning(words: list[str], language: str) -> float:
    """How complete a sentence with this beginning is, if its end says nothing."""
    verbs = _VERBS.get(language, _NONE)
    if words[0] in _QUESTION_WORDS.get(language, _NONE):
        return WHOLE if not verbs.isdisjoint(words) and len(words) > 2 else NO_VERB
    if words[0] in verbs and len(words) > 2:
        return WHOLE_FROM
    if words[0] in _ORDERS.get(language, _NONE) and len(words) > 2:
        return 0.7
    return UNKNOWN if len(words) < 3 else SENTENCE_FROM


def ends_with_number(text: str, language: str) -> bool:
    """Whether the last word is a number, after which another may come: "at seven ... thirty"."""
    words = bare(text).split()
    return bool(words) and (words[-1] in _NUMBERS.get(language, _NONE) or words[-1].isdigit())


@dataclass
class SpeakerPace:
    """How long this speaker pauses within a turn, learned from the pauses that were followed by more.

    Attributes:
        pause_secs: A typical pause within a turn.
    """

    pause_secs: float = 0.4

    def learn(self, pause_secs: float) -> None:
        """Take a pause after which the speaker went on."""
        self.pause_secs += 0.3 * (min(pause_secs, 1.5) - self.pause_secs)

    @property
    def factor(self) -> float:
        """What waits are multiplied by: 0.8 for speakers who hardly pause, up to 1.4."""
        return min(1.4, max(0.8, 0.6 + self.pause_secs))


def pause_to_wait_for(
    probability: float | None, complete: float, *, min_secs: float, max_secs: float, factor: float = 1.0
) -> float:
    """How long a pause ends the turn.

    Args:
        probability: Smart-turn's, that the turn is over; None if it was not asked.
        complete: From `completeness`.
        min_secs: The shortest pause, when all agree.
        max_secs: The longest, when they do not.
        factor: Patience: of the settings and of the speaker's pace.

    Returns:
        Seconds of silence, from `min_secs` to `max_secs`.
    """
    heard = UNKNOWN if probability is None else probability
    # Prosody counts for more where the words say nothing, and for least where they are whole.
    weight = abs(complete - UNKNOWN) + (0.3 if complete >= WHOLE_FROM else 0.15)
    done = (heard + weight * 2 * complete) / (1 + weight * 2)
    if complete < OPEN_BELOW:
        unsure_words = complete >= PROBABLY_OPEN and heard >= SURE_VOICE
        done = min(done, SURE_VOICE_DONE if unsure_words else complete + 0.1)
    doubt = min(1.0, max(0.0, (SURE - done) / (SURE - UNSURE)))
    wait_secs = min_secs + (max_secs - min_secs) * doubt * factor
    if complete < NEUTRAL_BELOW:
        wait_secs = max(wait_secs, NEUTRAL_SECS * factor)
    if complete >= WHOLE_FROM:
        wait_secs = min(wait_secs, WHOLE_MAX_SECS * factor)
    elif complete >= SENTENCE_FROM:
        wait_secs = min(wait_secs, SENTENCE_MAX_SECS * factor)
    return min(max_secs, max(min_secs, wait_secs))
