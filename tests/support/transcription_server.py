"""A fake at the edge: an OpenAI-compatible speech-to-text server on loopback whose answers a test writes.

The HTTP, the form and the WAV are real and read by the standard library; no model listens behind them.

    with serve_transcriptions(Heard("hello"), Refused(503)) as server:
        ...  # two uploads to server.base_url get these two answers, in this order
    assert server.uploads[0].fields["model"] == ["whisper-1"]
"""

import io
import json
import threading
import wave
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from email.message import EmailMessage
from email.parser import BytesParser
from email.policy import HTTP
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, cast

import numpy as np

from processors.stt.openai_compatible import OpenAIRecognizerEngine

DRIP_SECS = 0.05
LONGEST_HANG_SECS = 20.0

HALF_SECOND = np.arange(8_000, dtype="<i2").tobytes()


@dataclass(frozen=True)
class Heard:
    """A transcript; `verbose` joins it where `verbose_json` was asked for."""

    text: str
    verbose: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Refused:
    """Any other answer: status, body, content type, headers."""

    status: int
    body: str | Mapping[str, Any] = ""
    content_type: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Hang:
    """Nothing is answered until the server closes."""


@dataclass(frozen=True)
class Cut:
    """The connection ends without an answer."""


@dataclass(frozen=True)
class Drip:
    """An answer that never ends, in bytes as they go over the wire: `first`, then `again` at every 0.05 s."""

    first: bytes
    again: bytes


Answer = Heard | Refused | Hang | Cut | Drip


@dataclass(frozen=True)
class Upload:
    """What a client sent.

    Attributes:
        headers: Names in lower case.
        fields: The form without the file; a name may come more than once.
        file_name: As the client calls the file.
        sample_rate_hz: Of the WAV.
        audio_s16: Its samples, shape (n_samples,); the WAV must be mono and 16-bit.
        size_bytes: Of the whole form.
        client_port: Tells connections apart.
    """

    path: str
    headers: dict[str, str]
    fields: dict[str, list[str]]
    file_name: str
    sample_rate_hz: int
    audio_s16: np.ndarray[Any, np.dtype[np.int16]]
    size_bytes: int
    client_port: int


@dataclass
class TranscriptionServer:
    """What is answered, and what was asked.

    Attributes:
        base_url: Ends in /v1.
        script: One answer for each upload, taken from the front; after the last one "okay" is heard.
        refused_formats: What is answered with 400: `verbose_json`, or `word` among the granularities.
        models: What GET /v1/models lists, or another answer to it.
        lookups: The headers of each GET.
        uploads: In the order of their arrival.
        answered: Set with each upload once its answer has been chosen.
    """

    base_url: str = ""
    script: list[Answer] = field(default_factory=list)
    refused_formats: Sequence[str] = ()
    models: Sequence[str] | Answer = ("whisper-1",)
    lookups: list[dict[str, str]] = field(default_factory=list)
    uploads: list[Upload] = field(default_factory=list)
    answered: threading.Event = field(default_factory=threading.Event)
    closing: threading.Event = field(default_factory=threading.Event)


@contextmanager
def serve_transcriptions(
    *script: Answer,
    models: Sequence[str] | Answer = ("whisper-1",),
    refused_formats: Sequence[str] = (),
    keep_alive: bool = False,
) -> Iterator[TranscriptionServer]:
    """Serve until the block ends; `keep_alive` leaves connections open for the next request."""
    state = TranscriptionServer(script=list(script), models=models, refused_formats=refused_formats)

    class Handler(_Handler):
        server_state = state
        protocol_version = "HTTP/1.1" if keep_alive else "HTTP/1.0"

    with listening(Handler, state.closing) as state.base_url:
        yield state


