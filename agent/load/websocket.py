"""A caller on the page's WebSocket, `/api/ws`."""

import json
import ssl
from abc import abstractmethod

import soxr
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidMessage, InvalidStatus

from agent.load.line import JOIN_SECS, PLACES, CallLine, RefusedError, Server
from agent.load.questions import Question
from agent.load.tape import PACKET_SECS, SPEECH_RATE_HZ, Mouth


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


class SocketCall(CallLine):
    """A call over a WebSocket, by whichever protocol.

    Args:
        server: Whom it calls.
        path: The route, with its query.
        rate_hz: Of the sound that it sends.
    """

    def __init__(self, server: Server, path: str, rate_hz: int) -> None:
        self._piece_bytes = round(rate_hz * PACKET_SECS) * 2
        super().__init__(Mouth(bytes(self._piece_bytes)))
        self._server, self._path, self._rate_hz = server, path, rate_hz
        self._line: ClientConnection | None = None

    @abstractmethod
    async def greet(self, line: ClientConnection) -> str:
        """What comes before sound.

        Returns:
            The conversation's id.

        Raises:
            RefusedError: The server did not take the call.
            ConnectionClosed: It has closed the line.
        """

    @abstractmethod
    def message(self, pcm16: bytes) -> str | bytes:
        """Sound as the server takes it: 20 ms."""

    @abstractmethod
    def take(self, data: str | bytes) -> None:
        """What the server says."""

    async def join(self) -> None:
        """See `CallLine`."""
        line = self._line = await opened(self._server, self._path)
        try:
            self.conversation = await self.greet(line)
        except ConnectionClosed as closed:
            raise RefusedError(f"the line was closed: {closed}") from closed
        self.begins(self._listen(line))
        self.begins(self._speak(line))

    async def say(self, question: Question) -> float:
        """See `CallLine`."""
        audio_s16, size = question.audio_s16, self._piece_bytes
        if self._rate_hz != SPEECH_RATE_HZ:
            audio_s16 = soxr.resample(audio_s16, SPEECH_RATE_HZ, self._rate_hz)
        pcm16 = audio_s16.astype("<i2").tobytes()
        return await self.mouth.say([pcm16[at : at + size].ljust(size, b"\0") for at in range(0, len(pcm16), size)])

    async def hang_up(self) -> None:
        """See `CallLine`."""
        if self._line:
            await self._line.close()

    async def _speak(self, line: ClientConnection) -> None:
        try:
            while True:
                await line.send(self.message(await self.mouth.next()))
        except ConnectionClosed as closed:
            self.lose(str(closed))

    async def _listen(self, line: ClientConnection) -> None:
        try:
            async for data in line:
                self.take(data)
        finally:
            self.lose(f"the line was closed: {line.close_code} {line.close_reason or ''}".rstrip())


class WebSocketCall(SocketCall):
    """A call as the page's, over a WebSocket.

    Args:
        server: Whom it calls.
    """

    def __init__(self, server: Server) -> None:
        super().__init__(server, "/api/ws", SPEECH_RATE_HZ)

    async def greet(self, line: ClientConnection) -> str:
        """See `SocketCall`."""
        await line.send(json.dumps({"type": "join", "sample_rate_hz": SPEECH_RATE_HZ}))
        answer = json.loads(await line.recv())
        if answer["type"] != "joined":
            raise RefusedError(str(answer.get("error", answer)))
        return answer["conversation"]

    def message(self, pcm16: bytes) -> bytes:
        """See `SocketCall`."""
        return pcm16

    def take(self, data: str | bytes) -> None:
        """See `SocketCall`."""
        if isinstance(data, str):
            message = json.loads(data)
            if message["type"] == "event":
                self.note(message["event"])
