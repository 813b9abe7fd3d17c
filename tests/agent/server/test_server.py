"""`sotto serve` as its callers meet it: the real server with the bundled engines, joined by WebRTC peers."""

import asyncio
import json
import signal
import socket
import subprocess
import sys
import time
import wave
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import psutil
import pytest
from wyoming.asr import Transcribe, Transcript
from wyoming.audio import wav_to_chunks
from wyoming.client import AsyncTcpClient
from wyoming.tts import Synthesize

from agent.server.app import build_app
from agent.server.state import ServerState
from agent.settings.load import load_settings
from tests.support.house import SPEECH
from tests.support.served import Served, serving
from tests.support.webrtc_peer import Peer
from tests.support.wyoming_peer import Caller, joined
from transports.recording import load_recording

# Peers speak and listen at the pace of real time.
pytestmark = pytest.mark.realtime


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serving(tmp_path_factory.mktemp("served"), "--set", "server.max_sessions=2", "--wyoming", "0") as server:
        yield server


async def health(url: str) -> dict[str, Any]:
    async with httpx.AsyncClient() as client:
        return (await client.get(f"{url}/health")).json()


async def until_sessions(url: str, n_sessions: int, timeout_secs: float = 20) -> None:
    async with asyncio.timeout(timeout_secs):
        while (await health(url))["sessions"]["active"] != n_sessions:
            await asyncio.sleep(0.2)


async def test_health_names_the_engines_and_why_better_ones_were_passed_over(served: Served) -> None:
    report = await health(served.url)
    assert report["status"] == "ready"
    assert {stage: choice["engine"] for stage, choice in report["engines"].items()} == {
        "stt": "whisper",
        "llm": "embedded",
        "tts": "espeak",
        "vad": "silero",
        "turn": "smart-turn",
    }
    assert report["engines"]["stt"]["passed_over"] == [
        {
            "engine": "nemotron",
            "reason": "no model for stt.language = en is installed",
            "mend": "sotto models pull nemotron-en-560ms",
        },
        {"engine": "whisper", "reason": "no model is installed", "mend": "sotto models pull base.en"},
    ]
    assert report["sessions"] == {"active": 0, "max": 2}


async def test_a_peer_speaks_and_is_answered_in_speech(served: Served) -> None:
    peer = Peer(served.url)
    await peer.join()
    await peer.until("session_started")
    peer.microphone.say(load_recording(SPEECH / "capital_of_germany.wav").audio_s16)
    turn = await peer.until("turn_ended")
    await peer.until("bot_stopped_speaking")
    assert turn["text"] == "What is the capital of Germany?"
    assert "berlin" in " ".join(event["text"] for event in peer.events if event["event"] == "bot_word").lower()
    # A spoken sentence is loud for well over half a second of the 48 kHz stereo that arrives.
    assert peer.loud_samples > 0.25 * 48_000 * 2
    latency = next(event for event in peer.events if event["event"] == "latency")
    assert 0 < latency["voice_to_voice_ms"] < 15_000
    await peer.leave()
    await until_sessions(served.url, 0)


async def test_home_assistants_client_gets_a_transcript_a_spoken_sentence_and_an_answer(served: Served) -> None:
    (port,) = [int(line.split("tcp://127.0.0.1:")[1].split()[0]) for line in served.lines if "wyoming: tcp" in line]
    with wave.open(str(SPEECH / "capital_of_germany.wav"), "rb") as question:
        spoken = [one.event() for one in wav_to_chunks(question, 1024, start_event=True, stop_event=True)]
    async with AsyncTcpClient("127.0.0.1", port, connect_timeout=60, read_timeout=60) as client:
        caller = Caller(client)
        await caller.send(Transcribe(language="en"), *spoken)
        transcript = joined(await caller.until("transcript"), "transcript")
        assert transcript == "What is the capital of Germany?"
        await caller.send(Transcript(transcript, context={"conversation_id": "kitchen"}))
        answer = joined(await caller.until("handled"), "handled")
        assert "berlin" in answer.lower()
        await caller.send(Synthesize(answer))
        sound = joined(await caller.until("audio-stop"), "audio-chunk")
    assert np.abs(np.frombuffer(sound, "<i2")).max() > 3000


async def test_one_caller_too_many_is_told_that_the_agent_is_busy(served: Served) -> None:
    peers = [Peer(served.url), Peer(served.url)]
    for peer in peers:
        await peer.join()
    third = Peer(served.url)
    body = {"sdp": await third.offer(), "type": "offer"}
    async with httpx.AsyncClient() as client:
        response = await client.post(f"{served.url}/api/offer", json=body)
    assert response.status_code == 503
    assert response.json() == {"error": "the agent is busy with 2 conversations; try again later"}
    await third.pc.close()
    for peer in peers:
        await peer.leave()
    await until_sessions(served.url, 0)


