"""What the speech-to-text service does one after the other, in the order in which it came."""

from dataclasses import dataclass

from pipecat.frames.frames import TranscriptionFrame
from pipecat.transcriptions.language import Language
from pipecat.utils.time import time_now_iso8601

from processors.frames import SPOKEN
from processors.stt.recognizer import Transcript


@dataclass(frozen=True)
class Audio:
    """Speech, little-endian s16 mono at 16 kHz."""

    pcm16: bytes


@dataclass(frozen=True)
class Pause:
    """The user has paused; `turn_part` tells whether this is still the latest that is known of the user's voice."""

    turn_part: int
    speech_end_secs: float


@dataclass(frozen=True)
class Publish:
    """The turn is judged over, as of this part of it."""

    turn_part: int


class Cut:
    """The utterance is too long: what has been said is published and the rest is an utterance of its own."""


class Drop:
    """The turn was ended without this utterance."""


Work = Audio | Pause | Publish | Cut | Drop


def transcription_frame(transcript: Transcript, user_id: str) -> TranscriptionFrame:
    """The transcript as Pipecat sends it.

    Args:
        transcript: With words.
        user_id: Who said it.
    """
    frame = TranscriptionFrame(transcript.text, user_id, time_now_iso8601(), language_of(transcript))
    if transcript.confidence is not None:
        frame.metadata["confidence"] = round(transcript.confidence, 3)
    if transcript.spoken:
        frame.metadata[SPOKEN] = transcript.spoken
    return frame


def language_of(transcript: Transcript) -> Language | None:
    """The language as Pipecat names it; None where it is unknown to either."""
    if transcript.language is None:
        return None
    try:
        return Language(transcript.language)
    except ValueError:
        return None
