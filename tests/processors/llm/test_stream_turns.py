"""However much of a model's stream comes at once, and however little it says, calls have their turns meanwhile."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from processors.llm.sse import STEP_BYTES, PatientDecoder
from tests.support.virtual_time import in_virtual_time

N_BYTES = 256 * 1024
SHAPES = {
    "comments": b": keep-alive\n\n",
    "empty lines": b"\n",
    "empty events": b"data:\n\n",
    "events without words": b'data: {"choices": [{"index": 0, "delta": {"content": ""}}]}\n\n',
    "half characters": "data: é😀\n\n".encode(),
}


@pytest.mark.parametrize("shape", list(SHAPES))
@in_virtual_time
async def test_what_comes_at_once_is_read_in_steps(shape: str) -> None:
    one = SHAPES[shape]
    whole = one * (N_BYTES // len(one))
    turns: list[int] = []
    events: list[str] = []

    async def received() -> AsyncIterator[bytes]:
        yield whole

    async def others() -> None:
        while True:
            turns.append(len(events))
            await asyncio.sleep(0)

    watching = asyncio.create_task(others())
    await asyncio.sleep(0)
    async for event in PatientDecoder(N_BYTES).aiter_bytes(received()):
        events.append(event.data)
    watching.cancel()
    # A turn for every step, and no step with more events than it has room for.
    assert len(turns) >= len(whole) // STEP_BYTES
    most = max(after - before for before, after in zip(turns, [*turns[1:], len(events)], strict=True))
    assert most <= STEP_BYTES // len(one) + 1
    n_events = whole.count(b"data:")
    assert len(events) == n_events
    assert set(events) == ({one.decode().partition("data:")[2].strip()} if n_events else set())
