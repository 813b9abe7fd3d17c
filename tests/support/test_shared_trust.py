"""Clients of tests share what they trust by default, and nothing else."""

import ssl
from typing import Any

import httpx
import httpx2
import pytest


def trusted(client: Any) -> ssl.SSLContext:
    """What a client goes by."""
    return client._transport._pool._ssl_context


@pytest.mark.parametrize("library", [httpx, httpx2])
def test_only_the_default_is_shared(library: Any) -> None:
    assert trusted(library.Client()) is trusted(library.Client())
    assert trusted(library.Client()).verify_mode is ssl.CERT_REQUIRED
    assert trusted(library.Client(verify=False)).verify_mode is ssl.CERT_NONE
    own = ssl.create_default_context()
    assert trusted(library.Client(verify=own)) is own