async def test_a_vanished_caller_is_noticed_and_makes_room(served: Served) -> None:
    peer = Peer(served.url)
    await peer.join()
    await peer.until("session_started")
    await peer.vanish()
    await until_sessions(served.url, 0, timeout_secs=15)
    await peer.pc.close()


async def test_a_caller_that_never_connects_is_cleaned_up(served: Served) -> None:
    peer = Peer(served.url)
    body = {"sdp": await peer.offer(), "type": "offer"}
    async with httpx.AsyncClient() as client:
        response = await client.post(f"{served.url}/api/offer", json=body)
    assert response.status_code == 200
    await peer.pc.close()
    assert (await health(served.url))["sessions"]["active"] == 1
    await until_sessions(served.url, 0, timeout_secs=30)


FINGERPRINT = "a=fingerprint:sha-256 " + ":".join(["AB"] * 32) + "\r\n"
GOOD_SDP = "v=0\r\nm=audio 9 UDP/TLS/RTP/SAVPF 111\r\n" + FINGERPRINT
UNKNOWN_CODEC = (
    "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0\r\n"
    "m=audio 9 UDP/TLS/RTP/SAVPF 111\r\nc=IN IP4 0.0.0.0\r\na=mid:0\r\na=sendrecv\r\na=rtcp-mux\r\n"
    "a=ice-ufrag:abcd\r\na=ice-pwd:abcdefghijklmnopqrstuvwx\r\na=setup:actpass\r\na=rtpmap:111 foo/48000/2\r\n"
) + FINGERPRINT


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("not json", "the body is not JSON"),
        ("[1]", "the body is not a JSON object"),
        ("[" * 100_000, "the body is nested deeper than 32 levels"),
        ({}, "type must be 'offer', not 'None'"),
        ({"sdp": GOOD_SDP, "type": "answer"}, "type must be 'offer', not 'answer'"),
        ({"type": "offer"}, "sdp is missing"),
        ({"sdp": 7, "type": "offer"}, "sdp is missing"),
        (
            {"sdp": "v=0\r\nm=video 9 X 96\r\na=fingerprint:x\r\n", "type": "offer"},
            "the offer must have one audio section",
        ),
        ({"sdp": GOOD_SDP + "m=audio 9 X 0\r\n" * 200, "type": "offer"}, "the offer must have one audio section"),
        (
            {"sdp": "v=0\r\nm=audio 9 X 0\r\na=fingerprint:md5 zz\r\n", "type": "offer"},
            "the offer has no fingerprint (sha-256 or longer)",
        ),
        ({"sdp": GOOD_SDP + "a=inactive\r\n", "type": "offer"}, "the offer's sound is inactive"),
        (
            {"sdp": GOOD_SDP + "a=candidate:nonsense\r\n", "type": "offer"},
            "malformed ICE candidate: SDP does not have enough properties",
        ),
        (
            {"sdp": GOOD_SDP + "a=candidate:1 1 udp 1 255.255.255.255 9 typ host\r\n", "type": "offer"},
            "ICE candidate 255.255.255.255: not the address of one machine",
        ),
        ({"sdp": GOOD_SDP + "x" * 70_000, "type": "offer"}, "sdp is longer than 65536 characters"),
        ({"sdp": "x" * 300_000, "type": "offer"}, "the body is larger than 262144 bytes"),
    ],
)
async def test_a_bad_offer_is_refused_with_a_reason(served: Served, body: Any, message: str) -> None:
    content = body if isinstance(body, str) else json.dumps(body)
    async with httpx.AsyncClient() as client:
        response = await client.post(f"{served.url}/api/offer", content=content)
    status = 413 if "larger" in message else 400
    assert (response.status_code, response.json()) == (status, {"error": message})
    assert (await health(served.url))["sessions"]["active"] == 0


@pytest.mark.parametrize("sdp", [GOOD_SDP, UNKNOWN_CODEC])
async def test_an_offer_that_cannot_be_parsed_is_refused(served: Served, sdp: str) -> None:
    async with httpx.AsyncClient() as client:
        response = await client.post(f"{served.url}/api/offer", json={"sdp": sdp, "type": "offer"})
    assert response.status_code == 400
    assert response.json() == {"error": "the offer cannot be answered: its session description is malformed"}
    assert (await health(served.url))["sessions"]["active"] == 0


