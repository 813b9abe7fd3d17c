"""Events to one client: each with an id of its own."""

import secrets
from collections.abc import Callable
from typing import Any

Send = Callable[..., None]
ID_BYTES = 12


def new_id(kind: str) -> str:
    """An id that no other thing has.

    Args:
        kind: What it names, such as `item`.
    """
    return f"{kind}_{secrets.token_hex(ID_BYTES)}"


def sender(send: Callable[[dict[str, Any]], None]) -> Send:
    """Gives `send(type, **fields)` out of what sends whole messages."""

    def send_event(type_: str, **fields: Any) -> None:
        send({"type": type_, "event_id": new_id("event"), **fields})

    return send_event
