"""Requests to a group of addresses: each goes to one, and moves on while it has given nothing.

In:  a request to `GROUP_URL` and a path.   Out: the response of the address that gave the first chunk.

What moves a request on: no connection, a refusal of the server's own making (5xx, 401, 403, 404, 429), an answer that
ends or fails before its first chunk; and silence, where the next address is asked beside the silent one. What refuses
the request itself (400, 413, 415, 422) is the answer. Once a first chunk has come nothing is asked again, so that no
word is heard twice and no tool called twice.
"""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from functools import partial

import httpx2

from processors.address import Address
from processors.address_looks import authorization, look_after, reason_of
from processors.addresses import AddressGroup, conversation_asked_for
from processors.first_chunk import FirstChunk

# A name that no resolver knows (RFC 2606): a request that is not sent on goes nowhere.
GROUP_URL = "http://addresses.invalid"
ABOUT_THE_REQUEST = (400, 413, 415, 422)
# A server says so of itself; what else it refuses, it may refuse for the request.
NOT_SERVING = (502, 503, 504)
BUSY = 429
MAX_REFUSAL_BYTES = 64 << 10
# Answers that nobody wants, until they are closed.
_closing: "set[asyncio.Task[None]]" = set()


@dataclass
class _Lost:
    """An address gave nothing.

    Attributes:
        reason: In a few words.
        error: What is raised where no other address answers; or
        response: What is answered then.
        is_gone: Whether it is sure that the address is to blame; None: where others answer, it is.
    """

    reason: str
    error: Exception | None = None
    response: httpx2.Response | None = None
    is_gone: bool | None = True


@dataclass(eq=False)
class _Try:
    address: Address
    began_secs: float
    task: "asyncio.Task[httpx2.Response | _Lost]" = field(init=False)


class GroupTransport(httpx2.AsyncBaseTransport):
    """Sends the requests of an httpx client to a group.

    Args:
        group: The addresses.
        inner: What sends them; default: connections of its own.
    """

    def __init__(self, group: AddressGroup, inner: httpx2.AsyncBaseTransport) -> None:
        self._group = group
        self._inner = inner

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """See httpx2."""
        await request.aread()
        return await _Race(self._group, self._inner, request).run()

    async def aclose(self) -> None:
        """Close the connections."""
        await self._inner.aclose()


