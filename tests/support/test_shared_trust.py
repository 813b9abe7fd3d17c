"""Clients of tests share what they trust by default, and nothing else."""

import ssl
from typing import Any

import httpx


def trusted(client: httpx.Client) -> ssl.SSLContext:
    """What a client goes by."""
    transport: Any = client._transport
    return transport._pool._ssl_context


def test_only_the_default_is_shared() -> None:
    assert trusted(httpx.Client()) is trusted(httpx.Client())
    assert trusted(httpx.Client()).verify_mode is ssl.CERT_REQUIRED
    assert trusted(httpx.Client(verify=False)).verify_mode is ssl.CERT_NONE  # noqa: S501
    own = ssl.create_default_context()
    assert trusted(httpx.Client(verify=own)) is own
