"""Whom a request is for, as far as it can be told by its head, and what its body has to be read for.

In:  method, path and headers.   Out: a Target.

What belongs to a call, a conversation, a picture or a key is for the worker that made its name (agent/own_names.py).
Telephone lines and the models' downloads are the first worker's. All else anybody can answer.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any

from agent.server.wire.paths import HEALTH, LIVE, READY, REALTIME, REALTIME_CALLS, TELEPHONY

METRICS = "/metrics"
JOIN = "/api/ws"
OFFER = "/api/offer"
CHAT = "/api/chat"
PICTURES = "/api/pictures"
MODELS = "/api/models"
LOAD = MODELS + "/load"
PAGE_HEADER = b"x-sotto-page"
MAX_NAME_CHARS = 200
# What stands before the name, and the name.
_NAMED = re.compile(
    r"/(?:api/conversations|api/memory/conversations|api/camera|v1/realtime/calls)/([^/]{1,200})(?:/.*)?"
)
_SECRET = re.compile(rb"(?:^bearer |openai-insecure-api-key\.) *(ek_[\w-]{1,100})", re.IGNORECASE)


class Kind(Enum):
    """Whom a request is for."""

    ANYONE = auto()
    FIRST = auto()
    NEW_CALL = auto()
    NAMED = auto()
    OF_PAGE = auto()
    # The body names it.
    BY_BODY = auto()
    # What comes first on the WebSocket names it.
    BY_JOIN = auto()
    # Every worker answers, and the front makes one answer of it.
    EVERYONE = auto()


@dataclass(frozen=True)
class Target:
    """Whom one request is for.

    Attributes:
        kind: Of target.
        name: Of what it asks about, or of the page that asks.
        page: What the page calls itself that asks, if it says so.
    """

    kind: Kind
    name: str = ""
    page: str = ""


def target_of(method: str, path: str, headers: Iterable[tuple[bytes, bytes]]) -> Target:
    """Whom an HTTP request is for, by its head.

    Args:
        method: As it stands there.
        path: Without the query, unquoted.
        headers: Names in lower case.
    """
    if path in (HEALTH, LIVE, READY, METRICS) and method in ("GET", "HEAD"):
        return Target(Kind.EVERYONE)
    if (path == OFFER and method in ("POST", "PATCH")) or (path == CHAT and method == "POST"):
        return Target(Kind.BY_BODY)
    if path == LOAD and method == "POST":
        return Target(Kind.EVERYONE)
    if path == PICTURES:
        page = dict(headers).get(PAGE_HEADER, b"").decode("latin-1")[:MAX_NAME_CHARS]
        return Target(Kind.OF_PAGE, page) if page else Target(Kind.ANYONE)
    if path == REALTIME_CALLS:
        return _by_secret(headers)
    if found := _NAMED.fullmatch(path):
        return Target(Kind.NAMED, found[1])
    if path == MODELS or path.startswith((MODELS + "/", TELEPHONY + "/")):
        return Target(Kind.FIRST)
    return Target(Kind.ANYONE)


def socket_target(path: str, headers: Iterable[tuple[bytes, bytes]]) -> Target:
    """Whom a WebSocket is for, by its handshake.

    Args:
        path: Without the query, unquoted.
        headers: Names in lower case.
    """
    if path == JOIN:
        return Target(Kind.BY_JOIN)
    if path == REALTIME:
        return _by_secret(headers)
    if path.startswith(TELEPHONY + "/"):
        return Target(Kind.FIRST)
    return Target(Kind.ANYONE)


def body_target(path: str, method: str, body: object) -> Target:
    """Whom a request is for whose body has been read.

    Args:
        path: Of the request.
        method: Of the request.
        body: What it holds, anything at all.
    """
    if not isinstance(body, dict):
        return Target(Kind.ANYONE)
    page = _name(body, "page")
    if method == "PATCH":
        name = _name(body, "pc_id")
        return Target(Kind.NAMED, name) if name else Target(Kind.ANYONE)
    if conversation := _name(body, "conversation"):
        return Target(Kind.NAMED, conversation, page)
    if path == OFFER:
        return Target(Kind.NEW_CALL, page=page)
    # Pictures wait where they were sent to.
    pictures = body.get("pictures")
    if isinstance(pictures, list) and pictures and isinstance(pictures[0], str):
        return Target(Kind.NAMED, pictures[0][:MAX_NAME_CHARS], page)
    return Target(Kind.ANYONE, page=page)


def join_target(message: object) -> Target:
    """Whom a call is for that joins by WebSocket.

    Args:
        message: What it said first, anything at all.
    """
    if not isinstance(message, dict):
        return Target(Kind.NEW_CALL)
    page, conversation = _name(message, "page"), _name(message, "conversation")
    return Target(Kind.NAMED, conversation, page) if conversation else Target(Kind.NEW_CALL, page=page)


def _by_secret(headers: Iterable[tuple[bytes, bytes]]) -> Target:
    """A Realtime client's call: where its short-lived key was made, if it shows one."""
    for name, value in headers:
        if name in (b"authorization", b"sec-websocket-protocol"):
            for part in value.split(b","):
                if found := _SECRET.search(part.strip()):
                    return Target(Kind.NAMED, found[1].decode())
    return Target(Kind.NEW_CALL)


def _name(body: dict[str, Any], key: str) -> str:
    value = body.get(key)
    return value[:MAX_NAME_CHARS] if isinstance(value, str) else ""
