"""The page's stub server leaves nothing of its connections, however it is ended."""

import asyncio
import gc
import socket
import warnings

from tests.support.stub_server import serve_stub


async def test_who_connects_as_it_ends_is_closed() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error", ResourceWarning)
        for n_turns in range(12):
            async with serve_stub() as stub:
                port = int(stub.url.rsplit(":", 1)[1])
                clients = [socket.create_connection(("127.0.0.1", port)) for _ in range(3)]
                for _ in range(n_turns):
                    await asyncio.sleep(0)
            for client in clients:
                client.close()
    gc.collect()
