"""The ICE candidates of one peer on their way to its connection: counted, and their names resolved meanwhile.

In:  candidates that were checked.   Out: to Pipecat's request handler, those that packets may go to.
"""

import asyncio
from collections.abc import Sequence

from pipecat.transports.smallwebrtc.request_handler import SmallWebRTCPatchRequest, SmallWebRTCRequestHandler

from transports.errors import OfferError
from transports.ice_addresses import MAX_CANDIDATES, Reach, resolved, stop_resolving
from transports.webrtc import PeerCandidate


class PeerCandidates:
    """Those of one peer, for as long as its call goes on.

    Args:
        pc_id: Of the peer.
        handler: Knows its connection.
        reach: Where packets may go.
    """

    def __init__(self, pc_id: str, handler: SmallWebRTCRequestHandler, reach: Reach) -> None:
        self._pc_id = pc_id
        self._handler = handler
        self._reach = reach
        self._n_taken = 0
        self._resolving: set[asyncio.Task[None]] = set()
        self._closing: asyncio.Task[None] | None = None

    async def take(self, candidates: Sequence[PeerCandidate]) -> None:
        """Hand them on; one with a name follows when it is known whose it is.

        Raises:
            OfferError: There are more than a browser ever has.
        """
        self._n_taken += len(candidates)
        if self._n_taken > MAX_CANDIDATES:
            raise OfferError(f"more than {MAX_CANDIDATES} ICE candidates")
        named = [one for one in candidates if one.is_named]
        # The end of candidates would keep out those that are still being resolved.
        is_open = bool(named or self._resolving)
        await self._hand_on([one for one in candidates if not one.is_named and (one.candidate or not is_open)])
        for one in named:
            task = asyncio.create_task(self._resolve(one), name="ice-name")
            self._resolving.add(task)
            task.add_done_callback(self._resolving.discard)

    def close(self) -> None:
        """Resolve nothing more; on the event loop."""
        for task in self._resolving:
            task.cancel()
        # Kept here, so that it is not lost before it has run.
        self._closing = asyncio.create_task(stop_resolving(self), name="ice-names-end")

    async def _resolve(self, named: PeerCandidate) -> None:
        if named.candidate and (found := await resolved(named.candidate, self._reach, self)):
            await self._hand_on([PeerCandidate(found, named.mid, named.index)])

    async def _hand_on(self, candidates: Sequence[PeerCandidate]) -> None:
        if candidates:
            wire = [one.on_the_wire() for one in candidates]
            await self._handler.handle_patch_request(SmallWebRTCPatchRequest(self._pc_id, wire))
