"""The fault table's row for `POST /v1/audio/speech`: a voice that fails once costs that text alone, and is told."""

import asyncio
from typing import Any

import httpx
import numpy as np
import pytest

from processors.llm.options import LLMOptions
from tests.support.fault_table import FAULTS
from tests.support.faulty_engines import Fault, FaultySynthesizer
from tests.support.scripted_engines import ScriptedRecognizerEngine
from tests.support.served import serving_page
from tests.support.virtual_time import in_virtual_time

SPEECH = "/v1/audio/speech"
NO_MODEL = LLMOptions("http://127.0.0.1:9/v1", "none")
FAILING = {"input": "One two.", "response_format": "pcm", "stream_format": "sse"}
# A voice that hangs is given up after half a minute or so.
MOST_SECS = 60.0


def is_whole(answer: httpx.Response) -> bool:
    return answer.status_code == 200 and "speech.audio.done" in answer.text


def told(answer: httpx.Response) -> list[str]:
    """The errors that an answer tells."""
    if answer.status_code != 200:
        return [answer.json()["error"]["message"]]
    return [line for line in answer.text.splitlines() if line == "event: error"]


@pytest.mark.parametrize("name", [one for one in FAULTS if one != "crash"])
@in_virtual_time
async def test_fault_of_the_voice_ends_one_answer_in_time_and_no_other(name: str) -> None:
    fault = Fault(name)
    async with (
        serving_page(ScriptedRecognizerEngine(), NO_MODEL, FaultySynthesizer(fault)) as server,
        httpx.AsyncClient(base_url=server.url, timeout=600) as client,
    ):
        try:
            async with asyncio.timeout(MOST_SECS):
                answers = await asyncio.gather(*(client.post(SPEECH, json=FAILING) for _ in range(2)))
                after = await client.post(SPEECH, json={**FAILING, "stream_format": "audio"})
        finally:
            # What hangs comes back, so that the test's own threads end.
            fault.released.set()
    fails = [answer for answer in answers if told(answer)]
    assert len(fails) == (0 if name == "slow" else 1), [answer.text[:200] for answer in answers]
    assert all(len(told(answer)) == 1 and "\n" not in told(answer)[0] for answer in fails)
    assert all(is_whole(answer) for answer in answers if answer not in fails)
    assert loud(after.content)


def loud(pcm16: bytes) -> Any:
    return (np.abs(np.frombuffer(pcm16, "<i2").astype(int)) > 1000).any()
