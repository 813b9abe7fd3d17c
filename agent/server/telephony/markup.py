"""What a webhook is answered with: a provider's XML that connects the call to its stream here, or rejects it.

In:  the stream's address and its token.   Out: XML.

Nothing follows the stream in it: when the stream is closed, the provider hangs up.
"""

from xml.sax.saxutils import escape, quoteattr

from agent.settings.telephony import Provider

TOKEN_PARAMETER = "token"  # noqa: S105 - its name
MEDIA_TYPE = "application/xml"
_HEAD = '<?xml version="1.0" encoding="UTF-8"?>'
_REJECT = f'{_HEAD}<Response><Reject reason="busy"/></Response>'
BUSY: dict[Provider, str] = {
    "twilio": _REJECT,
    "telnyx": _REJECT,
    "plivo": f'{_HEAD}<Response><Hangup reason="busy"/></Response>',
}


def connecting(provider: Provider, url: str, token: str) -> str:
    """Connects the call to a stream.

    Args:
        provider: Whose XML.
        url: Of the WebSocket.
        token: What the stream has to bring along; letters and digits.
    """
    match provider:
        case "asterisk":
            raise ValueError("Asterisk asks no webhook")
        case "twilio":
            # Its streams have no query; what they bring along comes with their start.
            parameter = f'<Parameter name="{TOKEN_PARAMETER}" value={quoteattr(token)}/>'
            verb = f"<Connect><Stream url={quoteattr(url)}>{parameter}</Stream></Connect>"
        case "telnyx":
            address = quoteattr(f"{url}?{TOKEN_PARAMETER}={token}")
            sound = 'codec="PCMU" bidirectionalMode="rtp" bidirectionalCodec="PCMU"'
            verb = f'<Connect><Stream url={address} track="inbound_track" {sound}/></Connect>'
        case "plivo":
            sound = 'contentType="audio/x-mulaw;rate=8000" bidirectional="true" keepCallAlive="true"'
            verb = f'<Stream {sound} extraHeaders="{TOKEN_PARAMETER}={token}">{escape(url)}</Stream>'
    return f"{_HEAD}<Response>{verb}</Response>"
