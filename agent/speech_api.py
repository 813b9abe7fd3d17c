"""The OpenAI-compatible speech-to-text API: /v1/audio/transcriptions, /v1/audio/translations and /v1/models.

In:  multipart uploads.   Out: text, JSON, subtitles, or server-sent events while decoding goes on.
Source: the OpenAI API reference, and what its Python client parses. One engine serves every model name.
"""

import asyncio
import hmac
import json
import time
from collections.abc import Callable, Coroutine
from contextlib import aclosing, suppress
from typing import Any, TypeVar

from loguru import logger
from pydantic import SecretStr
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from agent.api_errors import ApiError, LoadingError, api_error_of
from agent.settings import Settings
from agent.speech_request import FIELDS, AudioRequest, audio_request_of
from agent.transcript_formats import Format, Transcription, delta, usage, written
from agent.transcription_jobs import TranscriptionJob, TranscriptionJobs
from agent.uploads import ClientGoneError, read_upload
from processors.errors import EngineError
from processors.stt.recognizer import Segment, Task
from transports.errors import RecordingError

PREFIX = "/v1"
MEGABYTE = 2**20
MEDIA_TYPES: dict[Format, str] = {"json": "application/json", "verbose_json": "application/json"}
STREAM_HEADERS = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    # nginx would hold the events back until there are many.
    (b"x-accel-buffering", b"no"),
]
FAILURES = (EngineError, RecordingError)
# How long a body that was refused unread is still taken in: closing at once could cost the caller its answer.
LINGER_SECS = 2.0

Result = TypeVar("Result")
# None until the models are loaded.
GetJobs = Callable[[], TranscriptionJobs | None]


def is_api_path(path: str) -> bool:
    """Whether errors at a path are told in the API's shape."""
    return path == PREFIX or path.startswith(PREFIX + "/")


def build_speech_api(settings: Settings, get_jobs: GetJobs) -> Starlette:
    """The application below /v1.

    Args:
        settings: Limits, and the key that callers need, if any.
        get_jobs: Gives what transcribes, or None while it is being loaded.
    """
    key = settings.server.api_key
    models = _Models(get_jobs)
    return Starlette(
        routes=[
            Route("/audio/transcriptions", _Audio("transcribe", settings, get_jobs), methods=["POST"]),
            Route("/audio/translations", _Audio("translate", settings, get_jobs), methods=["POST"]),
            Route("/models", models.listing),
            Route("/models/{name:path}", models.one),
        ],
        middleware=[Middleware(_KeyCheck, key=key)] if key and key.get_secret_value() else [],
        exception_handlers={ApiError: _api_error, HTTPException: _http_error, Exception: _bug},
    )


async def _api_error(_: Request, error: Exception) -> Response:
    assert isinstance(error, ApiError)  # noqa: S101 - Starlette passes what it is registered for
    return error.response()


async def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101 - Starlette passes what it is registered for
    return http_error_answer(request, error)


async def _bug(_: Request, __: Exception) -> Response:
    return ApiError(500, "an error within the server; its log says more", code="internal_error").response()


def http_error_answer(request: Request, error: HTTPException) -> Response:
    """An error of the router (no such path, no such method) in the API's shape."""
    path = request.scope["path"][:80]
    messages = {404: f"there is no {path} here", 405: f"{path} does not take {request.method}"}
    message = messages.get(error.status_code, error.detail)
    return ApiError(error.status_code, message, code="unknown_url", headers=error.headers).response()


class _KeyCheck:
    """Lets nobody in without the bearer token."""

    def __init__(self, app: ASGIApp, key: SecretStr) -> None:
        self._app = app
        self._wanted = b"bearer " + key.get_secret_value().encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = dict(scope["headers"]) if scope["type"] == "http" else {}
        scheme, _, token = headers.get(b"authorization", b"").partition(b" ")
        if hmac.compare_digest(scheme.lower() + b" " + token.strip(), self._wanted):
            await self._app(scope, receive, send)
            return
        what = "is not the one of the setting server.api_key" if token else "is missing: Authorization: Bearer KEY"
        refusal = ApiError(
            401, f"the API key {what}", code="invalid_api_key", headers={"WWW-Authenticate": 'Bearer realm="sotto"'}
        )
        await _refuse_unread(refusal, _Body(receive), send)


class _Body:
    """A request's body on its way in.

    Attributes:
        ended: Whether all of it has been received.
    """

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self.ended = False

    async def __call__(self) -> Message:
        message = await self._receive()
        self.ended = not message.get("more_body", False)
        return message


