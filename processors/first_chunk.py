"""Whether a streamed answer has given anything yet: what came before may still be had from another server.

In:  the bytes of a stream of a language model.   Out: nothing yet, something, or an error or nonsense in its place.
"""

import json
from typing import Any, Literal

# Whoever sends so much has begun, whatever it is.
MAX_BYTES = 64 << 10
State = Literal["nothing", "something", "error"]


class FirstChunk:
    """Reads server-sent events until one says something: words, a thought, a call, an end."""

    def __init__(self) -> None:
        self._rest = b""
        self._n_bytes = 0

    def feed(self, part: bytes) -> State:
        """Take what came.

        Args:
            part: Of the stream, cut anywhere.
        """
        self._n_bytes += len(part)
        *lines, self._rest = (self._rest + part).split(b"\n")
        for line in lines:
            if line.startswith(b"data:") and (state := _state(line[5:].strip())) != "nothing":
                return state
        return "something" if self._n_bytes > MAX_BYTES else "nothing"


def _state(data: bytes) -> State:
    if data == b"[DONE]":
        return "something"
    try:
        event: Any = json.loads(data)
    except (ValueError, RecursionError):
        return "error"
    if not isinstance(event, dict) or event.get("error"):
        return "error"
    choices = event.get("choices")
    if not isinstance(choices, list) or event.get("usage"):
        return "something"
    return "something" if any(map(_says, choices)) else "nothing"


def _says(choice: Any) -> bool:
    if not isinstance(choice, dict) or choice.get("finish_reason"):
        return True
    delta = choice.get("delta")
    return not isinstance(delta, dict) or any(value for name, value in delta.items() if name != "role")
