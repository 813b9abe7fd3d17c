"""The section of `sotto serve`."""

import ipaddress
import json
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, StringConstraints, model_validator

from agent.settings.folders import FolderOrNone
from agent.settings.section import CommaList, NoDecode, Section, split_at_commas

# RFC 7064, RFC 7065.
IceUrl = Annotated[str, StringConstraints(pattern=r"^(stuns?:[^\s/?]+|turns?:[^\s/?]+(\?transport=(udp|tcp))?)$")]
MIN_TOKEN_CHARS = 8
ANYONE = "any"


def _ice_servers(value: Any) -> Any:
    """ICE servers from a flag or the environment: a JSON list, or addresses with commas between."""
    if not isinstance(value, str) or not value.strip().startswith("["):
        addresses = split_at_commas(value)
        return [{"urls": [one]} for one in addresses] if isinstance(value, str) else value
    try:
        return json.loads(value)
    except (ValueError, RecursionError):
        raise ValueError("expected a JSON list, or addresses with commas between") from None


def _checked_token(value: Any) -> Any:
    """A token that nobody guesses soon; the message does not repeat it."""
    text = value.get_secret_value() if isinstance(value, SecretStr) else value
    if isinstance(text, str) and text and text != "auto" and len(text) < MIN_TOKEN_CHARS:
        raise ValueError(f"shorter than {MIN_TOKEN_CHARS} characters; auto makes a good one")
    return value or None


def _are_networks(value: list[str]) -> list[str]:
    """Addresses and networks, or `any`."""
    for text in value:
        try:
            if text != ANYONE:
                ipaddress.ip_network(text, strict=False)
        except ValueError:
            raise ValueError(
                f"{text[:60]!r} is no address: give such as 192.168.1.20 or 192.168.1.0/24, or any"
            ) from None
    return value


class IceServer(Section):
    """A STUN or TURN server."""

    urls: Annotated[list[IceUrl], BeforeValidator(split_at_commas)] = Field(min_length=1)
    username: str | None = None
    credential: SecretStr | None = None

    @model_validator(mode="after")
    def _can_log_in(self) -> "IceServer":
        if any(url.startswith("turn") for url in self.urls) and not (self.username and self.credential):
            raise ValueError("a TURN server needs username and credential")
        return self


class ServerSettings(Section):
    """`sotto serve`."""

    host: str = "127.0.0.1"
    port: int = Field(7860, ge=0, le=65535, description="0 takes a free port")
    max_sessions: int = Field(4, ge=1, le=64, description="one more caller is told that the agent is busy")
    workers: int = Field(
        1,
        ge=1,
        le=64,
        description="processes that calls are spread over; 1 holds all in one",
    )
    drain_secs: float = Field(
        0.0,
        ge=0,
        le=86400,
        description="after SIGTERM no call begins, and those that are held may end by themselves for so long; "
        "0 ends them at once, as a second signal does",
    )
    allowed_hosts: CommaList = Field(
        default_factory=list, description="further host names that the page may be opened under, with commas between"
    )
    api_key: SecretStr | None = Field(None, description="bearer token that the HTTP API (/v1/...) asks for, if any")
    token: Annotated[SecretStr | None, BeforeValidator(_checked_token)] = Field(
        None, description="what callers must show to use the page and all else; auto makes one at every start"
    )
    https: bool = Field(False, description="serve by https, which other devices need for their microphones")
    certificate: Path | None = Field(None, description="PEM file for https; default: one that sotto makes and renews")
    private_key: Path | None = Field(None, description="PEM file with the key of that certificate")
    ice_servers: Annotated[list[IceServer], NoDecode, BeforeValidator(_ice_servers)] = Field(
        default_factory=list, description="STUN and TURN servers, for callers beyond the local network; none by default"
    )
    max_chats: int = Field(4, ge=1, le=64, description="one more typed question at a time is told to come back")
    max_upload_mb: float = Field(100.0, gt=0, le=4096, description="a larger sound file is refused")
    upload_memory_mb: float = Field(
        256.0,
        gt=0,
        le=65536,
        description="for sound files being uploaded or waiting, one of any allowed size at least; others come back",
    )
    max_audio_secs: float = Field(7200.0, gt=0, le=86400, description="a longer sound file is refused")
    max_speeches: int = Field(4, ge=1, le=256, description="one more text to be spoken is told to come back")
    max_transcriptions: int = Field(8, ge=1, le=256, description="one more request at a time is told to come back")

    realtime_sound: Literal["paced", "ahead"] = Field(
        "paced",
        description="how the agent's sound is sent to Realtime clients on a WebSocket: at the pace of real time, or as "
        "fast as they take it in",
    )
    recordings: FolderOrNone = Field(
        None,
        description="folder where telephone calls and those of Realtime clients are recorded, a folder each; "
        "default: they are not",
    )
    wyoming_port: int | None = Field(
        None,
        ge=0,
        le=65535,
        description="port of Home Assistant's Wyoming protocol; default: none, 0 takes a free one",
    )
    wyoming_clients: Annotated[CommaList, AfterValidator(_are_networks)] = Field(
        default_factory=list,
        description="addresses or networks that may use it beside this machine, with commas between, or any: "
        "it knows no token",
    )

    @model_validator(mode="after")
    def _two_ports(self) -> "ServerSettings":
        if self.wyoming_port and self.wyoming_port == self.port:
            raise ValueError(f"server.port and server.wyoming_port are both {self.port}; name another for one of them")
        return self

    @model_validator(mode="after")
    def _both_files(self) -> "ServerSettings":
        if (self.certificate is None) != (self.private_key is None):
            raise ValueError("server.certificate and server.private_key go together; one of them is missing")
        return self
