"""Addresses as they may be shown in messages, logs and on the page."""

import re

_SCHEME = re.compile(r"[a-zA-Z][a-zA-Z0-9+.-]*://")


def shown_url(url: str) -> str:
    """The address without a user name or password in it; of a text that is no address, what follows the last `@`."""
    # A password may hold any character, so that nothing before the last `@` is sure to be none of it.
    before, at, after = url.rpartition("@")
    scheme = _SCHEME.match(before)
    return f"{scheme[0] if scheme else ''}{after}" if at else url
