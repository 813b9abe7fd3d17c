"""The section of the telephone: lines that others call on, `[telephony.lines.NAME]`."""

import base64
import binascii
import ipaddress
import json
import re
import uuid
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from agent.settings.addresses import http_address
from agent.settings.header_values import Token
from agent.settings.section import NoDecode, Section

Provider = Literal["twilio", "telnyx", "plivo", "asterisk"]
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,31}")
MAX_LINES = 16
PUBLIC_KEY_BYTES = 32
PUBLIC_ADDRESS = "https://agent.example.org"


def _without_slash(url: str | None) -> str | None:
    return url.rstrip("/") if url else url


class TelephoneLine(Section):
    """One line.

    Attributes:
        options: Dotted settings, as a page may choose them for its call.
    """

    provider: Provider = Field(description="whose protocol the line speaks: twilio, telnyx, plivo or asterisk")
    secret: Token = Field(
        None,
        description="what its signature is checked with: Twilio's or Plivo's auth token, Telnyx's public key; "
        "Asterisk shows it, a UUID, itself",
    )
    audiosocket_port: int | None = Field(
        None, ge=0, le=65535, description="asterisk: where AudioSocket connects to; 0 takes a free port"
    )
    audiosocket_host: str = Field("127.0.0.1", description="asterisk: the address of that port")
    keys: Literal["log", "answer"] = Field(
        "log", description="keys that the caller presses: only in the event log; answer: the agent is told of them, too"
    )
    hang_up: bool = Field(True, description="whether the agent may end the call by itself, once its goodbye was heard")
    options: dict[str, Any] = Field(
        default_factory=dict, description="settings of its calls that a page may choose, such as {tools.files = 'off'}"
    )

    @model_validator(mode="after")
    def _fits_provider(self) -> "TelephoneLine":
        if self.provider == "telnyx" and self.secret and not _is_public_key(self.secret.get_secret_value()):
            raise ValueError(f"secret must be the account's public key at Telnyx: {PUBLIC_KEY_BYTES} bytes in base 64")
        if self.provider != "asterisk" and self.audiosocket_port is not None:
            raise ValueError("audiosocket_port belongs to a line whose provider is asterisk")
        if self.provider == "asterisk" and self.secret and not _is_uuid(self.secret.get_secret_value()):
            raise ValueError("secret must be a UUID, as `uuidgen` makes one: AudioSocket shows it, and the WebSocket")
        if self.audiosocket_port is not None and not self.secret and not _is_loopback(self.audiosocket_host):
            raise ValueError("secret is missing: without it, audiosocket_host must be 127.0.0.1")
        return self


def _is_uuid(text: str) -> bool:
    try:
        return str(uuid.UUID(text)) == text.lower()
    except ValueError:
        return False


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _is_public_key(text: str) -> bool:
    try:
        return len(base64.b64decode(text, validate=True)) == PUBLIC_KEY_BYTES
    except binascii.Error:
        return False


def _named(value: Any) -> Any:
    """Lines by names that can stand in an address; from a flag or the environment a JSON object."""
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            raise ValueError("expected a JSON object: line by name") from None
    if isinstance(value, dict):
        for name in value:
            if not isinstance(name, str) or not _NAME.fullmatch(name):
                raise ValueError(f"{str(name)[:60]!r} is no name of a line: up to 32 small letters, digits, - and _")
    return value


class TelephonySettings(Section):
    """The telephone."""

    url: Annotated[str | None, http_address(PUBLIC_ADDRESS), AfterValidator(_without_slash)] = Field(
        None,
        description=f"where providers reach this server, such as {PUBLIC_ADDRESS}; default: as their requests name it",
    )
    lines: Annotated[dict[str, TelephoneLine], NoDecode, BeforeValidator(_named)] = Field(
        default_factory=dict, max_length=MAX_LINES, description="lines by name, as `[telephony.lines.NAME]`"
    )
