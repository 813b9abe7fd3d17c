"""How fast an engine is, whether a conversation can be held with it, and how long an answer takes with three of them.

In:  measured seconds.   Out: a reason against an engine, or seconds.
"""

from dataclasses import dataclass

# An engine that takes more of a second for each second of speech has nothing to spare for a busy moment.
MAX_FACTOR = 0.7
# The words may be this late after the pause before a conversation drags.
MAX_WORDS_SECS = 1.2
# Waiting so long for right words is better than having wrong ones at once.
BEARABLE_WORDS_SECS = 4.0
BEARABLE_FACTOR = 1.5
# Tokens of a first clause, and of a second of speech (three words).
CLAUSE_TOKENS = 6
TOKENS_A_SECOND = 4.0
# From the last sound to the decision that the turn is over where voice and words agree; the answer is prepared in it.
DECISION_SECS = 0.3
# Until the pause is noticed; only then the words are asked for.
NOTICE_SECS = 0.1


@dataclass(frozen=True)
class Speed:
    """Of one engine with one model.

    Attributes:
        first_secs: Speech-to-text: from the pause to the words; language model: to the first token; text-to-speech: to
            the first sound of a short sentence.
        factor: Seconds of computing for one second of speech that is heard, or will be.
    """

    first_secs: float
    factor: float

    def __post_init__(self) -> None:
        if not (self.first_secs >= 0 and self.factor >= 0):
            raise ValueError(f"a speed is not negative: {self.first_secs}, {self.factor}")

    def expected_secs(self, speech_secs: float) -> float:
        """What it takes for so much speech while the machine is idle."""
        return self.first_secs + self.factor * speech_secs


def bearable(speed: Speed) -> bool:
    """Whether an engine that is too slow is still better than one that does its work badly."""
    return speed.first_secs <= BEARABLE_WORDS_SECS and speed.factor <= BEARABLE_FACTOR


def too_slow(stage: str, speed: Speed | None) -> str | None:
    """Why a conversation cannot be held with such an engine; None where it can.

    Args:
        stage: stt, llm or tts.
        speed: As measured; None: nothing is known against it.
    """
    if speed is None:
        return None
    if stage == "tts" and speed.factor > MAX_FACTOR:
        return f"it needs {speed.factor:.1f} s here for a second of speech"
    if stage == "stt" and speed.first_secs > MAX_WORDS_SECS:
        return f"its words come {speed.first_secs:.1f} s after a pause here"
    if stage == "stt" and speed.factor > MAX_FACTOR:
        return f"it needs {speed.factor:.1f} s here to hear a second of speech"
    if stage == "llm" and speed.factor > MAX_FACTOR:
        return f"it needs {speed.factor:.1f} s here to write a second of speech"
    return None


def answer_secs(stt: Speed | None, llm: Speed | None, tts: Speed | None) -> float | None:
    """What a person waits for an answer with these engines; None where one of them is not known.

    The answer is prepared while the pause is judged, so the longer of the two counts.
    """
    if stt is None or llm is None or tts is None:
        return None
    first_clause_secs = CLAUSE_TOKENS * llm.factor / TOKENS_A_SECOND
    return max(DECISION_SECS, NOTICE_SECS + stt.first_secs + llm.first_secs + first_clause_secs + tts.first_secs)
