"""The access token (setting `server.token`): what it is, and who has shown it.

In:  a request's headers.   Out: whether they carry the token: `Authorization: Bearer`, or the page's cookie.
"""

import hashlib
import hmac
import secrets
from collections.abc import Iterable

from pydantic import SecretStr

from agent.settings.load import Settings

AUTO = "auto"
AUTO_BYTES = 18
COOKIE_AGE_SECS = 30 * 24 * 3600
# Beyond what browsers store for one site; parsing takes time.
MAX_COOKIE_BYTES = 16 * 1024
MAX_COOKIES = 200

Headers = Iterable[tuple[bytes, bytes]]


def with_token(settings: Settings) -> Settings:
    """The settings with a new token in place of `auto`."""
    token = settings.server.token
    if token is None or token.get_secret_value() != AUTO:
        return settings
    made = SecretStr(secrets.token_urlsafe(AUTO_BYTES))
    return settings.model_copy(update={"server": settings.server.model_copy(update={"token": made})})


class AccessToken:
    """Compares what callers show with the token, in a time that tells nothing about it.

    Args:
        token: The token.
    """

    def __init__(self, token: SecretStr) -> None:
        self._token = token.get_secret_value().encode()
        # Cookies go to every server of a host, whatever its port: they carry what opens this one, not what the user
        # chose, and another token has a cookie of another name.
        self._digest = hmac.new(self._token, b"sotto cookie", hashlib.sha256).hexdigest()
        self.cookie_name = f"sotto_{self._digest[:8]}"

    def is_token(self, shown: str) -> bool:
        """Whether it is the token."""
        return hmac.compare_digest(shown.encode("utf-8", "surrogateescape"), self._token)

    def is_shown(self, headers: Headers) -> bool:
        """Whether a request's headers, names in lower case, carry it."""
        for name, value in headers:
            if name == b"authorization" and self._is_bearer(value):
                return True
            if name == b"cookie" and self._is_cookie(value):
                return True
        return False

    def is_claimed(self, headers: Headers) -> bool:
        """Whether a request's headers carry something in its place: any bearer, or our cookie with any value."""
        name = self.cookie_name.encode() + b"="
        return any(
            (key == b"authorization" and value[:7].lower() == b"bearer ")
            or (key == b"cookie" and any(part.strip().startswith(name) for part in value.split(b";", MAX_COOKIES)))
            for key, value in headers
        )

    def cookie(self, *, secure: bool) -> str:
        """The Set-Cookie header that lets a browser in.

        Args:
            secure: Whether the page came by https.
        """
        attributes = f"Path=/; Max-Age={COOKIE_AGE_SECS}; HttpOnly; SameSite=Strict"
        return f"{self.cookie_name}={self._digest}; {attributes}{'; Secure' if secure else ''}"

    def _is_bearer(self, value: bytes) -> bool:
        scheme, _, token = value.partition(b" ")
        return scheme.lower() == b"bearer" and hmac.compare_digest(token.strip(), self._token)

    def _is_cookie(self, value: bytes) -> bool:
        if len(value) > MAX_COOKIE_BYTES:
            return False
        for part in value.split(b";"):
            name, _, shown = part.strip().partition(b"=")
            if name == self.cookie_name.encode() and hmac.compare_digest(shown, self._digest.encode()):
                return True
        return False
