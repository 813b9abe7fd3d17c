"""A caller on the page's WebSocket, `/api/ws`."""

import json
import ssl

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidMessage, InvalidStatus

from agent.load.line import JOIN_SECS, PLACES, CallLine, RefusedError, Server
from agent.load.questions import Question
from agent.load.tape import PACKET_SECS, SPEECH_RATE_HZ, Mouth

PIECE_BYTES = round(SPEECH_RATE_HZ * PACKET_SECS) * 2


async def opened(server: Server, path: str) -> ClientConnection:
    """A line to the server.

    Args:
        server: Which.
        path: The route, with its query.

    Raises:
        RefusedError: It was not opened.
    """
    context = None
    if server.url.startswith("https"):
        context = ssl.create_default_context()
        if server.is_here:
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    try:
        return await connect(
            server.socket_url + path,
            additional_headers=server.headers(),
            compression=None,
            proxy=None,
            ssl=context,
            open_timeout=JOIN_SECS,
            max_size=None,
        )
    except InvalidStatus as refused:
        told = (refused.response.body or b"").decode("utf-8", "replace")
        raise RefusedError(told or f"HTTP status {refused.response.status_code}") from refused
    except InvalidMessage as closed:
        # Where there is no place, an encrypted connection is closed without a word.
        raise RefusedError("too many connections") from closed
    except (OSError, InvalidHandshake, TimeoutError) as error:
        raise RefusedError(f"{PLACES}, or the network: {error}") from error


class WebSocketCall(CallLine):
    """A call over a WebSocket.

    Args:
        server: Whom it calls.
    """

    def __init__(self, server: Server) -> None:
        super().__init__(Mouth(bytes(PIECE_BYTES)))
        self._server = server
        self._line: ClientConnection | None = None

    async def join(self) -> None:
        """See `CallLine`."""
        line = self._line = await opened(self._server, "/api/ws")
        try:
            await line.send(json.dumps({"type": "join", "sample_rate_hz": SPEECH_RATE_HZ}))
            answer = json.loads(await line.recv())
        except ConnectionClosed as closed:
            raise RefusedError(f"the line was closed: {closed}") from closed
        if answer["type"] != "joined":
            raise RefusedError(str(answer.get("error", answer)))
        self.conversation = answer["conversation"]
        self.begins(self._listen(line))
        self.begins(self._speak(line))

    async def say(self, question: Question) -> float:
        """See `CallLine`."""
        pcm16 = question.audio_s16.astype("<i2").tobytes()
        starts = range(0, len(pcm16), PIECE_BYTES)
        return await self.mouth.say([pcm16[at : at + PIECE_BYTES].ljust(PIECE_BYTES, b"\0") for at in starts])

    async def hang_up(self) -> None:
        """See `CallLine`."""
        if self._line:
            await self._line.close()

    async def _speak(self, line: ClientConnection) -> None:
        try:
            while True:
                await line.send(await self.mouth.next())
        except ConnectionClosed as closed:
            self.lose(str(closed))

    async def _listen(self, line: ClientConnection) -> None:
        try:
            async for data in line:
                if isinstance(data, str):
                    message = json.loads(data)
                    if message["type"] == "event":
                        self.note(message["event"])
        finally:
            self.lose(f"the line was closed: {line.close_code} {line.close_reason or ''}".rstrip())
