"""What cannot be done for a client, in the protocol's shape.

RealtimeProblem    an `error` event: message, code, the field at fault
"""

from typing import Any

from agent.errors import SottoError

MAX_MESSAGE_CHARS = 500
MAX_ID_CHARS = 512


class RealtimeProblem(SottoError):
    """One event of a client cannot be done; nothing has changed.

    Args:
        message: One line.
        code: What programs may look at.
        param: The field at fault, dotted.
    """

    def __init__(self, message: str, *, code: str = "invalid_value", param: str | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.param = param


def error_event(problem: Exception, event_id: object = None) -> dict[str, Any]:
    """The `error` event.

    Args:
        problem: A RealtimeProblem, or what was not foreseen.
        event_id: The client's, of the event at fault; anything at all.
    """
    known = isinstance(problem, RealtimeProblem)
    text = " ".join(str(problem).split()) if known else "an error within the server; its log says more"
    return {
        "type": "error",
        "error": {
            "type": "invalid_request_error" if known else "server_error",
            "code": problem.code if known else "internal_error",
            "message": text.encode("utf-8", "backslashreplace").decode()[:MAX_MESSAGE_CHARS],
            "param": problem.param if known else None,
            "event_id": event_id if isinstance(event_id, str) and len(event_id) <= MAX_ID_CHARS else None,
        },
    }
