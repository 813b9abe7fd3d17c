"""Events on the wire: one JSON line, then so many bytes of JSON, then so many of payload, all of it bounded and timed.

In:  bytes of a client.   Out: Event; and the bytes of events that go back.
Source: the format in the `wyoming` package's README. Its own reader takes in whatever lengths a client names.
"""

import asyncio
import json
from typing import Any

from wyoming.event import Event
from wyoming.version import __version__

from agent.server.wire.errors import ApiError
from transports.json_text import read_json

MAX_LINE_BYTES = 64 * 1024
# As a body of the HTTP API.
MAX_DATA_BYTES = 256 * 1024
# Of one event; 32 s of 16 kHz mono s16.
MAX_PAYLOAD_BYTES = 1024 * 1024
# From the end of an event's line to the end of the event.
BODY_SECS = 10.0
# Of what a client wrote, repeated to it.
MAX_SHOWN_CHARS = 60


def bad_event(problem: str) -> ApiError:
    """An event that cannot be read; it ends the connection."""
    return ApiError(400, problem, code="invalid_event")


async def read_event(reader: asyncio.StreamReader, patience_secs: float) -> Event | None:
    """The next event.

    Args:
        reader: Its limit is MAX_LINE_BYTES.
        patience_secs: The event's line is whole within this.

    Returns:
        None where the client has gone, in the middle of an event too.

    Raises:
        ApiError: It is malformed, too large, or its end does not come.
        TimeoutError: Its line does not come.
        OSError: The connection broke.
    """
    async with asyncio.timeout(patience_secs):
        try:
            line = await reader.readline()
        except ValueError:
            raise bad_event(f"the line of an event is longer than {MAX_LINE_BYTES} bytes") from None
    if not line.endswith(b"\n"):
        return None
    head = _object(line, "the line of an event")
    kind = head.get("type")
    if not isinstance(kind, str) or not kind:
        raise bad_event("an event has no type")
    n_data = _length(head, "data_length", MAX_DATA_BYTES)
    n_payload = _length(head, "payload_length", MAX_PAYLOAD_BYTES)
    inline = head.get("data") or {}
    if not isinstance(inline, dict):
        raise bad_event(f"{kind[:MAX_SHOWN_CHARS]}: data is not an object")
    try:
        async with asyncio.timeout(BODY_SECS):
            further = await reader.readexactly(n_data) if n_data else b""
            payload = await reader.readexactly(n_payload) if n_payload else None
    except asyncio.IncompleteReadError:
        return None
    except TimeoutError:
        raise bad_event(f"the rest of an event did not come within {BODY_SECS:.0f} s of its line") from None
    return Event(kind, {**inline, **_object(further, "the data of an event")} if n_data else inline, payload)


def encoded(event: Event) -> bytes:
    """An event's bytes; all beyond ASCII is escaped, for some of what clients write no encoding can carry."""
    data = json.dumps(event.data).encode() if event.data else b""
    head: dict[str, Any] = {"type": event.type, "version": __version__}
    if data:
        head["data_length"] = len(data)
    if event.payload:
        head["payload_length"] = len(event.payload)
    return json.dumps(head).encode() + b"\n" + data + (event.payload or b"")


def text_of(event: Event, name: str) -> str:
    """A text that an event has to have.

    Raises:
        ApiError: It is missing, or no text.
    """
    text = optional_text(event.data, name, event.type)
    if text is None:
        raise bad_event(f"{_shown(event)}: {name} is missing")
    return text


def optional_text(data: dict[str, Any], name: str, where: str) -> str | None:
    """A text that may be left out.

    Args:
        data: Holds it.
        name: Its name.
        where: What to call the event.

    Raises:
        ApiError: It is no text.
    """
    value = data.get(name)
    if value is not None and not isinstance(value, str):
        raise bad_event(f"{where[:MAX_SHOWN_CHARS]}: {name} is no text")
    return value


def optional_object(event: Event, name: str) -> dict[str, Any]:
    """An object; empty where it is left out.

    Raises:
        ApiError: It is none.
    """
    value = event.data.get(name)
    if value is not None and not isinstance(value, dict):
        raise bad_event(f"{_shown(event)}: {name} is not an object")
    return value or {}


def texts_of(event: Event, name: str) -> list[str]:
    """A list of texts; empty where it is left out.

    Raises:
        ApiError: It is none.
    """
    value = event.data.get(name)
    if value is not None and not (isinstance(value, list) and all(isinstance(one, str) for one in value)):
        raise bad_event(f"{_shown(event)}: {name} is no list of texts")
    return value or []


def number_of(event: Event, name: str, least: int, most: int) -> int:
    """A whole number that an event has to have.

    Args:
        event: Holds it.
        name: Its name.
        least: Smaller ones are refused.
        most: Larger ones are refused.

    Raises:
        ApiError: It is missing, or none such.
    """
    value = event.data.get(name)
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
        raise bad_event(f"{_shown(event)}: {name} = {_short(value)} is no whole number from {least} to {most}")
    return value


def _shown(event: Event) -> str:
    return event.type[:MAX_SHOWN_CHARS]


def _short(value: Any) -> str:
    if isinstance(value, int) and abs(value) >= 10**MAX_SHOWN_CHARS:
        # Python writes no number of very many digits.
        return "a huge number"
    return repr(value)[:MAX_SHOWN_CHARS]


def _object(text: bytes, what: str) -> dict[str, Any]:
    try:
        content = read_json(text)
    except ValueError:
        raise bad_event(f"{what} is no JSON, or nested too deep") from None
    if not isinstance(content, dict):
        raise bad_event(f"{what} is not a JSON object")
    return content


def _length(head: dict[str, Any], name: str, most: int) -> int:
    value = head.get(name)
    if value is None:
        return 0
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise bad_event(f"{name} = {_short(value)} is no number of bytes")
    if value > most:
        raise bad_event(f"{name} = {_short(value)} is more than {most} bytes, the most that one event may have")
    return value
