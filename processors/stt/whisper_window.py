"""How much sound Whisper's encoder is shown, and how to tell that it was too little.

Whisper was trained on windows of 30 s, and the encoder's time grows with the window. A shorter one costs no accuracy
down to a length that depends on the model and the language; with still less it repeats what was said. The table holds
what was measured (`tests/bench/windows`); all other models and languages get the full window.
"""

from dataclasses import dataclass

from processors.stt.hallucination import Guards, repeats_itself
from processors.stt.whisper_decoder import Decoding
from processors.text.bare_words import bare

FULL_SECS = 30.0
# Faster than people speak; a text that is longer than this is cut off and decoded again.
MAX_TOKENS_PER_SEC = 12.0
SPARE_TOKENS = 8
# Below it a text is decoded again in the full window.
DOUBTED_LOG_PROBABILITY = -0.7
# The same words twice in a row within a longer text, this many of them or more.
MIN_REPEATED_WORDS = 3


@dataclass(frozen=True)
class Window:
    """The shortest window that costs nothing.

    Attributes:
        floor_secs: However short the sound.
        margin_secs: Beyond the end of the sound.
    """

    floor_secs: float
    margin_secs: float


# By the catalogue's name of the model, and the language. The floor was measured on utterances of 1 to 8 s, a margin of
# 2 s lost a name in a longer one.
MEASURED: dict[tuple[str, str], Window] = {
    ("tiny.en", "en"): Window(10.0, 4.0),
    ("base", "en"): Window(10.0, 4.0),
}


def window_secs(model: str, language: str | None, sound_secs: float) -> float:
    """The window for a sound.

    Args:
        model: The catalogue's name.
        language: ISO 639-1 code; None where it is still to be detected.
        sound_secs: How long the sound is.
    """
    window = MEASURED.get((model, language or ""))
    if window is None:
        return FULL_SECS
    return min(FULL_SECS, max(window.floor_secs, sound_secs + window.margin_secs))


def max_tokens(sound_secs: float) -> int:
    """More tokens than anybody says in this time."""
    return SPARE_TOKENS + int(MAX_TOKENS_PER_SEC * sound_secs)


def is_doubtful(decoding: Decoding, guards: Guards) -> bool:
    """Whether a decoding of a short window should be made anew in the full one."""
    return (
        decoding.cut_off
        or decoding.avg_logprob < DOUBTED_LOG_PROBABILITY
        or decoding.compression_ratio > guards.compression_ratio
        or repeats_itself(decoding.text)
        or _says_it_twice(decoding.text)
    )


def _says_it_twice(text: str) -> bool:
    words = bare(text).split()
    half = len(words) // 2
    if half and words == words[:half] * 2:
        return True
    return any(
        words[at : at + n_words] == words[at + n_words : at + 2 * n_words]
        for n_words in range(MIN_REPEATED_WORDS, len(words) // 2 + 1)
        for at in range(len(words) - 2 * n_words + 1)
    )
