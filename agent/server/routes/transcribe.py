"""POST /api/transcribe: the page's sound files, put into words by the same work as /v1/audio/transcriptions.

In:  multipart with `file`, and `language` if the caller knows it.   Out: `{"text", "language", "duration_secs"}`.
"""

from fastapi import APIRouter
from fastapi.responses import JSONResponse
from starlette.responses import Response
from starlette.routing import Route

from agent.server.speech.api import AudioRoute
from agent.server.speech.request import AudioRequest
from agent.server.state import ServerState
from agent.server.wire.errors import ApiError
from agent.server.wire.json_body import error_response
from agent.transcripts import Transcription

FIELDS = frozenset({"language"})
TIME_DIGITS = 3


def transcription_routes(state: ServerState) -> APIRouter:
    """The route.

    Args:
        state: Gives what transcribes once the models are loaded.
    """
    route = AudioRoute("transcribe", state.settings, state.jobs, fields=FIELDS, write=_written, refuse=_refusal)
    return APIRouter(routes=[Route("/api/transcribe", route, methods=["POST"])])


def _written(transcription: Transcription, _: AudioRequest) -> Response:
    return JSONResponse(
        {
            "text": transcription.text,
            "language": transcription.spoken_language,
            "duration_secs": round(transcription.duration_secs, TIME_DIGITS),
        }
    )


def _refusal(error: ApiError) -> Response:
    return error_response(error.status, str(error), error.headers)
