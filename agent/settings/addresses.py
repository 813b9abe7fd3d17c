"""Settings that are the address of a server."""

from urllib.parse import urlsplit

from pydantic import AfterValidator


def http_address(example: str) -> AfterValidator:
    """Has a setting be such an address, or None; without a user name or password, which messages would show.

    Args:
        example: Of one, for whoever gave another.
    """

    def checked(text: str | None) -> str | None:
        if text is not None and not _is_http_address(text):
            raise ValueError(f"expected an address without a password, such as {example}")
        return text

    return AfterValidator(checked)


def _is_http_address(text: str) -> bool:
    try:
        parts = urlsplit(text)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and not parts.username and parts.port != 0
    except ValueError:
        return False
