"""How a server of tools at an address is asked: with its token, and answers of bounded size.

In:  a server's settings.   Out: the HTTP client that mcp's transport uses.
"""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing

import httpx2

from agent.settings.mcp import McpServer
from agent.tools.mcp_bounds import SLICE_BYTES, StreamWeight, Weight


def http_client(server: McpServer) -> httpx2.AsyncClient:
    """Whoever has it closes it.

    Args:
        server: Its settings; it has an address.
    """
    headers = {name: value.get_secret_value() for name, value in server.headers.items()}
    if server.token:
        headers["Authorization"] = f"Bearer {server.token.get_secret_value()}"
    return httpx2.AsyncClient(
        # A few bytes that unpack to gigabytes would do so before they can be counted.
        headers={**headers, "Accept-Encoding": "identity"},
        # A proxy of the environment is none for what stands here; calls have limits of their own.
        trust_env=False,
        timeout=httpx2.Timeout(10, read=None),
        event_hooks={"response": [_bound]},
    )


async def _bound(response: httpx2.Response) -> None:
    """Whatever is read of an answer comes in slices, and ends where a message of it is too much."""
    is_stream = response.headers.get("content-type", "").lower().startswith("text/event-stream")
    packed = response.headers.get("content-encoding", "identity").lower() != "identity"
    unbounded = response.aiter_bytes
    # mcp tells whoever waits for the answer what such an error says.
    error = httpx2.SSEError if is_stream else httpx2.StreamError

    async def aiter_bytes(chunk_size: int | None = None) -> AsyncGenerator[bytes, None]:
        if packed:
            raise error("it is packed, which it was asked not to be")
        weight = StreamWeight() if is_stream else Weight()
        async with aclosing(unbounded(chunk_size)) as parts:
            async for part in parts:
                for start in range(0, len(part), SLICE_BYTES):
                    piece = part[start : start + SLICE_BYTES]
                    weight.add(piece)
                    if fault := weight.fault():
                        raise error(fault)
                    yield piece
                    # Others have their turn, however fast it comes.
                    await asyncio.sleep(0)

    # The one way by which a response is read, whoever reads it.
    response.aiter_bytes = aiter_bytes
