"""`GET /metrics`: what a conversation leaves in it, who may read it, and that Prometheus understands it.

The conversation is real but for its engines; its caller is a program on the WebSocket.
"""

import asyncio
import subprocess
from typing import Any

import httpx
import pytest
from pipecat.frames.frames import InputAudioRawFrame
from prometheus_client.parser import text_string_to_metric_families

from agent.server.app import build_app
from agent.server.metrics.conversation import ConversationMeter
from agent.server.metrics.lateness import Lateness
from agent.server.metrics.loop_lag import watch_loop
from agent.server.metrics.meters import Meters
from agent.server.state import ServerState
from agent.settings.load import load_settings
from processors.engine_threads import EngineThreads, Job
from tests.support.house import SPEECH
from tests.support.llm_session import options
from tests.support.scripted_engines import ScriptedRecognizerEngine
from tests.support.scripted_llm import Reply, ScriptedLLM
from tests.support.served import serving_page
from tests.support.websocket_caller import calling
from transports.recording import load_recording

QUESTION, ANSWER = "what is the capital of germany", "The capital is Berlin."


def samples(text: str) -> dict[tuple[str, ...], float]:
    """Every value by its name and the values of its labels."""
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def read(meters: Meters) -> dict[tuple[str, ...], float]:
    return samples(meters.exposition(None)[0].decode())


async def test_a_conversation_is_counted_without_its_words() -> None:
    ears = ScriptedRecognizerEngine(QUESTION)
    async with (
        ScriptedLLM(Reply(ANSWER)) as llm,
        serving_page(ears, options(llm)) as served,
        httpx.AsyncClient() as web,
    ):
        async with calling(f"{served.url.replace('http', 'ws')}/api/ws") as caller:
            await caller.join()
            caller.begin_to_speak()
            caller.say(load_recording(SPEECH / "capital_of_germany.wav").audio_s16)
            latency = await caller.until_event("latency")
            during = samples((await web.get(f"{served.url}/metrics")).text)
        answer = await web.get(f"{served.url}/metrics")
    assert during["sotto_sessions_active", "websocket"] == during["sotto_places_taken", "session"] == 1
    after = samples(answer.text)
    assert after["sotto_sessions_total", "websocket"] == 1
    assert after["sotto_turns_total", "websocket", "spoken"] == 1
    for name in ("voice_to_voice", "turn", "stt", "llm_ttft", "tts_ttfb"):
        assert after[f"sotto_{name}_seconds_count", "websocket"] == 1
        assert after[f"sotto_{name}_seconds_sum", "websocket"] == pytest.approx(latency[f"{name}_ms"] / 1000)
    assert after["sotto_places", "session"] == 4
    assert after["sotto_audio_received_seconds_total", "websocket"] > 1
    assert after["sotto_engine_wait_seconds_count", "stt"] >= 1
    assert after["sotto_engine_work_seconds_count", "tts"] >= 1
    assert after["sotto_engine_queue_depth", "vad"] == 0
    assert after["sotto_event_loop_lag_seconds_count",] >= 1
    assert not {word for word in (*QUESTION.split(), *ANSWER.split()) if f'"{word}' in answer.text}


def test_events_are_counted_by_what_they_are() -> None:
    meters = Meters()
    meter = ConversationMeter(meters, "realtime")
    events: list[dict[str, Any]] = [
        {"event": "interruption", "heard": "One", "planned": "One two"},
        {"event": "false_interruption", "cause": "noise"},
        {"event": "false_interruption", "cause": "what somebody said"},
        {"event": "speculation", "outcome": "kept", "text": "secret"},
        {"event": "speculation", "outcome": "thrown_away", "text": "secret"},
        {"event": "turn_ended", "text": "secret", "source": "typed"},
        {"event": "tool_call", "id": "1", "name": "secret", "arguments": {}},
        {"event": "tool_cancelled", "id": "1", "name": "secret"},
        {"event": "error", "stage": "llm", "message": "secret"},
        {"event": "error", "stage": "a stage of a plugin", "message": "secret"},
        {"event": "bot_word", "text": "secret"},
    ]
    for event in events:
        meter(event)
    text = meters.exposition(None)[0].decode()
    counted = {key: value for key, value in samples(text).items() if value and "bucket" not in key[0]}
    assert (
        counted.items()
        >= {
            ("sotto_interruptions_total", "realtime"): 1,
            ("sotto_false_interruptions_total", "noise"): 1,
            ("sotto_false_interruptions_total", "other"): 1,
            ("sotto_speculations_total", "kept"): 1,
            ("sotto_speculations_total", "thrown_away"): 1,
            ("sotto_turns_total", "realtime", "typed"): 1,
            ("sotto_tool_calls_total",): 1,
            ("sotto_tool_calls_cancelled_total",): 1,
            ("sotto_errors_total", "llm"): 1,
            ("sotto_errors_total", "other"): 1,
        }.items()
    )
    assert "secret" not in text
    assert "plugin" not in text


def test_two_servers_in_a_process_count_apart() -> None:
    one, other = Meters(), Meters()
    ConversationMeter(one, "webrtc")({"event": "tool_call"})
    assert read(one)["sotto_tool_calls_total",] == 1
    assert read(other)["sotto_tool_calls_total",] == 0


def test_every_stage_that_reports_an_error_is_known() -> None:
    import re

    from agent.server.metrics.conversation import STAGES
    from tests.test_house import SOURCE_TEXTS

    text = "\n".join(SOURCE_TEXTS.values())
    told = set(re.findall(r'report\(\s*"(\w+)"', text)) | set(re.findall(r'metadata\[STAGE\] = "(\w+)"', text))
    assert {"turn", "recording", "timers", "tool"} <= told
    assert told - STAGES == set()


