"""An answer for those who speak plain http to a port of https: one line that says so.

In:  a connection whose first byte is no TLS handshake.   Out: 400 with the https address, and the end.
"""

import asyncio
import re
import socket

MAX_HEAD_BYTES = 4096
# What may stand in an address that is shown; anything else is left out.
_TARGET = re.compile(rb"^[A-Z]{1,16} (/[!-~]{0,512}) HTTP/1\.[01]\r?$", re.MULTILINE)
_HOST = re.compile(rb"^host: *([A-Za-z0-9.\-:\[\]]{1,255}) *\r?$", re.MULTILINE | re.IGNORECASE)


async def answer_plain_http(client: socket.socket) -> None:
    """Tell a client that this is https.

    Args:
        client: Not blocking; what it has sent can be read at once. Is left open.

    Raises:
        OSError: The connection failed.
    """
    loop = asyncio.get_running_loop()
    head = await loop.sock_recv(client, MAX_HEAD_BYTES)
    await loop.sock_sendall(client, plain_http_answer(head, client.getsockname()))
    client.shutdown(socket.SHUT_WR)


def plain_http_answer(head: bytes, here: tuple[str, int]) -> bytes:
    """The whole answer.

    Args:
        head: What the client has sent so far.
        here: Address and port that it was sent to, for where it names no host.
    """
    target, host = _TARGET.search(head), _HOST.search(head)
    address, port = here[:2]
    own = f"[{address}]:{port}" if ":" in address else f"{address}:{port}"
    url = f"https://{host[1].decode() if host else own}{target[1].decode() if target else '/'}"
    body = f"this port speaks https: {url}\n".encode()
    return (
        b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Type: text/plain; charset=utf-8\r\n"
        b"X-Content-Type-Options: nosniff\r\nCache-Control: no-store\r\n"
        b"Content-Length: %d\r\n\r\n%b" % (len(body), body)
    )
