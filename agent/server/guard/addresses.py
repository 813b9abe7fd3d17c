"""Where a server can be opened, and what its owner should know about that.

In:  settings; the address it listens on.   Out: URLs, and a warning where everyone is let in.
"""

import ipaddress
from urllib.parse import quote

from agent.server.guard.own_addresses import LOOPBACK, Address, own_addresses
from agent.settings.serving import ServerSettings

UNPROTECTED = (
    "whoever reaches {address} may talk to the agent and use its API: "
    "--set server.token=auto (or a token of your own) asks callers for it"
)


def is_https(server: ServerSettings) -> bool:
    """Whether the server speaks https: it is told to, or given a certificate."""
    return server.https or server.certificate is not None


def page_urls(server: ServerSettings, address: str, port: int) -> list[str]:
    """Where the server can be opened, on this machine first, then by others; with the token, if there is one.

    Args:
        server: Scheme and token.
        address: What it listens on, an IP address.
        port: Where.
    """
    listening = _ip(address)
    reachable: list[Address] = [listening]
    if listening.is_unspecified:
        loopback = next(one for one in LOOPBACK if one.version == listening.version)
        reachable = [loopback, *(own for own in own_addresses() if own.version in (4, listening.version))]
    token = server.token.get_secret_value() if server.token else ""
    end = f"/?token={quote(token, safe='')}" if token else ""
    scheme = "https" if is_https(server) else "http"
    return [f"{scheme}://{f'[{one}]' if one.version == 6 else one}:{port}{end}" for one in reachable]


def unprotected_warning(server: ServerSettings, address: str, *, api_only: bool) -> str | None:
    """What to warn of where others can reach the server and nothing asks them who they are.

    Args:
        server: Token and key.
        address: What it listens on, an IP address.
        api_only: Whether the key protects all there is.
    """
    if _ip(address).is_loopback or server.token or (api_only and server.api_key):
        return None
    return UNPROTECTED.format(address=address)


def _ip(address: str) -> Address:
    return ipaddress.ip_address(address.partition("%")[0])