def test_sound_is_late_behind_its_fastest_frame_and_a_gap_is_lost() -> None:
    late = Lateness()
    frame = 960  # 20 ms at 48 kHz
    assert late.of(10.00, 0, 0.02) == (0.0, 0.0)
    assert late.of(10.05, frame, 0.02) == pytest.approx((0.03, 0.0))
    # Two frames never came.
    assert late.of(10.08, 4 * frame, 0.02) == pytest.approx((0.0, 0.04))
    # Another track of the same caller begins anywhere.
    assert late.of(10.10, 10**9, 0.02) == (0.0, 0.0)
    assert late.of(10.15, 10**9 + frame, 0.02) == pytest.approx((0.03, 0.0))


def test_clocks_that_drift_apart_do_not_make_sound_late() -> None:
    late = Lateness()
    # A microphone whose second takes 1.0001 s, for an hour.
    told = [late.of(index * 0.02 * 1.0001, index * 960, 0.02)[0] for index in range(180_000)]
    assert max(told) < 0.0065  # 60 s of it, and a frame


def test_sound_without_a_timestamp_is_counted_and_not_judged() -> None:
    meters = Meters()
    ConversationMeter(meters, "telephone").heard(InputAudioRawFrame(bytes(640), 16_000, 1), 0)
    values = read(meters)
    assert values["sotto_audio_received_seconds_total", "telephone"] == pytest.approx(0.02)
    assert values["sotto_audio_lateness_seconds_count", "telephone"] == 0


async def test_the_lag_of_the_loop_is_how_late_a_timer_was_woken() -> None:
    told: list[float] = []
    watching = asyncio.create_task(watch_loop(told.append, every_secs=0.001))
    async with asyncio.timeout(10):
        while len(told) < 3:
            await asyncio.sleep(0.001)
    watching.cancel()
    assert all(lag_secs >= 0 for lag_secs in told)


async def test_work_that_waits_for_a_thread_is_timed_and_counted() -> None:
    import threading

    meters, threads, free = Meters(), EngineThreads(1, "stt"), threading.Event()
    threads.timed = meters.timing("stt")
    first = threads.put(Job(lambda: free.wait(10), 20))
    second = threads.put(Job(lambda: None, 20))
    assert threads.n_waiting == 1
    free.set()
    await asyncio.gather(threads.back(first), threads.back(second))
    threads.shutdown()
    assert threads.n_waiting == 0
    assert read(meters)["sotto_engine_wait_seconds_count", "stt"] == 2
    assert second.waited_secs > 0


@pytest.mark.parametrize(
    ("caller", "token", "shown", "status"),
    [
        ("127.0.0.1", None, None, 200),
        ("192.0.2.7", None, None, 403),
        ("192.0.2.7", "open sesame", "open sesame", 200),
        ("192.0.2.7", "open sesame", None, 401),
        # A reverse proxy stands on this machine, too.
        ("127.0.0.1", "open sesame", None, 401),
    ],
)
async def test_this_machine_reads_them_without_a_token_and_others_with_it(
    caller: str, token: str | None, shown: str | None, status: int
) -> None:
    app = build_app(ServerState(load_settings({"server.token": token})))
    transport = httpx.ASGITransport(app, client=(caller, 50_000))
    headers = {"Authorization": f"Bearer {shown}"} if shown else {}
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:7860") as web:
        answer = await web.get("/metrics", headers=headers)
    assert answer.status_code == status
    assert ("sotto_build_info" in answer.text) == (status == 200)


async def test_a_proxy_on_this_machine_is_not_this_machine() -> None:
    transport = httpx.ASGITransport(build_app(ServerState(load_settings({}))), client=("127.0.0.1", 50_000))
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:7860") as web:
        assert (await web.get("/metrics", headers={"X-Forwarded-For": "192.0.2.7"})).status_code == 403


async def test_switched_off_there_are_none() -> None:
    state = ServerState(load_settings({"metrics.enabled": False}))
    assert state.meters is None
    assert state.metered() is None
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(build_app(state)), base_url="http://127.0.0.1:7860"
    ) as web:
        assert (await web.get("/metrics")).status_code == 404


def whole() -> bytes:
    """An exposition in which every metric has a value."""
    meters = Meters()
    meter = ConversationMeter(meters, "webrtc")
    for event in ("session_started", "tool_call", "tool_cancelled", "reflex"):
        meter({"event": event})
    meter({"event": "turn_ended"})
    meter({"event": "error", "stage": "stt"})
    meter({"event": "speculation", "outcome": "kept"})
    meter({"event": "false_interruption", "cause": "echo"})
    meters.timing("stt")(Job(lambda: None, 1))
    meters.watch("refused", "Callers.", lambda: {"session": 1.0}, "kind", counts=True)
    return meters.exposition("text/plain")[0]


def test_every_metric_has_a_help_a_type_and_a_unit_as_prometheus_wants_it() -> None:
    families = {family.name: family for family in text_string_to_metric_families(whole().decode())}
    assert all(family.documentation for family in families.values())
    for name, family in families.items():
        assert name.startswith(("sotto_", "process_"))
        assert not name.endswith(("_ms", "_milliseconds"))
        if family.type == "histogram":
            assert name.endswith("_seconds")
    assert families["sotto_refused"].type == "counter"


@pytest.mark.prometheus
def test_promtool_has_nothing_against_them() -> None:
    done = subprocess.run(["promtool", "check", "metrics"], input=whole(), capture_output=True)  # noqa: S607
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