class _Race:
    """One request, at one address or at several."""

    def __init__(self, group: AddressGroup, inner: httpx2.AsyncBaseTransport, request: httpx2.Request) -> None:
        self._group, self._inner, self._request = group, inner, request
        self._tried: set[int] = set()
        self._running: list[_Try] = []
        self._refused: list[tuple[Address, _Lost]] = []
        self._refusal: httpx2.Response | None = None
        self._error: Exception | None = None
        self._hedge_at_secs: float | None = None
        self._silent_secs = group.silent_secs()
        # What only asks what there is tells nothing of how long the work takes.
        self._is_work = request.method == "POST"

    async def run(self) -> httpx2.Response:
        """The response of the first that gives something; the last refusal where none does.

        Raises:
            httpx2.TransportError: No address answers.
        """
        # What was found gone at the start, or by another event loop that has ended meanwhile.
        look_after(self._group)
        if self._is_work:
            self._group.began()
        response: httpx2.Response | None = None
        try:
            self._ask(self._group.take(conversation=conversation_asked_for()))
            after_secs = self._group.hedge_after_secs() if self._is_work else None
            self._hedge_at_secs = None if after_secs is None else time.monotonic() + after_secs
            while self._running:
                tasks = [one.task for one in self._running]
                done, _ = await asyncio.wait(tasks, timeout=self._wait_secs(), return_when=asyncio.FIRST_COMPLETED)
                if not done:
                    self._ask_beside()
                elif (response := self._ended(done)) is not None:
                    return response
        finally:
            await self._drop_others(response)
        # Whoever refuses tells more than whoever is not there.
        if self._refusal is not None:
            return self._refusal
        raise self._error or httpx2.ConnectError("no address answers")

    def _ask(self, address: Address) -> None:
        self._tried.add(address.number)
        one = _Try(address, time.monotonic())
        one.task = asyncio.create_task(self._first_of(address), name=f"{self._group.stage}-address-{address.number}")
        self._running.append(one)

    def _ended(self, done: "set[asyncio.Task[httpx2.Response | _Lost]]") -> httpx2.Response | None:
        """The response of one that gave something; else the next is asked, where none is being asked."""
        for one in [one for one in self._running if one.task in done]:
            result = one.task.result()
            if isinstance(result, httpx2.Response):
                self._running.remove(one)
                self._won(one, result.status_code)
                return result
            self._running.remove(one)
            self._group.give_back(one.address)
            self._refusal, self._error = result.response or self._refusal, result.error or self._error
            if result.is_gone:
                self._gone(one.address, result.reason)
            elif result.is_gone is None and self._is_work:
                self._refused.append((one.address, result))
        if not self._running:
            with contextlib.suppress(LookupError):
                self._ask(self._group.take(self._tried, conversation_asked_for()))
                if self._is_work:
                    self._group.went_on(is_hedge=False)
        return None

    def _won(self, winner: _Try, status: int) -> None:
        now_secs = time.monotonic()
        if self._is_work:
            self._group.gave(winner.address, now_secs - winner.began_secs)
        else:
            self._group.is_back(winner.address)
        # What all refuse alike is about the request, and what another answers is not.
        for address, lost in self._refused if status < 300 else ():
            self._gone(address, lost.reason)

    def _gone(self, address: Address, reason: str) -> None:
        self._group.failed(address, reason)
        look_after(self._group)

    def _wait_secs(self) -> float | None:
        """Until another address may be asked, too; None: never."""
        if not self._others():
            return None
        due_secs = self._running[-1].began_secs + self._silent_secs
        if self._hedge_at_secs is not None:
            due_secs = min(due_secs, self._hedge_at_secs)
        return max(0.0, due_secs - time.monotonic())

    def _others(self) -> bool:
        return any(not one.gone and one.number not in self._tried for one in self._group.addresses)

    def _ask_beside(self) -> None:
        """The address is late, or silent: the next one is asked, and the first that gives something answers."""
        now_secs = time.monotonic()
        is_late = self._hedge_at_secs is not None and now_secs >= self._hedge_at_secs
        is_silent = now_secs >= self._running[-1].began_secs + self._silent_secs
        if is_late:
            self._hedge_at_secs = None
            # Others may have used the share meanwhile.
            is_late = self._group.hedge_after_secs() is not None
        if not (is_late or is_silent):
            return
        with contextlib.suppress(LookupError):
            self._ask(self._group.take(self._tried, gone=False))
            if self._is_work:
                self._group.went_on(is_hedge=not is_silent)

    async def _drop_others(self, given: httpx2.Response | None) -> None:
        """End what is still asked; what was silent for too long is left alone from now on.

        Args:
            given: The answer; it ends, too, where nobody wants it any more.
        """
        running, self._running = self._running, []
        now_secs = time.monotonic()
        for one in running:
            one.task.add_done_callback(partial(self._let_go, one))
            one.task.cancel()
            if now_secs - one.began_secs >= self._silent_secs and not one.task.done():
                self._gone(one.address, f"nothing within {self._silent_secs:.2g} s")
        try:
            await asyncio.gather(*(one.task for one in running), return_exceptions=True)
        except asyncio.CancelledError:
            if given is not None:
                await given.aclose()
            raise

    def _let_go(self, one: _Try, task: "asyncio.Task[httpx2.Response | _Lost]") -> None:
        """One that was dropped has ended; it may have answered in the same moment."""
        result = None if task.cancelled() or task.exception() else task.result()
        if isinstance(result, httpx2.Response):
            closing = asyncio.create_task(result.aclose())
            _closing.add(closing)
            closing.add_done_callback(_closing.discard)
        else:
            self._group.give_back(one.address)

    async def _first_of(self, address: Address) -> httpx2.Response | _Lost:
        """The response, once it has given something."""
        try:
            response = await self._inner.handle_async_request(_to(address, self._request))
            if response.status_code in ABOUT_THE_REQUEST or response.status_code < 300:
                return await self._begun(address, response)
            refusal = await _whole(response)
        except (httpx2.TransportError, httpx2.InvalidURL) as error:
            return _Lost(reason_of(error), error)
        status = response.status_code
        is_gone = True if status in NOT_SERVING else False if status == BUSY else None
        return _Lost(f"HTTP {status}", response=refusal, is_gone=is_gone)

    async def _begun(self, address: Address, response: httpx2.Response) -> httpx2.Response | _Lost:
        stream = response.stream
        assert isinstance(stream, httpx2.AsyncByteStream)  # noqa: S101 - an async transport gives no other
        parts, held = aiter(stream), list[bytes]()
        chunks = FirstChunk() if _is_readable(response) else None
        try:
            async for part in parts:
                held.append(part)
                state = chunks.feed(part) if chunks else ("something" if part else "nothing")
                if state == "error":
                    await stream.aclose()
                    return _Lost("an error in place of an answer", response=_of(response, b"".join(held)), is_gone=None)
                if state == "something":
                    break
            else:
                if chunks and response.status_code < 300:
                    await stream.aclose()
                    error = httpx2.RemoteProtocolError("the answer ended before it began")
                    return _Lost("an answer that says nothing", error, is_gone=True)
        except BaseException:
            await stream.aclose()
            raise
        given = _Given(held, parts, stream, self._group, address)
        return httpx2.Response(
            response.status_code, headers=response.headers, stream=given, extensions=response.extensions
        )


