"""The agent's voice for a client of WebRTC: over the media track and not in events, which tell when it sounds.

In:  sound of an answer, and the events that its client is sent.   Out: a track; `output_audio_buffer.started`, once a
response begins to sound, `.stopped` once all of it has left, behind `response.done`, or `.cleared` where it was cut.
"""

import asyncio
from typing import Any

from agent.server.realtime.outgoing import Send
from agent.server.realtime.session_config import Format
from transports.webrtc_voice import VoiceTrack

BYTES_PER_SAMPLE = 2


class PeerVoice:
    """An Outlet; made on the event loop.

    Args:
        rate_hz: Of the agent's voice, as long as the client asks for no other.

    Attributes:
        track: What the peer is sent.
    """

    def __init__(self, rate_hz: int) -> None:
        self.track = VoiceTrack(rate_hz)
        self._send: Send = _nothing
        # Done when it is on its way.
        self._last: asyncio.Future[bool] | None = None
        # The response whose message is open, and the one that sounds.
        self._speaking: str | None = None
        self._sounding: str | None = None
        self._is_closed = False

    @property
    def is_ahead(self) -> bool:
        """See `Outlet`; it is played here."""
        return False

    def encoder(self, form: Format, rate_hz: int) -> "_Played":
        """See `Outlet`."""
        if rate_hz != self.track.rate_hz:
            self.track.set_rate(rate_hz)
        return _Played(self, rate_hz)

    async def ready(self) -> None:
        """See `Outlet`: one piece of sound waits for its packet, and no more."""
        if self._last is not None:
            await asyncio.wait([self._last])

    def play(self, pcm16: bytes) -> None:
        """Let the peer hear this."""
        if not pcm16 or self._is_closed:
            return
        if self._sounding != self._speaking:
            self._stop(self._sounding)
            self._sounding = self._speaking
            self._send("output_audio_buffer.started", response_id=self._sounding)
        self._last = self.track.add_audio_bytes(pcm16)

    def clear(self) -> None:
        """See `Outlet`."""
        self.track.drop()
        sounding, self._sounding = self._sounding, None
        if sounding is not None:
            self._send("output_audio_buffer.cleared", response_id=sounding)

    def following(self, send: Send) -> Send:
        """See `Outlet`."""
        self._send = send

        def tell(type_: str, **fields: Any) -> None:
            send(type_, **fields)
            if type_ == "response.content_part.added":
                self._speaking = fields["response_id"]
            elif type_ == "response.done":
                self._end(fields["response"]["id"])

        return tell

    def close(self) -> None:
        """The peer is gone; nobody waits for it any more."""
        self._is_closed, self._sounding = True, None
        self.track.drop()
        self.track.stop()

    def _end(self, response_id: str) -> None:
        """A response is over; it stops to sound once what waits has left."""
        if self._last is None or self._last.done():
            self._stop(response_id)
        else:
            self._last.add_done_callback(lambda _: self._stop(response_id))

    def _stop(self, response_id: str | None) -> None:
        if response_id is not None and response_id == self._sounding:
            self._sounding = None
            self._send("output_audio_buffer.stopped", response_id=response_id)


class _Played:
    """An Encoder for one item: its sound is played, and its client's events carry none of it."""

    def __init__(self, voice: PeerVoice, rate_hz: int) -> None:
        self._voice = voice
        self._rate_hz = rate_hz
        self._n_samples = 0

    @property
    def sent_ms(self) -> int:
        return self._n_samples * 1000 // self._rate_hz

    def encode(self, pcm16: bytes, *, last: bool = False) -> str:
        """See `Encoder`."""
        self._n_samples += len(pcm16) // BYTES_PER_SAMPLE
        self._voice.play(pcm16)
        return ""


def _nothing(_: str, **__: Any) -> None:
    """Nobody is told before there is a client."""
