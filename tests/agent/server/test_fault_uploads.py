"""Recordings whose engine fails, dies or does not come back: one clear line in bounded time, and the next one works."""

import os
import signal
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest

from agent.server.speech.jobs import PATIENCE_SECS
from processors.stt.pocketsphinx import PocketSphinxEngine
from processors.stt.recognizer import Pcm16, Segment, TranscriptionRequest
from tests.support.faulty_engines import Fault, ReadyStandby
from tests.support.house import SPEECH
from tests.support.left_over import leaving_nothing
from tests.support.served import ServedEngine, serving_engine
from tests.support.speech_callers import TALK_SECS, NotingEngine, error_of, post, until
from tests.support.virtual_time import in_virtual_time

TEXT = "Good day. Café?"
GONE = "scripted did not come back from its work: send the recording again"
TOLD = {
    "error": "it failed",
    "hang": GONE,
    "out of memory": "scripted: out of memory",
    "disk full": "scripted: [Errno 28] No space left on device",
}


class FaultyEngine(NotingEngine):
    """Fails in front of, or behind, the first segment of the first recordings."""

    def __init__(self, faults: list[Fault], after: int = 0) -> None:
        super().__init__()
        self.faults, self.after, self.struck = faults, after, list(faults)

    def transcribe(self, audio_s16: Pcm16, request: TranscriptionRequest) -> Iterator[Segment]:
        fault = self.faults.pop(0) if self.faults else None
        for index, segment in enumerate(super().transcribe(audio_s16, request)):
            if fault and index == self.after:
                fault.strike(fault.take())
            yield segment


@asynccontextmanager
async def serving(engine: NotingEngine, standby: Any = None) -> AsyncIterator[tuple[ServedEngine, httpx.AsyncClient]]:
    async with (
        serving_engine(engine, standby=standby) as served,
        httpx.AsyncClient(base_url=served.url, timeout=120) as client,
    ):
        try:
            yield served, client
            # An answer is read before its place is free again.
            await until(lambda: not served.jobs.n_active)
        finally:
            # What hangs comes back: nothing can end a thread.
            for fault in getattr(engine, "struck", []):
                fault.released.set()


@pytest.mark.parametrize("name", sorted(TOLD))
@in_virtual_time
async def test_fault_of_the_engine_is_one_line_in_bounded_time_and_the_next_recording_is_transcribed(name: str) -> None:
    fault = Fault(name)
    async with leaving_nothing(), serving(FaultyEngine([fault])) as (_, client):
        began_secs = time.monotonic()
        failed = await post(client)
        took_secs = time.monotonic() - began_secs
        assert (failed.status_code, error_of(failed)["message"]) == (500, TOLD[name])
        # It may take as long as the recording, and half a minute; who waits looks every second.
        assert took_secs <= PATIENCE_SECS + TALK_SECS + 2
        again = await post(client)
        assert (again.status_code, again.json()["text"]) == (200, TEXT)


@in_virtual_time
async def test_fault_an_engine_that_hangs_is_replaced_by_the_next_one_also_for_those_behind_it() -> None:
    faults = [Fault("hang"), Fault("hang"), Fault("hang")]
    other = NotingEngine()
    other.name, other.model = "other", "another"
    standby = ReadyStandby(other)
    async with serving(FaultyEngine(list(faults)), standby) as (_, client):
        hung = [await post(client)]
        assert [(one.status_code, error_of(one)["message"]) for one in hung] == [(500, GONE)]
        for _ in range(3):
            assert (await post(client)).json()["text"] == TEXT
        assert len(other.asked) == 3
        assert (await client.get("/v1/models")).json()["data"][0]["id"] == "another"
    standby.shutdown()


@in_virtual_time
async def test_fault_an_engine_that_hangs_again_and_again_is_given_up_with_one_line() -> None:
    faults = [Fault("hang") for _ in range(9)]
    async with serving(FaultyEngine(list(faults))) as (_, client):
        messages = [error_of(await post(client))["message"] for _ in range(5)]
        assert messages[:3] == [GONE] * 3
        assert messages[3:] == ["scripted hangs in 3 threads and is asked no more: restart the server"] * 2


@in_virtual_time
async def test_fault_a_stream_whose_engine_hangs_ends_with_an_error_event() -> None:
    fault = Fault("hang")
    async with serving(FaultyEngine([fault], after=1)) as (_, client):
        streamed = (await post(client, stream="true")).text
        assert streamed.startswith('data: {"type": "transcript.text.delta", "delta": "Good day."}')
        assert streamed.rstrip().splitlines()[-2] == "event: error"
        assert GONE in streamed.rstrip().splitlines()[-1]


@in_virtual_time
async def test_fault_a_recording_that_is_worked_on_for_long_with_signs_of_life_is_not_given_up() -> None:
    class SlowEngine(NotingEngine):
        def transcribe(self, audio_s16: Pcm16, request: TranscriptionRequest) -> Iterator[Segment]:
            for segment in super().transcribe(audio_s16, request):
                time.sleep(PATIENCE_SECS)
                yield segment

    async with serving(SlowEngine()) as (_, client):
        assert (await post(client)).json()["text"] == TEXT


@pytest.mark.parametrize("kill", [signal.SIGKILL, signal.SIGSTOP], ids=["dies", "hangs"])
@in_virtual_time
async def test_fault_a_child_that_is_lost_costs_one_recording_at_most(kill: signal.Signals) -> None:
    engine = PocketSphinxEngine()
    wav = (SPEECH / "days_in_a_week.wav").read_bytes()

    async def ask(client: httpx.AsyncClient) -> httpx.Response:
        return await client.post("/v1/audio/transcriptions", files={"file": ("a.wav", wav)}, data={"model": "m"})

    async with serving(engine) as (_, client):  # type: ignore[arg-type]
        text = (await ask(client)).json()["text"]
        process = engine._file_process
        assert process is not None
        os.kill(process._process.pid, kill)  # type: ignore[attr-defined]
        second = await ask(client)
        assert second.status_code == 200 or error_of(second)["message"].startswith("pocketsphinx")
        assert (await ask(client)).json()["text"] == text
