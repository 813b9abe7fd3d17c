"""Speakable text: what the language model writes becomes what a voice can say.

In:  LLMTextFrame tokens of a response, TTSSpeakFrame.
Out: AggregatedTextFrame, one clause or sentence each, for a text-to-speech service that speaks each as it is;
     TTSSpeakFrame with speakable text; ReplySourceFrame, what was written for them; every other frame as it came.

The text of the emitted frames is the spoken text, so the conversation's history holds what was heard. Their metadata
tells where each word was written (WORD_PLACES).
"""

import asyncio
from collections.abc import Callable, Iterator, Sequence

from pipecat.frames.frames import (
    AggregatedTextFrame,
    CancelFrame,
    EndFrame,
    Frame,
    InterruptionFrame,
    LLMFullResponseEndFrame,
    LLMFullResponseStartFrame,
    LLMTextFrame,
    StopFrame,
    TTSSpeakFrame,
)
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor, FrameProcessorSetup
from pipecat.utils.text.base_text_aggregator import TextType

from processors.frames import REPLY_LANGUAGE, ReplySourceFrame, as_written
from processors.text.joints import Joint
from processors.text.pace import SpeechPace
from processors.text.speakable_stream import (
    FIRST_MAX_CHARS,
    FIRST_MIN_WORDS,
    MAX_CHARS,
    STEP_CHARS,
    SpeakableStream,
)
from processors.text.spoken_text import speak_text
from processors.text.written_places import WORD_PLACES, SpokenPiece, WordPlace, WrittenReply

# Of each kind that has tables or modules of its own, one.
_USES_TABLES = "1 of 2.5 km, $5.50, 12:30, May 5, 2024-05-01, Henry VIII, 1st, 1,234"
_READ_LANGUAGES: set[str] = set()


def speakable(text: str, language: str = "en") -> str:
    """Turn written text into words a voice can say.

    Markdown, HTML, emoji and control characters go; addresses, numbers, units and symbols become words; a block
    of code becomes a short phrase. Time grows linearly with length.

    Args:
        text: Markdown or plain text, of any length.
        language: ISO 639-1 code, a region may follow. What its pack does not know stays as it was written.

    Returns:
        Text on one line with single spaces; empty if nothing can be said.
    """
    return speak_text(text, language)


async def read_tables(language: str) -> None:
    """Read a language's tables once, on a thread, which takes longer than any text.

    Args:
        language: ISO 639-1 code.
    """
    if language not in _READ_LANGUAGES:
        await asyncio.to_thread(speakable, _USES_TABLES, language)
        _READ_LANGUAGES.add(language)


