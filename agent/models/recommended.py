"""Which models a machine runs well enough for a conversation.

In:  cores, memory and languages.   Out: wishes; of each the first model is taken that can be had.

The thresholds are set by what was measured on two slow cores: Whisper tiny.en and a Piper voice answer at the pace of
a conversation there, Kokoro needs 1.2 seconds for a second of speech, and a language model of half a billion
parameters keeps both cores busy. Only speech is counted as needed: without a model of the catalogue a local server
or the bundled language model answers.
"""

from dataclasses import dataclass

from agent.models.machine import Machine

GB = 1_000_000_000
ENGLISH = "en"
# By the tag of what is spoken, with its region where there are several voices.
QUICK_VOICES = {"en": "piper-joe", "en-gb": "piper-cori", "de": "piper-thorsten", "es": "piper-davefx"}
# Kokoro's voices, by the first letters of their languages' tags.
KOKORO_LANGUAGES = frozenset({"en", "es", "fr", "hi", "it", "ja", "pt", "zh", "cmn"})


@dataclass(frozen=True)
class Wish:
    """One thing that is wanted.

    Attributes:
        names: Models, the best first; those after it are taken where it cannot be had.
        is_needed: Whether a conversation is poor without it.
    """

    names: tuple[str, ...]
    is_needed: bool


def wishes(machine: Machine, heard: str = ENGLISH, spoken: str = "en-us") -> tuple[Wish, ...]:
    """Ears, a voice that keeps up, a better voice and a language model as far as they fit.

    Args:
        machine: Memory that is not known counts as little.
        heard: ISO 639-1 code of what the user speaks, or `auto`.
        spoken: BCP 47 tag of the agent's voice.
    """
    is_large = machine.cores >= 8 and machine.memory_bytes >= 15 * GB
    is_medium = machine.cores >= 4 and machine.memory_bytes >= 7 * GB
    english = heard == ENGLISH
    language = spoken.partition("-")[0]
    quick = [Wish((QUICK_VOICES[tag],), is_needed=True) for tag in (spoken, language) if tag in QUICK_VOICES][:1]
    is_kokoros = language in KOKORO_LANGUAGES
    if is_large:
        ears = Wish(("nemotron-en-560ms", "base") if english else ("nemotron-3.5-560ms", "small"), is_needed=True)
        kokoro = Wish(("kokoro", "kokoro-int8-timed", "kokoro-int8"), is_needed=False)
        return (ears, *quick, *[kokoro][:is_kokoros], Wish(("qwen3-1.7b",), is_needed=False))
    if is_medium:
        ears = Wish(("base",), is_needed=True)
        kokoro = Wish(("kokoro-int8-timed", "kokoro-int8"), is_needed=False)
        return (ears, *quick, *[kokoro][:is_kokoros], Wish(("qwen3-0.6b",), is_needed=False))
    if english:
        return (Wish(("tiny.en",), is_needed=True), *quick)
    # tiny mishears other languages often, and base may be too slow here: what is faster than people wait is measured.
    return (Wish(("base",), is_needed=True), Wish(("tiny",), is_needed=False), *quick)
