"""A caller by OpenAI's Realtime protocol, `/v1/realtime`, with sound at the pace of real time."""

import base64
import json
from typing import Any

import soxr
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

from agent.load.line import CallLine, RefusedError, Server
from agent.load.questions import Question
from agent.load.tape import PACKET_SECS, SPEECH_RATE_HZ, Mouth
from agent.load.websocket import opened

RATE_HZ = 24_000
PIECE_BYTES = round(RATE_HZ * PACKET_SECS) * 2
# The words that were heard are told, so that a mix-up is seen.
SESSION = {"type": "realtime", "audio": {"input": {"transcription": {"model": "whisper-1"}}}}


class RealtimeCall(CallLine):
    """A call by the Realtime protocol.

    Args:
        server: Whom it calls.
    """

    def __init__(self, server: Server) -> None:
        super().__init__(Mouth(bytes(PIECE_BYTES)))
        self._server = server
        self._line: ClientConnection | None = None

    async def join(self) -> None:
        """See `CallLine`."""
        line = self._line = await opened(self._server, "/v1/realtime?model=sotto")
        try:
            created = json.loads(await line.recv())
            if created["type"] != "session.created":
                raise RefusedError(str(created.get("error", created)))
            await line.send(json.dumps({"type": "session.update", "session": SESSION}))
        except ConnectionClosed as closed:
            raise RefusedError(f"the line was closed: {closed}") from closed
        self.conversation = created["session"]["id"]
        self.begins(self._listen(line))
        self.begins(self._speak(line))

    async def say(self, question: Question) -> float:
        """See `CallLine`."""
        pcm16 = soxr.resample(question.audio_s16, SPEECH_RATE_HZ, RATE_HZ).astype("<i2").tobytes()
        starts = range(0, len(pcm16), PIECE_BYTES)
        return await self.mouth.say([pcm16[at : at + PIECE_BYTES].ljust(PIECE_BYTES, b"\0") for at in starts])

    async def hang_up(self) -> None:
        """See `CallLine`."""
        if self._line:
            await self._line.close()

    async def _speak(self, line: ClientConnection) -> None:
        try:
            while True:
                audio = base64.b64encode(await self.mouth.next()).decode()
                await line.send(json.dumps({"type": "input_audio_buffer.append", "audio": audio}))
        except ConnectionClosed as closed:
            self.lose(str(closed))

    async def _listen(self, line: ClientConnection) -> None:
        try:
            async for data in line:
                self._take(json.loads(data))
        finally:
            self.lose(f"the line was closed: {line.close_code} {line.close_reason or ''}".rstrip())

    def _take(self, event: dict[str, Any]) -> None:
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
