"""A call by WebRTC is recorded by the real server, taken away, replayed, and deleted."""

import asyncio
import json
from pathlib import Path

import httpx
import numpy as np
import pytest
import soundfile

from tests.support.house import SPEECH
from tests.support.served import serving
from tests.support.webrtc_peer import Peer
from transports.recording import load_recording

WAIT_SECS = 60
# Sound flows over WebRTC, to the second.
pytestmark = pytest.mark.realtime


async def until_status(client: httpx.AsyncClient, path: str, status: int) -> httpx.Response:
    async with asyncio.timeout(WAIT_SECS):
        while (answer := await client.get(path, timeout=WAIT_SECS)).status_code != status:
            await asyncio.sleep(0.2)
    return answer


async def test_a_recorded_call_can_be_downloaded_replayed_and_deleted(tmp_path: Path) -> None:
    with serving(tmp_path, "--stt", "whisper", "--tts", "espeak") as served:
        async with httpx.AsyncClient(base_url=served.url) as client:
            peer = Peer(served.url)
            await peer.join(record=True)
            conversation = peer.answer["conversation"]
            path = f"/api/conversations/{conversation}/recording.wav"
            await peer.until("session_started", timeout_secs=WAIT_SECS)
            peer.microphone.say(load_recording(SPEECH / "capital_of_germany.wav").audio_s16)
            await peer.until("bot_stopped_speaking", timeout_secs=WAIT_SECS)
            assert (await client.get(path)).status_code == 409
            await peer.leave()
            taken = tmp_path / "taken.wav"
            taken.write_bytes((await until_status(client, path, 200)).content)
            events = (await client.get(f"/api/conversations/{conversation}/events.jsonl")).text.splitlines()
            assert (await client.delete(f"/api/conversations/{conversation}")).status_code == 204
            assert (await client.get(path)).status_code == 404
    lines = [json.loads(line) for line in events]
    assert (lines[0]["event"], lines[0]["recording"]) == ("session_started", True)
    assert lines[-1]["event"] == "session_ended"
    stereo_s16, rate_hz = soundfile.read(taken, dtype="int16")
    loud_left, loud_right = (np.flatnonzero(np.abs(side.astype(int)) > 1000) / rate_hz for side in stereo_s16.T)
    # The question lasts 1.2 s at least, and the answer comes after it.
    assert loud_left[-1] - loud_left[0] > 1.0
    assert loud_right[0] > loud_left[-1]
    # Its place on the agent's side is that of the log, but for what waits at the edge and a soft first sound.
    started_secs = next(line["t"] for line in lines if line["event"] == "bot_started_speaking")
    assert abs(loud_right[0] - started_secs) < 1.0
    # Replayed, the question is all there is: the agent answers anew.
    replayed_s16 = load_recording(taken).audio_s16
    assert np.abs(replayed_s16[int((loud_left[-1] + 0.3) * 16_000) :].astype(int)).max() < 1000
