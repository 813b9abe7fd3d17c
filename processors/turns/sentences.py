"""Turns of an interpreter: each sentence is one, while the speaker goes on, and none cuts the agent off.

In:  voice, pauses and words.
Out: TurnDecidedFrame upstream at each sentence; the turn's beginning and end; and, behind the aggregator, a context
     that holds that sentence alone.
"""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass

from pipecat.frames.frames import (
    Frame,
    InputAudioRawFrame,
    LLMContextFrame,
    TranscriptionFrame,
    VADUserStartedSpeakingFrame,
    VADUserStoppedSpeakingFrame,
)
from pipecat.processors.aggregators.llm_context import LLMContext, LLMContextMessage, standard_message_text
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor
from pipecat.turns.types import ProcessFrameResult
from pipecat.turns.user_start import BaseUserTurnStartStrategy
from pipecat.turns.user_stop import BaseUserTurnStopStrategy

from processors.frames import (
    REPLY_LANGUAGE,
    SPOKEN,
    InterpretedFrame,
    NoWordsFrame,
    PauseTranscriptFrame,
    TurnDecidedFrame,
    TypedTurnFrame,
    VoiceEdge,
    VoiceEdgeFrame,
)
from processors.turns.typed_turn import TYPED

# Signs at which a sentence ends, and at which a part of one may be said by itself after a longer pause.
SENTENCE_ENDS = tuple(".?!…。？！।؟")
QUOTES = "\"'»”’)]"
SENTENCE_PAUSE_SECS = 0.2
CLAUSE_PAUSE_SECS = 0.8


@dataclass
class Spoken:
    """What is known of the sentence that is under way.

    Attributes:
        language: ISO 639-1 code, where the recognizer knows it.
        voice: Whether the user speaks.
        turn_open: Whether a turn is open.
        began_secs: When its sound began, on the monotonic clock; never, where it is typed.
    """

    language: str | None = None
    voice: bool = False
    turn_open: bool = False
    began_secs: float = 0.0

    @property
    def is_typed(self) -> bool:
        """Whether it has no sound, which could be heard in another language or be the agent's own."""
        return self.began_secs == math.inf


@dataclass(frozen=True)
class Translation:
    """What is to become of a sentence.

    Attributes:
        about: Which languages they are, and who translates.
        language: ISO 639-1 code that it comes out in; None: that of the voice.
        above: What stands above the sentence in the request, if anything.
    """

    about: InterpretedFrame
    language: str | None = None
    above: LLMContextMessage | None = None


# From a sentence and the language that its words are said to be in to what becomes of it; None: nothing.
Translate = Callable[[str, Spoken], Translation | None]


class SentenceStart(BaseUserTurnStartStrategy):
    """Begins a turn with the voice, or with the sound after a sentence that ended while the voice went on.

    Args:
        spoken: Followed here.
    """

    def __init__(self, spoken: Spoken) -> None:
        super().__init__(enable_interruptions=False)
        self._spoken = spoken

    async def process_frame(self, frame: Frame) -> ProcessFrameResult:
        """Follow the voice."""
        spoken = self._spoken
        if isinstance(frame, TypedTurnFrame):
            spoken.turn_open = True
            spoken.began_secs = math.inf
            # What is typed comes alone, and cuts off what is being said, as in every conversation.
            await self.trigger_user_turn_started(enable_interruptions=True)
        if isinstance(frame, VADUserStartedSpeakingFrame):
            spoken.voice = True
        elif isinstance(frame, VADUserStoppedSpeakingFrame):
            spoken.voice = False
        if (
            spoken.voice
            and not spoken.turn_open
            and isinstance(frame, VADUserStartedSpeakingFrame | InputAudioRawFrame)
        ):
            spoken.turn_open = True
            before_secs = frame.start_secs if isinstance(frame, VADUserStartedSpeakingFrame) else 0.0
            spoken.began_secs = time.monotonic() - before_secs
            await self.trigger_user_turn_started()
        return ProcessFrameResult.CONTINUE


