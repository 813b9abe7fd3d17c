"""Clients of tests share what they trust by default, and nothing else."""

import ssl

import httpx
from httpx._transports import default


def test_only_the_default_is_shared() -> None:
    assert default.create_ssl_context() is default.create_ssl_context()
    assert default.create_ssl_context().verify_mode is ssl.CERT_REQUIRED
    assert default.create_ssl_context(verify=False).verify_mode is ssl.CERT_NONE
    own = ssl.create_default_context()
    assert default.create_ssl_context(verify=own) is own


def test_httpx_makes_its_clients_with_it() -> None:
    pool = httpx.Client()._transport._pool  # pyright: ignore[reportAttributeAccessIssue]
    assert pool._ssl_context is default.create_ssl_context()
