"""The OpenAI-compatible speech API below /v1: recordings to text here, text to speech in synthesis.py.

In:  multipart uploads.   Out: text, JSON, subtitles, or server-sent events while decoding goes on.
Source: the OpenAI API reference, and what its Python client parses. One engine serves every model name.
"""

import hmac
import time
from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextlib import aclosing, suppress
from typing import Any

from loguru import logger
from pydantic import SecretStr
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.types import ASGIApp, Receive, Scope, Send
from starlette.websockets import WebSocket

from agent.engines.speaking import Speaking
from agent.server.speech.jobs import TranscriptionJob, TranscriptionJobs
from agent.server.speech.request import FIELDS, AudioRequest, audio_request_of
from agent.server.speech.synthesis import GetSpeaking, SpeechRoute, Voices
from agent.server.wire.errors import ApiError, LoadingError, api_error_of
from agent.server.wire.events import (
    UPLOAD_LINGER_SECS,
    Body,
    begin_stream,
    chunk,
    end_stream,
    event,
    refuse_unread,
    unless_hung_up,
)
from agent.server.wire.paths import SHOWN
from agent.server.wire.slots import Slots
from agent.server.wire.sockets import deny
from agent.server.wire.uploads import ClientGoneError, read_upload
from agent.settings.load import Settings
from agent.transcripts import Format, Transcription, delta, usage, written
from processors.errors import EngineError
from processors.stt.recognizer import Segment, Task
from transports.errors import RecordingError

MEGABYTE = 2**20
MEDIA_TYPES: dict[Format, str] = {"json": "application/json", "verbose_json": "application/json"}
FAILURES = (EngineError, RecordingError)

# None until the models are loaded.
GetJobs = Callable[[], TranscriptionJobs | None]


def build_speech_api(
    settings: Settings,
    get_jobs: GetJobs,
    get_speaking: GetSpeaking,
    speeches: Slots,
    further: Sequence[Route | WebSocketRoute] = (),
    further_models: Sequence[str] = (),
) -> Starlette:
    """The application below /v1.

    Args:
        settings: Limits, and the key or token that callers need, if any.
        get_jobs: Gives what transcribes, or None while it is being loaded.
        get_speaking: Gives what speaks, or None where no voice is, or not yet.
        speeches: Places for texts that are to be spoken.
        further: Routes below /v1 that are no speech; errors and keys are the same.
        further_models: Names that are listed behind that of the ears.
    """
    shown = {"server.api_key": settings.server.api_key, "server.token": settings.server.token}
    keys = {name: key for name, key in shown.items() if key and key.get_secret_value()}

    def speaking() -> Speaking | None:
        if get_jobs() is None:
            raise LoadingError
        return get_speaking()

    models, voices = _Models(get_jobs, further_models), Voices(speaking)
    return Starlette(
        routes=[
            Route("/audio/transcriptions", AudioRoute("transcribe", settings, get_jobs), methods=["POST"]),
            Route("/audio/translations", AudioRoute("translate", settings, get_jobs), methods=["POST"]),
            Route("/audio/speech", SpeechRoute(speeches, speaking), methods=["POST"]),
            Route("/audio/voices", voices.voices),
            Route("/audio/models", voices.models),
            *further,
            Route("/models", models.listing),
            Route("/models/{name:path}", models.one),
            WebSocketRoute("/{path:path}", _no_socket),
        ],
        middleware=[Middleware(_KeyCheck, keys=keys)] if keys else [],
        exception_handlers={
            ApiError: _api_error,
            HTTPException: _http_error,
            ClientDisconnect: _hung_up,
            Exception: _bug,
        },
    )


async def _api_error(_: Request, error: Exception) -> Response:
    assert isinstance(error, ApiError)  # noqa: S101 - Starlette passes what it is registered for
    return error.response()


async def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101 - Starlette passes what it is registered for
    return http_error_answer(request, error)


async def _no_socket(socket: WebSocket) -> None:
    path = socket.scope["path"][:80]
    await deny(socket, ApiError(404, f"there is no WebSocket at {path}", code="unknown_url").response())


async def _hung_up(_: Request, __: Exception) -> Response:
    # Nobody is left to read it.
    return Response(status_code=400)


async def _bug(_: Request, __: Exception) -> Response:
    return ApiError(500, "an error within the server; its log says more", code="internal_error").response()


def http_error_answer(request: Request, error: HTTPException) -> Response:
    """An error of the router (no such path, no such method) in the API's shape."""
    path = request.scope["path"][:80]
    messages = {404: f"there is no {path} here", 405: f"{path} does not take {request.method}"}
    message = messages.get(error.status_code, error.detail)
    return ApiError(error.status_code, message, code="unknown_url", headers=error.headers).response()


class _KeyCheck:
    """Lets nobody in without the API's own key or the server's token as bearer, or the page's cookie."""

    def __init__(self, app: ASGIApp, keys: Mapping[str, SecretStr]) -> None:
        self._app = app
        self._keys = [key.get_secret_value().encode() for key in keys.values()]
        self._settings = " or ".join(keys)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        headers = dict(scope["headers"])
        scheme, _, shown = headers.get(b"authorization", b"").partition(b" ")
        right = [hmac.compare_digest(shown.strip(), key) for key in self._keys]
        if (scheme.lower() == b"bearer" and any(right)) or scope.get("state", {}).get(SHOWN):
            await self._app(scope, receive, send)
            return
        wrong = f"is not the one of the setting {self._settings}"
        what = wrong if shown else "is missing: Authorization: Bearer KEY"
        refusal = ApiError(
            401, f"the API key {what}", code="invalid_api_key", headers={"WWW-Authenticate": 'Bearer realm="sotto"'}
        )
        if scope["type"] == "websocket":
            await deny(WebSocket(scope, receive, send), refusal.response())
        else:
            await refuse_unread(refusal.response(), Body(receive), send)


