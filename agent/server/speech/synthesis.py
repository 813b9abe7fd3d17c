"""The OpenAI-compatible text-to-speech API: POST /v1/audio/speech, and the voices that it knows.

In:  JSON.   Out: sound, or server-sent events with it; the first of it once the first clause is spoken.
Source: the OpenAI API reference (create speech), and what its Python client parses.

A failure before the first sound is an error like any other; a later one breaks the answer off, so that nobody takes it
for the whole, or is its last event.
"""

import asyncio
import base64
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing, suppress

from loguru import logger
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.types import Message, Receive, Scope, Send

from agent.engines.speaking import RATE_HZ, Speaking
from agent.engines.voice_names import OPENAI_VOICES
from agent.server.speech.speech_request import SpeechRequest, speech_request_of
from agent.server.wire.errors import ApiError
from agent.server.wire.events import (
    Body,
    begin_stream,
    chunk,
    end_stream,
    event,
    refuse_unread,
    send_soon,
    unless_hung_up,
)
from agent.server.wire.json_body import api_object
from agent.server.wire.slots import Slots
from agent.server.wire.uploads import ClientGoneError
from processors.errors import EngineError, EngineUnavailableError
from transports.sound_encoder import MEDIA_TYPES, SoundEncoder

# A fifth of a second.
STEP_BYTES = 2 * RATE_HZ // 5
# Of a text in which nothing can be said; a file without any sound is none.
SILENCE = bytes(2 * RATE_HZ // 10)
# Clients want to read it; there are no tokens here.
USAGE = {"input_tokens": 0, "output_tokens": 0, "total_tokens": 0}

# Raises LoadingError until the models are loaded; None where no voice is.
GetSpeaking = Callable[[], Speaking | None]


class SpeechRoute:
    """POST /v1/audio/speech; an ASGI application, for it watches the caller all the while.

    Args:
        places: For those that are made at the same time.
        get_speaking: Gives the voice.
    """

    def __init__(self, places: Slots, get_speaking: GetSpeaking) -> None:
        self._places = places
        self._get_speaking = get_speaking

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        body = Body(receive)
        try:
            speaking = voice_of(self._get_speaking)
            with suppress(ClientGoneError, ClientDisconnect):
                # A body that comes slowly keeps nobody from a place.
                request = speech_request_of(await api_object(Request(scope, body)))
                with self._places.taken():
                    await unless_hung_up(receive, _answer(speaking, request, send))
        except ApiError as error:
            if body.ended:
                raise
            await refuse_unread(error.response(), body, send)


class Voices:
    """GET /v1/audio/voices and /v1/audio/models, as Open WebUI and others ask for them.

    Args:
        get_speaking: Gives the voice.
    """

    def __init__(self, get_speaking: GetSpeaking) -> None:
        self._get_speaking = get_speaking

    async def voices(self, _: Request) -> Response:
        """The engine's own, and OpenAI's names."""
        engine = voice_of(self._get_speaking).engine
        own = await asyncio.to_thread(engine.voices)
        listed = [{"id": one.name, "name": one.label, "language": one.language} for one in own]
        taken = {one.name for one in own}
        others = [{"id": name, "name": name.capitalize()} for name in OPENAI_VOICES if name not in taken]
        return JSONResponse({"voices": [*listed, *others]})

    async def models(self, _: Request) -> Response:
        """The one engine that serves every name."""
        engine = voice_of(self._get_speaking).engine
        return JSONResponse({"models": [{"id": engine.name, "name": engine.name}]})


def voice_of(get_speaking: GetSpeaking) -> Speaking:
    """The voice.

    Raises:
        ApiError: There is none, or it is being loaded.
    """
    if (speaking := get_speaking()) is None:
        raise ApiError(501, "this server found no voice, and has ears alone; why: sotto doctor", code="no_voice_loaded")
    return speaking


async def _answer(speaking: Speaking, request: SpeechRequest, send: Send) -> None:
    started_secs = time.monotonic()
    is_sse = request.stream_format == "sse"
    async with aclosing(_encoded(speaking, request)) as pieces:
        try:
            first = await anext(pieces, b"")
        except EngineUnavailableError as error:
            raise ApiError(400, str(error), param="voice", code="invalid_value") from error
        except EngineError as error:
            logger.error(f"tts: a text could not be spoken: {error}")
            raise ApiError(500, str(error), code="engine_failed") from error
        if is_sse:
            await begin_stream(send)
        else:
            await send({"type": "http.response.start", "status": 200, "headers": _headers(request)})
        first_secs = time.monotonic() - started_secs
        try:
            await send_soon(send, _piece(first, is_sse=is_sse))
            async for piece in pieces:
                await send_soon(send, _piece(piece, is_sse=is_sse))
        except EngineError as error:
            logger.error(f"tts: a text could not be spoken to its end: {error}")
            # Sound without its end closes the connection.
            if is_sse:
                await send_soon(send, event(ApiError(500, str(error), code="engine_failed").body(), name="error"))
                await end_stream(send)
            return
    if is_sse:
        await send_soon(send, event({"type": "speech.audio.done", "usage": USAGE}))
    await end_stream(send)
    took_secs = time.monotonic() - started_secs
    logger.info(f"text spoken: chars={len(request.text)} first_secs={first_secs:.2f} took_secs={took_secs:.2f}")


async def _encoded(speaking: Speaking, request: SpeechRequest) -> AsyncGenerator[bytes, None]:
    """The sound as it was asked for, never empty pieces."""
    encoder = SoundEncoder(request.response_format, RATE_HZ)
    is_silent = True
    async with aclosing(speaking.speak(request.text, request.wish)) as sounds:
        async for pcm16 in sounds:
            is_silent = False
            # An engine's first chunk may be seconds long, and be encoded as slowly as it was made.
            for at in range(0, len(pcm16), STEP_BYTES):
                if encoded := await asyncio.to_thread(encoder.encode, pcm16[at : at + STEP_BYTES]):
                    yield encoded
    if is_silent and (silence := await asyncio.to_thread(encoder.encode, SILENCE)):
        yield silence
    if rest := await asyncio.to_thread(encoder.finish):
        yield rest


def _headers(request: SpeechRequest) -> list[tuple[bytes, bytes]]:
    media = MEDIA_TYPES[request.response_format]
    media = f"{media};rate={RATE_HZ};channels=1" if request.response_format == "pcm" else media
    # nginx would hold the sound back until there is much of it.
    return [(b"content-type", media.encode()), (b"x-accel-buffering", b"no")]


def _piece(encoded: bytes, *, is_sse: bool) -> Message:
    if not is_sse:
        return chunk(encoded)
    return event({"type": "speech.audio.delta", "audio": base64.b64encode(encoded).decode()})
