"""Broken, endless and malicious requests: each gets its status, nothing is left behind, and the next one is answered.

The engine is scripted: it waits for the test before each segment, so that a caller can leave at a known moment.
"""

import asyncio
import json
import tempfile
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import suppress

import httpx
import psutil
import pytest

from agent.server.wire import events, uploads
from tests.support.served import ServedEngine, serving_engine
from tests.support.sound_files import encoded, silent_bomb, tone_s16, wav_of
from tests.support.speech_callers import MULTIPART, TALK, TIMEOUT_SECS, Caller, PatientEngine, error_of, part, until
from tests.support.speech_callers import TRANSCRIPTIONS as PATH


@pytest.fixture
async def engine() -> PatientEngine:
    return PatientEngine()


@pytest.fixture
async def served(engine: PatientEngine) -> AsyncIterator[ServedEngine]:
    """A server with room for two requests of 1 MB and 60 s; at the end it must be as it was and answer."""
    async with serving_engine(engine, max_transcriptions=2, max_upload_mb=1, max_audio_secs=60) as server:
        yield server
        await until(lambda: server.jobs.n_active == 0)
        engine.go.release(1000)
        async with httpx.AsyncClient(base_url=server.url) as client:
            answers = [client.post(PATH, files={"file": ("a.wav", TALK)}) for _ in range(2)]
            assert [answer.status_code for answer in await asyncio.gather(*answers)] == [200, 200]


@pytest.fixture
async def client(served: ServedEngine) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=served.url, timeout=TIMEOUT_SECS) as client:
        yield client


END = b"--cut--\r\n"
WHOLE = part("file", TALK, file=True) + END


# Made by the test, not whenever tests are collected.
@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: b"", "the file is empty"),
        (lambda: b"no sound at all", "the file is not a sound file, or it is damaged"),
        (lambda: TALK[:30], "the file is not a sound file, or it is damaged"),
        (lambda: encoded(tone_s16(2), 16_000, "ipod", "aac")[:3000], "the file is not a sound file, or it is damaged"),
        (lambda: silent_bomb(3600), "the file is longer than 60 s (setting server.max_audio_secs)"),
        (lambda: wav_of(tone_s16(1), rate_hz=2**31 - 1), "the file has a sample rate of 2147483647 Hz"),
    ],
    ids=["empty", "words", "truncated WAV", "truncated M4A", "an hour of silence", "absurd rate"],
)
@pytest.mark.parametrize("stream", ["false", "true"])
async def test_a_file_that_cannot_be_decoded_is_the_callers_error(
    client: httpx.AsyncClient, engine: PatientEngine, make: Callable[[], bytes], message: str, stream: str
) -> None:
    response = await client.post(PATH, files={"file": ("a.wav", make())}, data={"stream": stream})
    error = error_of(response)
    assert (response.status_code, error["message"], error["param"]) == (400, message, "file")
    # The whole body was read, so the connection may go on.
    assert "connection" not in response.headers
    assert engine.n_asked == 0


async def test_a_header_of_ten_hours_over_a_kilobyte_is_a_kilobyte(
    client: httpx.AsyncClient, engine: PatientEngine
) -> None:
    engine.go.release(1000)
    content = wav_of(tone_s16(1 / 32), claimed_bytes=10 * 3600 * 32_000)
    response = await client.post(PATH, files={"file": ("a.wav", content)}, data={"response_format": "verbose_json"})
    assert response.status_code == 200
    # 1/32 s at 16 kHz is 500 samples.
    assert response.json()["duration"] == 0.031


@pytest.mark.parametrize(
    ("content_type", "body", "status", "message"),
    [
        ("application/json", b'{"file": "a.wav"}', 415, "the body must be multipart/form-data with a file in it"),
        ("application/x-www-form-urlencoded", b"file=a", 415, "the body must be multipart/form-data with a file in it"),
        (None, b"RIFF", 415, "the body must be multipart/form-data with a file in it"),
        ("multipart/form-data", WHOLE, 400, "the multipart body is malformed: it names no boundary"),
        (
            "multipart/form-data; boundary=" + "x" * 5000,
            WHOLE,
            400,
            "the multipart body is malformed: its boundary is too long",
        ),
        (
            "multipart/form-data; boundary=other",
            WHOLE,
            400,
            "the multipart body is malformed: its parts cannot be told apart",
        ),
        (MULTIPART, b"", 400, "the multipart body is malformed: it ends before its last boundary"),
        (MULTIPART, WHOLE[:-4], 400, "the multipart body is malformed: it ends before its last boundary"),
        (MULTIPART, WHOLE[:500], 400, "the multipart body is malformed: it ends before its last boundary"),
        (MULTIPART, b"\0" * 5000, 400, "the multipart body is malformed: its parts cannot be told apart"),
        (
            MULTIPART,
            b"--cut\r\nContent-Disposition: form-data\r\n\r\nx\r\n" + END,
            400,
            "the multipart body is malformed: a part has no name",
        ),
        (
            MULTIPART,
            b"--cut\r\nX: " + b"x" * 100_000 + b"\r\n\r\nx\r\n" + END,
            400,
            "the multipart body is malformed: its parts cannot be told apart",
        ),
        (MULTIPART, part("model", b"whisper-1") + END, 400, "a sound file is missing: the form has no field file"),
        (MULTIPART, part("file", TALK, file=True) + WHOLE, 400, "the form has more than one file"),
        (MULTIPART, part("prompt", b"\xff\xfe\xe9") + WHOLE, 400, "prompt is not UTF-8 text"),
        (MULTIPART, part("language", b"\xed\xa0\x80") + WHOLE, 400, "language is not UTF-8 text"),
        (MULTIPART, part("prompt", b"p" * 100_000) + WHOLE, 400, "prompt is longer than 65536 bytes"),
        (MULTIPART, part("x", b"") * 300 + WHOLE, 400, "the form has more than 200 fields"),
    ],
)
async def test_a_malformed_body_is_refused_with_a_reason(
    client: httpx.AsyncClient, engine: PatientEngine, content_type: str | None, body: bytes, status: int, message: str
) -> None:
    headers = {"Content-Type": content_type} if content_type else {}
    response = await client.post(PATH, content=body, headers=headers)
    assert (response.status_code, error_of(response)["message"]) == (status, message)
    assert engine.n_asked == 0


