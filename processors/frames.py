"""Frames of our own: between voice activity, speech-to-text, endpointing, barge-in, the echo canceller and the gate.

A pause is looked at by endpointing and by speech-to-text at once. Only when endpointing has decided are the words
published, so that a speaker who pauses and goes on gets one turn with all the words. Speech over the agent is looked
at by barge-in, which lets the gate wait until it knows what the speech was.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Literal

from pipecat.adapters.llm.schemas.tools_schema import ToolsSchema
from pipecat.frames.frames import DataFrame, LLMTextFrame, SystemFrame

# In the metadata of an ErrorFrame that no step of that stage has pushed: the stage.
STAGE = "stage"

# In the metadata of a transcript that is a translation: ISO 639-1 code of what was said.
SPOKEN = "spoken"

# In the metadata of an EagerEndOfTurnCancelFrame that a reply has brought about: the words that it answers.
SPECULATED = "speculated"

# In the metadata of a context: the ReplyTerms of the reply to it.
TERMS = "terms"

# In the metadata of the end of a reply: the tokens that its model says it took, where it does.
USAGE = "usage"

# In the metadata of a context and of the reply that begins: ISO 639-1 code of the language that it is spoken in, where
# that is not the voice's own.
REPLY_LANGUAGE = "reply_language"

Cause = Literal["echo", "noise", "backchannel"]


class VoiceEdge(Enum):
    """What voice activity sees before it is sure: one window (32 ms) of voice or of none."""

    SUSPECTED = "voice may have begun"
    DISMISSED = "it was no voice"
    PAUSING = "a pause may have begun"
    RESUMED = "it was no pause"


@dataclass
class VoiceEdgeFrame(SystemFrame):
    """Downstream: the earliest sign that the user begins or ends to speak.

    Attributes:
        edge: What is seen.
        sound_secs: With DISMISSED, how long that lasted which was no voice.
        silence_secs: With DISMISSED, how long ago it ended.
    """

    edge: VoiceEdge = VoiceEdge.SUSPECTED
    sound_secs: float = 0.0
    silence_secs: float = 0.0


@dataclass
class TurnDecidedFrame(SystemFrame):
    """Upstream: the user's turn is judged over; speech-to-text answers with its transcript, or with NoWordsFrame."""


@dataclass
class PauseTranscriptFrame(SystemFrame):
    """Downstream: the words of the turn so far, worked out at a pause; nothing of that pause is still on its way.

    Attributes:
        text: Empty where nothing was recognized.
        language: ISO 639-1 code where the recognizer knows it.
        confidence: 0 to 1 where the recognizer knows it.
        failed: Whether there may have been words that the recognizer lost.
    """

    text: str = ""
    language: str | None = None
    confidence: float | None = None
    failed: bool = False


@dataclass
class NoWordsFrame(SystemFrame):
    """Downstream: nothing was recognized since the last transcript, and nothing is on its way."""


@dataclass
class FloorFrame(SystemFrame):
    """Upstream, from the playout gate: whether the agent has something to say, or is saying it."""

    held: bool = False


@dataclass
class PlayoutFrame(SystemFrame):
    """Downstream, to the playout gate: how the agent is to speak while it is not known what the user's speech is.

    Attributes:
        level: `full`, `ducked` (still heard, but quietly) or `paused` (silent; it goes on from the very sample).
    """

    level: Literal["full", "ducked", "paused"] = "full"


@dataclass
class FalseInterruptionFrame(SystemFrame):
    """Both ways: what was heard over the agent asks for nothing; it is forgotten, and the agent goes on.

    Attributes:
        cause: What it was.
        text: The words that were recognized, if any.
    """

    cause: Cause = "noise"
    text: str = ""


@dataclass
class HistorySettledFrame(SystemFrame):
    """Upstream: what was heard of the reply that was cut off stands in the history."""


@dataclass
class ReplyBegunFrame(SystemFrame):
    """Downstream, from the language model: the reply that follows.

    Attributes:
        speculative: The turn that it answers may not be over; nothing of it may be heard before that.
    """

    speculative: bool = False


@dataclass
class InterpretedFrame(SystemFrame):
    """Downstream: a sentence that was said is to come out in another language.

    Attributes:
        spoken: ISO 639-1 code of what was said; None where nothing tells.
        into: That of what comes out; None: none of the interpreter's languages was spoken.
        told_by: What told the language: the ears, the words, or that the sentence before was in it.
        by: What translates: the ears (Whisper) or the language model; empty where nothing does.
    """

    spoken: str | None = None
    into: str | None = None
    told_by: Literal["ears", "words", "before", ""] = ""
    by: Literal["ears", "llm", ""] = ""


@dataclass
class NotesMadeFrame(SystemFrame):
    """Downstream: older turns of the history are notes now.

    Attributes:
        text: The notes, which stand for all of them.
    """

    text: str = ""


@dataclass
class TypedTurnFrame(SystemFrame):
    """Downstream: a whole turn of the user's, typed; it cuts the agent off.

    Attributes:
        text: Its words.
        spoken: Whether the answer is spoken; else it is written only.
    """

    text: str = ""
    spoken: bool = True


