"""Addresses as they may be shown in messages, logs and on the page."""

from urllib.parse import urlsplit, urlunsplit


def shown_url(url: str) -> str:
    """The address without a user name or password in it; of a text that is no address, what follows the last `@`."""
    try:
        parts = urlsplit(url)
        return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))
    except ValueError:
        return url.rpartition("@")[2]