class SpeakableText(FrameProcessor):
    """Stands between the language model and the voice; hands on each clause as soon as it is complete.

    Text inside an open link, code span or code block waits until that closes or the response ends. An
    interruption forgets what waits.
    """

    def __init__(
        self,
        *,
        language: str = "en",
        also: Sequence[str] = (),
        first_min_words: int = FIRST_MIN_WORDS,
        first_max_chars: int = FIRST_MAX_CHARS,
        max_chars: int = MAX_CHARS,
    ) -> None:
        """Set the processor up.

        Args:
            language: ISO 639-1 code of the language that is spoken.
            also: Others, in which a reply says that it is.
            first_min_words: The first piece of a response has at least this many words, unless the response is
                shorter.
            first_max_chars: Without a clause end in this many characters, the first piece ends at a word.
            max_chars: The same for later pieces, which otherwise end where a sentence does.

        Raises:
            ValueError: A limit is below 1; the message shows it.
        """
        super().__init__()
        self._limits = {
            "first_min_words": first_min_words,
            "first_max_chars": first_max_chars,
            "max_chars": max_chars,
        }
        self._stream = SpeakableStream(language=language, **self._limits)
        self._language = self._own_language = language
        self._also = tuple(also)
        self._append_to_context = True
        self._n_replies = 0
        self._written: WrittenReply | None = None
        self._pushing = asyncio.Lock()
        self._pace = SpeechPace()
        self._timers: list[asyncio.TimerHandle] = []

    async def setup(self, setup: FrameProcessorSetup) -> None:
        """Read the language's tables."""
        await super().setup(setup)
        for language in (self._language, *self._also):
            await read_tables(language)

    async def change_language(self, language: str) -> None:
        """Speak another language, from the next reply on.

        Args:
            language: ISO 639-1 code.
        """
        await read_tables(language)
        self._own_language = language

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        """Handle one frame: text is collected, the end of a response releases the rest."""
        await super().process_frame(frame, direction)
        if direction is FrameDirection.UPSTREAM and not isinstance(frame, InterruptionFrame):
            await self.push_frame(frame, direction)
        elif isinstance(frame, LLMTextFrame) and not frame.skip_tts:
            self._append_to_context = frame.append_to_context
            self._expect_nothing()
            self._written = self._written or self._next_reply()
            self._written.add(frame.text)
            await self._push_steps(self._stream.push_steps(frame.text))
            self._expect_more()
        elif isinstance(frame, TTSSpeakFrame):
            await self._push_steps(self._stream.flush_steps())
            await self._push_utterance(frame)
        elif isinstance(frame, LLMTextFrame):
            await self.push_frame(as_written(frame))
        else:
            if isinstance(frame, InterruptionFrame | CancelFrame):
                self._expect_nothing()
                self._forget()
            elif isinstance(frame, LLMFullResponseStartFrame | LLMFullResponseEndFrame | EndFrame | StopFrame):
                self._expect_nothing()
                await self._push_steps(self._stream.flush_steps())
                self._forget()
            if isinstance(frame, LLMFullResponseStartFrame | LLMFullResponseEndFrame | InterruptionFrame):
                self._take_language(frame.metadata.get(REPLY_LANGUAGE, self._own_language))
            await self.push_frame(frame, direction)

    def _forget(self) -> None:
        self._stream.reset()
        self._pace.reset()
        self._written = None

    def _take_language(self, language: str) -> None:
        if language != self._language:
            self._language = language
            self._stream = SpeakableStream(language=language, **self._limits)

    def _next_reply(self, text: str = "") -> WrittenReply:
        self._n_replies += 1
        return WrittenReply(self._n_replies, self._language, text)

    async def cleanup(self) -> None:
        """Wait for no further token."""
        self._expect_nothing()
        await super().cleanup()

    def _expect_more(self) -> None:
        self._expect_nothing()
        loop = asyncio.get_running_loop()
        self._pace.note_token(loop.time())
        self._timers = [
            loop.call_later(self._pace.stall_secs(behind_dot=False), self._on_stall, False),
            loop.call_later(self._pace.stall_secs(behind_dot=True), self._on_stall, True),
            loop.call_at(self._pace.short_of_speech_at(Joint.NATURAL), self._on_shortage, Joint.NATURAL),
            loop.call_at(self._pace.short_of_speech_at(Joint.POSSIBLE), self._on_shortage, Joint.POSSIBLE),
        ]

    def _expect_nothing(self) -> None:
        for timer in self._timers:
            timer.cancel()
        self._timers = []

    def _on_stall(self, behind_dot: bool) -> None:
        self.create_task(self._push_taken(lambda: self._stream.settle(behind_dot)), "stalled text")

    def _on_shortage(self, least_joint: Joint) -> None:
        self.create_task(self._push_taken(lambda: self._stream.hurry(least_joint)), "hurried text")

    async def _push_taken(self, take: Callable[[], list[SpokenPiece]]) -> None:
        # An interruption may have come before this task: then the text is forgotten, and nothing is pushed.
        await self._push_pieces(take())

    async def _push_steps(self, steps: Iterator[SpokenPiece | None]) -> None:
        """Hand on the pieces of each step, and let others run behind it."""
        for index, piece in enumerate(steps):
            if piece:
                await self._push_pieces([piece])
            if piece or index:
                await asyncio.sleep(0)
        await self._push_pieces([])

    async def _push_pieces(self, pieces: list[SpokenPiece]) -> None:
        written, taken = self._written, self._stream.taken
        if written is None:
            return
        async with self._pushing:
            for piece in pieces:
                self._pace.note_piece(asyncio.get_running_loop().time(), piece)
                # Of Pipecat's kind: a text that knows its place is of ours.
                frame = AggregatedTextFrame(str(piece), TextType.SENTENCE, raw_text=str(piece))
                frame.append_to_context = self._append_to_context
                frame.metadata[WORD_PLACES] = written.places_of(piece)
                await self._push_source(written, piece.end)
                await self.push_frame(frame)
            await self._push_source(written, taken)

    async def _push_utterance(self, frame: TTSSpeakFrame) -> None:
        """What the agent says of its own accord is a reply of its own."""
        source = frame.text
        pieces = await self._pieces_of(source)
        frame.text = " ".join(pieces)
        if not frame.text:
            return
        written = self._next_reply(source)
        places: list[WordPlace] = []
        for piece in pieces:
            places += [
                place._replace(begins_piece=place.begins_piece and not places) for place in written.places_of(piece)
            ]
            await asyncio.sleep(0)
        frame.metadata[WORD_PLACES] = places
        await self._push_source(written, len(source))
        await self.push_frame(frame)

    async def _pieces_of(self, text: str) -> list[SpokenPiece]:
        """A whole text in one piece; a long one is cut as an answer is, so that others may run."""
        if len(text) <= STEP_CHARS:
            spoken = speakable(text, self._language)
            return [SpokenPiece(spoken, 0, len(text))] if spoken else []
        stream = SpeakableStream(language=self._language)
        pieces: list[SpokenPiece] = []
        for steps in (stream.push_steps(text), stream.flush_steps()):
            for piece in steps:
                pieces += [piece] if piece else []
                await asyncio.sleep(0)
        return pieces

    async def _push_source(self, written: WrittenReply, until: int) -> None:
        start, text = written.take(until)
        if text:
            await self.push_frame(ReplySourceFrame(written.number, start, text))
