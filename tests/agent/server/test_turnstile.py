"""Requests are begun one a turn of the event loop, however many come at once, and wait for nobody's answer."""

import asyncio
from typing import Any

from agent.server.guard.turnstile import Turnstile
from tests.support.virtual_time import in_virtual_time

N_REQUESTS = 50


@in_virtual_time
async def test_between_any_two_requests_others_have_their_turn_and_answers_may_overlap() -> None:
    turn, ended = 0, asyncio.Event()
    begun: list[int] = []

    async def application(*_: Any) -> None:
        begun.append(turn)
        await ended.wait()

    gate = Turnstile(application)
    requests = [asyncio.create_task(gate({"type": "http"}, Any, Any)) for _ in range(N_REQUESTS)]  # pyright: ignore
    while len(begun) < N_REQUESTS:
        turn += 1
        await asyncio.sleep(0)
    assert len(set(begun)) == N_REQUESTS
    assert not any(request.done() for request in requests)
    ended.set()
    await asyncio.gather(*requests)


@in_virtual_time
async def test_a_request_that_is_given_up_lets_the_next_one_in() -> None:
    begun: list[str] = []

    async def application(scope: Any, *_: Any) -> None:
        begun.append(scope["path"])

    gate = Turnstile(application)
    first, second = (asyncio.create_task(gate({"path": name}, Any, Any)) for name in ("a", "b"))  # pyright: ignore
    await asyncio.sleep(0)
    first.cancel()
    await second
    assert begun == ["b"]