@contextmanager
def listening(handler: type[BaseHTTPRequestHandler], closing: threading.Event) -> Iterator[str]:
    """A server in threads of its own on loopback; its address, which ends in /v1. `closing` is set before it ends."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/v1"
    finally:
        closing.set()
        server.shutdown()
        thread.join()
        server.server_close()


@contextmanager
def engine_at(server: TranscriptionServer, **options: Any) -> Iterator[OpenAIRecognizerEngine]:
    engine = OpenAIRecognizerEngine(server.base_url, **options)
    try:
        yield engine
    finally:
        engine.close()


class _Handler(BaseHTTPRequestHandler):
    server_state: TranscriptionServer

    def do_GET(self) -> None:
        state = self.server_state
        state.lookups.append(self._headers())
        models = state.models
        if isinstance(models, Answer):
            self._give(models, "json")
            return
        listing = {"object": "list", "data": [{"id": name, "object": "model"} for name in models]}
        self._send(200, json.dumps(listing), "application/json", {})

    def do_POST(self) -> None:
        state = self.server_state
        upload = self._read_upload()
        state.uploads.append(upload)
        form = upload.fields["response_format"][0]
        asked = {form, *upload.fields.get("timestamp_granularities[]", [])}
        if refused := asked.intersection(state.refused_formats):
            message = f"{', '.join(sorted(refused))} is not supported"
            answer: Answer = Refused(400, {"error": {"message": message}})
        else:
            answer = state.script.pop(0) if state.script else Heard("okay")
        state.answered.set()
        self._give(answer, form)

    def _give(self, answer: Answer, form: str) -> None:
        self.close_connection |= isinstance(answer, Hang | Cut | Drip)
        if isinstance(answer, Hang):
            self.server_state.closing.wait(timeout=LONGEST_HANG_SECS)
        elif isinstance(answer, Drip):
            self._drip(answer)
        elif isinstance(answer, Refused):
            body = answer.body if isinstance(answer.body, str) else json.dumps(answer.body)
            self._send(answer.status, body, answer.content_type, answer.headers)
        elif isinstance(answer, Heard):
            verbose = answer.verbose if form == "verbose_json" else {}
            self._send(200, json.dumps({"text": answer.text, **verbose}), "application/json", {})

    def _drip(self, answer: Drip) -> None:
        with suppress(ConnectionError):
            self.wfile.write(answer.first)
            for _ in range(round(LONGEST_HANG_SECS / DRIP_SECS)):
                self.wfile.write(answer.again)
                if self.server_state.closing.wait(timeout=DRIP_SECS):
                    return

    def _read_upload(self) -> Upload:
        headers = self._headers()
        body = self.rfile.read(int(headers["content-length"]))
        head = f"Content-Type: {headers['content-type']}\r\n\r\n".encode()
        form = BytesParser(policy=HTTP).parsebytes(head + body)
        fields: dict[str, list[str]] = {}
        wav, file_name = b"", ""
        for part in cast(Iterator[EmailMessage], form.iter_parts()):  # pyright: ignore[reportAttributeAccessIssue]
            name = str(part.get_param("name", header="content-disposition"))
            content = cast(bytes, part.get_payload(decode=True))
            if name == "file":
                wav, file_name = content, part.get_filename() or ""
            else:
                fields.setdefault(name, []).append(content.decode())
        with wave.open(io.BytesIO(wav)) as reader:
            assert (reader.getnchannels(), reader.getsampwidth()) == (1, 2)
            audio_s16 = np.frombuffer(reader.readframes(reader.getnframes()), "<i2")
            rate_hz = reader.getframerate()
        return Upload(self.path, headers, fields, file_name, rate_hz, audio_s16, len(body), self.client_address[1])

    def _headers(self) -> dict[str, str]:
        return {name.lower(): value for name, value in self.headers.items()}

    def _send(self, status: int, body: str, content_type: str, headers: Mapping[str, str]) -> None:
        payload = body.encode()
        self.send_response(status)
        for name, value in {"Content-Type": content_type, "Content-Length": str(len(payload)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(payload)

    def log_message(self, format: str, *args: object) -> None:
        """Stay silent; the requests are kept."""
