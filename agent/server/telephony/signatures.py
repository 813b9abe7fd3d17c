"""Whether a request was signed by the provider of a line.

In:  the request's address, headers and body.   Out: whether its signature is right; compared in constant time.

- Twilio signs each webhook, and the handshake of a WebSocket, by HMAC-SHA1 with the account's auth token, over the
  address that it called and the form's fields in order (twilio.com/docs/usage/security#validating-requests). It has no
  time in it.
- Telnyx signs webhooks by Ed25519, over the time and the body (developers.telnyx.com, "Receiving webhooks"), and no
  handshake.
- Plivo signs both by HMAC-SHA256 with the auth token, over the address, the fields in order and a number used once
  (plivo.com/docs/voice/concepts/signature-validation, version 3).
"""

import base64
import hashlib
import hmac
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import parse_qsl, urlsplit

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from agent.settings.telephony import Provider

TWILIO_HEADER = "x-twilio-signature"
TELNYX_HEADER, TELNYX_TIME_HEADER = "telnyx-signature-ed25519", "telnyx-timestamp"
# Clocks differ, and a provider tries again; as its own libraries allow.
MAX_AGE_SECS = 300.0
# The second is by the main account's token, where a part of it was called.
PLIVO_HEADERS = ("x-plivo-signature-v3", "x-plivo-signature-ma-v3")
PLIVO_NONCE_HEADER = "x-plivo-signature-v3-nonce"
MAX_SIGNATURES = 4
MAX_DIGITS = 12
DEFAULT_PORTS = {"https": 443, "wss": 443, "http": 80, "ws": 80}


@dataclass(frozen=True)
class SignedRequest:
    """What a provider may have signed.

    Attributes:
        urls: The address that was called, in each way that the provider may have written it.
        headers: By name, in lower case.
        fields: Of the form in its body, in their order.
        body: As it came.
    """

    urls: Sequence[str]
    headers: Mapping[str, str]
    fields: Sequence[tuple[str, str]] = ()
    body: bytes = b""


def addresses_called(base: str | None, host: str, path: str, *, socket: bool) -> list[str]:
    """The ways in which a provider may have written the address that it called.

    Args:
        base: Where this server is reached, if a setting says so.
        host: The request's own Host.
        path: With its query.
        socket: Whether it is a WebSocket's.
    """
    schemes = ("wss", "ws") if socket else ("https", "http")
    if base:
        scheme, _, host = base.partition("://")
        schemes = (schemes[0] if scheme == "https" else schemes[1],)
    return [url for scheme in schemes for url in _spelled(scheme, host, path, socket=socket)]


def _spelled(scheme: str, host: str, path: str, *, socket: bool) -> Iterable[str]:
    try:
        parts = urlsplit(f"{scheme}://{host}")
        port = parts.port
    except ValueError:
        return
    yield f"{scheme}://{host}{path}"
    if socket and not path.endswith("/"):
        # Some handshakes are signed so.
        yield f"{scheme}://{host}{path}/"
    if port is None:
        yield f"{scheme}://{host}:{DEFAULT_PORTS[scheme]}{path}"
    else:
        yield f"{scheme}://{host.rpartition(':')[0]}{path}"


def is_signed_by_twilio(secret: str, request: SignedRequest) -> bool:
    """Whether Twilio signed a request.

    Args:
        secret: The account's auth token.
        request: The request.
    """
    shown = request.headers.get(TWILIO_HEADER, "").encode("latin-1", "replace")
    fields = "".join(name + value for name, value in sorted(set(request.fields)))
    matches = False
    for url in request.urls:
        digest = hmac.new(secret.encode(), (url + fields).encode("utf-8", "surrogateescape"), hashlib.sha1).digest()
        matches |= hmac.compare_digest(base64.b64encode(digest), shown)
    return matches


def is_signed_by_telnyx(public_key: str, request: SignedRequest) -> bool:
    """Whether Telnyx signed a request, at most `MAX_AGE_SECS` ago.

    Args:
        public_key: The account's, in base 64.
        request: The request.
    """
    at = request.headers.get(TELNYX_TIME_HEADER, "")
    # Digits alone, so that what is compared is what was signed.
    if not (at.isascii() and at.isdigit() and len(at) <= MAX_DIGITS and abs(time.time() - int(at)) <= MAX_AGE_SECS):
        return False
    try:
        signature = base64.b64decode(request.headers.get(TELNYX_HEADER, ""), validate=True)
        Ed25519PublicKey.from_public_bytes(base64.b64decode(public_key)).verify(
            signature, f"{at}|".encode() + request.body
        )
    except (ValueError, InvalidSignature):
        return False
    return True


def is_signed_by_plivo(secret: str, request: SignedRequest) -> bool:
    """Whether Plivo signed a request.

    Args:
        secret: The account's auth token.
        request: The request.
    """
    nonce = request.headers.get(PLIVO_NONCE_HEADER, "")
    shown = [
        one.strip().encode("latin-1", "replace")
        for header in PLIVO_HEADERS
        for one in request.headers.get(header, "").split(",", MAX_SIGNATURES)
    ]
    if not nonce:
        return False
    fields = "".join(name + value for name, value in sorted(request.fields))
    matches = False
    for url in request.urls:
        address, _, query = url.partition("?")
        asked = "&".join(f"{name}={value}" for name, value in sorted(parse_qsl(query, keep_blank_values=True)))
        if request.fields:
            signed = f"{address}?{asked}{'.' if asked else ''}{fields}.{nonce}"
        else:
            signed = f"{address}{'?' if asked else ''}{asked}.{nonce}"
        digest = hmac.new(secret.encode(), signed.encode("utf-8", "surrogateescape"), hashlib.sha256).digest()
        expected = base64.b64encode(digest)
        for one in shown:
            matches |= hmac.compare_digest(expected, one)
    return matches


IS_SIGNED: dict[Provider, Callable[[str, SignedRequest], bool]] = {
    "twilio": is_signed_by_twilio,
    "telnyx": is_signed_by_telnyx,
    "plivo": is_signed_by_plivo,
}
