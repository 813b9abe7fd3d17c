"""Text to speech for a Wyoming client, by what speaks over HTTP: a whole text, or one that comes bit by bit.

In:  synthesize; or synthesize-start, synthesize-chunk..., synthesize-stop.   Out: audio-start, audio-chunk... while the
sound is made, audio-stop; after a text in pieces synthesize-stopped.
"""

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterable
from contextlib import aclosing

from loguru import logger
from wyoming.audio import AudioChunk, AudioStart, AudioStop
from wyoming.event import Event
from wyoming.tts import SynthesizeStopped

from agent.engines.speaking import RATE_HZ, Speaking, Wish
from agent.plain_text import plain_text
from agent.server.speech.speech_request import MAX_INPUT_CHARS, speech_request_of
from agent.server.speech.synthesis import SILENCE, STEP_BYTES, voice_of
from agent.server.state import ServerState
from agent.server.wire.errors import ApiError, LoadingError
from agent.server.wyoming.events import bad_event, optional_object, optional_text, text_of
from agent.server.wyoming.line import Line
from processors.errors import EngineError, EngineUnavailableError

WIDTH_BYTES, N_CHANNELS = 2, 1
# A text that comes bit by bit is whole within this and so much for each character; its place is waited for.
WHOLE_SECS, SECS_A_CHARACTER = 300.0, 0.5


def wish_of(event: Event) -> Wish:
    """The voice that an event asks for: one of ours or of OpenAI's by its name, else one of a language.

    Raises:
        ApiError: A field is of a wrong type, or the language is none.
    """
    voice = optional_object(event, "voice")
    name, language = (optional_text(voice, field, f"{event.type}: voice") for field in ("name", "language"))
    if optional_text(event.data, "text_format", event.type) == "ssml":
        raise ApiError(400, f"{event.type}: SSML is not spoken; send text", code="unsupported_value")
    # A name stands above a language.
    return speech_request_of({"input": "-", "voice": name, "language": None if name else language}).wish


async def speak_whole(state: ServerState, event: Event, line: Line) -> None:
    """Speak the text of `synthesize`.

    Raises:
        ApiError: It is too long, there is no such voice, there is no place, or the voice failed.
        ClientGoneError: The client hung up.
    """
    text, wish = plain_text(text_of(event, "text")), wish_of(event)
    _check_length(len(text))
    speaking = _voice(state)
    with state.speeches.taken():
        await _speak(speaking, text, wish, line)


class TextStream:
    """A text that comes bit by bit and is spoken meanwhile; has a place among the speeches until it ends.

    Args:
        state: Gives the voice.
        event: synthesize-start.
        line: Takes the sound.

    Attributes:
        speaking: Ends before the text does only by a failure, an ApiError or a ClientGoneError.

    Raises:
        ApiError: There is no voice or no place, or a field is of a wrong type.
    """

    def __init__(self, state: ServerState, event: Event, line: Line) -> None:
        wish, voice = wish_of(event), _voice(state)
        place = state.speeches.taken()
        place.__enter__()
        self._line = line
        self._begun_secs = time.monotonic()
        self._n_chars = 0
        self._parts: asyncio.Queue[str | None] = asyncio.Queue()
        self.speaking = asyncio.create_task(_speak(voice, self._text(), wish, line), name="wyoming-speech")
        # Whether it was done, failed or never begun.
        self.speaking.add_done_callback(lambda _: place.__exit__(None, None, None))

    def take(self, event: Event) -> None:
        """Take more of the text.

        Raises:
            ApiError: It is too long, none, or comes too slowly.
        """
        part = plain_text(text_of(event, "text"))
        self._n_chars += len(part)
        _check_length(self._n_chars)
        if time.monotonic() - self._begun_secs > WHOLE_SECS + SECS_A_CHARACTER * self._n_chars:
            raise ApiError(408, f"{event.type}: the text comes too slowly", code="upload_timeout")
        self._parts.put_nowait(part)

    async def finish(self) -> None:
        """The text is whole: speak the rest of it.

        Raises:
            ApiError: The voice failed.
            ClientGoneError: The client hung up.
        """
        self._parts.put_nowait(None)
        await self.speaking
        await self._line.send(SynthesizeStopped())

    async def close(self) -> None:
        """End it, wherever it is; a second time changes nothing."""
        self.speaking.cancel()
        await asyncio.gather(self.speaking, return_exceptions=True)

    async def _text(self) -> AsyncGenerator[str, None]:
        while (part := await self._parts.get()) is not None:
            yield part


def _voice(state: ServerState) -> Speaking:
    if state.loaded is None:
        raise LoadingError
    return voice_of(state.speaking)


async def _speak(speaking: Speaking, text: str | AsyncIterable[str], wish: Wish, line: Line) -> None:
    started_secs = time.monotonic()
    first_secs: float | None = None
    n_bytes = 0
    try:
        async with aclosing(_steps(speaking, text, wish)) as steps:
            async for pcm16 in steps:
                head = [] if n_bytes else [AudioStart(RATE_HZ, WIDTH_BYTES, N_CHANNELS, timestamp=0)]
                at_ms = n_bytes * 1000 // (WIDTH_BYTES * RATE_HZ)
                await line.send(*head, AudioChunk(RATE_HZ, WIDTH_BYTES, N_CHANNELS, pcm16, timestamp=at_ms))
                first_secs = first_secs or time.monotonic() - started_secs
                n_bytes += len(pcm16)
    except EngineUnavailableError as error:
        raise ApiError(400, str(error), code="invalid_value") from error
    except EngineError as error:
        logger.error(f"tts: a text could not be spoken{' to its end' if n_bytes else ''}: {error}")
        raise ApiError(500, str(error), code="engine_failed") from error
    await line.send(AudioStop(timestamp=n_bytes * 1000 // (WIDTH_BYTES * RATE_HZ)))
    took_secs = time.monotonic() - started_secs
    sound_secs = n_bytes / (WIDTH_BYTES * RATE_HZ)
    logger.info(f"text spoken: sound_secs={sound_secs:.1f} first_secs={first_secs:.2f} took_secs={took_secs:.2f}")


async def _steps(speaking: Speaking, text: str | AsyncIterable[str], wish: Wish) -> AsyncGenerator[bytes, None]:
    """The sound in short pieces; a moment of silence where there is nothing to say."""
    is_silent = True
    async with aclosing(speaking.speak(text, wish)) as sounds:
        async for pcm16 in sounds:
            is_silent = False
            for at in range(0, len(pcm16), STEP_BYTES):
                yield pcm16[at : at + STEP_BYTES]
    if is_silent:
        yield SILENCE


def _check_length(n_chars: int) -> None:
    if n_chars > MAX_INPUT_CHARS:
        raise bad_event(f"the text is longer than {MAX_INPUT_CHARS} characters")
