"""POST /api/pictures: a picture that a message is about to be asked with.

In:  a PNG or JPEG file as the body; the page's id in the header X-Sotto-Page.   Out: `{"mark"}`; 413 or 400 where it is
none that is taken. The message names the mark, within ten minutes and once.
"""

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response

from agent.server.state import ServerState
from agent.server.wire.json_body import RequestError, read_body
from agent.server.wire.owner import owner_of
from agent.tools.picture import MAX_BYTES, PictureError, read_picture

PAGE = "X-Sotto-Page"


def picture_routes(state: ServerState) -> APIRouter:
    """The route.

    Args:
        state: Keeps them, once the models are loaded.
    """
    router = APIRouter()

    @router.post("/api/pictures")
    async def put(request: Request) -> Response:
        waiting = state.sessions().pictures
        try:
            picture = read_picture(await read_body(request, MAX_BYTES, "the picture"))
        except PictureError as error:
            raise RequestError(400, str(error)) from error
        mark = waiting.put(picture, owner_of(request.scope, request.headers.get(PAGE)))
        return JSONResponse({"mark": mark}, headers={"Cache-Control": "no-store"})

    return router
