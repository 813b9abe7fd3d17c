"""A caller by OpenAI's Realtime protocol, `/v1/realtime`, with sound at the pace of real time."""

import base64
import json

from websockets.asyncio.client import ClientConnection

from agent.load.line import RefusedError, Server
from agent.load.websocket import SocketCall

RATE_HZ = 24_000
# The words that were heard are told, so that a mix-up is seen.
SESSION = {"type": "realtime", "audio": {"input": {"transcription": {"model": "whisper-1"}}}}


class RealtimeCall(SocketCall):
    """A call by the Realtime protocol.

    Args:
        server: Whom it calls.
    """

    def __init__(self, server: Server) -> None:
        super().__init__(server, "/v1/realtime?model=sotto", RATE_HZ)

    async def greet(self, line: ClientConnection) -> str:
        """See `SocketCall`."""
        created = json.loads(await line.recv())
        if created["type"] != "session.created":
            raise RefusedError(str(created.get("error", created)))
        await line.send(json.dumps({"type": "session.update", "session": SESSION}))
        return created["session"]["id"]

    def message(self, pcm16: bytes) -> str:
        """See `SocketCall`."""
        return json.dumps({"type": "input_audio_buffer.append", "audio": base64.b64encode(pcm16).decode()})

    def take(self, data: str | bytes) -> None:
        """See `SocketCall`."""
        event = json.loads(data)
        match event["type"]:
            case "response.output_audio.delta":
                self.answer_begins()
            case "response.done":
                self.answer_ends()
            case "conversation.item.input_audio_transcription.completed":
                self.heard.append(event["transcript"])
            case "error":
                self.errors["realtime"] += 1
        self._changed.set()
