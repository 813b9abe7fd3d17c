"""Where a connection came from, as the front tells a worker; beside the connection, not within it.

In:  a transport's addresses.   Out: bytes for the pipe that connections are handed over by, and back.

No client can write into that pipe: what a request says of itself is never taken for it.
"""

import json
from dataclasses import dataclass
from typing import Literal

Address = tuple[str, int | None]


@dataclass(frozen=True)
class Origin:
    """Of one connection.

    Attributes:
        client: The caller's address and port.
        server: Those that were called.
        scheme: Whether it is encrypted.
    """

    client: tuple[str, int] | None
    server: Address | None
    scheme: Literal["http", "https"]

    def to_bytes(self) -> bytes:
        """For the pipe."""
        return json.dumps([self.client, self.server, self.scheme]).encode()


def read_origin(data: bytes) -> Origin:
    """What `Origin.to_bytes` wrote.

    Args:
        data: The whole message.
    """
    client, server, scheme = json.loads(data)
    return Origin(tuple(client) if client else None, tuple(server) if server else None, scheme)