async def test_a_file_without_a_file_name_is_a_file(client: httpx.AsyncClient, engine: PatientEngine) -> None:
    engine.go.release(1000)
    response = await client.post(PATH, content=part("file", TALK) + END, headers={"Content-Type": MULTIPART})
    assert response.status_code == 200


async def test_fields_that_nobody_knows_may_hold_anything(client: httpx.AsyncClient, engine: PatientEngine) -> None:
    engine.go.release(1000)
    body = part("x\xff", b"\xff" * 500_000) + part("model", b"\xff") + WHOLE
    response = await client.post(PATH, content=body, headers={"Content-Type": MULTIPART})
    assert response.status_code == 200


async def test_a_file_of_the_largest_size_is_taken_and_a_byte_more_is_not(
    client: httpx.AsyncClient, engine: PatientEngine
) -> None:
    engine.go.release(1000)
    largest = TALK + bytes(2**20 - len(TALK))
    assert (await client.post(PATH, files={"file": ("a.wav", largest)})).status_code == 200
    response = await client.post(PATH, files={"file": ("a.wav", largest + b"\0")})
    assert response.status_code == 413
    assert error_of(response) == {
        "message": "the file is larger than 1 MB (setting server.max_upload_mb)",
        "type": "invalid_request_error",
        "param": "file",
        "code": "file_too_large",
    }


async def test_a_client_that_sends_all_of_a_huge_file_before_it_reads_gets_its_answer(
    client: httpx.AsyncClient,
) -> None:
    for kind in ("audio/wav", "unknown"):
        files = {"file": ("a.wav", bytes(20 * 2**20), kind)}
        headers = {} if kind == "audio/wav" else {"Transfer-Encoding": "chunked"}
        response = await client.post(PATH, files=files, headers=headers)
        assert (response.status_code, error_of(response)["code"]) == (413, "file_too_large")


async def test_a_body_that_says_it_is_too_large_is_refused_unread(served: ServedEngine) -> None:
    caller = await Caller.begin(served, 10**12, b"")
    head = await asyncio.wait_for(caller.reader.readuntil(b"\r\n\r\n"), TIMEOUT_SECS)
    assert head.startswith(b"HTTP/1.1 413 ")
    await caller.hang_up()


async def test_a_body_without_a_length_is_counted_and_an_endless_one_cut_off(
    served: ServedEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events, "LINGER_SECS", 0.2)
    caller = await Caller.begin(served, None, b"")
    chunk = b"10000\r\n" + (part("x", b"")[:-2] + bytes(2**16))[: 2**16] + b"\r\n"

    async def pour() -> None:
        with suppress(ConnectionError):
            while True:
                caller.writer.write(chunk)
                await caller.writer.drain()

    pouring = asyncio.create_task(pour())
    head = await asyncio.wait_for(caller.reader.readuntil(b"\r\n\r\n"), TIMEOUT_SECS)
    assert head.startswith(b"HTTP/1.1 413 ")
    # The server hangs up on it.
    await asyncio.wait_for(pouring, TIMEOUT_SECS)
    caller.writer.close()


async def test_an_upload_that_drips_is_cut_off(served: ServedEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uploads, "GRACE_SECS", 0.3)
    monkeypatch.setattr(events, "LINGER_SECS", 0.2)
    caller = await Caller.begin(served, len(WHOLE), WHOLE[:10])

    async def drip() -> None:
        for byte in WHOLE[10:]:
            caller.writer.write(bytes([byte]))
            await asyncio.sleep(0.05)

    dripping = asyncio.create_task(drip())
    head = await asyncio.wait_for(caller.reader.readuntil(b"\r\n\r\n"), TIMEOUT_SECS)
    # A byte that reaches a closed socket makes the kernel throw away what is still to be read.
    dripping.cancel()
    body = await caller.answer()
    assert head.startswith(b"HTTP/1.1 408 ")
    assert json.loads(body)["error"]["code"] == "upload_timeout"
    await caller.hang_up()


