"""Media streams of telephone providers: JSON on a WebSocket, sound in it as µ-law or A-law in base 64, 8 kHz.

In:  their messages, checked here.   Out: what they say, and messages for them, by Pipecat's serializers.

Pipecat's serializers would resample, too, and hang up over the network: here they get sound at the stream's own rate,
and no account to hang up with. A stream that is closed ends the call, where the provider was told to connect to it.

Sources: twilio.com/docs/voice/media-streams/websocket-messages, developers.telnyx.com ("Stream call media over
WebSocket"), plivo.com/docs/voice/audio-streaming.
"""

import base64
import json
import re
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any, cast

from loguru import logger
from pipecat.frames.frames import InputAudioRawFrame, InterruptionFrame, OutputAudioRawFrame
from pipecat.processors.frame_processor import FrameProcessorSetup
from pipecat.serializers.base_serializer import FrameSerializer
from pipecat.serializers.plivo import PlivoFrameSerializer
from pipecat.serializers.telnyx import TelnyxFrameSerializer
from pipecat.serializers.twilio import TwilioFrameSerializer

from transports.json_text import read_json
from transports.telephone_protocol import KEYS, TELEPHONE_RATE_HZ, ProtocolError, Said, Start, TelephoneProtocol
from transports.websocket_line import MAX_TEXT_CHARS, TOO_BIG, UNSUPPORTED_DATA

MAX_SHOWN_CHARS = 60
MAX_PARAMETERS = 32
MAX_ERROR_CHARS = 200
MAX_HEADER_CHARS = 1024
HUNG_UP = "the caller hung up"
MULAW = "audio/x-mulaw"
# Plivo's parameters: `a=1;b=2`.
_HEADER = re.compile(r"([A-Za-z0-9_-]{1,64})=([A-Za-z0-9_-]{1,256})")


class MediaStream(TelephoneProtocol):
    """One stream, begun.

    Args:
        start: How it began.
        serializer: Pipecat's, for the sound of both sides.
    """

    def __init__(self, start: Start, serializer: FrameSerializer) -> None:
        super().__init__(start)
        self._serializer = serializer
        self._clear = ""

    async def set_up(self) -> None:
        """Prepare the serializer; before all else."""
        # Of the pipeline it wants nothing but the rate of the caller's sound.
        await self._serializer.setup(cast(FrameProcessorSetup, SimpleNamespace(audio_in_sample_rate=TELEPHONE_RATE_HZ)))
        self._clear = _as_text(await self._serializer.serialize(InterruptionFrame()))

    async def read(self, message: str | bytes) -> Said:
        """See `TelephoneProtocol`."""
        text = _text_of(message)
        content = _object_of(text)
        match content:
            case {"event": "media", "media": {"track": str(track)}} if track not in ("inbound", "inbound_track"):
                return Said()
            case {"event": "media", "media": {"payload": str(payload)}} if payload:
                return Said(sound=await self._decoded(text, payload))
            case {"event": "media"}:
                raise ProtocolError("a media message must have media.payload")
            case {"event": "dtmf", "dtmf": {"digit": str(key)}} if key in KEYS:
                return Said(key=key)
            case {"event": "stop"}:
                return Said(over=HUNG_UP)
            case {"event": str()}:
                return self._read_more(content)
            case _:
                raise ProtocolError("a message must be a JSON object with an event")

    def _read_more(self, content: Mapping[str, Any]) -> Said:
        match content:
            case {"event": "mark", "mark": {"name": str(name)}}:
                return Said(played=name)
            case _:
                return Said()

    async def _decoded(self, text: str, payload: str) -> bytes:
        try:
            base64.b64decode(payload, validate=True)
        except ValueError:
            raise ProtocolError("media.payload is not base 64") from None
        frame = await self._serializer.deserialize(text)
        return frame.audio if isinstance(frame, InputAudioRawFrame) else b""

    async def sound(self, pcm16: bytes) -> str:
        """See `TelephoneProtocol`."""
        return _as_text(await self._serializer.serialize(OutputAudioRawFrame(pcm16, TELEPHONE_RATE_HZ, 1)))

    def clear(self) -> str | None:
        """See `TelephoneProtocol`."""
        return self._clear


class TwilioStream(MediaStream):
    """A stream of Twilio's."""

    def mark(self, name: str) -> str | None:
        """See `TelephoneProtocol`."""
        return json.dumps({"event": "mark", "streamSid": self.start.stream, "mark": {"name": name}})


class TelnyxStream(MediaStream):
    """A stream of Telnyx's."""

    def mark(self, name: str) -> str | None:
        """See `TelephoneProtocol`."""
        return json.dumps({"event": "mark", "mark": {"name": name}})

    def _read_more(self, content: Mapping[str, Any]) -> Said:
        if content["event"] == "error":
            logger.warning(f"Telnyx reports an error on its stream: {_shown(content.get('payload'), MAX_ERROR_CHARS)}")
        return super()._read_more(content)


class PlivoStream(MediaStream):
    """A stream of Plivo's."""

    def mark(self, name: str) -> str | None:
        """See `TelephoneProtocol`."""
        return json.dumps({"event": "checkpoint", "streamId": self.start.stream, "name": name})

    def _read_more(self, content: Mapping[str, Any]) -> Said:
        match content:
            case {"event": "playedStream", "name": str(name)}:
                return Said(played=name)
            case _:
                return Said()


