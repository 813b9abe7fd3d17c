"""Text-to-speech service: clauses in, speech out; drives any synthesizer.

In:  AggregatedTextFrame (one clause or sentence of speakable text), TTSSpeakFrame.
Out: TTSAudioRawFrame at the engine's rate, and each word's TTSTextFrame in its place between the samples.

The engine runs on its own threads; an interruption stops it at the next chunk. It begins no text while some seconds of
speech wait to be heard.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable
from concurrent.futures import Executor
from contextlib import aclosing
from dataclasses import dataclass

from pipecat.frames.frames import (
    Frame,
    InterruptionFrame,
    LLMFullResponseEndFrame,
    LLMFullResponseStartFrame,
    TTSAudioRawFrame,
    TTSSpeakFrame,
    TTSTextFrame,
)
from pipecat.processors.frame_processor import FrameDirection
from pipecat.services.settings import TTSSettings
from pipecat.services.tts_service import TTSService
from pipecat.utils.errors import ErrorCategory

from processors.engine_threads import Standby
from processors.errors import EngineHungError, MendedError, one_line
from processors.frames import REPLY_LANGUAGE, ReplySourceFrame
from processors.manner import Manner
from processors.speech_ahead import SpeechAhead
from processors.tts.running import speech_chunks
from processors.tts.synthesizer import SpeechChunk, SpokenWord, Synthesizer

BYTES_PER_SAMPLE = 2
SILENCE_BYTES = 480
# Pipecat closes an utterance after this silence of the engine; a slow engine must not be mistaken for a finished one.
ENGINE_SILENCE_SECS = 30.0
# After so many texts in a row that an engine could not say, another says all.
MAX_FAILURES = 3
# Nor one that waits until it may go on.
SIGN_OF_LIFE_SECS = ENGINE_SILENCE_SECS / 3


@dataclass(frozen=True)
class Voicing:
    """A voice in which a conversation goes on.

    Attributes:
        engine: At the pace `speed`; speech at another rate than the first engine's is resampled.
        threads: The engine's own.
        speed: 1 is the natural pace.
        at_speed: Gives the engine at another pace; may block.
        in_language: Gives an engine in the voice of another language; may block.
    """

    engine: Synthesizer
    threads: Executor
    speed: float
    at_speed: Callable[[float], Synthesizer] | None = None
    in_language: Callable[[Synthesizer, str], Synthesizer] | None = None


class SynthesizerTTSService(TTSService):
    """Speaks through a shared engine.

    Args:
        engine: The shared engine.
        threads: The engine's own threads.
        ahead: Told of all that is made, and asked whether more may be.
        standby: Says what the engine cannot, and takes over where it does not come back or fails again and again.
        manner: How fast it speaks.
        at_speed: Gives the engine at another pace; may block.
        in_language: Gives an engine in the voice of another language; may block.
        sample_rate_hz: Of what it gives; default: the engine's.
    """

    def __init__(
        self,
        engine: Synthesizer,
        threads: Executor,
        ahead: SpeechAhead | None = None,
        *,
        standby: Standby[Synthesizer] | None = None,
        manner: Manner | None = None,
        at_speed: Callable[[float], Synthesizer] | None = None,
        in_language: Callable[[Synthesizer, str], Synthesizer] | None = None,
        sample_rate_hz: int | None = None,
    ) -> None:
        super().__init__(
            sample_rate=sample_rate_hz or engine.sample_rate_hz,
            push_text_frames=False,
            push_start_frame=True,
            push_stop_frames=True,
            stop_frame_timeout_s=ENGINE_SILENCE_SECS,
            # Text without a speakable word is legitimate; it must not cost the service its usability.
            max_consecutive_zero_audio_contexts=0,
            settings=TTSSettings(model=engine.model, voice=engine.model, language=None),
        )
        self._engine = self._own = engine
        self._manner = manner or Manner()
        self._at_speed = at_speed
        self._in_language = in_language
        # Of the reply that is under way, where it is not the voice's own.
        self._language: str | None = None
        self._voices: dict[tuple[Synthesizer, str], Synthesizer] = {}
        self._speed = self._manner.speed
        self._threads = threads
        self._standby = standby
        self._n_failures = 0
        self._coming: Voicing | None = None
        self._ahead = ahead or SpeechAhead(float("inf"))
        # Seconds of speech so far in each open audio context: word times count from its start.
        self._context_secs: dict[str, float] = {}
        # Audio contexts in which some text was not spoken.
        self._failed_contexts: set[str] = set()

    def change_voice(self, voicing: Voicing) -> None:
        """Speak the next reply in another voice; the one that is being spoken is spoken to its end.

        Args:
            voicing: The voice.
        """
        self._coming = voicing

    def can_generate_metrics(self) -> bool:
        """The time to the first audio is measured."""
        return True

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        """Speak what is to be spoken; what was written for it ends here."""
        if isinstance(frame, InterruptionFrame):
            self._ahead.cut()
        if isinstance(frame, LLMFullResponseStartFrame | TTSSpeakFrame) and self._coming:
            self._take_voice(self._coming)
        if isinstance(frame, LLMFullResponseStartFrame | InterruptionFrame):
            self._language = frame.metadata.get(REPLY_LANGUAGE)
        if not isinstance(frame, ReplySourceFrame):
            await super().process_frame(frame, direction)
        if isinstance(frame, LLMFullResponseEndFrame):
            self._language = None

    async def run_tts(self, text: str, context_id: str) -> AsyncGenerator[Frame | None, None]:
        """Speak one unit of text.

        Args:
            text: Speakable text.
            context_id: The audio context that it belongs to.

        Yields:
            TTSAudioRawFrame; the words go to the audio context between them.
        """
        context_start_secs = self._context_secs.get(context_id, 0.0)
        spoken_secs = 0.0
        while not await self._ahead.has_room(SIGN_OF_LIFE_SECS):
            self._refresh_audio_context(context_id)
        has_words = False
        await self._take_pace()
        voice = self._engine, self._threads
        while voice:
            engine, threads = voice
            try:
                spoken_by = await self._of_language(engine)
                async with aclosing(speech_chunks(spoken_by, text, threads, self.sample_rate)) as chunks:
                    async for chunk in chunks:
                        self._ahead.make(len(chunk.pcm16) / BYTES_PER_SAMPLE / self.sample_rate)
                        for pcm16, word in cut_at_words(chunk, spoken_secs, self.sample_rate):
                            if pcm16:
                                yield TTSAudioRawFrame(pcm16, self.sample_rate, 1, context_id=context_id)
                            if word:
                                times = [(word.text, context_start_secs + word.start_secs)]
                                await self.add_word_timestamps(times, context_id)
                                has_words = True
                        spoken_secs += len(chunk.pcm16) / BYTES_PER_SAMPLE / self.sample_rate
                if engine is self._engine:
                    self._n_failures = 0
                break
            # Whatever an engine raises costs one text; its words must not count as heard.
            except Exception as error:  # noqa: BLE001
                voice = await self._other_voice(engine, error)
                if voice and not has_words:
                    context_start_secs, spoken_secs = context_start_secs + spoken_secs, 0.0
                    mended = MendedError(f"text-to-speech: {one_line(error)}; {voice[0].name} says it")
                    await self.push_error(str(mended), exception=mended, category=ErrorCategory.SERVER)
                    continue
                await self.push_error(
                    f"text-to-speech: {one_line(error)}", exception=error, category=ErrorCategory.SERVER
                )
                self._failed_contexts.add(context_id)
                if not spoken_secs:
                    self._strike_out(context_id)
                # Pipecat closes a context with the reply only if its latest text gave some sound.
                yield TTSAudioRawFrame(bytes(SILENCE_BYTES), self.sample_rate, 1, context_id=context_id)
                break
        self._context_secs[context_id] = context_start_secs + spoken_secs

    async def on_audio_context_completed(self, context_id: str) -> None:
        """Forget the clock of a context that has been spoken."""
        self._forget(context_id)

    async def on_audio_context_interrupted(self, context_id: str) -> None:
        """Forget the clock of a context that was cut."""
        self._forget(context_id)

    def _forget(self, context_id: str) -> None:
        self._context_secs.pop(context_id, None)
        self._failed_contexts.discard(context_id)

    def _strike_out(self, context_id: str) -> None:
        """The latest text of a context was not spoken: Pipecat would add its words to those that follow."""
        slots = [slot for slot in self._aggregated_frame_sequencer._slots if slot.context_id == context_id]
        if slots:
            slots[-1].complete = True

    async def _apply_force_complete(self, context_id: str) -> None:
        """At the end of a context Pipecat tells the words that got no time; here those were never spoken."""
        if context_id not in self._failed_contexts:
            await super()._apply_force_complete(context_id)
            return
        frames = self._aggregated_frame_sequencer.force_complete(context_id, self._word_timestamp_tracker.last_pts)
        await self._push_word_frames([frame for frame in frames if not isinstance(frame, TTSTextFrame)])

    async def _of_language(self, engine: Synthesizer) -> Synthesizer:
        """The engine in the voice of the language that the reply is in."""
        if self._language is None or self._in_language is None:
            return engine
        key = engine, self._language
        if key not in self._voices:
            self._voices[key] = await asyncio.to_thread(self._in_language, *key)
        return self._voices[key]

    def _take_voice(self, new: Voicing) -> None:
        self._coming = None
        self._engine = self._own = new.engine
        self._threads, self._speed = new.threads, new.speed
        self._at_speed, self._in_language = new.at_speed, new.in_language
        self._voices.clear()
        self._n_failures = 0

    async def _take_pace(self) -> None:
        """Another pace is another engine on the same model; who stands in for the engine keeps its own."""
        if self._at_speed is None or self._manner.speed == self._speed or self._engine is not self._own:
            return
        self._speed = self._manner.speed
        self._engine = self._own = await asyncio.to_thread(self._at_speed, self._speed)

    async def _other_voice(self, failed: Synthesizer, error: Exception) -> tuple[Synthesizer, Executor] | None:
        """Who says what an engine could not, if anybody; and whatever follows, where the engine is past hope."""
        self._n_failures += 1
        other = await self._standby.next() if self._standby else None
        if other is None or other[0] is failed:
            return None
        if isinstance(error, EngineHungError) or self._n_failures >= MAX_FAILURES:
            self._engine, self._threads = other
        return other


def cut_at_words(
    chunk: SpeechChunk, chunk_start_secs: float, sample_rate_hz: int
) -> list[tuple[bytes, SpokenWord | None]]:
    """Cut a chunk so that each word stands where half of it has sounded.

    Args:
        chunk: Speech with the words that start in it; their times count from the start of the synthesis.
        chunk_start_secs: Where the chunk starts in the synthesis.
        sample_rate_hz: The rate of the chunk.

    Returns:
        (pcm16, word) pairs whose pcm16 joins to the chunk's; the last pair may have no word.
    """
    pieces: list[tuple[bytes, SpokenWord | None]] = []
    n_samples = len(chunk.pcm16) // BYTES_PER_SAMPLE
    at = 0
    for word in chunk.words:
        middle_secs = (word.start_secs + word.end_secs) / 2 - chunk_start_secs
        until = min(max(round(middle_secs * sample_rate_hz), at), n_samples)
        pieces.append((chunk.pcm16[at * BYTES_PER_SAMPLE : until * BYTES_PER_SAMPLE], word))
        at = until
    if at < n_samples:
        pieces.append((chunk.pcm16[at * BYTES_PER_SAMPLE :], None))
    return pieces