class _Models:
    """GET /v1/models and /v1/models/{name}."""

    def __init__(self, get_jobs: GetJobs) -> None:
        self._get_jobs = get_jobs
        self._created = int(time.time())

    def _object(self) -> dict[str, Any]:
        jobs = self._get_jobs()
        if jobs is None:
            raise LoadingError
        return {"id": jobs.model, "object": "model", "created": self._created, "owned_by": "sotto"}

    async def listing(self, _: Request) -> Response:
        return JSONResponse({"object": "list", "data": [self._object()]})

    async def one(self, request: Request) -> Response:
        model, name = self._object(), request.path_params["name"]
        if name != model["id"]:
            raise ApiError(404, f"there is no model {name[:80]}", param="model", code="model_not_found")
        return JSONResponse(model)


class _Audio:
    """POST /v1/audio/transcriptions or translations; an ASGI application, for it watches the caller all the while."""

    def __init__(self, task: Task, settings: Settings, get_jobs: GetJobs) -> None:
        self._task: Task = task
        self._settings = settings
        self._get_jobs = get_jobs

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        body = _Body(receive)
        try:
            jobs = self._get_jobs()
            if jobs is None:
                raise LoadingError
            with jobs.slot(), suppress(ClientGoneError):
                max_file_bytes = int(self._settings.server.max_upload_mb * MEGABYTE)
                upload = await read_upload(Request(scope, body), max_file_bytes=max_file_bytes, wanted=FIELDS)
                request = audio_request_of(upload.fields)
                job = jobs.job(upload.file, request.for_engine(self._task))
                # The job owns the file from here on, and lets go of it as soon as it is decoded.
                del upload
                answer = _stream(job, send) if request.stream else self._answer(job, request, scope, receive, send)
                await _transcribe(job, receive, answer)
        except ApiError as error:
            if body.ended:
                raise
            await _refuse_unread(error, body, send)

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
        kind = request.response_format
        response = Response(written(transcription, kind), media_type=MEDIA_TYPES.get(kind, "text/plain"))
        await response(scope, receive, send)


async def _transcribe(job: TranscriptionJob, receive: Receive, answer: Coroutine[Any, Any, None]) -> None:
    """Answer unless the caller hangs up.

    Raises:
        ApiError: The work failed before its first result.
        ClientGoneError: The caller hung up.
    """
    started_secs = time.monotonic()
    try:
        await _unless_hung_up(receive, answer)
    except FAILURES as error:
        failure = api_error_of(error)
        if failure.status >= 500:
            logger.error(f"stt: a recording could not be transcribed: {error}")
        raise failure from error
    took_secs = time.monotonic() - started_secs
    logger.info(f"recording transcribed: audio_secs={job.duration_secs:.1f} took_secs={took_secs:.2f}")


async def _refuse_unread(error: ApiError, body: _Body, send: Send) -> None:
    """Answer with an error before the body has arrived, and end the connection unless it arrives soon."""
    response = error.response()
    headers = [*response.raw_headers, (b"connection", b"close")]
    await send({"type": "http.response.start", "status": response.status_code, "headers": headers})
    await send(_chunk(bytes(response.body)))
    with suppress(TimeoutError):
        async with asyncio.timeout(LINGER_SECS):
            while not body.ended:
                await body()
    await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _stream(job: TranscriptionJob, send: Send) -> None:
    """Answer by server-sent events; a failure before the first of them is left to the caller."""
    texts: list[str] = []

    async def tell(segment: Segment) -> None:
        texts.append(delta(segment, len(texts)))
        await send(_event({"type": "transcript.text.delta", "delta": texts[-1]}))

    async with aclosing(job.segments()) as segments:
        first = await anext(segments, None)
        await send({"type": "http.response.start", "status": 200, "headers": STREAM_HEADERS})
        try:
            if first:
                await tell(first)
            async for segment in segments:
                await tell(segment)
        except FAILURES as error:
            logger.error(f"stt: a recording could not be transcribed to its end: {error}")
            await send(_event(api_error_of(error).body(), name="error"))
        else:
            done = {"type": "transcript.text.done", "text": "".join(texts), "usage": usage(job.duration_secs)}
            await send(_event(done))
            await send(_chunk(b"data: [DONE]\n\n"))
    await send({"type": "http.response.body", "body": b"", "more_body": False})


def _event(content: dict[str, Any], name: str | None = None) -> Message:
    head = f"event: {name}\n" if name else ""
    return _chunk(f"{head}data: {json.dumps(content, ensure_ascii=False)}\n\n".encode())


def _chunk(body: bytes) -> Message:
    return {"type": "http.response.body", "body": body, "more_body": True}


async def _unless_hung_up(receive: Receive, answering: Coroutine[Any, Any, Result]) -> Result:
    """Answer for as long as the caller listens.

    Raises:
        ClientGoneError: It hung up; the work was cancelled.
    """
    tasks = asyncio.create_task(answering), asyncio.create_task(_hang_up(receive))
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        if tasks[0].done():
            return tasks[0].result()
        raise ClientGoneError
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _hang_up(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
