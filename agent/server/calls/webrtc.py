"""Joining by WebRTC: offers in, answers out; each peer gets a conversation of its own."""

from collections.abc import Sequence
from typing import Any

from aiortc import RTCIceServer
from pipecat.transports.smallwebrtc.connection import SmallWebRTCConnection

from agent.conversation.events import EndCode
from agent.server.calls.peers import Peers
from agent.server.calls.plan import SessionPlan, SessionRequest
from agent.server.calls.sessions import LiveSessions
from transports.ice_addresses import Reach
from transports.webrtc import PeerWatch, webrtc_transport
from transports.webrtc_messages import PeerMessages
from transports.webrtc_peer import PeerTransport


class _Peer:
    """The carrier of one peer."""

    def __init__(self, connection: SmallWebRTCConnection, transport: PeerTransport, messages: PeerMessages) -> None:
        self._connection = connection
        self._troubles = PeerWatch(connection).gone, transport.trouble, messages.trouble

    def gone(self) -> str | None:
        return next((trouble for ask in self._troubles if (trouble := ask())), None)

    async def hang_up(self) -> None:
        await self._connection.disconnect()


class WebSessions:
    """The page's calls by WebRTC.

    Args:
        sessions: Holds the conversations.
        ice_servers: STUN and TURN servers; none by default.
        reach: Where packets may go; by default to this machine alone.

    Attributes:
        peers: Of these calls, and of those that other doors begin by WebRTC.
    """

    def __init__(
        self, sessions: LiveSessions, ice_servers: Sequence[RTCIceServer] = (), reach: Reach | None = None
    ) -> None:
        self._sessions = sessions
        self.peers = Peers(ice_servers, reach)

    async def join(self, sdp: object, kind: object, request: SessionRequest) -> dict[str, str]:
        """Answer an offer and start a conversation.

        Args:
            sdp: The session description.
            kind: Its type, `offer`.
            request: What conversation the page wants.

        Returns:
            sdp, type and pc_id of the answer, and the conversation's id.

        Raises:
            OfferError: The offer cannot lead to a conversation.
            BusyError: There are as many conversations as may be.
            OptionError: An option is unknown or invalid.
            EngineUnavailableError: An engine that the options name cannot be used.
            HistoryInUseError: The conversation is being answered in writing.
        """
        offer = self.peers.checked(sdp, kind)
        async with self._sessions.planned(request) as plan:
            answer = await self.peers.answer(offer, lambda connection: self._start(connection, plan))
        return {**answer, "conversation": plan.history.id}

    async def add_candidates(self, pc_id: str, candidates: list[dict[str, Any]]) -> None:
        """Take ICE candidates of a peer.

        Raises:
            UnknownPeerError: There is no such peer.
            OfferError: A candidate is malformed.
        """
        await self.peers.add_candidates(pc_id, candidates)

    async def close(self) -> None:
        """Close every connection; the conversations have ended."""
        await self.peers.close()

    def _start(self, connection: SmallWebRTCConnection, plan: SessionPlan) -> None:
        """Start the conversation of a new peer; called by Pipecat's request handler."""
        transport = webrtc_transport(connection, plan.rate_hz)
        messages = PeerMessages(connection)
        session = self._sessions.start(
            plan, transport, connection.send_app_message, _Peer(connection, transport, messages)
        )

        @transport.event_handler("on_client_disconnected")
        async def on_client_disconnected(_transport: object, _client: object) -> None:
            await session.conversation.stop("the peer left", EndCode.PEER_LEFT)

        @transport.event_handler("on_app_message")
        async def on_app_message(_transport: object, message: object, _sender: str) -> None:
            session.handle(message)

        session.on_end(lambda: self.peers.forget(connection.pc_id))