class _Models:
    """GET /v1/models and /v1/models/{name}."""

    def __init__(self, get_jobs: GetJobs, further: Sequence[str]) -> None:
        self._get_jobs = get_jobs
        self._further = further
        self._created = int(time.time())

    def _objects(self) -> list[dict[str, Any]]:
        jobs = self._get_jobs()
        if jobs is None:
            raise LoadingError
        head = {"object": "model", "created": self._created, "owned_by": "sotto"}
        return [{"id": name, **head} for name in (jobs.model, *self._further)]

    async def listing(self, _: Request) -> Response:
        return JSONResponse({"object": "list", "data": self._objects()})

    async def one(self, request: Request) -> Response:
        name = request.path_params["name"]
        for model in self._objects():
            if name == model["id"]:
                return JSONResponse(model)
        raise ApiError(404, f"there is no model {name[:80]}", param="model", code="model_not_found")


def _as_asked(transcription: Transcription, request: AudioRequest) -> Response:
    """The answer in the format that was asked for."""
    kind = request.response_format
    return Response(written(transcription, kind), media_type=MEDIA_TYPES.get(kind, "text/plain"))


class AudioRoute:
    """A POST of a sound file; an ASGI application, for it watches the caller all the while.

    Args:
        task: What is done with the sound.
        settings: Limits, and the language that is expected.
        get_jobs: Gives what transcribes, or None while it is being loaded.
        fields: Those of the form that count.
        write: Makes the answer.
        refuse: Makes the answer to a request that is refused before its body has arrived; a later ApiError is raised.
    """

    def __init__(
        self,
        task: Task,
        settings: Settings,
        get_jobs: GetJobs,
        *,
        fields: frozenset[str] = FIELDS,
        write: Callable[[Transcription, AudioRequest], Response] = _as_asked,
        refuse: Callable[[ApiError], Response] = ApiError.response,
    ) -> None:
        self._task: Task = task
        self._settings = settings
        self._get_jobs = get_jobs
        self._fields = fields
        self._write = write
        self._refuse = refuse

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        body = Body(receive)
        try:
            jobs = self._get_jobs()
            if jobs is None:
                raise LoadingError
            with jobs.slot(), suppress(ClientGoneError):
                max_file_bytes = int(self._settings.server.max_upload_mb * MEGABYTE)
                upload = await read_upload(
                    Request(scope, body), jobs.uploads, max_file_bytes=max_file_bytes, wanted=self._fields
                )
                try:
                    request = audio_request_of(upload.fields)
                except ApiError:
                    upload.file.close()
                    raise
                job = jobs.job(upload.file, request.for_engine(self._task))
                # The job owns the file from here on, and lets go of it as soon as it is decoded.
                del upload
                answer = _stream(job, send) if request.stream else self._answer(job, request, scope, receive, send)
                await _transcribe(job, receive, answer)
        except ApiError as error:
            if body.ended:
                raise
            await refuse_unread(self._refuse(error), body, send, UPLOAD_LINGER_SECS)

    async def _answer(
        self, job: TranscriptionJob, request: AudioRequest, scope: Scope, receive: Receive, send: Send
    ) -> None:
        """Answer in one piece."""
        async with aclosing(job.segments()) as segments:
            found = [segment async for segment in segments]
        configured = self._settings.stt.language
        transcription = Transcription(
            found,
            job.duration_secs,
            self._task,
            language=next((code for code in (request.language_code, configured) if code and code != "auto"), None),
            temperature=request.temperature,
            with_words=request.with_words,
            with_segments=request.with_segments,
        )
        await self._write(transcription, request)(scope, receive, send)


async def _transcribe(job: TranscriptionJob, receive: Receive, answer: Coroutine[Any, Any, None]) -> None:
    """Answer unless the caller hangs up.

    Raises:
        ApiError: The work failed before its first result.
        ClientGoneError: The caller hung up.
    """
    started_secs = time.monotonic()
    try:
        await unless_hung_up(receive, answer)
    except FAILURES as error:
        failure = api_error_of(error)
        if failure.status >= 500:
            logger.error(f"stt: a recording could not be transcribed: {error}")
        raise failure from error
    took_secs = time.monotonic() - started_secs
    logger.info(f"recording transcribed: audio_secs={job.duration_secs:.1f} took_secs={took_secs:.2f}")


async def _stream(job: TranscriptionJob, send: Send) -> None:
    """Answer by server-sent events; a failure before the first of them is left to the caller."""
    texts: list[str] = []

    async def tell(segment: Segment) -> None:
        texts.append(delta(segment, len(texts)))
        await send(event({"type": "transcript.text.delta", "delta": texts[-1]}))

    async with aclosing(job.segments()) as segments:
        first = await anext(segments, None)
        await begin_stream(send)
        try:
            if first:
                await tell(first)
            async for segment in segments:
                await tell(segment)
        except FAILURES as error:
            logger.error(f"stt: a recording could not be transcribed to its end: {error}")
            await send(event(api_error_of(error).body(), name="error"))
        else:
            done = {"type": "transcript.text.done", "text": "".join(texts), "usage": usage(job.duration_secs)}
            await send(event(done))
            await send(chunk(b"data: [DONE]\n\n"))
    await end_stream(send)
