"""Profiles of delays, what the agent says, and the scripted voice that says it in code.

A fake at the edge: the voice and, in `stage`, the recognizer; the language model's server is
`tests.support.scripted_llm`.
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass

from processors.tts.synthesizer import SpeechChunk, SpokenWord, Voice
from tests.bench.dynamics.code import RATE_HZ, WORD_SECS, coded
from tests.support.scripted_llm import Reply

# That many words follow the first of SHORT_REPLY until its first clause is whole; a sentence takes three times as long.
FIRST_CLAUSE_WORDS = 3


@dataclass(frozen=True)
class Profile:
    """How fast the scripted engines are.

    Attributes:
        stt_secs: From a pause to its transcript; partial words are as late.
        llm_secs: From a request to the first token.
        tts_secs: From a text to its first sound.
        token_secs: Between two tokens: 40 a second on a laptop, 100 on a GPU.
    """

    name: str
    stt_secs: float
    llm_secs: float
    tts_secs: float
    token_secs: float

    @property
    def delays_secs(self) -> float:
        """All three, up to the first clause that can be spoken."""
        return self.stt_secs + self.llm_secs + FIRST_CLAUSE_WORDS * self.token_secs + self.tts_secs


LAPTOP = Profile("laptop", 0.150, 0.250, 0.120, 0.025)
GPU = Profile("gpu", 0.020, 0.160, 0.107, 0.010)
PROFILES = {profile.name: profile for profile in (LAPTOP, GPU)}

# No word twice in a reply and the one that may follow it, and no question: what is said over it is no answer to it.
SHORT_REPLY = "Sure, I will, and then everything is ready for you."
STORY = (
    "Rivers carry water from mountains toward the sea. Along their banks grow willows, reeds and tall grasses. "
    "Many animals drink there every morning before sunrise. Farmers built small villages close by long ago."
)
TALE = "Rivers carry water from mountains toward the sea. Along their banks grow willows and reeds."
NEXT_REPLY = "Fine, done."


def reply(text: str, profile: Profile) -> Reply:
    """A streamed answer: a word a token."""
    words = text.split()
    return Reply(
        *(word if index == 0 else f" {word}" for index, word in enumerate(words)),
        first_delay_secs=profile.llm_secs,
        delay_secs=profile.token_secs,
    )


class CodedSynthesizer:
    """Speaks every word as its code, a quarter of a second long.

    Args:
        delay_secs: Before the first sound of a text.
    """

    name = "coded"
    model = "coded"
    sample_rate_hz = RATE_HZ
    max_threads = 2

    def __init__(self, delay_secs: float) -> None:
        self._delay_secs = delay_secs

    def synthesize(self, text: str) -> Iterator[SpeechChunk]:
        """See `Synthesizer.synthesize`."""
        time.sleep(self._delay_secs)
        for index, word in enumerate(text.split()):
            start_secs = index * WORD_SECS
            yield SpeechChunk(coded(word).tobytes(), (SpokenWord(word, start_secs, start_secs + WORD_SECS),))

    def voices(self) -> list[Voice]:
        return []

    def in_voice(self, voice: str | None, *, language: str, speed: float) -> "CodedSynthesizer":
        return self

    def warm_up(self) -> None:
        """Nothing to do."""

    def close(self) -> None:
        """Nothing to free."""
