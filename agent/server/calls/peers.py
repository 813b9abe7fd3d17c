"""The peers of WebRTC calls, whatever is said over them: offers in, answers out, candidates on their way.

In:  session descriptions and ICE candidates.   Out: a connection for each peer, handed to whoever begins its call.
"""

import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from aiortc import RTCIceServer
from loguru import logger
from pipecat.transports.smallwebrtc.connection import SmallWebRTCConnection
from pipecat.transports.smallwebrtc.request_handler import SmallWebRTCRequest, SmallWebRTCRequestHandler

from agent.errors import SottoError
from agent.own_names import own_name
from agent.server.calls.candidates import PeerCandidates
from transports.errors import OfferError
from transports.ice_addresses import LOOPBACK, Reach, reach_of
from transports.webrtc import UNANSWERABLE, PeerCandidate, parse_candidates, split_candidates, validate_offer


class UnknownPeerError(SottoError):
    """A request names a peer that is not here."""


@dataclass(frozen=True)
class Offer:
    """One that has been checked.

    Attributes:
        sdp: Its session description; packets may be sent to every address in it.
        named: Candidates whose names have to be resolved first.
    """

    sdp: str
    named: Sequence[PeerCandidate]


class Peers:
    """All of them.

    Args:
        ice_servers: STUN and TURN servers; none by default.
        reach: Where packets may go; by default to this machine alone.
    """

    def __init__(self, ice_servers: Sequence[RTCIceServer] = (), reach: Reach | None = None) -> None:
        self._handler = SmallWebRTCRequestHandler(ice_servers=list(ice_servers))
        self._reach = reach or reach_of(LOOPBACK)
        self._candidates: dict[str, PeerCandidates] = {}

    def checked(self, sdp: object, kind: object) -> Offer:
        """Check an offer before anything is built for it.

        Args:
            sdp: The session description.
            kind: Its type, `offer`.

        Raises:
            OfferError: It cannot lead to a call.
        """
        return Offer(*split_candidates(validate_offer(sdp, kind), self._reach))

    async def answer(self, offer: Offer, begin: Callable[[SmallWebRTCConnection], None]) -> dict[str, str]:
        """Answer an offer.

        Args:
            offer: Checked before.
            begin: Begins the call on the peer's connection; whoever begins one forgets the peer at its end.

        Returns:
            sdp, type and pc_id of the answer.

        Raises:
            OfferError: The offer cannot lead to a call.
        """

        async def start(connection: SmallWebRTCConnection) -> None:
            # It names itself, and has no way to be named; it is known by that name from here on.
            connection._pc_id = own_name(lambda: f"{connection.name}-{uuid.uuid4().hex}")
            begin(connection)
            self._candidates[connection.pc_id] = PeerCandidates(connection.pc_id, self._handler, self._reach)

        try:
            answer = await self._handler.handle_web_request(SmallWebRTCRequest(offer.sdp, "offer"), start)
        except UNANSWERABLE as error:
            logger.debug(f"an offer that cannot be answered: {error!r}")
            raise OfferError("the offer cannot be answered: its session description is malformed") from error
        if answer is None or answer["pc_id"] not in self._candidates:
            raise OfferError("the conversation could not be started")
        await self._candidates[answer["pc_id"]].take(offer.named)
        return answer

    async def add_candidates(self, pc_id: str, candidates: list[dict[str, Any]]) -> None:
        """Take ICE candidates of a peer.

        Raises:
            UnknownPeerError: There is no such peer.
            OfferError: A candidate is malformed.
        """
        if pc_id not in self._candidates:
            raise UnknownPeerError(f"no such peer: {pc_id[:60]}")
        await self._candidates[pc_id].take(parse_candidates(candidates, self._reach))

    def forget(self, pc_id: str) -> None:
        """The call of a peer has ended."""
        if candidates := self._candidates.pop(pc_id, None):
            candidates.close()

    async def close(self) -> None:
        """Close every connection; the calls have ended."""
        await self._handler.close()
