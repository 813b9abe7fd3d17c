"""STUN and TURN servers (setting `server.ice_servers`), as peers need them. None are set by default.

In:  settings.   Out: the list that a browser's RTCPeerConnection takes, and aiortc's own.
"""

from typing import Any

from aiortc import RTCIceServer

from agent.settings.load import Settings


def ice_servers_of(settings: Settings) -> list[dict[str, Any]]:
    """The servers as JSON values for a browser: `urls`, and `username` and `credential` where they are set.

    The credential is in the clear: only for callers that may use the server.
    """
    servers: list[dict[str, Any]] = []
    for server in settings.server.ice_servers:
        entry: dict[str, Any] = {"urls": list(server.urls)}
        if server.username is not None:
            entry["username"] = server.username
        if server.credential is not None:
            entry["credential"] = server.credential.get_secret_value()
        servers.append(entry)
    return servers


def own_ice_servers(settings: Settings) -> list[RTCIceServer]:
    """The same for this side of a connection (aiortc); empty, never None, which would mean a public server."""
    return [RTCIceServer(**server) for server in ice_servers_of(settings)]
