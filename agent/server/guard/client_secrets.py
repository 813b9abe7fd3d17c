"""Short-lived keys of Realtime clients: made for whoever has the server's own key, shown by a browser or a program.

In:  a life in seconds, and what the session is to be.   Out: a key that opens /v1/realtime and its calls, and no
more. They are gone when the server ends.
"""

import hmac
import json
import secrets
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from starlette.types import Scope

from agent.own_names import own_name
from agent.server.wire.paths import REALTIME

PREFIX = "ek_"
KEY_BYTES = 24
# The oldest goes when there are more, or when all sessions together are longer as JSON.
MAX_SECRETS = 1_000
MAX_CHARS = 4_000_000
PROTOCOL_PREFIX = b"openai-insecure-api-key."
BEARER = b"bearer "


@dataclass(frozen=True)
class ClientSecret:
    """One key.

    Attributes:
        value: Shown as bearer.
        expires_at: Unix time in seconds.
        session: What the client's session begins with.
        n_chars: Of that as JSON.
    """

    value: str
    expires_at: int
    session: Mapping[str, Any]
    n_chars: int


class ClientSecrets:
    """Those of one server.

    Args:
        clock: Gives Unix time in seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._secrets: list[ClientSecret] = []

    def make(self, life_secs: int, session: Mapping[str, Any]) -> ClientSecret:
        """A new key.

        Args:
            life_secs: How long it opens the door.
            session: What the client's session begins with; read before, and bounded.
        """
        value = own_name(lambda: PREFIX + secrets.token_urlsafe(KEY_BYTES))
        expires_at = int(self._clock()) + life_secs
        made = ClientSecret(value, expires_at, session, len(json.dumps(session)))
        kept = [*self._valid(), made][-MAX_SECRETS:]
        while len(kept) > 1 and sum(secret.n_chars for secret in kept) > MAX_CHARS:
            del kept[0]
        self._secrets = kept
        return made

    def find(self, headers: Iterable[tuple[bytes, bytes]]) -> ClientSecret | None:
        """The key that a request shows, if it is one that is valid now.

        Args:
            headers: The request's, names in lower case.
        """
        shown = dict(headers).get(b"authorization", b"")
        if shown[:7].lower() != BEARER:
            return None
        found = None
        for secret in self._valid():
            if hmac.compare_digest(shown[7:].strip(), secret.value.encode()):
                found = secret
        return found

    def _valid(self) -> list[ClientSecret]:
        return [secret for secret in self._secrets if secret.expires_at > self._clock()]


def with_protocol_key(scope: Scope) -> Scope:
    """A WebSocket of /v1/realtime whose key stands in its subprotocols, as with a browser, with it as bearer.

    A browser can set no header of a WebSocket. A bearer that is there counts.
    """
    headers = scope["headers"]
    if (
        scope["type"] != "websocket"
        or scope["path"] != REALTIME
        or any(name == b"authorization" for name, _ in headers)
    ):
        return scope
    protocols = b",".join(value for name, value in headers if name == b"sec-websocket-protocol")
    for protocol in protocols.split(b","):
        if protocol.strip().startswith(PROTOCOL_PREFIX):
            key = protocol.strip().removeprefix(PROTOCOL_PREFIX)
            return {**scope, "headers": [*headers, (b"authorization", b"Bearer " + key)]}
    return scope
