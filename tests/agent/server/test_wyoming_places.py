"""A Wyoming client that keeps a place which others wait for, and sends what does not bring its request on."""

import asyncio
from contextlib import suppress
from typing import Any

import pytest
from wyoming.tts import SynthesizeChunk, SynthesizeStart

from agent.server.wyoming.session import SOUND_SECS, TEXT_SECS
from agent.server.wyoming.speaking import WHOLE_SECS
from tests.agent.server.test_wyoming_hostile import START, attacked, event, events_of
from tests.support.virtual_time import in_virtual_time


@pytest.mark.parametrize(
    ("begun", "after_secs"),
    [
        (event("transcribe"), SOUND_SECS),
        (event("audio-start", START), SOUND_SECS),
        (event("synthesize-start"), TEXT_SECS),
    ],
)
@pytest.mark.parametrize("beside", ["ping", "describe", "of-no-kind-that-is-known"])
@in_virtual_time
async def test_what_is_asked_beside_a_request_gives_it_no_more_time(
    begun: bytes, after_secs: float, beside: str
) -> None:
    loop = asyncio.get_running_loop()
    async with attacked() as (_, wyoming):
        reader, writer = await asyncio.open_connection("127.0.0.1", wyoming.port)
        begun_secs = loop.time()
        writer.write(begun)

        async def go_on() -> None:
            with suppress(OSError):
                while True:
                    await asyncio.sleep(3)
                    writer.write(event(beside))
                    await writer.drain()

        asking = asyncio.create_task(go_on())
        async with asyncio.timeout(10 * after_secs):
            found: list[dict[str, Any]] = events_of(await reader.read())
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)
        writer.close()
        assert loop.time() - begun_secs == pytest.approx(after_secs, abs=3.5)
        assert [one["text"] for one in found if one["type"] == "error"] == ["no whole event came in time"]


@in_virtual_time
async def test_a_text_that_trickles_in_loses_its_place() -> None:
    async with attacked() as (_, wyoming), wyoming.caller() as caller:
        await caller.send(SynthesizeStart())
        for _ in range(int(WHOLE_SECS // 50) + 1):
            await asyncio.sleep(50)
            await caller.send(SynthesizeChunk(""))
        (error,) = await caller.rest()
        assert error.data["text"] == "synthesize-chunk: the text comes too slowly"
