"""Errors of the HTTP API, in the shape that OpenAI's clients read.

ApiError             a request cannot be answered; an HTTP status and `{"error": {message, type, param, code}}`
  LoadingError       503: the models are still being loaded
  TooBusyError       429: as much of one kind is under way as may be
"""

import json
from collections.abc import Collection, Mapping
from typing import Any

from pydantic import ValidationError
from starlette.responses import Response

from agent.errors import SottoError
from processors.errors import EngineError, UnsupportedRequestError
from transports.errors import RecordingError
from transports.sound_file import TooLongError

MAX_MESSAGE_CHARS = 500
MAX_SHOWN_CHARS = 80
RETRY_AFTER_SECS = 1


class ApiError(SottoError):
    """A request of the API cannot be answered.

    Args:
        status: HTTP status.
        message: One line.
        param: The field of the request that is at fault, if it is one.
        code: What programs may look at.
        headers: Of the answer.
    """

    def __init__(
        self,
        status: int,
        message: str,
        *,
        param: str | None = None,
        code: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.param = param
        self.code = code
        self.headers = dict(headers or {})

    def body(self) -> dict[str, Any]:
        """The JSON object of the answer."""
        kind = "rate_limit_error" if self.status == 429 else "invalid_request_error"
        return {
            "error": {
                "message": str(self)[:MAX_MESSAGE_CHARS],
                "type": "server_error" if self.status >= 500 else kind,
                "param": self.param,
                "code": self.code,
            }
        }

    def response(self) -> Response:
        """The whole answer; characters that no encoding can carry are written as escapes, as all beyond ASCII."""
        return Response(json.dumps(self.body()), self.status, self.headers, "application/json")


class LoadingError(ApiError):
    """The models are still being loaded."""

    def __init__(self) -> None:
        super().__init__(
            503,
            "the models are still being loaded; try again in a moment",
            code="loading",
            headers={"Retry-After": str(RETRY_AFTER_SECS)},
        )


class TooBusyError(ApiError):
    """As much of one kind is under way as may be.

    Args:
        most: So many.
        what: One of them.
        setting: That says how many may be.
    """

    def __init__(self, most: int, what: str, setting: str) -> None:
        super().__init__(
            429,
            f"{most} {what}{'s are' if most > 1 else ' is'} under way, which is as many as may be "
            f"(setting {setting}); try again in a moment",
            code="rate_limit_exceeded",
            headers={"Retry-After": str(RETRY_AFTER_SECS)},
        )


def invalid_field(error: ValidationError, *, without_value: Collection[str] = ()) -> ApiError:
    """What a caller is told of the first field that is no use.

    Args:
        error: Of a model whose fields are those of the request.
        without_value: Fields whose values are not repeated.
    """
    problem = error.errors(include_url=False)[0]
    name = str(problem["loc"][0])
    shown = "" if name in without_value else f" = {str(problem['input'])[:MAX_SHOWN_CHARS]!r}"
    return ApiError(400, f"{name}{shown}: {problem['msg']}", param=name, code="invalid_value")


def api_error_of(error: EngineError | RecordingError) -> ApiError:
    """What a caller is told of a failure."""
    if isinstance(error, UnsupportedRequestError):
        return ApiError(400, str(error), param=error.parameter, code="unsupported_value")
    if isinstance(error, TooLongError):
        return ApiError(400, f"{error} (setting server.max_audio_secs)", param="file", code="audio_too_long")
    if isinstance(error, RecordingError):
        return ApiError(400, str(error), param="file", code="invalid_file")
    return ApiError(500, str(error), code="engine_failed")
