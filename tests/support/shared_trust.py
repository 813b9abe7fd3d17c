"""Whom clients of tests trust is read once and not with each client: it is a file of 300 kB, and 25 to 45 ms.

Only the default of httpx and of httpx2 is kept; whoever names a certificate, or trusts nobody, gets what was asked for.
"""

import functools
import os
import ssl
from collections.abc import Callable
from typing import Any

import httpx._transports.default
import httpx2._transports.default

_NAME = "create_ssl_context"
_VARIABLES = "SSL_CERT_FILE", "SSL_CERT_DIR"


def share_trust() -> None:
    """Have all of this process's clients share it."""
    for module in (httpx._transports.default, httpx2._transports.default):
        setattr(module, _NAME, _sharing(vars(module)[_NAME]))


def _sharing(make: Callable[..., ssl.SSLContext]) -> Callable[..., ssl.SSLContext]:
    @functools.cache
    def shared(trust_env: bool, *_: str | None) -> ssl.SSLContext:
        return make(verify=True, trust_env=trust_env)

    def context(verify: Any = True, cert: Any = None, trust_env: bool = True) -> ssl.SSLContext:
        if verify is True and cert is None:
            return shared(trust_env, *map(os.environ.get, _VARIABLES))
        return make(verify, cert, trust_env)

    return context
