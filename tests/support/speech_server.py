"""A fake at the edge: an OpenAI-compatible text-to-speech server on loopback whose answers a test writes.

The HTTP and the sound files are real; no voice speaks, each answer is the sound that the test gives.
"""

import io
import json
import struct
import threading
import wave
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import Any

import numpy as np

from tests.support.transcription_server import DRIP_SECS, LONGEST_HANG_SECS, Cut, Drip, Hang, Refused, listening

RATE_HZ = 24_000


def tone(secs: float = 0.5, rate_hz: int = RATE_HZ) -> np.ndarray[Any, np.dtype[np.int16]]:
    """440 Hz at half of full scale."""
    return (16_000 * np.sin(2 * np.pi * 440 * np.arange(round(secs * rate_hz)) / rate_hz)).astype(np.int16)


@dataclass(frozen=True)
class Said:
    """Sound, in the form that was asked for.

    Attributes:
        audio_s16: Mono samples.
        rate_hz: As the WAV's header says.
        n_channels: Of a WAV; each holds the same.
        of_unknown_length: The WAV's header has the largest length there is, as streaming servers write it.
        body: What is sent in place of all that, with `content_type`.
        hangs: It does not end, and nothing more comes.
        encoding: What the answer says of how it is packed.
    """

    audio_s16: np.ndarray[Any, np.dtype[np.int16]] = field(default_factory=tone)
    rate_hz: int = RATE_HZ
    n_channels: int = 1
    of_unknown_length: bool = False
    body: bytes | None = None
    content_type: str = ""
    hangs: bool = False
    encoding: str = ""

    def in_form(self, form: str) -> tuple[bytes, str]:
        """What is sent, and its content type."""
        if self.body is not None:
            return self.body, self.content_type
        frames = np.repeat(self.audio_s16[:, None], self.n_channels, axis=1).astype("<i2").tobytes()
        if form == "pcm":
            return frames, self.content_type or "audio/pcm"
        file = io.BytesIO()
        with wave.open(file, "wb") as writer:
            writer.setnchannels(self.n_channels)
            writer.setsampwidth(2)
            writer.setframerate(self.rate_hz)
            writer.writeframes(frames)
        whole = bytearray(file.getvalue())
        if self.of_unknown_length:
            whole[4:8] = whole[40:44] = struct.pack("<I", 0xFFFFFFFF)
        return bytes(whole), "audio/wav"


Answer = Said | Refused | Hang | Cut | Drip


@dataclass
class SpeechServer:
    """What is answered, and what was asked.

    Attributes:
        base_url: Ends in /v1.
        script: One answer for each text, taken from the front; after the last one half a second of a tone.
        refused_forms: What is answered with 400.
        voices: What GET /v1/audio/voices lists; None: there is no such list.
        asked: The JSON of each text, in the order of their arrival.
        tokens: The Authorization header of each.
    """

    base_url: str = ""
    script: list[Answer] = field(default_factory=list)
    refused_forms: Sequence[str] = ()
    models: Sequence[str] = ("whisper-1", "tts-1-hd")
    voices: Any = None
    asked: list[dict[str, Any]] = field(default_factory=list)
    tokens: list[str | None] = field(default_factory=list)
    closing: threading.Event = field(default_factory=threading.Event)


@contextmanager
def serve_speech(*script: Answer, **options: Any) -> Iterator[SpeechServer]:
    """Serve until the block ends; options are attributes of `SpeechServer`."""
    state = SpeechServer(script=list(script), **options)

    class Handler(_Handler):
        server_state = state

    with listening(Handler, state.closing) as state.base_url:
        yield state


class _Handler(BaseHTTPRequestHandler):
    server_state: SpeechServer

    def do_GET(self) -> None:
        state = self.server_state
        if self.path == "/v1/models":
            self._send(200, json.dumps({"data": [{"id": name} for name in state.models]}).encode(), "application/json")
        elif self.path == "/v1/audio/voices" and state.voices is not None:
            self._send(200, json.dumps(state.voices).encode(), "application/json")
        else:
            self._send(404, b"", "text/plain")

    def do_POST(self) -> None:
        state = self.server_state
        asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
        state.asked.append(asked)
        state.tokens.append(self.headers["authorization"])
        form = asked["response_format"]
        if form in state.refused_forms:
            answer: Answer = Refused(400, {"error": {"message": f"{form} is not supported"}})
        else:
            answer = state.script.pop(0) if state.script else Said()
        with suppress(ConnectionError):
            self._give(answer, form)

    def _give(self, answer: Answer, form: str) -> None:
        if isinstance(answer, Hang):
            self.server_state.closing.wait(timeout=LONGEST_HANG_SECS)
        elif isinstance(answer, Drip):
            self.wfile.write(answer.first)
            for _ in range(round(LONGEST_HANG_SECS / DRIP_SECS)):
                self.wfile.write(answer.again)
                if self.server_state.closing.wait(timeout=DRIP_SECS):
                    return
        elif isinstance(answer, Refused):
            body = answer.body if isinstance(answer.body, str) else json.dumps(answer.body)
            self._send(answer.status, body.encode(), answer.content_type)
        elif isinstance(answer, Said):
            body, content_type = answer.in_form(form)
            self._send(200, body, content_type, has_length=not answer.hangs, encoding=answer.encoding)
            if answer.hangs:
                self.wfile.flush()
                self.server_state.closing.wait(timeout=LONGEST_HANG_SECS)

    def _send(
        self, status: int, body: bytes, content_type: str, *, has_length: bool = True, encoding: str = ""
    ) -> None:
        self.send_response(status)
        if content_type:
            self.send_header("Content-Type", content_type)
        if encoding:
            self.send_header("Content-Encoding", encoding)
        if has_length:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Stay silent; the requests are kept."""
