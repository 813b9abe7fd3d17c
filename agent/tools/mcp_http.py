"""How a server of tools at an address is asked: with its token, and answers of bounded size.

In:  a server's settings.   Out: the HTTP client that mcp's transport uses.
"""

from collections.abc import AsyncGenerator
from contextlib import aclosing

import httpx2

from agent.settings.mcp import McpServer
from agent.tools.mcp_stdio import MAX_MESSAGE_BYTES


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
    """A whole answer may be of MAX_MESSAGE_BYTES; of a stream of events mcp bounds each."""
    is_stream = response.headers.get("content-type", "").lower().startswith("text/event-stream")
    packed = response.headers.get("content-encoding", "identity").lower() != "identity"
    unbounded = response.aiter_bytes

    async def aiter_bytes(chunk_size: int | None = None) -> AsyncGenerator[bytes, None]:
        # mcp tells whoever waits for the answer what a StreamError says.
        if packed:
            raise httpx2.StreamError("it is packed, which it was asked not to be")
        n_bytes = 0
        async with aclosing(unbounded(chunk_size)) as parts:
            async for part in parts:
                n_bytes += len(part)
                if n_bytes > MAX_MESSAGE_BYTES and not is_stream:
                    raise httpx2.StreamError(f"it is longer than {MAX_MESSAGE_BYTES >> 20} MB")
                yield part

    # The one way by which a response is read, whoever reads it.
    response.aiter_bytes = aiter_bytes
