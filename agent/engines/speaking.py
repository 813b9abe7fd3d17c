"""The voice alone, for whoever holds no conversation: a text in, sound piece by piece out.

In:  any text, a voice's name, a speed.   Out: mono s16 at 24 kHz; the first of it once the first clause is spoken.

A text is cut and made speakable as answers are. What the engine cannot say, the next one of the order says.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterable, Iterator
from concurrent.futures import Executor
from contextlib import aclosing
from dataclasses import dataclass

from loguru import logger

from agent.engines.session import in_voice
from agent.engines.tts import known_voice_language
from agent.engines.voice_names import voice_called
from agent.settings.sections import TtsSettings
from processors.engine_threads import Standby
from processors.errors import EngineError, one_line
from processors.stt.languages import language_code
from processors.text.speakable import read_tables
from processors.text.speakable_stream import SpeakableStream
from processors.text.written_places import SpokenPiece
from processors.tts.running import speech_chunks
from processors.tts.synthesizer import Synthesizer
from processors.tts.tempo import Tempo

RATE_HZ = 24_000
# What engines can do by themselves; further a speech is stretched.
ENGINE_SLOWEST, ENGINE_FASTEST = 0.5, 2.0
SLOWEST, FASTEST = 0.25, 4.0


@dataclass(frozen=True)
class Wish:
    """How a text is to be spoken.

    Attributes:
        voice: A voice's name, of the engine or of OpenAI's; None: the one of the settings.
        language: Such as en-us, es-MX or German; None: the voice's own.
        speed: 0.25 to 4; 1 is the natural pace.
    """

    voice: str | None = None
    language: str | None = None
    speed: float = 1.0


@dataclass(frozen=True)
class _Taken:
    """A wish as it is fulfilled."""

    engine: Synthesizer
    language: str
    stretch: float


class Speaking:
    """One loaded voice.

    Args:
        engine: Loaded.
        threads: The engine's.
        wanted: Which voice and language speak where a wish names none.
        standby: Says what the engine cannot.

    Attributes:
        engine: As given.
    """

    def __init__(
        self, engine: Synthesizer, threads: Executor, wanted: TtsSettings, standby: Standby[Synthesizer] | None = None
    ) -> None:
        self.engine = engine
        self._threads = threads
        self._wanted = wanted
        self._standby = standby

    async def speak(self, text: str | AsyncIterable[str], wish: Wish) -> AsyncGenerator[bytes, None]:
        """Speak a text; leaving early stops the work.

        Args:
            text: Plain or Markdown, of any length; or pieces of it as they come, cut anywhere.
            wish: How.

        Yields:
            Little-endian s16 mono at RATE_HZ, never empty.

        Raises:
            EngineUnavailableError: There is no such voice or language; before the first sound.
            EngineError: Neither the engine nor the next one can say it.
        """
        taken = await asyncio.to_thread(self._take, wish)
        tempo = Tempo(taken.stretch, RATE_HZ)
        async with aclosing(_pieces(text, language_code(taken.language))) as pieces:
            async for piece in pieces:
                async with aclosing(self._sounds(piece, taken.engine)) as sounds:
                    async for pcm16 in sounds:
                        if changed := tempo.change(pcm16):
                            yield changed
        if rest := tempo.finish():
            yield rest

    def _take(self, wish: Wish) -> _Taken:
        """The engine in the voice of a wish; blocks."""
        voices = self.engine.voices()
        wanted = self._wanted
        language = wish.language or wanted.language
        voice = None
        if wish.voice:
            voice = voice_called(wish.voice, voices, known_voice_language(self.engine, language))
        elif not wish.language and wanted.voice:
            voice = next((one for one in voices if one.name == wanted.voice), None)
        speed = min(max(wish.speed, ENGINE_SLOWEST), ENGINE_FASTEST)
        named = {"voice": voice and voice.name, "language": voice.language if voice else language, "speed": speed}
        engine = in_voice(self.engine, wanted.model_copy(update=named))
        return _Taken(engine, str(named["language"]), wish.speed / speed)

    async def _sounds(self, piece: str, engine: Synthesizer) -> AsyncGenerator[bytes, None]:
        """The sound of one piece; of the next engine where this one fails before it has made any."""
        threads = self._threads
        while True:
            has_sound = False
            try:
                async with aclosing(speech_chunks(engine, piece, threads, RATE_HZ)) as chunks:
                    async for chunk in chunks:
                        has_sound = has_sound or bool(chunk.pcm16)
                        if chunk.pcm16:
                            yield chunk.pcm16
                return
            # Whatever an engine raises costs one piece.
            except Exception as error:
                other = None if has_sound or self._standby is None else await self._standby.next()
                if other is None or threads is other[1]:
                    raise EngineError(f"text-to-speech: {one_line(error)}") from error
                logger.error(f"tts: {one_line(error)}; {other[0].name} says it")
                engine, threads = other


async def _pieces(text: str | AsyncIterable[str], language: str) -> AsyncGenerator[str, None]:
    """The text cut as answers are, in steps between which others run."""
    await read_tables(language)
    stream = SpeakableStream(language=language)
    async for steps in _steps(stream, text):
        for piece in steps:
            if piece:
                yield str(piece)
            await asyncio.sleep(0)


async def _steps(
    stream: SpeakableStream, text: str | AsyncIterable[str]
) -> AsyncGenerator[Iterator[SpokenPiece | None], None]:
    if isinstance(text, str):
        yield stream.push_steps(text)
    else:
        async for part in text:
            yield stream.push_steps(part)
    yield stream.flush_steps()
