"""Settings that are the address of a server, or several of one engine."""

from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field

from agent.settings.section import Section
from processors.address import MAX_ADDRESSES, addresses_in


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


def _joined(value: Any) -> Any:
    """A list of a file as the text of a flag or a variable; anything else stays."""
    if not isinstance(value, list):
        return value
    if not all(isinstance(one, str) and one.strip() for one in value):
        raise ValueError("expected an address, or a list of addresses")
    return ",".join(one.strip() for one in value) or None


def _each_once(text: str | None) -> str | None:
    found = addresses_in(text) if text else []
    plain = [one.rstrip("/") for one in found]
    if len(set(plain)) < len(plain):
        raise ValueError("an address stands in it twice")
    if len(found) > MAX_ADDRESSES:
        raise ValueError(f"more than {MAX_ADDRESSES} addresses")
    return ",".join(found) if len(found) > 1 else text


# One address, or several with commas between.
Addresses = Annotated[str | None, BeforeValidator(_joined), AfterValidator(_each_once)]


class AddressesSettings(Section):
    """Engines with several addresses."""

    silent_secs: float = Field(
        5.0, gt=0, le=600, description="an address that gives nothing for so long is left alone, and the next one asked"
    )
    hedge_percent: float = Field(
        0.0, ge=0, le=50, description="so many of 100 requests may be asked twice because the first address is late"
    )
