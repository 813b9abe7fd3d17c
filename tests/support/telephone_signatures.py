"""What telephone providers sign, and how they ask what to do with a call; from their documentation."""

import asyncio
import base64
import hashlib
import hmac
from collections.abc import Mapping
from contextlib import suppress
from urllib.parse import urlencode

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

PUBLIC_URL = "https://agent.example.org"
SECRET = "12345"
TELNYX_KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
TELNYX_PUBLIC_KEY = base64.b64encode(TELNYX_KEY.public_key().public_bytes_raw()).decode()


async def post(port: int, path: str, body: bytes, headers: Mapping[str, str]) -> tuple[int, str]:
    """POST as a provider does; status and body of the answer."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    head = {
        "Host": f"127.0.0.1:{port}",
        "Content-Type": "application/x-www-form-urlencoded",
        "Content-Length": str(len(body)),
        "Connection": "close",
        **headers,
    }
    lines = [f"POST {path} HTTP/1.1", *(f"{name}: {value}" for name, value in head.items()), "", ""]
    writer.write("\r\n".join(lines).encode() + body)
    answer = (await reader.read()).decode()
    writer.close()
    with suppress(ConnectionError):
        await writer.wait_closed()
    return int(answer.split(" ")[1]), answer.partition("\r\n\r\n")[2]


def twilio_signature(url: str, fields: Mapping[str, str], secret: str = SECRET) -> dict[str, str]:
    """The header that Twilio signs a request with."""
    text = url + "".join(name + fields[name] for name in sorted(fields))
    digest = hmac.new(secret.encode(), text.encode(), hashlib.sha1).digest()
    return {"X-Twilio-Signature": base64.b64encode(digest).decode()}


async def twilio_webhook(port: int, path: str, url: str, fields: Mapping[str, str], **more: str) -> tuple[int, str]:
    """Twilio asks what to do with a call."""
    headers = {"Host": "agent.example.org", **twilio_signature(url, fields), **more}
    return await post(port, path, urlencode(fields).encode(), headers)


def telnyx_signature(body: bytes, at_secs: float, key: Ed25519PrivateKey = TELNYX_KEY) -> dict[str, str]:
    """The headers that Telnyx signs a request with."""
    at = str(int(at_secs))
    signature = base64.b64encode(key.sign(at.encode() + b"|" + body)).decode()
    return {"telnyx-signature-ed25519": signature, "telnyx-timestamp": at}


def plivo_signature(url: str, fields: Mapping[str, str], secret: str = SECRET, nonce: str = "4711") -> dict[str, str]:
    """The headers that Plivo signs a request with; of an address without a query."""
    text = url + ("?" if fields else "") + "".join(name + fields[name] for name in sorted(fields)) + "." + nonce
    digest = hmac.new(secret.encode(), text.encode(), hashlib.sha256).digest()
    signatures = "another," + base64.b64encode(digest).decode()
    return {"X-Plivo-Signature-V3": signatures, "X-Plivo-Signature-V3-Nonce": nonce}
