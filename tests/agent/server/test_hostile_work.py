"""Whatever a caller sends, what is done with it grows no faster than its length; lines of code are counted."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from starlette.requests import Request

from agent.errors import SottoError, one_line
from agent.plain_text import plain_text
from agent.server.guard.access import foreign
from agent.server.speech.request import audio_request_of
from agent.server.wire.upload_budget import UploadBudget
from agent.server.wire.uploads import ClientGoneError, read_upload
from agent.settings.load import Settings
from agent.settings.session import session_settings
from processors.llm.sse import EventTooLongError, PatientDecoder
from tests.support.counted_work import grows_linearly
from tests.support.hostile import at_length, trying
from transports.errors import OfferError
from transports.ice_addresses import reach_of
from transports.json_text import read_json
from transports.webrtc import split_candidates, validate_offer
from transports.websocket_line import parse_message

FINGERPRINT = "a=fingerprint:sha-256 " + ":".join(["AB"] * 32) + "\r\n"
SECTION = "v=0\r\nm=audio 9 UDP/TLS/RTP/SAVPF 111\r\n" + FINGERPRINT
HEAD = b'--cut\r\nContent-Disposition: form-data; name="file"\r\n\r\n'
MEGABYTE = 2**20
REFUSALS = (SottoError, OfferError, ValueError, RecursionError, EventTooLongError, ClientGoneError)


def refused_or_not(work: Callable[[], object]) -> Callable[[], None]:
    """The work, whose refusal is as good as any answer."""

    def run() -> None:
        with contextlib.suppress(*REFUSALS):
            work()

    return run


async def read_form(body: bytes, width: int) -> None:
    pieces = [body[at : at + width] for at in range(0, len(body), width)]
    pieces.reverse()

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": pieces.pop(), "more_body": bool(pieces)}

    headers = [(b"content-type", b"multipart/form-data; boundary=cut")]
    request = Request({"type": "http", "method": "POST", "headers": headers}, receive)
    upload = await read_upload(request, UploadBudget(MEGABYTE), max_file_bytes=MEGABYTE, wanted={"prompt"})
    upload.file.close()


async def read_events(body: bytes, width: int) -> None:
    async def sent() -> AsyncIterator[bytes]:
        for at in range(0, len(body), width):
            yield body[at : at + width]

    async for _ in PatientDecoder(MEGABYTE).aiter_bytes(sent()):
        pass


def offer(text: str) -> None:
    split_candidates(validate_offer(text, "offer"), reach_of("127.0.0.1"))


def headers_of(value: str) -> None:
    scope = {"type": "http", "headers": [(b"host", value.encode("latin-1", "replace")), (b"origin", b"http://x")]}
    foreign(Request(scope).headers, scope, Settings().server)


READERS: dict[str, Callable[[str], object]] = {
    "JSON": read_json,
    "a list": lambda text: read_json(f"[{text}]"),
    "a message": lambda text: parse_message('{"type": "x", "y": [' + text + "]}"),
    "text": plain_text,
    "an error": one_line,
    "an option": lambda text: session_settings(Settings(), {"llm.system_prompt": text[:8000], "tts.voice": text}),
    "a language": lambda text: audio_request_of({"language": [text]}),
    "fields": lambda text: audio_request_of({"languages": list(text), "keywords": list(text)}),
    "lines of an offer": lambda text: offer(SECTION + text),
    "attributes of an offer": lambda text: offer(SECTION + text.replace(" ", "\r\na=")),
    "a host": headers_of,
    "a file": lambda text: asyncio.run(read_form(HEAD + text.encode() + b"\r\n--cut--\r\n", 10**6)),
    "a file in pieces": lambda text: asyncio.run(read_form(HEAD + text.encode() + b"\r\n--cut--\r\n", 7)),
    "a form": lambda text: asyncio.run(read_form(text.encode(), 10**6)),
    "events": lambda text: asyncio.run(read_events(text.encode(), 10**6)),
    "events in pieces": lambda text: asyncio.run(read_events(text.encode(), 3)),
}
SHAPES = ["x", " ", "\n", "\r", "\r\n", "[", "[],", "{}, ", '"a", ', "1,", "\\", '"', ";a=b", "é", "\0", "="]
SHAPES += ["a=mid:0\r\n", "a=candidate:\r\n", "a=group:BUNDLE 0\r\n", "data: x\n", "data\n\n", ":\n"]
SHAPES += ["\r\n-", "\r\n--cu", "\r\n--cut", "--cut\r\n\r\n"]
N_UNITS = 150


@pytest.mark.parametrize("reader", READERS)
def test_hostile_input_of_any_shape_costs_work_in_line_with_its_length(reader: str) -> None:
    read = READERS[reader]
    for shape in SHAPES:
        assert grows_linearly(lambda n, shape=shape: refused_or_not(lambda: read(shape * n)), N_UNITS), shape


@at_length(30, 300)
def test_hostile_mixtures_cost_work_in_line_with_their_length(n_examples: int) -> None:
    @example("a form", "\r\n--cut\r\n")
    @given(st.sampled_from(sorted(READERS)), st.lists(st.sampled_from(SHAPES), min_size=1, max_size=4).map("".join))
    @trying(n_examples)
    def check(reader: str, unit: str) -> None:
        read = READERS[reader]
        assert grows_linearly(lambda n: refused_or_not(lambda: read(unit * n)), 60)

    check()
