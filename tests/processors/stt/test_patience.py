"""How long a recognizer is waited for: longer where the machine is known to be slow, and never without end."""

import asyncio

import pytest

from agent.engines.speed import Speed
from processors.engine_threads import EngineThreads
from processors.errors import EngineHungError
from processors.stt.calls import RecognizerCalls
from tests.support.scripted_engines import ScriptedRecognizerEngine
from tests.support.virtual_time import in_virtual_time

SPEECH_S16 = bytes(2 * 32_000)


async def heard(finish_secs: float, speed: Speed | None) -> str:
    """What comes of two seconds of speech whose words take so long."""
    engine = ScriptedRecognizerEngine("hello there", finish_secs=finish_secs)
    threads = EngineThreads(1, "stt")
    try:
        calls = RecognizerCalls(engine, threads, expected_secs=speed.expected_secs if speed else None)
        await calls.accept(SPEECH_S16)
        return (await calls.pause()).text
    finally:
        # The thread that was given up sleeps to its end, too.
        await asyncio.sleep(finish_secs)
        threads.shutdown(wait=False, cancel_futures=True)


@in_virtual_time
async def test_an_engine_that_was_measured_slow_is_not_given_up_on_a_busy_machine() -> None:
    slow = Speed(first_secs=1.5, factor=0.3)
    assert slow.expected_secs(2.0) == 2.1
    assert await heard(15.0, slow) == "hello there"
    with pytest.raises(EngineHungError, match="does not come back"):
        await heard(20.0, slow)


@in_virtual_time
async def test_one_that_was_measured_fast_or_not_at_all_is_given_up_after_seconds() -> None:
    assert await heard(6.5, None) == "hello there"
    for speed in (None, Speed(first_secs=0.1, factor=0.1)):
        with pytest.raises(EngineHungError, match="does not come back"):
            await heard(9.0, speed)


@in_virtual_time
async def test_nobody_waits_half_a_minute_for_a_turn_however_slow_the_machine_is() -> None:
    with pytest.raises(EngineHungError, match="does not come back"):
        await heard(33.0, Speed(first_secs=10.0, factor=2.0))
