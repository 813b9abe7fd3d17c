"""What this machine is called: its host name, and the addresses of its network interfaces.

In:  nothing.   Out: names and addresses, for certificates and for the lines that say where to open the page.
"""

import ipaddress
import socket

import ifaddr

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
LOOPBACK: tuple[Address, ...] = (ipaddress.IPv4Address("127.0.0.1"), ipaddress.IPv6Address("::1"))


def own_addresses() -> list[Address]:
    """Addresses that other machines could reach this one at, IPv4 first; none of loopback or of one link alone."""
    found: set[Address] = set()
    for adapter in ifaddr.get_adapters():
        for ip in adapter.ips:
            address = ipaddress.ip_address(ip.ip if isinstance(ip.ip, str) else ip.ip[0])
            if not (address.is_loopback or address.is_link_local or address.is_unspecified):
                found.add(address)
    return sorted(found, key=lambda address: (address.version, address.packed))


def own_names() -> list[str]:
    """Host names of this machine, in lower case; only such as a certificate can carry."""
    name = socket.gethostname().lower()
    names = ["localhost"]
    # A host may be called anything; what is no DNS name is left out.
    if name.isascii() and all(label and len(label) < 64 and _is_label(label) for label in name.split(".")):
        names += [name] if "." in name else [name, f"{name}.local"]
    return list(dict.fromkeys(names))


def _is_label(label: str) -> bool:
    return label.replace("-", "").isalnum() and not label.startswith("-") and not label.endswith("-")
