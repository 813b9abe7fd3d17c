"""Requests to several addresses, below any engine: what is packed, dropped or cut leaves nothing under way."""

import asyncio
import gzip
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress

import httpx
import httpx2
import pytest

from processors.address import Group
from processors.address_asking import GROUP_URL, GroupTransport
from processors.address_line import AddressLine, AddressLoop, _Kept
from processors.addresses import AddressGroup
from tests.support.virtual_time import in_virtual_time

EVENT = b'data: {"choices": [{"delta": {"content": "Fine."}}]}\n\ndata: [DONE]\n\n'
STREAM = {"content-type": "text/event-stream"}
Answer = Callable[[httpx2.Request], Awaitable[httpx2.Response]]


class Inner(httpx2.AsyncBaseTransport):
    """The servers, scripted."""

    def __init__(self, answer: Answer) -> None:
        self._answer = answer

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        return await self._answer(request)


class Noted(httpx2.AsyncByteStream):
    """A body that knows whether it was closed."""

    def __init__(self) -> None:
        self.is_closed = False

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield EVENT

    async def aclose(self) -> None:
        self.is_closed = True


def group() -> AddressGroup:
    return AddressGroup(Group("llm", ("http://one/v1", "http://two/v1"), silent_secs=0.1))


def asked() -> httpx2.Request:
    return httpx2.Request("POST", f"{GROUP_URL}/chat/completions", content=b"{}")


def in_flight(of: AddressGroup) -> list[int]:
    return [one.n_in_flight for one in of.addresses]


@pytest.mark.parametrize("packs", [False, True])
async def test_no_answer_is_asked_for_packed_and_one_that_is_all_the_same_is_read(packs: bool) -> None:
    wanted: list[str] = []

    async def answer(request: httpx2.Request) -> httpx2.Response:
        wanted.append(request.headers["accept-encoding"])
        if packs:
            return httpx2.Response(200, headers={**STREAM, "content-encoding": "gzip"}, content=gzip.compress(EVENT))
        return httpx2.Response(200, headers=STREAM, content=EVENT)

    both = group()
    async with httpx2.AsyncClient(transport=GroupTransport(both, Inner(answer))) as client:
        response = await client.post(f"{GROUP_URL}/chat/completions", content=b"{}")
    assert (response.content, wanted) == (EVENT, ["identity"])
    assert ([one.gone for one in both.addresses], in_flight(both)) == (["", ""], [0, 0])


@in_virtual_time
async def test_an_answer_that_nobody_wants_any_more_when_it_has_come_is_closed() -> None:
    body, loser_ends = Noted(), asyncio.Event()

    async def answer(request: httpx2.Request) -> httpx2.Response:
        if not any(one.n_asked for one in both.addresses[1:]):
            await asyncio.sleep(0.2)
            return httpx2.Response(200, headers=STREAM, stream=body)
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            # It takes its time to end, and the caller goes meanwhile.
            await loser_ends.wait()
            raise
        raise AssertionError("nobody has ended it")

    both = group()
    asking = asyncio.create_task(GroupTransport(both, Inner(answer)).handle_async_request(asked()))
    await asyncio.sleep(1.0)
    assert [one.n_asked for one in both.addresses] == [1, 1]
    assert not asking.done()
    asking.cancel()
    loser_ends.set()
    with suppress(asyncio.CancelledError):
        await asking
    await asyncio.sleep(0.1)
    assert body.is_closed
    assert in_flight(both) == [0, 0]


async def test_an_answer_that_comes_as_its_line_is_cut_is_closed() -> None:
    body = Noted()

    async def answer(_: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(200, headers=STREAM, stream=body)

    both, kept = group(), _Kept()
    await asyncio.create_task(kept.answer(GroupTransport(both, Inner(answer)), asked()))
    assert sum(in_flight(both)) == 1
    await kept.let_go()
    assert (body.is_closed, in_flight(both)) == (True, [0, 0])


def test_nothing_waits_at_a_loop_that_is_over() -> None:
    loop = AddressLoop(group(), verify=False)
    loop.close()
    loop.close()
    with pytest.raises(httpx.ReadError, match="closed"):
        AddressLine(loop).handle_request(httpx.Request("GET", f"{GROUP_URL}/models"))
