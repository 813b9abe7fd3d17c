"""Whom clients of tests trust is read once and not with each client: it is a file of 300 kB, and 25 to 45 ms.

Only httpx's own default is kept; whoever names a certificate, or trusts nobody, gets what was asked for.
"""

import functools
import os
import ssl
from typing import Any

from httpx._transports import default

_VARIABLES = "SSL_CERT_FILE", "SSL_CERT_DIR"
_NAME = "create_ssl_context"
_make = vars(default)[_NAME]


@functools.cache
def _shared(trust_env: bool, *_: str | None) -> ssl.SSLContext:
    return _make(True, None, trust_env)


def _context(verify: Any = True, cert: Any = None, trust_env: bool = True) -> ssl.SSLContext:
    if verify is True and cert is None:
        return _shared(trust_env, *map(os.environ.get, _VARIABLES))
    return _make(verify, cert, trust_env)


def share_trust() -> None:
    """Have all of this process's clients share it."""
    setattr(default, _NAME, _context)