def read_start(message: str | bytes) -> Mapping[str, Any] | None:
    """The start of a stream, or None for the greeting before it.

    Args:
        message: The first, or the second.

    Raises:
        ProtocolError: It is neither.
    """
    content = _object_of(_text_of(message))
    match content:
        case {"event": "connected"}:
            return None
        case {"event": "start", "start": dict()}:
            return content
        case _:
            raise ProtocolError('the first message must be {"event": "start", ...}')


async def twilio_stream(message: Mapping[str, Any]) -> MediaStream:
    """A stream of Twilio's.

    Args:
        message: As `read_start` gives it.

    Raises:
        ProtocolError: It is no start of Twilio's, or its sound is of another kind.
    """
    match message:
        case {"start": {"streamSid": str(stream), "mediaFormat": dict(sound)} as start} if stream:
            _check_sound(sound.get("encoding"), sound.get("sampleRate"), sound.get("channels", 1), (MULAW,))
        case _:
            raise ProtocolError("the start must have start.streamSid and start.mediaFormat")
    params = TwilioFrameSerializer.InputParams(auto_hang_up=False, sample_rate=TELEPHONE_RATE_HZ)
    serializer = TwilioFrameSerializer(stream, params=params)
    return await _begun(TwilioStream(Start(stream, _parameters(start.get("customParameters"))), serializer))


async def telnyx_stream(message: Mapping[str, Any]) -> MediaStream:
    """A stream of Telnyx's; what is sent is µ-law, whatever comes.

    Args:
        message: As `read_start` gives it.

    Raises:
        ProtocolError: It is no start of Telnyx's, or its sound is of another kind.
    """
    match message:
        case {"stream_id": str(stream), "start": {"media_format": dict(sound)} as start} if stream:
            encoding = sound.get("encoding")
            _check_sound(encoding, sound.get("sample_rate"), sound.get("channels", 1), ("PCMU", "PCMA"))
        case _:
            raise ProtocolError("the start must have stream_id and start.media_format")
    params = TelnyxFrameSerializer.InputParams(auto_hang_up=False, sample_rate=TELEPHONE_RATE_HZ)
    serializer = TelnyxFrameSerializer(stream, str(encoding), "PCMU", params=params)
    return await _begun(TelnyxStream(Start(stream, _parameters(start.get("custom_parameters"))), serializer))


async def plivo_stream(message: Mapping[str, Any]) -> MediaStream:
    """A stream of Plivo's.

    Args:
        message: As `read_start` gives it.

    Raises:
        ProtocolError: It is no start of Plivo's, or its sound is of another kind.
    """
    match message:
        case {"start": {"streamId": str(stream), "mediaFormat": dict(sound)}} if stream:
            _check_sound(sound.get("encoding"), sound.get("sampleRate"), sound.get("channels", 1), (MULAW,))
        case _:
            raise ProtocolError("the start must have start.streamId and start.mediaFormat")
    params = PlivoFrameSerializer.InputParams(auto_hang_up=False, sample_rate=TELEPHONE_RATE_HZ)
    headers = message.get("extra_headers")
    parameters = dict(_HEADER.findall(headers[:MAX_HEADER_CHARS])) if isinstance(headers, str) else _parameters(headers)
    return await _begun(PlivoStream(Start(stream, parameters), PlivoFrameSerializer(stream, params=params)))


async def _begun(stream: MediaStream) -> MediaStream:
    await stream.set_up()
    return stream


def _check_sound(encoding: object, rate_hz: object, n_channels: object, encodings: tuple[str, ...]) -> None:
    if encoding not in encodings:
        wanted = " or ".join(encodings)
        raise ProtocolError(f"the sound's encoding must be {wanted}, not {_shown(encoding)}", UNSUPPORTED_DATA)
    if str(rate_hz) != str(TELEPHONE_RATE_HZ) or str(n_channels) != "1":
        found = f"{_shown(rate_hz)} Hz and {_shown(n_channels)} of them"
        raise ProtocolError(f"the sound must be {TELEPHONE_RATE_HZ} Hz and one channel, not {found}", UNSUPPORTED_DATA)


def _parameters(parameters: object) -> dict[str, str]:
    """What the stream was given to bring along; whatever is no text is left out."""
    if not isinstance(parameters, Mapping):
        return {}
    pairs = list(parameters.items())[:MAX_PARAMETERS]
    return {name: value for name, value in pairs if isinstance(name, str) and isinstance(value, str)}


def _text_of(message: str | bytes) -> str:
    if isinstance(message, bytes):
        raise ProtocolError("messages must be text", UNSUPPORTED_DATA)
    if len(message) > MAX_TEXT_CHARS:
        raise ProtocolError(f"a message of {len(message)} characters; at most {MAX_TEXT_CHARS} are taken", TOO_BIG)
    return message


def _object_of(text: str) -> Mapping[str, Any]:
    try:
        content = read_json(text)
    except ValueError:
        raise ProtocolError("a message must be JSON") from None
    if not isinstance(content, dict):
        raise ProtocolError("a message must be a JSON object with an event")
    return content


def _shown(value: object, most: int = MAX_SHOWN_CHARS) -> str:
    return repr(value)[:most]


def _as_text(message: str | bytes | None) -> str:
    return message if isinstance(message, str) else ""