class _Given(httpx2.AsyncByteStream):
    """An answer that has begun: what was read of it, and the rest."""

    def __init__(
        self,
        held: list[bytes],
        parts: AsyncIterator[bytes],
        stream: httpx2.AsyncByteStream,
        group: AddressGroup,
        address: Address,
    ) -> None:
        self._held, self._parts, self._stream, self._group, self._address = held, parts, stream, group, address
        self._is_open = True

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for part in self._held:
            yield part
        try:
            async for part in self._parts:
                yield part
        except httpx2.TransportError as error:
            if not isinstance(error, httpx2.TimeoutException):
                self._group.failed(self._address, f"broke off its answer ({type(error).__name__})")
                look_after(self._group)
            raise

    async def aclose(self) -> None:
        if self._is_open:
            self._is_open = False
            self._group.give_back(self._address)
            await self._stream.aclose()


def _to(address: Address, request: httpx2.Request) -> httpx2.Request:
    """The same request at an address, with that one's key and no other's."""
    url = httpx2.URL(address.url + request.url.raw_path.decode("ascii"))
    headers = request.headers.copy()
    headers["Host"] = url.netloc.decode("ascii")
    # What a stream begins with is read here.
    headers["Accept-Encoding"] = "identity"
    headers.update(authorization(address))
    extensions = {"timeout": request.extensions["timeout"]} if "timeout" in request.extensions else {}
    return httpx2.Request(request.method, url, headers=headers, content=request.content or None, extensions=extensions)


def _is_readable(response: httpx2.Response) -> bool:
    """Whether it is a stream of events; what was packed all the same is not looked into."""
    kind = response.headers.get("content-type", "").lower()
    is_packed = response.headers.get("content-encoding", "identity").lower() != "identity"
    return kind.startswith("text/event-stream") and not is_packed


async def _whole(response: httpx2.Response) -> httpx2.Response:
    """A refusal, as much of it as is worth reading."""
    body = bytearray()
    stream = response.stream
    assert isinstance(stream, httpx2.AsyncByteStream)  # noqa: S101 - an async transport gives no other
    try:
        async for part in stream:
            body += part
            if len(body) > MAX_REFUSAL_BYTES:
                break
    finally:
        await stream.aclose()
    return _of(response, bytes(body))


def _of(response: httpx2.Response, body: bytes) -> httpx2.Response:
    return httpx2.Response(response.status_code, headers=response.headers, stream=httpx2.ByteStream(body))
