"""The models of this machine, from the page: what there is, fetching, pausing, calling off and removing: /api/models.

In:  GET, GET pulls, POST {name}/pull and {name}/pause, DELETE {name}/pull and {name}; POST load {"options"}, so that a
     call that asks for these options next finds its engines loaded. All of it is for whoever sits at this machine or
     has shown the token; a request of another site does not come through the guard.
Out: JSON; 403 for others, 404 for unknown names, 409 for what does not fit the state of things, 507 where the disk is
     full. Nothing is fetched but by a POST, and each model says before where from.
"""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response

from agent.engines.shelf import describe_models, serves, users
from agent.errors import SottoError
from agent.models.catalogue import CatalogueError, Model, find
from agent.models.pull import DownloadError, free_bytes
from agent.models.sources.other_tools import OtherTools
from agent.models.supply import sources
from agent.server.state import ServerState
from agent.server.wire.json_body import RequestError, json_object
from agent.server.wire.owner import is_owner
from agent.settings.load import other_tools_environment
from agent.settings.session import session_settings
from processors.errors import EngineUnavailableError

NO_STORE = {"Cache-Control": "no-store"}
NOT_YOURS = "models are for whoever sits at the server, or has its token (setting server.token)"
IN_USE = "is in use: choose another and end the calls that have used it, or start sotto without it"
OTHER_SITE = "a page of another site may not do this"
# What a browser says of who made it ask (Fetch Metadata).
_OWN_SITES = ("same-origin", "none")


def model_routes(state: ServerState) -> APIRouter:
    """The routes under /api/models.

    Args:
        state: Gives the pulls, and the engines once they are loaded.
    """
    router = APIRouter(prefix="/api/models")

    @router.get("")
    async def see(request: Request) -> Response:
        _check(request)
        return JSONResponse(await _all_of(state), headers=NO_STORE)

    @router.get("/pulls")
    async def pulls(request: Request) -> Response:
        _check(request)
        return _pulls_of(state)

    @router.post("/{name}/pull")
    async def pull(request: Request, name: str) -> Response:
        _check(request)
        with _refusals():
            await state.pulls.start(_model(name))
        return _pulls_of(state, 202)

    @router.post("/{name}/pause")
    async def pause(request: Request, name: str) -> Response:
        _check(request)
        with _refusals():
            await state.pulls.pause(_model(name))
        return _pulls_of(state)

    @router.post("/load")
    async def load(request: Request) -> Response:
        _check(request)
        options = (await json_object(request)).get("options")
        with _refusals():
            await state.sessions().engines.host_for(session_settings(state.settings, options))
        return Response(status_code=204)

    @router.delete("/{name}/pull")
    async def cancel(request: Request, name: str) -> Response:
        _check(request)
        with _refusals():
            await state.pulls.cancel(_model(name))
        return _pulls_of(state)

    @router.delete("/{name}")
    async def remove(request: Request, name: str) -> Response:
        _check(request)
        model = _model(name)
        engines = state.sessions().engines

        def check_unused() -> None:
            if users([state.host(), *engines.in_use], model):
                raise RequestError(409, f"{name} {IN_USE}")

        check_unused()
        with _refusals():
            await engines.let_go(lambda choice: serves(choice, model))
            # Somebody may have asked for it meanwhile.
            check_unused()
            await state.pulls.remove(model)
        return Response(status_code=204)

    return router


async def _all_of(state: ServerState) -> dict[str, Any]:
    host, calls = state.host(), state.sessions().engines.in_use
    models_dir = state.settings.models_dir.expanduser().absolute()

    def look() -> dict[str, Any]:
        with sources(models_dir, OtherTools.of(other_tools_environment(), Path.home())) as among:
            models = describe_models(state.settings, host, calls, among)
        return {"models": models, "free_bytes": free_bytes(models_dir), "folder": str(models_dir)}

    with _refusals():
        return {**await asyncio.to_thread(look), "pulls": [pull.as_json() for pull in state.pulls.all()]}


def _pulls_of(state: ServerState, status: int = 200) -> Response:
    return JSONResponse({"pulls": [pull.as_json() for pull in state.pulls.all()]}, status, NO_STORE)


def _check(request: Request) -> None:
    # Beside the guard's look at the origin: it is not sent with everything.
    if request.headers.get("sec-fetch-site", "none") not in _OWN_SITES:
        raise RequestError(403, OTHER_SITE)
    if not is_owner(request.scope):
        raise RequestError(403, NOT_YOURS)


def _model(name: str) -> Model:
    try:
        return find(name)
    except CatalogueError as error:
        raise RequestError(404, str(error)) from error


@contextmanager
def _refusals() -> Iterator[None]:
    """Tells in the page's shape what cannot be done."""
    try:
        yield
    except RequestError:
        raise
    except DownloadError as error:
        raise RequestError(507, f"{error.what}: {error.press}") from error
    except (SottoError, EngineUnavailableError) as error:
        raise RequestError(409, str(error)) from error
    except OSError as error:
        raise RequestError(500, f"{error.filename or 'the disk'} cannot be used ({error.strerror})") from error
