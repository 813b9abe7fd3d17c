"""Requests of threads to a group of addresses, through an event loop in a thread of its own.

In:  what a blocking httpx client sends.   Out: what `GroupTransport` answers; `cut` ends the wait from any thread.
"""

import asyncio
import threading
from collections.abc import Coroutine, Iterator
from concurrent.futures import CancelledError, Future
from contextlib import suppress
from typing import Any, TypeVar

import httpx
import httpx2

from processors.address_asking import GroupTransport
from processors.address_looks import look_after
from processors.addresses import AddressGroup

KEEP_ALIVE_SECS = 3.0
CLOSE_SECS = 5.0
T = TypeVar("T")


class AddressLoop:
    """An event loop in a thread of its own, with the connections to a group.

    Args:
        group: The addresses.
        verify: How certificates are checked; see httpx.
    """

    def __init__(self, group: AddressGroup, verify: Any) -> None:
        self._lock = threading.Lock()
        self._is_closed = False
        self._loop = asyncio.new_event_loop()
        limits = httpx2.Limits(keepalive_expiry=KEEP_ALIVE_SECS)
        self.asking = GroupTransport(group, httpx2.AsyncHTTPTransport(verify=verify, limits=limits))
        self._thread = threading.Thread(target=self._loop.run_forever, name=f"{group.stage}-addresses", daemon=True)
        self._thread.start()
        self._loop.call_soon_threadsafe(look_after, group)

    def start(self, work: Coroutine[Any, Any, T]) -> "Future[T]":
        """Begin some work on the loop.

        Args:
            work: It.

        Raises:
            RuntimeError: The loop is over.
        """
        with self._lock:
            if self._is_closed:
                work.close()
                raise RuntimeError("the loop is over")
            return asyncio.run_coroutine_threadsafe(work, self._loop)

    def close(self) -> None:
        """End all work and every connection."""
        with self._lock:
            if self._is_closed:
                return
            self._is_closed = True
        with suppress(TimeoutError, CancelledError):
            asyncio.run_coroutine_threadsafe(self._end(), self._loop).result(CLOSE_SECS)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(CLOSE_SECS)
        if not self._thread.is_alive():
            self._loop.close()

    async def _end(self) -> None:
        others = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        await self.asking.aclose()


class _Kept:
    """An answer that may come when nobody waits for it any more; used on the loop."""

    def __init__(self) -> None:
        self._task: asyncio.Task[Any] | None = None
        self._response: httpx2.Response | None = None

    async def answer(self, asking: GroupTransport, asked: httpx2.Request) -> httpx2.Response:
        self._task = asyncio.current_task()
        self._response = await asking.handle_async_request(asked)
        return self._response

    async def let_go(self) -> None:
        if self._task:
            await asyncio.wait([self._task])
        if self._response:
            await self._response.aclose()


class AddressLine(httpx.BaseTransport):
    """Sends one thread's requests to a group, one after the other.

    Args:
        loop: Has the connections.
    """

    def __init__(self, loop: AddressLoop) -> None:
        self._loop = loop
        self._lock = threading.Lock()
        self._under_way: Future[Any] | None = None
        self._is_cut = False

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """See httpx."""
        extensions = {"timeout": request.extensions["timeout"]} if "timeout" in request.extensions else {}
        asked = httpx2.Request(
            request.method,
            str(request.url),
            headers=request.headers.raw,
            content=request.read() or None,
            extensions=extensions,
        )
        kept = _Kept()
        try:
            response = self.wait_for(kept.answer(self._loop.asking, asked))
        except httpx.TransportError:
            # It may have come in the moment in which it was cut; either way nothing is under way any more.
            self.end(kept.let_go())
            raise
        return httpx.Response(response.status_code, headers=response.headers.raw, stream=_Parts(self, response))

    def wait_for(self, work: Coroutine[Any, Any, T]) -> T:
        """What some work on the loop gives.

        Args:
            work: It.

        Raises:
            httpx.TransportError: It failed, `cut` was called, or the loop is over.
        """
        with self._lock:
            if self._is_cut:
                work.close()
                raise httpx.ReadError("cut off")
            try:
                self._under_way = future = self._loop.start(work)
            except RuntimeError as error:
                raise httpx.ReadError("closed") from error
        try:
            return future.result()
        except CancelledError as error:
            raise httpx.ReadError("cut off") from error
        except httpx2.TransportError as error:
            # The loop's library has the same errors by the same names.
            raise getattr(httpx, type(error).__name__, httpx.ReadError)(str(error)) from error
        finally:
            self._under_way = None

    def cut(self) -> None:
        """End what is waited for; nothing more is sent."""
        with self._lock:
            self._is_cut = True
            if self._under_way is not None:
                self._under_way.cancel()

    def end(self, work: Coroutine[Any, Any, None]) -> None:
        """Have something ended, whether or not the line was cut."""
        with suppress(RuntimeError, TimeoutError, CancelledError):
            self._loop.start(work).result(CLOSE_SECS)


class _Parts(httpx.SyncByteStream):
    """The body of an answer, part by part."""

    def __init__(self, line: AddressLine, response: httpx2.Response) -> None:
        self._line, self._response = line, response

    def __iter__(self) -> Iterator[bytes]:
        stream = self._response.stream
        assert isinstance(stream, httpx2.AsyncByteStream)  # noqa: S101 - an async transport gives no other
        parts = aiter(stream)
        while (part := self._line.wait_for(_next(parts))) is not None:
            yield part

    def close(self) -> None:
        self._line.end(self._response.aclose())


async def _next(parts: Any) -> bytes | None:
    return await anext(parts, None)
