"""Callers of the speech API and scripted engines behind it; the server between them is the real one."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlsplit

import httpx

from processors.stt.recognizer import Pcm16, Segment, TranscriptionRequest, Word
from tests.support.scripted_engines import ScriptedRecognizerEngine
from tests.support.served import ServedEngine
from tests.support.sound_files import tone_s16, wav_of

TALK_SECS = 1.5
TALK = wav_of(tone_s16(TALK_SECS))
TRANSCRIPTIONS = "/v1/audio/transcriptions"
TRANSLATIONS = "/v1/audio/translations"
MULTIPART = "multipart/form-data; boundary=cut"
TIMEOUT_SECS = 20


class NotingEngine(ScriptedRecognizerEngine):
    """Says two segments, and notes what it is asked.

    Args:
        failure: Raised in place of the segment number `fails_at`.
    """

    def __init__(self, failure: Exception | None = None, fails_at: int = 0) -> None:
        super().__init__()
        self.failure = failure
        self.fails_at = fails_at
        self.asked: list[tuple[int, TranscriptionRequest]] = []
        self.may_go_on = threading.Event()
        self.may_go_on.set()

    def transcribe(self, audio_s16: Pcm16, request: TranscriptionRequest) -> Iterator[Segment]:
        self.threads.add(threading.current_thread().name)
        self.asked.append((len(audio_s16), request))
        words = (Word("Good", 0.1, 0.4), Word("day.", 0.5, 0.9)) if request.word_times else ()
        for index, segment in enumerate(
            (Segment("Good day.", 0.0, 1.0, words, "en", 0.9), Segment("Café?", 1.0, 1.5, (), "en", 0.9))
        ):
            if index:
                assert self.may_go_on.wait(20)
            if self.failure and index == self.fails_at:
                raise self.failure
            yield segment


class PatientEngine(ScriptedRecognizerEngine):
    """Gives a segment each time that `go` is released, and says when it was left."""

    def __init__(self) -> None:
        super().__init__()
        self.go = threading.Semaphore(0)
        self.at_work = threading.Event()
        self.left = threading.Event()
        self.n_asked = 0
        self.n_given = 0

    def transcribe(self, audio_s16: Pcm16, request: TranscriptionRequest) -> Iterator[Segment]:
        self.n_asked += 1
        self.at_work.set()
        try:
            for index in range(100):
                assert self.go.acquire(timeout=TIMEOUT_SECS)
                self.n_given += 1
                yield Segment(f"word {index}", index, index + 1, language="en")
        finally:
            self.left.set()


async def post(client: httpx.AsyncClient, path: str = TRANSCRIPTIONS, **fields: Any) -> httpx.Response:
    return await client.post(path, files={"file": ("talk.wav", TALK)}, data={"model": "whisper-1", **fields})


def error_of(response: httpx.Response) -> dict[str, Any]:
    """The error of an answer, whose shape is checked."""
    body = response.json()
    assert response.headers["content-type"] == "application/json"
    assert set(body) == {"error"}
    assert set(body["error"]) == {"message", "type", "param", "code"}
    return body["error"]


async def until(holds: Callable[[], bool]) -> None:
    """Wait for something that another connection or thread brings about."""
    async with asyncio.timeout(TIMEOUT_SECS):
        while not holds():
            await asyncio.sleep(0.005)


def part(name: str, content: bytes, *, file: bool = False) -> bytes:
    file_name = '; filename="a.wav"' if file else ""
    return f'--cut\r\nContent-Disposition: form-data; name="{name}"{file_name}\r\n\r\n'.encode() + content + b"\r\n"


class Caller:
    """A client that writes its request byte by byte, as it likes."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    @classmethod
    async def begin(cls, served: ServedEngine, n_body_bytes: int | None, first: bytes) -> "Caller":
        """Send the head of a request that promises so many bytes (None: chunks without end), and the first of them."""
        address = urlsplit(served.url)
        caller = cls(*await asyncio.open_connection(address.hostname, address.port))
        length = "Transfer-Encoding: chunked" if n_body_bytes is None else f"Content-Length: {n_body_bytes}"
        head = (
            f"POST {TRANSCRIPTIONS} HTTP/1.1\r\nHost: {address.netloc}\r\nContent-Type: {MULTIPART}\r\n{length}\r\n\r\n"
        )
        caller.writer.write(head.encode() + first)
        await caller.writer.drain()
        return caller

    async def hang_up(self) -> None:
        self.writer.close()
        await self.writer.wait_closed()

    async def answer(self) -> bytes:
        """All that the server sends until it hangs up."""
        return await asyncio.wait_for(self.reader.read(), TIMEOUT_SECS)
