"""POST /api/camera/MARK: the one picture that a conversation has just asked its page for.

In:  a PNG or JPEG file as the body.
Out: 204; 404 where nobody waits for one, 413 or 400 where it is none that is taken.
"""

from fastapi import APIRouter, Request
from fastapi.responses import Response

from agent.server.state import ServerState
from agent.server.wire.json_body import RequestError, read_body
from agent.tools.camera import UnaskedError
from agent.tools.picture import MAX_BYTES, PictureError


def camera_routes(state: ServerState) -> APIRouter:
    """The route.

    Args:
        state: Gives the conversations once the models are loaded.
    """
    router = APIRouter()

    @router.post("/api/camera/{mark}")
    async def take(request: Request, mark: str) -> Response:
        try:
            camera = state.sessions().camera_of(mark)
            camera.take(mark, await read_body(request, MAX_BYTES, "the picture"))
        except UnaskedError as error:
            raise RequestError(404, str(error)) from error
        except PictureError as error:
            raise RequestError(400, str(error)) from error
        return Response(status_code=204)

    return router