class SentenceEnd(BaseUserTurnStopStrategy):
    """Ends the turn at a short pause behind a whole sentence, or a longer one behind anything.

    Args:
        spoken: Told of the language.
    """

    def __init__(self, spoken: Spoken) -> None:
        super().__init__()
        self._spoken = spoken
        # None while no pause is under way.
        self._silence_secs: float | None = None
        self._text: str | None = None
        self._decided = False

    async def handle_user_turn_stopped(self) -> None:
        """Whoever ended it."""
        self._spoken.turn_open = False
        self._decided = False
        self._text = None

    async def process_frame(self, frame: Frame) -> ProcessFrameResult:
        """Follow pauses and words."""
        if isinstance(frame, InputAudioRawFrame):
            if self._silence_secs is not None:
                self._silence_secs += frame.num_frames / frame.sample_rate
                await self._consider()
        elif isinstance(frame, VoiceEdgeFrame):
            if frame.edge is VoiceEdge.RESUMED:
                # The words of that pause are those of a part.
                self._silence_secs = self._text = None
        elif isinstance(frame, VADUserStartedSpeakingFrame):
            # What was decided is stale: speech-to-text goes on with the same sentence.
            self._silence_secs = self._text = None
            self._decided = False
        elif isinstance(frame, VADUserStoppedSpeakingFrame):
            self._silence_secs = frame.stop_secs
            await self._consider()
        elif isinstance(frame, PauseTranscriptFrame):
            self._text = frame.text
            await self._consider()
        elif isinstance(frame, TranscriptionFrame):
            written = str(frame.language).split("-")[0] if frame.language else None
            self._spoken.language = frame.metadata.get(SPOKEN, written)
            if frame.finalized and TYPED not in frame.metadata:
                await self._end()
        elif isinstance(frame, NoWordsFrame) and self._decided:
            await self._end()
        return ProcessFrameResult.CONTINUE

    async def _consider(self) -> None:
        if self._decided or self._silence_secs is None or self._text is None or not self._spoken.turn_open:
            return
        whole = self._text.rstrip().rstrip(QUOTES).endswith(SENTENCE_ENDS)
        if self._silence_secs >= (SENTENCE_PAUSE_SECS if whole else CLAUSE_PAUSE_SECS):
            self._decided = True
            await self.push_frame(TurnDecidedFrame(), FrameDirection.UPSTREAM)

    async def _end(self) -> None:
        if self._spoken.turn_open:
            self._spoken.turn_open = False
            await self.trigger_user_turn_stopped()


class OneSentence(FrameProcessor):
    """Stands behind the user's aggregator: what is asked for is the translation of one sentence, without the history.

    What needs no translation goes no further; it may be the agent's own voice.

    Args:
        spoken: Tells the language.
        translate: Says what becomes of a sentence.
    """

    def __init__(self, spoken: Spoken, translate: Translate) -> None:
        # Right behind the aggregator, before the next sentence stands in the history.
        super().__init__(enable_direct_mode=True)
        self._spoken = spoken
        self._translate = translate

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        """Pass everything else on."""
        await super().process_frame(frame, direction)
        if not isinstance(frame, LLMContextFrame) or direction is not FrameDirection.DOWNSTREAM:
            await self.push_frame(frame, direction)
            return
        last = frame.context.messages[-1:]
        is_sentence = [isinstance(message, dict) and message.get("role") == "user" for message in last] == [True]
        found = self._translate(standard_message_text(last[0]), self._spoken) if is_sentence else None
        if found is None:
            return
        await self.push_frame(found.about)
        sentence = LLMContextFrame(LLMContext([*([found.above] if found.above else []), *last]))
        if found.language:
            sentence.metadata[REPLY_LANGUAGE] = found.language
        await self.push_frame(sentence, direction)
