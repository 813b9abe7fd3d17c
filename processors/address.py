"""One of several addresses of an engine: how it is set, and what its group knows of it.

In:  the text of a setting.   Out: addresses with their logins apart, so that no message shows one.
"""

import re
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, unquote

from processors.retries import Retries
from processors.shown_url import shown_url

MAX_ADDRESSES = 32
_SEPARATOR = re.compile(r"\s*,\s*(?=[a-zA-Z][a-zA-Z0-9+.-]*://)")


def addresses_in(text: str) -> list[str]:
    """The addresses of a setting; a comma that no `scheme://` follows is part of one.

    Args:
        text: One address, or several with commas between.
    """
    return _SEPARATOR.split(text.strip()) if "," in text else [text]


def shown_addresses(text: str) -> str:
    """See `shown_url`, of each address.

    Args:
        text: As `addresses_in` takes it.
    """
    return ", ".join(map(shown_url, addresses_in(text)))


@dataclass(frozen=True)
class Group:
    """What the settings say of several addresses.

    Attributes:
        stage: stt, llm, large or tts.
        urls: Each may hold a user name and a password.
        keys: A bearer token for each, or one for all; empty: none.
        silent_secs: An address that gives nothing for so long is left alone, and the next is asked beside it.
        limit_secs: After so long a request is given up, wherever it is asked; None: not known.
        hedge_share: Of all requests, how many may be asked at a second address because the first is late; from 0 on.
    """

    stage: str
    urls: tuple[str, ...] = field(repr=False)
    keys: tuple[str, ...] = field(default=(), repr=False)
    silent_secs: float = 5.0
    limit_secs: float | None = None
    hedge_share: float = 0.0


@dataclass
class Address:
    """One address; its group alone changes it.

    Attributes:
        number: From 1 on.
        url: Without a user name, without a slash at its end.
        login: User name and password that the setting holds.
        key: Its bearer token.
        gone: Why it is left alone, in a few words; empty: it is asked.
        n_in_flight: Requests under way.
        n_asked: Requests so far.
        n_failed: Requests that it gave nothing.
        first_secs: How long its first chunk took, of late; None: not known.
    """

    number: int
    url: str
    login: tuple[str, str] | None = field(default=None, repr=False)
    key: str = field(default="", repr=False)
    gone: str = ""
    n_in_flight: int = 0
    n_asked: int = 0
    n_failed: int = 0
    first_secs: float | None = None
    seen_at_secs: float = 0.0
    retries: Retries = field(default_factory=Retries, repr=False)
    look_at_secs: float = 0.0

    @property
    def whole(self) -> str:
        """With its login."""
        scheme, _, rest = self.url.partition("://")
        return f"{scheme}://{':'.join(quote(one, safe='') for one in self.login)}@{rest}" if self.login else self.url

    def as_json(self) -> dict[str, Any]:
        """What /health says of it: no address, which is nobody's business."""
        return {
            "number": self.number,
            "state": "gone" if self.gone else "ready",
            "reason": self.gone,
            "in_flight": self.n_in_flight,
            "asked": self.n_asked,
            "failed": self.n_failed,
            "first_secs": None if self.first_secs is None else round(self.first_secs, 3),
        }


@dataclass(frozen=True)
class Change:
    """An address is gone, or is back.

    Attributes:
        stage: Of the group.
        number: Of the address.
        of: How many there are.
        state: gone or back.
        reason: Why it is gone.
        left: How many are asked now.
    """

    stage: str
    number: int
    of: int
    state: str
    reason: str
    left: int


def address_of(number: int, url: str, key: str) -> Address:
    """An address of a setting; what is no URL stays as it is.

    Args:
        number: From 1 on.
        url: With a login or without.
        key: Its bearer token, or empty.
    """
    plain = shown_url(url).strip().rstrip("/")
    before, at, _ = url.rpartition("@")
    user, _, password = before.partition("://")[2].partition(":")
    return Address(number, plain, (unquote(user), unquote(password)) if at else None, key)
