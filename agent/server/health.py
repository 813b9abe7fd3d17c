"""`GET /health`, and what an orchestrator asks: /health/live, /health/ready.

In:  the state of the server.   Out: JSON, with 503 for what is not so now.
"""

from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse

from agent import __version__
from agent.engines.addresses import as_json
from agent.server.state import ServerState
from agent.server.wire.paths import HEALTH, LIVE, READY, SHOWN


def health_routes(state: ServerState) -> APIRouter:
    """The routes.

    Args:
        state: What they tell of.
    """
    router = APIRouter()

    @router.get(HEALTH)
    async def health(request: Request) -> Response:
        knows_token = not state.settings.server.token or getattr(request.state, SHOWN, False)
        report = _report(state) if knows_token else {"status": _status(state)}
        return JSONResponse(report, status_code=200 if state.loaded else 503)

    @router.get(LIVE)
    async def live() -> Response:
        # Whoever answers is alive: to be started anew would cut off what is being said.
        return JSONResponse({"status": _status(state)})

    @router.get(READY)
    async def ready() -> Response:
        status = _status(state)
        return JSONResponse({"status": status}, status_code=200 if status == "ready" else 503)

    return router


def _status(state: ServerState) -> str:
    if state.is_draining:
        return "draining"
    return "ready" if state.loaded else "starting"


def _report(state: ServerState) -> dict[str, Any]:
    loaded, server = state.loaded, state.settings.server
    report: dict[str, Any] = {
        "status": _status(state),
        "version": __version__,
        "engines": loaded.host.engines() if loaded else {},
        "answer_secs": loaded.host.answer_secs if loaded else None,
        "transcriptions": {"active": loaded.jobs.n_active if loaded else 0, "max": server.max_transcriptions},
    }
    if loaded and (groups := loaded.host.addresses()):
        report["addresses"] = as_json(groups)
    if not state.api_only:
        if loaded and loaded.sessions and (tools := loaded.sessions.servers.as_engine()):
            report["engines"] = {**report["engines"], "tools": tools}
        n_active = loaded.sessions.n_active if loaded and loaded.sessions else 0
        report["sessions"] = {"active": n_active, "max": server.max_sessions}
    return report