@dataclass
class WrittenReplyFrame(SystemFrame):
    """Downstream: the next reply is read, not heard; Markdown is welcome in it.

    Attributes:
        written: False: it is heard again.
    """

    written: bool = True


@dataclass(frozen=True)
class ReplyTerms:
    """What is particular to one reply.

    Attributes:
        instructions: What the model is told in place of its usual instructions.
        tools: In place of the conversation's; None: those.
        max_tokens: At most.
        written: Whether it is read, not heard; None: as the conversation's replies are.
    """

    instructions: str | None = None
    tools: ToolsSchema | None = None
    max_tokens: int | None = None
    written: bool | None = None


@dataclass
class AnswerFrame(SystemFrame):
    """Downstream, to `AnswersOnRequest`: the history is to be answered now.

    Attributes:
        terms: Of this reply.
    """

    terms: ReplyTerms = field(default_factory=ReplyTerms)


@dataclass
class NextReplyFrame(SystemFrame):
    """Downstream, to the language model: how a reply goes on once its functions' results are known.

    Attributes:
        terms: Of what follows.
        done: Called once the language model knows.
    """

    terms: ReplyTerms = field(default_factory=ReplyTerms)
    done: Callable[[], None] = lambda: None


@dataclass
class ChangeHistoryFrame(SystemFrame):
    """Downstream: the history is changed where nothing of an interrupted reply can still come into it.

    Attributes:
        change: Gives the messages that are to stand, out of those that do.
        done: Called once they stand.
    """

    change: Callable[[list[Any]], list[Any]] = list
    done: Callable[[], None] = lambda: None


@dataclass
class GoBackFrame(ChangeHistoryFrame):
    """Downstream, behind an InterruptionFrame: the conversation goes back; what waits to be asked is dropped, too."""


@dataclass
class StartOverFrame(SystemFrame):
    """Downstream, behind an InterruptionFrame: the conversation begins anew, with nothing in its history.

    Attributes:
        begin: Called just before the history is emptied; gives the id of the conversation that begins, "" for none.
        conversation: That id, once it has begun.
    """

    begin: Callable[[], str] = str
    conversation: str = ""


@dataclass
class PushToTalkFrame(SystemFrame):
    """Downstream: the user presses (`active`) or releases the key that says who has the floor."""

    active: bool = False


@dataclass
class AwakeFrame(SystemFrame):
    """Downstream, from the wake gate: what the microphone hears is listened to from now on.

    Attributes:
        cause: The word, which may come while it is awake, a key, or a detector that fails.
        word: The word's name, where it was one.
        phrase: As it is said.
        probability: Of the word, 0 to 1.
    """

    cause: Literal["word", "key", "failure"] = "word"
    word: str = ""
    phrase: str = ""
    probability: float = 0.0


@dataclass
class AsleepFrame(SystemFrame):
    """Downstream, from the wake gate: what the microphone hears is silence to all but the wake word's detector.

    Attributes:
        phrases: What wakes the agent, as it is said.
    """

    phrases: tuple[str, ...] = ()


class EchoTier(Enum):
    """What is done about the echo."""

    OFF = "off"
    NONE = "none"
    CANCEL = "cancel"
    HALF_DUPLEX = "half_duplex"


@dataclass
class EchoTierFrame(SystemFrame):
    """Downstream: what is done about the echo, when it changes.

    Attributes:
        tier: The measure.
        warmed_up: Whether voice over the agent can be the user's alone; until then an interruption takes words.
        erle_db: Echo reduction, median over the last 3 s of loud echo; 0 while unknown.
        echo_db: The echo against the background noise.
        delay_ms: From the device to the microphone's samples.
    """

    tier: EchoTier = EchoTier.CANCEL
    warmed_up: bool = False
    erle_db: float = 0.0
    echo_db: float = 0.0
    delay_ms: int = 0


@dataclass
class WrittenTextFrame(DataFrame):
    """Downstream: a piece of a reply that is read, with its white space.

    Attributes:
        text: The piece.
    """

    text: str = ""


@dataclass
class SoundAheadFrame(DataFrame):
    """Downstream, from the playout gate: speech for a far side that plays it later; at its time it comes once more.

    Attributes:
        audio: s16 mono at the voice's rate; may be empty.
        word: Half of it has sounded by the end of `audio`; empty: none has.
        is_last: Whether nothing of this reply follows.
    """

    audio: bytes = b""
    word: str = ""
    is_last: bool = False


@dataclass
class ReplySourceFrame(DataFrame):
    """Downstream, to text-to-speech: a piece of a reply that is spoken, as the language model wrote it.

    It precedes the words that are spoken of it; what is not spoken, such as code, comes as it is written.

    Attributes:
        reply: The reply's number in the conversation, from 1; what the agent says of its own accord has one, too.
        start: Index of the piece's first character in the reply.
        text: Markdown.
    """

    reply: int = 0
    start: int = 0
    text: str = ""


def as_written(frame: LLMTextFrame) -> WrittenTextFrame:
    """A token of a written reply as a frame that text-to-speech lets pass, in its order.

    Pipecat's service would cut its text into sentences, and lose the lines that Markdown is made of.
    """
    return WrittenTextFrame(frame.text)
