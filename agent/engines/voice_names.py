"""Voices by name: those of the engine, and OpenAI's, which some clients know alone.

In:  a name.   Out: a voice of the engine.

Kokoro has most of OpenAI's voices under names of its own; other engines give each name one of their voices, always the
same. Source of the names: openai-python's types of `audio/speech`, and Kokoro's voices (hexgrad/Kokoro-82M).
"""

from collections.abc import Sequence

from processors.errors import EngineUnavailableError
from processors.tts.synthesizer import Voice

OPENAI_VOICES = {
    "alloy": "af_alloy",
    "ash": "am_michael",
    "ballad": "bm_george",
    "coral": "af_bella",
    "echo": "am_echo",
    "fable": "bm_fable",
    "nova": "af_nova",
    "onyx": "am_onyx",
    "sage": "af_sarah",
    "shimmer": "af_sky",
    "verse": "am_puck",
    "marin": "af_heart",
    "cedar": "am_fenrir",
}
MAX_SHOWN = 12


def voice_called(name: str, voices: Sequence[Voice], language: str = "en-us") -> Voice | None:
    """The voice of that name.

    Args:
        name: Of the engine's or of OpenAI's, in any case.
        voices: The engine's.
        language: Of an OpenAI voice, which speaks any: espeak's name.

    Returns:
        None where the engine has no voice of that language for a name of OpenAI's: its own is to speak.

    Raises:
        EngineUnavailableError: Nobody knows the name; the message tells some.
    """
    wanted = name.strip().casefold()
    own = [voice for voice in voices if voice.language == language]
    for voice in voices:
        if voice.name.casefold() == wanted:
            return voice
    if wanted not in OPENAI_VOICES:
        nearest = [*own, *(voice for voice in voices if voice not in own)]
        shown = ", ".join(voice.name for voice in nearest[:MAX_SHOWN])
        raise EngineUnavailableError(f"there is no voice {name[:60]!r}", f"name one such as {shown}")
    same = [voice for voice in own if voice.name == OPENAI_VOICES[wanted]]
    return (same or [own[list(OPENAI_VOICES).index(wanted) % len(own)]])[0] if own else None
