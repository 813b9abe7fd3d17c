"""Asterisk's `chan_websocket`: a call's sound as binary messages, events and commands as text.

In:  messages.   Out: what they say, and messages for Asterisk, in whole frames, for it drops what is left of one.

Events and commands are plain text, or JSON where Asterisk is set so; it is answered as it speaks. Asterisk plays at its
own pace and drops at `FLUSH_MEDIA` what it has not played.
Source: docs.asterisk.org, "WebSocket" (channel drivers).
"""

import json

from pipecat.audio.utils import alaw_to_pcm, create_stream_resampler, pcm_to_alaw, pcm_to_ulaw, ulaw_to_pcm

from transports.json_text import read_json
from transports.telephone_protocol import KEYS, ProtocolError, Said, Start, TelephoneProtocol
from transports.websocket_line import BYTES_PER_SAMPLE, UNSUPPORTED_DATA

RATES_HZ = {"ulaw": 8_000, "alaw": 8_000, "slin": 8_000, "slin16": 16_000}
CODED = ("ulaw", "alaw")
FRAMES_PER_SEC = 50
MAX_SHOWN_CHARS = 40


class AsteriskStream(TelephoneProtocol):
    """One call, begun.

    Args:
        start: How it began.
        sound: Name of the sound's format.
        is_json: Whether Asterisk speaks JSON.
    """

    def __init__(self, start: Start, sound: str, *, is_json: bool) -> None:
        super().__init__(start)
        self.rate_hz = RATES_HZ[sound]
        self._format = sound
        self._is_json = is_json
        self._frame_bytes = self.rate_hz // FRAMES_PER_SEC * (1 if sound in CODED else BYTES_PER_SAMPLE)
        # Both rates are the same: it passes on what it gets.
        self._resampler = create_stream_resampler()
        self._unsent = b""

    async def read(self, message: str | bytes) -> Said:
        """See `TelephoneProtocol`."""
        if isinstance(message, bytes):
            return Said(sound=await self._decoded(message))
        event, fields = _read_event(message)
        key = fields.get("digit", "")
        return Said(key=key) if event == "DTMF_END" and key in KEYS else Said()

    async def _decoded(self, content: bytes) -> bytes:
        rate_hz = self.rate_hz
        if self._format in CODED:
            decode = ulaw_to_pcm if self._format == "ulaw" else alaw_to_pcm
            return await decode(content, rate_hz, rate_hz, self._resampler)
        if len(content) % BYTES_PER_SAMPLE:
            raise ProtocolError(f"sound of {len(content)} bytes is no whole number of 16-bit samples")
        return content

    async def sound(self, pcm16: bytes) -> bytes:
        """See `TelephoneProtocol`."""
        rate_hz = self.rate_hz
        if self._format in CODED:
            encode = pcm_to_ulaw if self._format == "ulaw" else pcm_to_alaw
            pcm16 = await encode(pcm16, rate_hz, rate_hz, self._resampler)
        content = self._unsent + pcm16
        n_bytes = len(content) // self._frame_bytes * self._frame_bytes
        self._unsent = content[n_bytes:]
        return content[:n_bytes]

    def clear(self) -> str:
        """See `TelephoneProtocol`."""
        self._unsent = b""
        return self._command("FLUSH_MEDIA")

    def hang_up(self) -> str:
        """See `TelephoneProtocol`."""
        return self._command("HANGUP")

    def _command(self, name: str) -> str:
        return json.dumps({"command": name}) if self._is_json else name


def asterisk_stream(message: str | bytes) -> AsteriskStream:
    """A call, by its first message.

    Args:
        message: It must be `MEDIA_START`.

    Raises:
        ProtocolError: It is not, or the sound is of another kind.
    """
    if isinstance(message, bytes):
        raise ProtocolError("the first message must be MEDIA_START")
    event, fields = _read_event(message)
    stream, sound = fields.get("connection_id", ""), fields.get("format", "")
    if event != "MEDIA_START" or not stream:
        raise ProtocolError("the first message must be MEDIA_START, with a connection_id")
    if sound not in RATES_HZ:
        wanted = ", ".join(RATES_HZ)
        shown = repr(sound)[:MAX_SHOWN_CHARS]
        raise ProtocolError(f"the sound's format must be one of {wanted}, not {shown}", UNSUPPORTED_DATA)
    # Channels are unique; a connection of a configuration's name is not.
    channel = fields.get("channel_id") or fields.get("channel") or ""
    return AsteriskStream(Start(f"{stream} {channel}"), sound, is_json=message.lstrip().startswith("{"))


def _read_event(text: str) -> tuple[str, dict[str, str]]:
    """An event's name and its fields, those that are text."""
    if not text.lstrip().startswith("{"):
        event, *rest = text.split()[:32] or [""]
        pairs = [part.partition(":") for part in rest]
        return event, {name: value for name, _, value in pairs}
    try:
        content = read_json(text)
    except ValueError:
        raise ProtocolError("an event must be text, or JSON") from None
    fields = {name: value for name, value in content.items() if isinstance(value, str)}
    return fields.pop("event", ""), fields
