"""POST and PATCH /api/offer: how the page joins a conversation by WebRTC.

In:  session descriptions and ICE candidates.   Out: the answer's description.
"""

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse

from agent.server.calls.plans import SessionRequest
from agent.server.state import ServerState
from agent.server.wire.json_body import json_object
from agent.server.wire.owner import memory_owner_of, owner_of
from transports.errors import OfferError


def offer_routes(state: ServerState) -> APIRouter:
    """The routes.

    Args:
        state: Gives the conversations once the models are loaded.
    """
    router = APIRouter()

    @router.post("/api/offer")
    async def offer(request: Request) -> Response:
        body = await json_object(request)
        wish = SessionRequest(
            body.get("conversation"),
            body.get("options"),
            body.get("record"),
            owner_of(request.scope, body.get("page")),
            memory_owner_of(request.scope, body.get("browser")),
        )
        return JSONResponse(await state.peers().join(body.get("sdp"), body.get("type"), wish))

    @router.patch("/api/offer")
    async def candidates(request: Request) -> Response:
        body = await json_object(request)
        found = body.get("candidates")
        if not isinstance(found, list) or not all(isinstance(one, dict) for one in found):
            raise OfferError("candidates must be a list of objects")
        await state.peers().add_candidates(str(body.get("pc_id")), found)
        return JSONResponse({"status": "success"})

    return router
