"""The client that asks a language model's server, and tells it nothing but the request."""

from typing import Any

import httpx2
import openai
import openai.resources.chat  # Loaded by the client on first use otherwise, which would stall the event loop.
from openai import AsyncOpenAI, DefaultAsyncHttpxClient
from pipecat.utils.http import connection_limits

from processors.address_asking import GROUP_URL, GroupTransport
from processors.addresses import AddressGroup
from processors.llm.sse import PatientOpenAI

# Everything else the OpenAI client adds (the caller's platform, headers from the environment) stays here.
SENT_HEADERS = {"host", "accept", "accept-encoding", "connection", "content-type", "content-length"}


def quiet_client(
    base_url: str,
    api_key: str,
    *,
    silence_secs: float,
    connect_secs: float,
    max_event_bytes: int,
    addresses: AddressGroup | None = None,
) -> AsyncOpenAI:
    """A client that reads no environment and follows no redirect.

    Args:
        base_url: The OpenAI-compatible endpoint.
        api_key: Sent as bearer token.
        silence_secs: The longest that a server may send nothing.
        connect_secs: To open the connection.
        max_event_bytes: A longer event of the stream is an error.
        addresses: Where it is asked instead, each with its own key.
    """
    plain = base_url.startswith("http:") if addresses is None else not addresses.needs_tls
    if addresses is not None:
        base_url, api_key = GROUP_URL, ""

    async def strip_headers(request: Any) -> None:
        for name in [name for name in request.headers if name.lower() not in SENT_HEADERS]:
            del request.headers[name]
        request.headers["Authorization"] = f"Bearer {api_key or 'none'}"

    # A local server may close an idle connection in the moment it is used again; a new one costs nothing there.
    limits = connection_limits(max_keepalive_connections=0 if plain else 4, keepalive_expiry=4.0)
    transport: dict[str, Any] = {}
    if addresses is not None:
        inner = httpx2.AsyncHTTPTransport(verify=not plain, limits=httpx2.Limits(**vars(limits)))
        transport["transport"] = GroupTransport(addresses, inner)
    http_client = DefaultAsyncHttpxClient(
        timeout=openai.Timeout(silence_secs, connect=connect_secs),
        limits=limits,
        event_hooks={"request": [strip_headers]},
        follow_redirects=False,
        trust_env=False,
        verify=not plain,  # Reading the certificates takes 20 ms of the event loop.
        **transport,
    )
    return PatientOpenAI(
        max_event_bytes=max_event_bytes,
        api_key=api_key or "none",
        organization="",
        project="",
        base_url=base_url,
        max_retries=0,
        http_client=http_client,
    )
