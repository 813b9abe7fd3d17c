"""The floods, each in a process of its own: connections that mean harm, as many and as fast as they come."""

import asyncio
import resource
import ssl
from collections.abc import Awaitable, Callable
from contextlib import suppress
from multiprocessing.connection import Connection
from multiprocessing.synchronize import Event
from urllib.parse import urlsplit

from tests.support.sound_files import tone_s16, wav_of
from tests.support.speech_callers import part

N_CONNECTIONS = 1100
# At a time, of floods that end their connections and come again.
N_BUSY = 60
HEAD = b"GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\n"
UPGRADE = HEAD.replace(b"health", b"api/ws") + b"Connection: Upgrade\r\nUpgrade: websocket\r\n"
DRIP_SECS = 5.0

TOKEN = "a token for all"
UPLOAD = part("model", b"m") + part("file", wav_of(tone_s16(32.0)), file=True) + b"--cut--\r\n"

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


async def idle(streams: Streams) -> None:
    """Says nothing."""
    await streams[0].read()


async def dripping(streams: Streams) -> None:
    """A byte of a request every five seconds."""
    streams[1].write(HEAD)
    while True:
        streams[1].write(b"x")
        await asyncio.sleep(DRIP_SECS)


async def handshake(streams: Streams) -> None:
    """The beginning of a TLS handshake."""
    streams[1].write(b"\x16\x03\x01\x02\x00")
    await streams[0].read()


async def upgrades(streams: Streams) -> None:
    """Half a WebSocket."""
    streams[1].write(UPGRADE)
    await streams[0].read()


async def pipelined(streams: Streams) -> None:
    """A hundred requests at once."""
    streams[1].write((HEAD + b"\r\n") * 100)
    await streams[0].read()


async def headers(streams: Streams) -> None:
    """A header without end."""
    streams[1].write(HEAD + b"X: ")
    while True:
        streams[1].write(b"x" * 8192)
        await streams[1].drain()
        await asyncio.sleep(0)


async def guesses(streams: Streams) -> None:
    """A wrong token."""
    streams[1].write(HEAD + b"Authorization: Bearer wrong\r\nConnection: close\r\n\r\n")
    await streams[0].read()


async def visitors(streams: Streams) -> None:
    """An ordinary request."""
    streams[1].write(HEAD + b"Connection: close\r\n\r\n")
    await streams[0].read()


async def tls_handshakes(streams: Streams) -> None:
    """A whole handshake, which has been made, and nothing after it."""


async def uploads(streams: Streams) -> None:
    """A sound file of a megabyte, from somebody who may send it."""
    await _post(streams, b"/v1/audio/transcriptions", b"multipart/form-data; boundary=cut", UPLOAD)


async def chats(streams: Streams) -> None:
    """A typed question, from somebody who may ask it."""
    await _post(streams, b"/api/chat", b"application/json", b'{"text": "hello there"}')


async def _post(streams: Streams, path: bytes, kind: bytes, body: bytes) -> None:
    head = b"POST " + path + b" HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\nContent-Type: " + kind
    streams[1].write(head + b"\r\nAuthorization: Bearer %b\r\nContent-Length: %d\r\n\r\n" % (TOKEN.encode(), len(body)))
    streams[1].write(body)
    await streams[1].drain()
    await streams[0].read()


def anybody() -> ssl.SSLContext:
    """Believes whatever certificate it is shown."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


# The work of a connection, and how many of them there are at a time.
FLOODS: dict[str, tuple[Callable[[Streams], Awaitable[None]], int]] = {
    "idle": (idle, N_CONNECTIONS),
    "dripping": (dripping, N_CONNECTIONS),
    "handshakes": (handshake, 200),
    "half upgrades": (upgrades, N_CONNECTIONS),
    "pipelined": (pipelined, N_BUSY),
    "huge headers": (headers, N_BUSY),
    "guesses": (guesses, N_BUSY),
    "visitors": (visitors, N_BUSY),
    "half TLS": (handshake, 200),
    "TLS handshakes": (tls_handshakes, N_BUSY),
    "uploads": (uploads, N_BUSY),
    "chats": (chats, N_BUSY),
}
# Those whose server speaks TLS.
OVER_TLS = {"half TLS", "TLS handshakes"}
WHOLE_TLS = "TLS handshakes"


def flood(name: str, url: str, stop: Event, line: Connection) -> None:
    """Flood until told to stop; says when it begins, and how many connections were made."""
    line.send("begun")
    resource.setrlimit(resource.RLIMIT_NOFILE, (4096, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
    line.send(asyncio.run(_flood(name, url, stop)))


async def _flood(name: str, url: str, stop: Event) -> int:
    work, n = FLOODS[name]
    address = urlsplit(url)
    n_made = 0
    tls = anybody() if name == WHOLE_TLS else None

    async def one() -> None:
        nonlocal n_made
        while True:
            with suppress(OSError, ssl.SSLError):
                streams = await asyncio.open_connection(address.hostname, address.port, ssl=tls)
                n_made += 1
                try:
                    await work(streams)
                finally:
                    streams[1].close()
            await asyncio.sleep(0.01)

    tasks = [asyncio.create_task(one()) for _ in range(n)]
    while not stop.is_set():
        await asyncio.sleep(0.1)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    return n_made
