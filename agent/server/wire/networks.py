"""Whom a caller counts for, where shares are given out: by address, for there is nothing else to know him by."""

import ipaddress

from starlette.types import Scope

LOOPBACK = "this machine"


def network_of(address: str) -> str:
    """Whom a connection counts for: an IPv4 address, a /64 of IPv6 (what one subscriber has), or this machine."""
    try:
        ip = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    ip = getattr(ip, "ipv4_mapped", None) or ip
    if ip.is_loopback:
        return LOOPBACK
    return str(ip) if ip.version == 4 else str(ipaddress.ip_network((ip, 64), strict=False))


def network_of_scope(scope: Scope) -> str:
    """The same of a request or a WebSocket."""
    client = scope.get("client")
    return network_of(str(client[0])) if client else LOOPBACK
