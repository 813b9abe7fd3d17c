"""Which addresses a call may use: ours that the server listens on, and those of a peer's that packets may go to.

In:  the address that the server listens on; ICE candidates of a peer.   Out: addresses to open sockets on; candidates
that are one machine's, with a port, and within reach.
Source: RFC 8445 (ICE), RFC 8839 (candidates in SDP), RFC 8828 and draft-ietf-mmusic-mdns-ice-candidates (names).
"""

import ipaddress
from dataclasses import dataclass

import aioice.ice
import ifaddr
from aioice.candidate import Candidate
from aioice.mdns import is_mdns_hostname

from transports.errors import OfferError

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
LOOPBACK = "127.0.0.1"
# A browser has one for each of its addresses and servers; every pair with one of ours costs packets.
MAX_CANDIDATES = 64
MAX_LINE_CHARS = 512
MAX_SHOWN_CHARS = 80
MAX_PORT = 65_535


@dataclass(frozen=True)
class Reach:
    """What a server's calls may open and reach.

    Attributes:
        own: Addresses of ours that sockets are opened on.
        is_local: Whether only this machine itself is to be reached.
        broadcast: Addresses that would reach everyone in a network of ours.
        here: All addresses of this machine.
    """

    own: tuple[str, ...]
    is_local: bool
    broadcast: frozenset[Address]
    here: frozenset[Address]

    def allows(self, address: Address) -> bool:
        """Whether packets may go there: one machine's address, and within reach."""
        if address.is_multicast or address.is_unspecified or address in self.broadcast:
            return False
        if address.version == 4 and address.is_reserved:
            # 240.0.0.0/4, with 255.255.255.255.
            return False
        is_here = address.is_loopback or address in self.here
        # From afar nobody has our own loopback address; services that listen there trust who calls.
        return is_here if self.is_local else not address.is_loopback


def reach_of(listening: str) -> Reach:
    """What calls may open and reach.

    Args:
        listening: The address that the server listens on; 0.0.0.0 and :: stand for all of that version, :: for both.
    """
    address = ipaddress.ip_address(listening.partition("%")[0])
    address = getattr(address, "ipv4_mapped", None) or address
    here, broadcast = _interfaces()
    if address.is_unspecified:
        others = [str(one) for one in here if not one.is_loopback and (one.version == 4 or address.version == 6)]
        # Where nothing but loopback is up, peers meet there.
        own = tuple(others) or (LOOPBACK,)
    else:
        own = (str(address),)
    is_local = all(ipaddress.ip_address(one).is_loopback for one in own)
    return Reach(own, is_local, frozenset(broadcast), frozenset(here))


def _interfaces() -> tuple[list[Address], set[Address]]:
    """Addresses of this machine, and broadcast addresses of its networks; IPv6 of one link alone is left out."""
    here: list[Address] = []
    broadcast: set[Address] = set()
    for adapter in ifaddr.get_adapters():
        for ip in adapter.ips:
            if isinstance(ip.ip, str):
                here.append(ipaddress.IPv4Address(ip.ip))
                network = ipaddress.IPv4Network((ip.ip, ip.network_prefix), strict=False)
                if network.prefixlen < 31:
                    broadcast |= {network.broadcast_address, network.network_address}
            elif ip.ip[2] == 0:
                here.append(ipaddress.IPv6Address(ip.ip[0]))
    return here, broadcast


def open_only(reach: Reach) -> None:
    """Have calls open sockets on these addresses and no other, in this process."""

    def get_host_addresses(use_ipv4: bool, use_ipv6: bool) -> list[str]:
        return [one for one in reach.own if (use_ipv6 if ":" in one else use_ipv4)]

    aioice.ice.get_host_addresses = get_host_addresses


def read_candidate(line: str, reach: Reach) -> Candidate | None:
    """Check one candidate.

    Args:
        line: `candidate:...`, as in SDP without `a=`.
        reach: Where packets may go.

    Returns:
        The candidate, whose host is an address or a name of multicast DNS; None for one that is of no use to us: over
        TCP, beyond our reach, of a kind that we do not know.

    Raises:
        OfferError: It is malformed, names a port that there is not, or an address that is no single machine's.
    """
    if len(line) > MAX_LINE_CHARS:
        raise OfferError(f"malformed ICE candidate: longer than {MAX_LINE_CHARS} characters")
    try:
        candidate = Candidate.from_sdp(line.strip().removeprefix("candidate:"))
    except (ValueError, IndexError) as error:
        raise OfferError(f"malformed ICE candidate: {' '.join(str(error).split())[:120]}") from error
    shown = candidate.host[:MAX_SHOWN_CHARS]
    if not 0 < candidate.port <= MAX_PORT:
        raise OfferError(f"ICE candidate {shown}: there is no port {str(candidate.port)[:20]}")
    is_name = is_mdns_hostname(candidate.host)
    if not is_name:
        address = _address(candidate.host)
        if address is None:
            raise OfferError(f"ICE candidate {shown}: only addresses and names in .local are taken")
        if address.is_multicast or address.is_unspecified or address in reach.broadcast or _is_reserved(address):
            raise OfferError(f"ICE candidate {shown}: not the address of one machine")
        candidate.host = str(address)
        if not reach.allows(address):
            return None
    is_of_use = candidate.transport.lower() == "udp" and candidate.type in ("host", "srflx", "relay")
    return candidate if is_of_use and candidate.component == 1 else None


def _is_reserved(address: Address) -> bool:
    return address.version == 4 and address.is_reserved


def _address(host: str) -> Address | None:
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


async def resolved(candidate: Candidate, reach: Reach, subscriber: object) -> Candidate | None:
    """A candidate with an address in place of its name.

    Args:
        candidate: Whose host is a name of multicast DNS.
        reach: Where packets may go.
        subscriber: Keeps the socket for such questions open until it is let go of by `stop_resolving`.

    Returns:
        The candidate; None if nobody answers to the name, or with an address that packets may not go to.
    """
    if reach.is_local:
        # A browser on this machine finds us by our own candidate; nothing has to be asked of the network.
        return None
    try:
        protocol = await aioice.ice.get_or_create_mdns_protocol(subscriber)
        found = await protocol.resolve(candidate.host)
    except OSError:
        # The port of multicast DNS cannot be had, or there is no network.
        return None
    address = _address(found) if found else None
    if address is None or not reach.allows(address):
        return None
    candidate.host = str(address)
    return candidate


async def stop_resolving(subscriber: object) -> None:
    """Let go of what `resolved` keeps open."""
    await aioice.ice.unref_mdns_protocol(subscriber)
