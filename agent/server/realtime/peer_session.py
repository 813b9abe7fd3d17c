"""A Realtime session over WebRTC: its sound comes and goes by the media tracks, and its events tell the rest.

In:  a microphone's sound, the client's events.   Out: the protocol's events, those of WebRTC among them.

This server plays what the client hears, and knows how much of it was played: an answer that was cut is truncated here,
without the client's asking.
"""

from collections.abc import Mapping
from typing import Any

from agent.server.calls.plans import SessionPlan
from agent.server.calls.sessions import LiveSessions
from agent.server.realtime.connection import RealtimeConnection
from agent.server.realtime.items import Item
from agent.server.realtime.peer_voice import PeerVoice
from agent.server.realtime.problems import RealtimeProblem, error_event
from agent.server.realtime.session_config import SessionConfig
from transports.websocket_line import Socket

Message = Mapping[str, Any]


class PeerSession(RealtimeConnection):
    """Runs once.

    Args:
        socket: The data channel's.
        live: Holds conversations.
        plan: The place and the history of this one.
        config: The session that it begins with.
        voice: What the peer hears.
    """

    def __init__(
        self, socket: Socket, live: LiveSessions, plan: SessionPlan, config: SessionConfig, voice: PeerVoice
    ) -> None:
        super().__init__(socket, live, plan, config, voice)
        self._handlers["input_audio_buffer.append"] = self._refuse_sound
        self._handlers["output_audio_buffer.clear"] = self._clear_output

    def hear(self, pcm16: bytes) -> None:
        """Take what the microphone hears.

        Args:
            pcm16: 16 kHz mono s16.
        """
        self._buffer.hear(pcm16)

    def tell(self, problem: RealtimeProblem) -> None:
        """Tell the client what has gone wrong beside its events.

        Args:
            problem: In the protocol's words.
        """
        self._send("error", error=error_event(problem)["error"])

    async def _refuse_sound(self, _: Message) -> None:
        raise RealtimeProblem("sound comes by the media track here, and not in events", code="unsupported_value")

    async def _clear_output(self, _: Message) -> None:
        """The client cuts what sounds; nothing is to be cut where it has cancelled the response before."""
        if self._responses.open_id is not None and self._agent.session is not None:
            await self._cancel_response({})

    async def _apply(self, config: SessionConfig) -> None:
        detected = self._detects_turns()
        await super()._apply(config)
        if self._detects_turns() and not detected:
            # The microphone was never off: what it heard while the client was to commit its turns is none.
            self._buffer.clear()

    def _cut(self) -> None:
        sounding = self._sounding_item()
        super()._cut()
        if sounding and sounding.body["status"] == "incomplete":
            self._items.truncate(sounding, [word for word, _ in sounding.words], sounding.sent_ms)

    def _sounding_item(self) -> Item | None:
        """The answer that is being played, if its client knows of it."""
        items = reversed(self._items.all())
        return next((item for item in items if item.sent_ms and item.body["status"] == "in_progress"), None)
