"""GET /api/options: what a page may choose for its session, and what stands against each choice."""

import asyncio

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse

from agent.server.calls.ice_servers import ice_servers_of
from agent.server.state import ServerState
from agent.server.wire.owner import is_owner
from agent.settings.changes import LIVE_KEYS
from agent.settings.load import personas_folder
from agent.settings.persona import personas
from agent.settings.session import describe_options


def option_routes(state: ServerState) -> APIRouter:
    """The route.

    Args:
        state: Gives the engines once they are loaded.
    """
    router = APIRouter()

    @router.get("/api/options")
    async def options(request: Request) -> Response:
        engines = state.sessions().engines
        return JSONResponse(
            {
                "settings": describe_options(state.settings),
                "engines": await engines.offers(),
                "voices": await asyncio.to_thread(engines.voices),
                "ice_servers": ice_servers_of(state.settings),
                "personas": await asyncio.to_thread(personas, personas_folder(state.settings)),
                "live": sorted(LIVE_KEYS),
                "recording": True,
                "sees": state.host().llm_options.sees,
                "memory": state.settings.memory.keep,
                "models": is_owner(request.scope),
                "conversations": state.settings.memory.keep and state.settings.memory.conversations,
            }
        )

    return router
