"""Uploads within a budget of memory, counted in bytes: what has no room is refused in form, and all is given back."""

import asyncio
import gc

import httpx
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from starlette.requests import Request

from agent.server.wire.errors import ApiError
from agent.server.wire.upload_budget import HeldFile, UploadBudget, UploadMemoryError
from agent.server.wire.uploads import ClientGoneError, read_upload
from tests.support.served import serving_engine
from tests.support.speech_callers import NotingEngine

MEGABYTE = 2**20
BOUNDARY = b"b0undary"
HEAD = b'--b0undary\r\nContent-Disposition: form-data; name="file"; filename="a.wav"\r\n\r\n'
TAIL = b"\r\n--b0undary--\r\n"


def request_of(chunks: list[bytes], *, announced: int | None = None) -> Request:
    headers = [(b"content-type", b"multipart/form-data; boundary=" + BOUNDARY)]
    if announced is not None:
        headers.append((b"content-length", str(announced).encode()))
    waiting = list(chunks)

    async def receive() -> dict[str, object]:
        if not waiting:
            return {"type": "http.disconnect"}
        return {"type": "http.request", "body": waiting.pop(0), "more_body": bool(waiting)}

    return Request({"type": "http", "method": "POST", "headers": headers}, receive)


async def read(chunks: list[bytes], budget: UploadBudget, **announced: int) -> HeldFile:
    upload = await read_upload(request_of(chunks, **announced), budget, max_file_bytes=MEGABYTE, wanted={"language"})
    return upload.file


async def test_what_is_announced_is_kept_and_what_is_not_needed_given_back() -> None:
    budget = UploadBudget(2 * MEGABYTE)
    body = HEAD + b"x" * 1000 + TAIL
    first = await read([body], budget, announced=len(body))
    assert budget.n_bytes == 1000
    with pytest.raises(UploadMemoryError):
        HeldFile(budget, 2 * MEGABYTE)
    assert budget.n_bytes == 1000
    first.close()
    first.close()
    assert budget.n_bytes == 0


async def test_without_an_announced_length_every_byte_counts_as_it_comes() -> None:
    budget = UploadBudget(1500)
    chunks = [HEAD, *[b"x" * 100] * 20, TAIL]
    with pytest.raises(UploadMemoryError) as caught:
        await read(chunks, budget)
    assert budget.n_bytes == 0
    assert (caught.value.status, caught.value.headers["Retry-After"]) == (503, "1")
    held = await read([HEAD, b"x" * 1400, TAIL], budget)
    assert budget.n_bytes == 1400
    del held
    gc.collect()
    assert budget.n_bytes == 0, "a file that nobody closed has given its bytes back"


async def test_of_eight_large_uploads_those_beyond_the_budget_are_told_to_come_back() -> None:
    async with serving_engine(NotingEngine(), max_upload_mb=4, upload_memory_mb=9) as served:
        body = HEAD + bytes(4 * MEGABYTE - 2000) + TAIL
        arrived = asyncio.Event()
        n_begun = 0

        async def slowly() -> object:
            nonlocal n_begun
            yield body[:MEGABYTE]
            n_begun += 1
            if n_begun == 2:
                arrived.set()
            await arrived.wait()
            yield body[MEGABYTE:]

        headers = {
            "Content-Type": f"multipart/form-data; boundary={BOUNDARY.decode()}",
            "Content-Length": str(len(body)),
        }
        async with httpx.AsyncClient(base_url=served.url, timeout=60) as client:

            async def upload() -> httpx.Response:
                return await client.post("/v1/audio/transcriptions", content=slowly(), headers=headers)  # pyright: ignore

            first = [asyncio.create_task(upload()) for _ in range(2)]
            await arrived.wait()
            assert served.jobs.uploads.n_bytes <= 9 * MEGABYTE
            refused = await upload()
            await asyncio.gather(*first)
        assert refused.status_code == 503
        assert refused.headers["retry-after"] == "1"
        assert refused.json()["error"] == {
            "message": "uploads take up the 9 MB of memory that they may (setting server.upload_memory_mb); "
            "try again in a moment",
            "type": "server_error",
            "param": None,
            "code": "upload_memory",
        }
        assert served.jobs.uploads.n_bytes == 0


PIECES = st.one_of(
    st.sampled_from(
        [HEAD, TAIL, b"\r\n", b"--b0undary", b"--", b'Content-Disposition: form-data; name="language"', b":"]
    ),
    st.binary(max_size=40),
)


async def check_multipart(chunks: list[bytes], announced: int | None) -> None:
    budget = UploadBudget(MEGABYTE)
    try:
        held = await read(chunks, budget, **({} if announced is None else {"announced": announced}))
    except (ApiError, ClientGoneError):
        assert budget.n_bytes == 0
        return
    assert budget.n_bytes == len(held.getvalue())
    held.close()
    assert budget.n_bytes == 0


MULTIPART = (st.lists(PIECES, max_size=12), st.none() | st.integers(0, 3 * MEGABYTE))


@given(*MULTIPART)
@example([HEAD + b"x" + TAIL], 0)
@example([HEAD, b"", TAIL, HEAD], None)
def test_whatever_a_form_holds_its_bytes_are_counted_and_given_back(chunks: list[bytes], announced: int | None) -> None:
    asyncio.run(check_multipart(chunks, announced))
