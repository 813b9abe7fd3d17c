"""All calls by WebRTC of the Realtime protocol: answered, held in a task each, hung up.

In:  offers that were sent to /v1/realtime/calls.   Out: answers; calls that go on behind them.
"""

import asyncio
from contextlib import AsyncExitStack

from loguru import logger

from agent.errors import SottoError
from agent.server.calls.peers import Peers
from agent.server.calls.plan import SessionRequest
from agent.server.calls.sessions import SERVER_STOPS, LiveSessions
from agent.server.realtime.peer_call import PeerCall
from agent.server.realtime.session_config import SessionConfig
from transports.errors import OfferError


class UnknownCallError(SottoError):
    """A request names a call that is not under way."""


class PeerCalls:
    """Those of one server."""

    def __init__(self) -> None:
        self._calls: dict[str, PeerCall] = {}
        self._holding: set[asyncio.Task[None]] = set()

    async def join(
        self, live: LiveSessions, peers: Peers, sdp: str, request: SessionRequest, config: SessionConfig
    ) -> tuple[str, str]:
        """Answer an offer and begin a call.

        Args:
            live: Holds conversations.
            peers: Answers offers.
            sdp: The offer's session description.
            request: Whose conversation it is.
            config: The session that it begins with.

        Returns:
            The call's id, and the answer's session description.

        Raises:
            OfferError: The offer cannot lead to a call.
            RealtimeProblem: What the session begins with cannot be had.
            BusyError: There are as many conversations as may be.
        """
        offer = peers.checked(sdp, "offer")
        async with AsyncExitStack() as stack:
            plan = await stack.enter_async_context(live.planned(request))
            call = PeerCall(live, plan, config)
            await call.prepare()
            try:
                answer = await peers.answer(offer, call.begin)
                if not call.speaks_opus:
                    raise OfferError("the offer's sound has no Opus")
            except BaseException:
                await call.let_go()
                if call.pc_id:
                    peers.forget(call.pc_id)
                raise
            self._calls[call.id] = call
            holding = asyncio.create_task(self._hold(call, peers, stack.pop_all()), name="realtime-call")
        self._holding.add(holding)
        holding.add_done_callback(self._ended)
        return call.id, answer["sdp"]

    def hang_up(self, call_id: str) -> None:
        """End a call.

        Args:
            call_id: As `join` gave it.

        Raises:
            UnknownCallError: There is none of that id.
        """
        if call_id not in self._calls:
            raise UnknownCallError(f"there is no call {call_id[:60]!r}")
        self._calls[call_id].hang_up("the call was hung up")

    async def close(self) -> None:
        """End every call."""
        for call in self._calls.values():
            call.hang_up(SERVER_STOPS)
        await asyncio.gather(*self._holding, return_exceptions=True)

    async def _hold(self, call: PeerCall, peers: Peers, place: AsyncExitStack) -> None:
        async with place:
            try:
                reason = await call.run()
            finally:
                del self._calls[call.id]
                if call.pc_id:
                    peers.forget(call.pc_id)
        logger.debug(f"a Realtime call ended: {reason}")

    def _ended(self, holding: "asyncio.Task[None]") -> None:
        self._holding.discard(holding)
        if not holding.cancelled() and (error := holding.exception()):
            logger.error(f"a Realtime call failed: {' '.join(repr(error).split())}")
