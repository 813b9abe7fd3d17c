"""Which models a machine runs well enough for a conversation.

In:  cores and memory.   Out: wishes; of each the first model is taken that can be had.

The thresholds are set by what was measured on two slow cores: Whisper tiny.en and a Piper voice answer at the pace of
a conversation there, Kokoro needs 1.2 seconds for a second of speech, and a language model of half a billion
parameters keeps both cores busy. Only speech is counted as needed: without a model of the catalogue a local server
or the bundled language model answers.
"""

from dataclasses import dataclass

from agent.models.machine import Machine

GB = 1_000_000_000


@dataclass(frozen=True)
class Wish:
    """One thing that is wanted.

    Attributes:
        names: Models, the best first; those after it are taken where it cannot be had.
        is_needed: Whether a conversation is poor without it.
    """

    names: tuple[str, ...]
    is_needed: bool


def wishes(machine: Machine) -> tuple[Wish, ...]:
    """Ears, a voice that keeps up, a better voice and a language model as far as they fit.

    Args:
        machine: Memory that is not known counts as little.
    """
    is_large = machine.cores >= 8 and machine.memory_bytes >= 15 * GB
    is_medium = machine.cores >= 4 and machine.memory_bytes >= 7 * GB
    joe = Wish(("piper-joe",), is_needed=True)
    if is_large:
        return (
            Wish(("nemotron-en-560ms", "base"), is_needed=True),
            joe,
            Wish(("kokoro", "kokoro-int8-timed", "kokoro-int8"), is_needed=False),
            Wish(("qwen3-1.7b",), is_needed=False),
        )
    if is_medium:
        return (
            Wish(("base",), is_needed=True),
            joe,
            Wish(("kokoro-int8-timed", "kokoro-int8"), is_needed=False),
            Wish(("qwen3-0.6b",), is_needed=False),
        )
    return (Wish(("tiny.en",), is_needed=True), joe)
