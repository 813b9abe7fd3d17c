"""The conversations of `sotto serve`: capped, watched, and ended cleanly.

In:  WebRTC offers.   Out: answers; one Conversation a peer, its events sent over the peer's data channel.
"""

import asyncio
from dataclasses import dataclass
from typing import Any

from loguru import logger
from pipecat.transports.smallwebrtc.connection import SmallWebRTCConnection
from pipecat.transports.smallwebrtc.request_handler import (
    SmallWebRTCPatchRequest,
    SmallWebRTCRequest,
    SmallWebRTCRequestHandler,
)

from agent.conversation import Conversation
from agent.errors import SottoError
from agent.event_log import Event
from agent.logs import TurnLogger
from agent.model_host import ModelHost
from agent.settings import Settings
from transports.errors import OfferError
from transports.webrtc import UNANSWERABLE, PeerWatch, parse_candidates, validate_offer, webrtc_transport

WATCH_SECS = 1.0
KEY_SECS = 0.1


class BusyError(SottoError):
    """The agent already holds as many conversations as it may."""


class UnknownPeerError(SottoError):
    """A request names a peer that is not here."""


@dataclass
class _Session:
    connection: SmallWebRTCConnection
    conversation: Conversation
    watch: PeerWatch
    ended: asyncio.Task[None]


class _Key:
    """The page's push-to-talk key: however often it is pressed, the pipeline is told a few times a second."""

    def __init__(self, conversation: Conversation) -> None:
        self._conversation = conversation
        self._wanted = self._told = False
        self._telling: asyncio.Task[None] | None = None

    def press(self, active: bool) -> None:
        """Take a message of the page."""
        self._wanted = active
        if self._telling is None or self._telling.done():
            self._telling = asyncio.create_task(self._tell())

    async def _tell(self) -> None:
        while self._told != self._wanted:
            self._told = self._wanted
            await self._conversation.push_to_talk(self._told)
            await asyncio.sleep(KEY_SECS)


class WebSessions:
    """All conversations of the page.

    Args:
        host: The loaded engines.
        settings: Caps and thresholds.
    """

    def __init__(self, host: ModelHost, settings: Settings) -> None:
        self._host = host
        self._settings = settings
        self._handler = SmallWebRTCRequestHandler()
        self._sessions: dict[str, _Session] = {}
        self._joining = 0
        self._watching = asyncio.create_task(self._watch(), name="web-sessions")

    @property
    def n_active(self) -> int:
        """How many conversations are being held or joined."""
        return len(self._sessions) + self._joining

    async def join(self, sdp: object, kind: object) -> dict[str, str]:
        """Answer an offer and start a conversation.

        Args:
            sdp: The session description.
            kind: Its type, `offer`.

        Returns:
            sdp, type and pc_id of the answer.

        Raises:
            OfferError: The offer cannot lead to a conversation.
            BusyError: There are as many conversations as may be.
        """
        checked_sdp = validate_offer(sdp, kind)
        most = self._settings.server.max_sessions
        if self.n_active >= most:
            raise BusyError(f"the agent is busy with {most} conversation{'s' if most > 1 else ''}; try again later")
        self._joining += 1
        try:
            answer = await self._handler.handle_web_request(SmallWebRTCRequest(checked_sdp, "offer"), self._start)
        except UNANSWERABLE as error:
            logger.debug(f"an offer that cannot be answered: {error!r}")
            raise OfferError("the offer cannot be answered: its session description is malformed") from error
        finally:
            self._joining -= 1
        if answer is None or answer["pc_id"] not in self._sessions:
            raise OfferError("the conversation could not be started")
        return answer

    async def add_candidates(self, pc_id: str, candidates: list[dict[str, Any]]) -> None:
        """Take ICE candidates of a peer.

        Raises:
            UnknownPeerError: There is no such peer.
            OfferError: A candidate is malformed.
        """
        if pc_id not in self._sessions:
            raise UnknownPeerError(f"no such peer: {pc_id[:60]}")
        parsed = parse_candidates(candidates)
        await self._handler.handle_patch_request(SmallWebRTCPatchRequest(pc_id, parsed))

    async def close(self) -> None:
        """End every conversation."""
        self._watching.cancel()
        await asyncio.gather(*(session.conversation.stop("the server stops") for session in self._sessions.values()))
        await self._handler.close()

    async def _start(self, connection: SmallWebRTCConnection) -> None:
        """Start the conversation of a new peer; called by Pipecat's request handler."""

        def send(event: Event) -> None:
            # The page shows engines; settings are the owner's, and the page may be open to others.
            event = {key: value for key, value in event.items() if key != "settings"}
            connection.send_app_message({"type": "event", "event": event})

        transport = webrtc_transport(connection, self._host.tts.loaded.sample_rate_hz)
        conversation = Conversation(self._host, self._settings, transport, [send, TurnLogger()])

        @transport.event_handler("on_client_disconnected")
        async def on_client_disconnected(_transport: object, _client: object) -> None:
            await conversation.stop("the peer left")

        key = _Key(conversation)

        @transport.event_handler("on_app_message")
        async def on_app_message(_transport: object, message: object, _sender: str) -> None:
            if isinstance(message, dict) and message.get("type") == "push_to_talk":
                key.press(message.get("active") is True)

        ended = conversation.start()
        pc_id = connection.pc_id
        self._sessions[pc_id] = _Session(connection, conversation, PeerWatch(connection), ended)
        ended.add_done_callback(lambda task: self._ended(pc_id, task))
        logger.info(f"conversation started, {len(self._sessions)} active")

    def _ended(self, pc_id: str, task: asyncio.Task[None]) -> None:
        session = self._sessions.pop(pc_id, None)
        if session is None:
            return
        if not task.cancelled() and (error := task.exception()):
            logger.error(f"conversation failed: {error}")
        reason = session.conversation.end_reason
        logger.info(f"conversation ended ({reason}), {len(self._sessions)} active")

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(WATCH_SECS)
            gone = [(session, reason) for session in self._sessions.values() if (reason := session.watch.gone())]
            ends = await asyncio.gather(*(_end(session, reason) for session, reason in gone), return_exceptions=True)
            for error in ends:
                # The watch goes on: a peer that cannot be ended must not keep the others' places.
                if isinstance(error, Exception):
                    logger.error(f"a conversation could not be ended: {error!r}")


async def _end(session: _Session, reason: str) -> None:
    await session.conversation.stop(f"the peer {reason}")
    await session.connection.disconnect()
