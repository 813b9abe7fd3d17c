"""Listening sockets of the addresses and ports that the settings name.

In:  a host, a port.   Out: a bound socket, or one line that says why there is none.
"""

import errno
import socket

from agent.errors import InputError


def bind(host: str, port: int, flag: str = "--port") -> socket.socket:
    """A socket bound to an address; nothing listens yet.

    Args:
        host: An address of this machine, or a name of one.
        port: 0 takes a free one.
        flag: Of `sotto serve`, which names another port.

    Raises:
        InputError: The address is not this machine's, or the port is taken or forbidden.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except OSError as error:
        raise InputError(f"server.host = {host!r} is no address: --host 127.0.0.1 is this machine's own") from error
    bound = socket.socket(family, kind, protocol)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    # Answers are small: waiting to fill a packet would cost each of them 40 ms.
    bound.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    try:
        bound.bind(address)
    except OSError as error:
        bound.close()
        if error.errno == errno.EADDRNOTAVAIL:
            raise InputError(f"server.host = {host} is not an address of this machine: --host 127.0.0.1 is") from error
        raise InputError(
            f"port {port} on {host} cannot be had ({error.strerror}): sotto serve {flag} 0 takes a free one"
        ) from error
    return bound
