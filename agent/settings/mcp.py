"""Settings of servers of tools by the Model Context Protocol (MCP): `[mcp.servers.NAME]`."""

import json
import re
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, SecretStr, field_validator, model_validator

from agent.settings.addresses import http_address
from agent.settings.header_values import HeaderValue, Token
from agent.settings.section import NoDecode, Section, split_at_commas
from agent.settings.sections import Permission

# What may stand in a function's name at every language model's server.
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,31}")
_PREFIX = re.compile(r"[A-Za-z0-9_-]{0,32}")
MAX_SERVERS = 16


def _names_or_all(value: Any) -> Any:
    return value if value in ("true", "false") else split_at_commas(value)


class McpServer(Section):
    """One server: a command that is started here, or an address."""

    command: str | None = Field(None, description="the program that is the server, such as npx")
    # Some take their keys so.
    args: list[SecretStr] = Field(default_factory=list, description="what it is started with")
    env: dict[str, SecretStr] = Field(
        default_factory=dict,
        description="its further environment; of sotto's own it gets PATH, HOME and the like alone",
    )
    url: Annotated[str | None, http_address("http://127.0.0.1:8000/mcp")] = Field(
        None, description="where a server runs already, such as http://127.0.0.1:8000/mcp"
    )
    headers: dict[str, HeaderValue] = Field(default_factory=dict, description="sent with every request")
    token: Token = Field(None, description="sent as `Authorization: Bearer`")
    allow: Annotated[list[str] | None, NoDecode, BeforeValidator(split_at_commas)] = Field(
        None, description="the server's own names of the tools that may be used; default: all"
    )
    prefix: str | None = Field(None, description="stands before the names of its tools; default: the server's name")
    permission: Permission | None = Field(
        None, description="default: a tool that says that it only reads is on, any other asks"
    )
    beside: Annotated[bool | list[str], BeforeValidator(_names_or_all)] = Field(
        False, description="the tools that take long, so that the conversation goes on meanwhile; true: all"
    )
    limit_secs: float = Field(30.0, gt=0, le=3600, description="a call that takes longer is given up")

    @field_validator("prefix")
    @classmethod
    def _is_prefix(cls, prefix: str | None) -> str | None:
        if prefix is not None and not _PREFIX.fullmatch(prefix):
            raise ValueError("expected up to 32 letters, digits, - and _")
        return prefix

    @field_validator("headers")
    @classmethod
    def _are_headers(cls, headers: dict[str, HeaderValue]) -> dict[str, HeaderValue]:
        for name in headers:
            if not re.fullmatch(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", name):
                raise ValueError(f"{name[:60]!r} is no name of a header")
        return headers

    @model_validator(mode="after")
    def _is_one_kind(self) -> "McpServer":
        if (self.command is None) == (self.url is None):
            raise ValueError("it has a command or a url, one of them")
        if self.command is None and (self.args or self.env):
            raise ValueError("args and env belong to a command")
        if self.url is None and (self.headers or self.token):
            raise ValueError("headers and token belong to a url")
        return self


def _named(value: Any) -> Any:
    """Servers by names that tools can be named after; from a flag or the environment a JSON object."""
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            raise ValueError("expected a JSON object: server by name") from None
    if isinstance(value, dict):
        for name in value:
            if not isinstance(name, str) or not _NAME.fullmatch(name):
                raise ValueError(f"{str(name)[:60]!r} is no name of a server: up to 32 letters, digits, - and _")
    return value


class McpSettings(Section):
    """Servers of tools."""

    servers: Annotated[dict[str, McpServer], NoDecode, BeforeValidator(_named)] = Field(
        default_factory=dict, max_length=MAX_SERVERS, description="servers of tools by name, as `[mcp.servers.NAME]`"
    )
