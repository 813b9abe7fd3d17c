"""WebSockets that are refused before they are one."""

from starlette.responses import Response
from starlette.websockets import WebSocket


async def deny(socket: WebSocket, answer: Response) -> None:
    """Refuse a WebSocket before it is one, with an HTTP answer where the server can send one."""
    if "websocket.http.response" in socket.scope.get("extensions", {}):
        await socket.send_denial_response(answer)
    else:
        await socket.close(1008)