async def test_candidates_for_nobody_and_broken_candidates_are_refused(served: Served) -> None:
    async with httpx.AsyncClient() as client:
        url = f"{served.url}/api/offer"
        assert (await client.patch(url, json={"pc_id": "nobody", "candidates": []})).status_code == 404
        assert (await client.patch(url, json={"pc_id": "nobody", "candidates": "x"})).status_code == 400
        odd = await client.patch(url, content='{"pc_id": "\\ud800", "candidates": []}')
        assert (odd.status_code, odd.json()) == (404, {"error": "no such peer: \\ud800"})
    peer = Peer(served.url)
    body = {"sdp": await peer.offer(), "type": "offer"}
    async with httpx.AsyncClient() as client:
        pc_id = (await client.post(url, json=body)).json()["pc_id"]
        for candidate in ("garbage", "candidate:1 1 udp", 7):
            broken = {"candidate": candidate, "sdp_mid": "0", "sdp_mline_index": 0}
            response = await client.patch(url, json={"pc_id": pc_id, "candidates": [broken]})
            assert response.status_code == 400
    await peer.pc.close()
    await until_sessions(served.url, 0, timeout_secs=30)


@pytest.mark.parametrize(
    ("headers", "refused"),
    [
        ({"Host": "evil.example"}, True),
        ({"Host": "127.0.0.1.evil.example:80"}, True),
        ({"Origin": "https://evil.example"}, True),
        ({"Origin": "null"}, True),
        ({"Origin": "http://[x"}, True),
        ({}, False),
    ],
)
async def test_other_sites_are_refused(served: Served, headers: dict[str, str], refused: bool) -> None:
    async with httpx.AsyncClient() as client:
        response = await client.get(f"{served.url}/health", headers=headers)
    assert response.status_code == (403 if refused else 200)


async def test_the_page_is_served_with_a_strict_policy(served: Served) -> None:
    async with httpx.AsyncClient() as client:
        page = await client.get(served.url)
        outside = await client.get(f"{served.url}/../pyproject.toml")
    assert page.status_code == 200
    assert "<title>" in page.text
    policy = page.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert outside.status_code == 404


async def test_another_site_can_embed_nothing_and_not_even_find_out_that_the_server_is_here(served: Served) -> None:
    async with httpx.AsyncClient(base_url=served.url) as client:
        for path in ("/", "/styles/style.css", "/health", "/api/options", "/nothing", "/v1/models"):
            assert (await client.get(path)).headers["cross-origin-resource-policy"] == "same-origin", path
        page = await client.get("/")
    assert page.headers["permissions-policy"].startswith("microphone=(self), camera=(self)")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_a_signal_ends_everything_in_the_middle_of_an_answer(tmp_path: Path, number: signal.Signals) -> None:
    with serving(tmp_path) as server:
        peer = Peer(server.url)
        await peer.join()
        await peer.until("session_started")
        peer.microphone.say(load_recording(SPEECH / "tell_me_a_story.wav").audio_s16)
        await peer.until("bot_started_speaking")
        children = psutil.Process(server.process.pid).children(recursive=True)
        status = await asyncio.to_thread(server.stop, number)
        await peer.leave()
    assert status == 0
    assert children
    assert not any(child.is_running() for child in children)


async def test_while_the_models_are_loaded_the_server_says_so() -> None:
    transport = httpx.ASGITransport(build_app(ServerState(load_settings())))
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
        report = await client.get("/health")
        refused = await client.post("/api/offer", json={"sdp": GOOD_SDP, "type": "offer"})
        page = await client.get("/")
    assert (report.status_code, report.json()["status"], report.json()["engines"]) == (503, "starting", {})
    assert refused.status_code == 503
    assert refused.json() == {"error": "the agent is still loading its models; try again in a moment"}
    assert page.status_code == 200


def test_a_signal_while_the_models_are_loaded_ends_everything(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "agent.cli", "serve", "--port", "0", "--llm", "embedded"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, cwd=tmp_path)
    children = _children_once_loading(process.pid)
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate(timeout=20)
    assert process.returncode == 128 + signal.SIGTERM, errors
    assert b"Traceback" not in errors
    gone, alive = psutil.wait_procs(children, timeout=10)
    assert gone
    assert not alive


def _children_once_loading(pid: int) -> list[psutil.Process]:
    # Imports start short-lived children too (uname, ldconfig), before the signal has its handler.
    family = psutil.Process(pid)
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        children = family.children(recursive=True)
        with suppress(psutil.NoSuchProcess, psutil.ZombieProcess):
            if any("embedded_llm_worker" in " ".join(child.cmdline()) for child in children):
                return children
        time.sleep(0.01)
    raise AssertionError("the language model's process never appeared")


def test_a_taken_port_is_named_in_one_line(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        command = [sys.executable, "-m", "agent.cli", "serve", "--port", str(port)]
        result = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, timeout=60, check=False)
    assert result.returncode == 2
    assert result.stderr.strip().splitlines()[-1].startswith(f"sotto: port {port} on 127.0.0.1 cannot be had")
    assert "Traceback" not in result.stderr