async def test_hanging_up_during_the_upload_frees_the_place(served: ServedEngine, engine: PatientEngine) -> None:
    callers = [await Caller.begin(served, len(WHOLE), WHOLE[:1000]) for _ in range(2)]
    await until(lambda: served.jobs.n_active == 2)
    for caller in callers:
        await caller.hang_up()
    await until(lambda: served.jobs.n_active == 0)
    assert engine.n_asked == 0


@pytest.mark.parametrize("stream", [b"false", b"true"])
async def test_hanging_up_during_decoding_frees_the_place_and_ends_the_work_at_the_next_segment(
    served: ServedEngine, engine: PatientEngine, stream: bytes
) -> None:
    body = part("stream", stream) + WHOLE
    caller = await Caller.begin(served, len(body), body)
    await until(engine.at_work.is_set)
    engine.go.release()
    await until(lambda: engine.n_given == 1)
    await caller.hang_up()
    await until(lambda: served.jobs.n_active == 0)
    assert not engine.left.is_set()
    engine.go.release()
    await until(engine.left.is_set)
    assert engine.n_given == 2


async def test_who_hangs_up_in_the_queue_never_reaches_the_engine(served: ServedEngine, engine: PatientEngine) -> None:
    async with httpx.AsyncClient(base_url=served.url, timeout=TIMEOUT_SECS) as client:
        # Both threads are taken by callers that have left; the engine has not noticed yet.
        for n_asked in (1, 2):
            caller = await Caller.begin(served, len(WHOLE), WHOLE)
            await until(lambda n_asked=n_asked: engine.n_asked == n_asked)
            await caller.hang_up()
            await until(lambda: served.jobs.n_active == 0)
        queued = await Caller.begin(served, len(WHOLE), WHOLE)
        await until(lambda: served.jobs.n_active == 1)
        await queued.hang_up()
        await until(lambda: served.jobs.n_active == 0)
        engine.go.release(1000)
        assert (await client.post(PATH, files={"file": ("a.wav", TALK)})).status_code == 200
    assert engine.n_asked == 3


async def test_a_stream_that_nobody_reads_to_its_end_is_given_up(served: ServedEngine, engine: PatientEngine) -> None:
    async with httpx.AsyncClient(base_url=served.url, timeout=TIMEOUT_SECS) as client:
        request = client.build_request("POST", PATH, files={"file": ("a.wav", TALK)}, data={"stream": "true"})
        engine.go.release(2)
        response = await client.send(request, stream=True)
        lines = response.aiter_lines()
        assert json.loads((await anext(lines)).removeprefix("data: "))["delta"] == "word 0"
        await response.aclose()
    await until(lambda: served.jobs.n_active == 0)
    engine.go.release()
    await until(engine.left.is_set)
    assert engine.n_given <= 3


async def test_nothing_of_an_upload_touches_a_disk(
    client: httpx.AsyncClient, engine: PatientEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a temporary file was made")

    for name in ("SpooledTemporaryFile", "TemporaryFile", "NamedTemporaryFile", "mkstemp", "_get_candidate_names"):
        monkeypatch.setattr(tempfile, name, refuse)
    monkeypatch.setattr("starlette.formparsers.SpooledTemporaryFile", refuse)
    engine.go.release(1000)
    largest = TALK + bytes(2**20 - len(TALK))
    assert (await client.post(PATH, files={"file": ("a.wav", largest)})).status_code == 200


async def test_many_bad_requests_leave_neither_threads_nor_files_nor_places(
    client: httpx.AsyncClient, served: ServedEngine, engine: PatientEngine
) -> None:
    process = psutil.Process()
    bodies = [WHOLE[:200], part("prompt", b"\xff") + WHOLE, part("file", b"x" * 5000) + END, b""]
    for round_number in range(5):
        answers = [client.post(PATH, content=body, headers={"Content-Type": MULTIPART}) for body in bodies]
        assert {answer.status_code for answer in await asyncio.gather(*answers)} <= {400, 429}
        caller = await Caller.begin(served, len(WHOLE), WHOLE[:700])
        await until(lambda: served.jobs.n_active == 1)
        await caller.hang_up()
        await until(lambda: served.jobs.n_active == 0)
        if round_number == 0:
            n_threads, n_files = threading.active_count(), process.num_fds()
    assert threading.active_count() <= n_threads  # pyright: ignore[reportPossiblyUnboundVariable]
    assert process.num_fds() <= n_files  # pyright: ignore[reportPossiblyUnboundVariable]
    assert engine.n_asked == 0
