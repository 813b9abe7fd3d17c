"""Recordings that callers may take away: where they lie, who gets them, and when they go."""

import asyncio
import json
import os
import stat
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import numpy as np
import pytest
import soundfile
from fastapi import FastAPI

from agent.conversation.histories import HistoryInUseError
from agent.conversation.live_recording import LiveRecording
from agent.conversation.recordings import MAX_KEPT, MAX_KEPT_OF_CALL, MAX_SILENCE_SECS, Recordings
from agent.errors import InputError
from agent.server.routes.recordings import recordings_router
from tests.support.virtual_time import in_virtual_time
from tests.transports.test_session_recorder import OUT_RATE_HZ, Edges
from transports.session_recorder import SessionRecorder


class Talk:
    """The routes, and recordings to ask them for."""

    def __init__(self, client: httpx.AsyncClient, recordings: Recordings, histories: set[str]) -> None:
        self.client = client
        self.recordings = recordings
        self.histories = histories

    async def record(self, conversation: str, n_messages: int = 10, call: str = "") -> LiveRecording:
        edges = Edges()
        live = self.recordings.begin(conversation, edges, OUT_RATE_HZ, call=call)
        live({"t": 0.0, "event": "session_started", "settings": {"llm": {"api_key": "secret"}}})
        for _ in range(n_messages):
            await asyncio.sleep(0.02)
            await edges.hear(b"\1\0" * 320)
        live({"t": 0.2, "event": "session_ended", "reason": "the peer left"})
        return live


@asynccontextmanager
async def routes() -> AsyncIterator[Talk]:
    recordings, histories, held = Recordings(), set[str](), {"in a call"}

    def forget(conversation: str) -> bool:
        if conversation in held:
            raise HistoryInUseError("this conversation is in a call")
        known = conversation in histories
        histories.discard(conversation)
        return known

    async def forget_turns(_: str) -> int:
        return 0

    app = FastAPI()
    app.include_router(recordings_router(lambda: recordings, forget, forget_turns))
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        try:
            yield Talk(client, recordings, histories)
        finally:
            recordings.close()


async def test_sound_and_events_can_be_taken_away_once_the_conversation_is_over(tmp_path: Path) -> None:
    async with routes() as talk:
        live = await talk.record("abc-1_2")
        for name in ("recording.wav", "events.jsonl"):
            answer = await talk.client.get(f"/api/conversations/abc-1_2/{name}")
            assert answer.status_code == 409
            assert answer.json() == {"error": "this conversation is still being held; end it first"}
        assert (await talk.client.delete("/api/conversations/abc-1_2")).status_code == 409
        await live.end()
        await live.end()
        sound = await talk.client.get("/api/conversations/abc-1_2/recording.wav")
        assert sound.headers["content-type"] == "audio/wav"
        assert sound.headers["content-disposition"] == 'attachment; filename="sotto-recording.wav"'
        assert sound.headers["cache-control"] == "no-store"
        (tmp_path / "taken.wav").write_bytes(sound.content)
        # Ten messages of 20 ms, and the time that passed between them if the machine was busy.
        assert soundfile.info(tmp_path / "taken.wav").duration > 0.199
        events = await talk.client.get("/api/conversations/abc-1_2/events.jsonl")
        assert [json.loads(line) for line in events.text.splitlines()] == [
            {"t": 0.0, "event": "session_started"},
            {"t": 0.2, "event": "session_ended", "reason": "the peer left"},
        ]


@in_virtual_time
async def test_of_a_conversation_that_begins_asleep_nothing_is_recorded_before_the_word() -> None:
    async with routes() as talk:
        edges = Edges()
        live = talk.recordings.begin("one", edges, OUT_RATE_HZ, asleep=True)
        # Sound reaches the recording before the gate has told that the agent sleeps.
        for event in (None, "asleep", "awake"):
            if event:
                live({"t": 0.0, "event": event})
            for _ in range(25):
                await asyncio.sleep(0.02)
                await edges.hear(b"\0\x20" * 320)
        await live.end()
        path = talk.recordings.file("one", "recording.wav")
        assert path is not None
        left_s16 = soundfile.read(path, dtype="int16")[0][:, 0]
    # Half a second each; the resampler's ripple and dither stay below 100 beyond 10 ms of the edge.
    loud = np.flatnonzero(np.abs(left_s16.astype(int)) > 100) / OUT_RATE_HZ
    assert loud[0] == pytest.approx(1.0, abs=0.03)
    assert loud[-1] == pytest.approx(1.5, abs=0.03)


@in_virtual_time
async def test_only_this_user_can_read_them_and_nothing_is_left_when_the_server_stops() -> None:
    async with routes() as talk:
        await (await talk.record("one")).end()
        two = await talk.record("two")
        path = talk.recordings.file("one", "recording.wav")
        assert path is not None
        root = path.parent.parent
        if os.name == "posix":
            assert [stat.S_IMODE(folder.stat().st_mode) for folder in (root, path.parent)] == [0o700, 0o700]
        assert len(list(root.iterdir())) == 2
        await two.end()
        talk.recordings.close()
        assert not root.exists()


@pytest.mark.parametrize("name", ["recording.wav", "events.jsonl", "other"])
@pytest.mark.parametrize(
    "conversation",
    [
        "unknown",
        "..",
        "%2e%2e",
        "..%2F..%2Fetc",
        "a%00b",
        "%2Fetc%2Fpasswd",
        "%F0%9F%8E%A4",
        "x" * 5000,
        "one%2F..%2Fone",
    ],
)
async def test_whatever_is_asked_for_nothing_else_is_given_out(conversation: str, name: str) -> None:
    async with routes() as talk:
        await (await talk.record("one")).end()
        answer = await talk.client.get(f"/api/conversations/{conversation}/{name}")
        assert answer.status_code in (404, 405)
        assert (await talk.client.get("/api/conversations/one/recording.wav")).status_code == 200


@in_virtual_time
async def test_deleting_a_conversation_deletes_its_recording_and_its_history() -> None:
    async with routes() as talk:
        await (await talk.record("one")).end()
        path = talk.recordings.file("one", "recording.wav")
        assert path is not None
        talk.histories |= {"one", "typed only"}
        assert (await talk.client.delete("/api/conversations/one")).status_code == 204
        assert not path.parent.exists()
        assert talk.histories == {"typed only"}
        assert (await talk.client.get("/api/conversations/one/recording.wav")).status_code == 404
        assert (await talk.client.delete("/api/conversations/typed only")).status_code == 204
        answer = await talk.client.delete("/api/conversations/one")
        assert (answer.status_code, answer.json()) == (404, {"error": "there is no such conversation"})
        answer = await talk.client.delete("/api/conversations/in a call")
        assert (answer.status_code, answer.json()) == (409, {"error": "this conversation is in a call"})


@in_virtual_time
async def test_a_conversation_that_goes_on_in_another_call_goes_on_in_its_recording() -> None:
    async with routes() as talk:
        await (await talk.record("one", 10)).end()
        await asyncio.sleep(3.0)
        assert talk.recordings.rate_hz_of("one") == OUT_RATE_HZ
        await (await talk.record("one", 20)).end()
        sound, events = (talk.recordings.file("one", name) for name in ("recording.wav", "events.jsonl"))
        assert sound is not None
        assert events is not None
        assert len(list(sound.parent.parent.iterdir())) == 1
        stereo_s16, _ = soundfile.read(sound, dtype="int16")
        left_s16 = stereo_s16[:, 0].astype(int)
        # 0.2 s, three seconds of silence, 0.4 s.
        assert len(left_s16) / OUT_RATE_HZ == pytest.approx(3.6, abs=0.01)
        first, between, last = np.split(left_s16, [round(0.2 * OUT_RATE_HZ), round(3.2 * OUT_RATE_HZ)])
        assert not between[50:-50].any()
        assert first.mean() > 0.5
        assert last.mean() > 0.5
        lines = [json.loads(line) for line in events.read_text().splitlines()]
        assert [line["event"] for line in lines] == ["session_started", "session_ended"] * 2
        assert [line["t"] for line in lines] == pytest.approx([0.0, 0.2, 3.2, 3.4], abs=0.02)


@in_virtual_time
async def test_a_long_time_between_two_calls_is_not_as_much_silence_and_takes_no_room_on_the_disk() -> None:
    async with routes() as talk:
        await (await talk.record("one")).end()
        await asyncio.sleep(1800)
        await (await talk.record("one")).end()
        sound = talk.recordings.file("one", "recording.wav")
        assert sound is not None
        assert soundfile.info(sound).duration == pytest.approx(MAX_SILENCE_SECS + 0.4, abs=0.01)
        if sys.platform == "linux":
            assert sound.stat().st_blocks * 512 < 1_000_000


@in_virtual_time
async def test_a_call_waits_until_the_recording_of_the_one_before_it_is_whole() -> None:
    async with routes() as talk:
        before = await talk.record("one", 10)
        assert talk.recordings.rate_hz_of("one") is None
        ending = asyncio.create_task(before.end())
        await talk.recordings.settled("one")
        await ending
        assert talk.recordings.rate_hz_of("one") == OUT_RATE_HZ
        await talk.recordings.settled("of nobody")


@in_virtual_time
async def test_a_recording_that_is_overtaken_while_it_is_held_and_one_that_was_deleted_leave_nothing() -> None:
    async with routes() as talk:
        overtaken = await talk.record("one")
        latest = await talk.record("one")
        await latest.end()
        await overtaken.end()
        sound = talk.recordings.file("one", "recording.wav")
        assert sound is not None
        assert len(list(sound.parent.parent.iterdir())) == 1
        talk.recordings.forget("one")
        await (await talk.record("one", 20)).end()
        anew = talk.recordings.file("one", "recording.wav")
        assert anew is not None
        assert soundfile.info(anew).duration == pytest.approx(0.4, abs=0.001)


@in_virtual_time
async def test_an_hour_after_the_conversation_its_recording_is_deleted() -> None:
    recordings = Recordings()
    talk = Talk(httpx.AsyncClient(), recordings, set())
    live = await talk.record("one")
    await asyncio.sleep(7200)
    await live.end()
    path = recordings.file("one", "events.jsonl")
    assert path is not None
    await asyncio.sleep(3599)
    assert path.is_file()
    await asyncio.sleep(2)
    assert not path.parent.exists()
    assert recordings.file("one", "events.jsonl") is None
    recordings.close()


@in_virtual_time
async def test_few_are_kept_and_the_oldest_goes_first() -> None:
    async with routes() as talk:
        for index in range(MAX_KEPT + 2):
            await (await talk.record(f"number-{index}", 1)).end()
        kept = [talk.recordings.file(f"number-{index}", "recording.wav") for index in range(MAX_KEPT + 2)]
        assert [path is not None for path in kept] == [False, False] + [True] * MAX_KEPT
        existing = kept[-1]
        assert existing is not None
        assert len(list(existing.parent.parent.iterdir())) == MAX_KEPT


@in_virtual_time
async def test_a_call_that_starts_over_again_and_again_pushes_out_its_own_and_nobody_elses() -> None:
    async with routes() as talk:
        await (await talk.record("of-another", 1)).end()
        for index in range(MAX_KEPT + 2):
            await (await talk.record(f"part-{index}", 1, call="mine")).end()
        names = ["of-another", *(f"part-{index}" for index in range(MAX_KEPT + 2))]
        kept = [name for name in names if talk.recordings.file(name, "recording.wav")]
        assert kept == ["of-another", *names[-MAX_KEPT_OF_CALL:]]


@in_virtual_time
async def test_what_nobody_can_take_away_any_more_is_deleted_once_it_is_written() -> None:
    async with routes() as talk:
        live = await talk.record("one", 1)
        talk.recordings.let_go("one")
        await live.end()
        assert talk.recordings.file("one", "recording.wav") is None
        await (await talk.record("two", 1)).end()
        path = talk.recordings.file("two", "recording.wav")
        assert path is not None
        assert list(path.parent.parent.iterdir()) == [path.parent]
        talk.recordings.let_go("two")
        talk.recordings.let_go("none such")
        assert not path.exists()


async def test_a_recording_that_has_ended_listens_no_more(tmp_path: Path) -> None:
    edges = Edges()
    for index in range(3):
        recorder = SessionRecorder(tmp_path / f"{index}.wav", OUT_RATE_HZ)
        recorder.attach(edges)
        await edges.hear(b"\1\0" * 320)
        await recorder.close()
    for step in (edges.input(), edges.output()):
        assert step._event_handlers["on_before_push_frame"].handlers == []


async def test_a_place_that_cannot_be_written_is_told_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    async with routes() as talk:
        monkeypatch.setattr("tempfile.tempdir", "/nowhere")
        with pytest.raises(InputError, match=r"^nothing can be recorded: No such file or directory$"):
            talk.recordings.begin("one", Edges(), OUT_RATE_HZ)
        assert talk.recordings.file("one", "recording.wav") is None


async def test_a_disk_that_fills_up_is_told_once_and_the_conversation_goes_on() -> None:
    async with routes() as talk:
        edges, failures = Edges(), list[str]()
        live = talk.recordings.begin("one", edges, OUT_RATE_HZ, failures.append)
        live._events._file.close()
        live._events._file = open("/dev/full", "w")  # noqa: ASYNC230, SIM115 - a disk that is full
        for t in range(5):
            live({"t": float(t), "event": "bot_word", "text": "well"})
            await edges.hear(b"\1\0" * 320)
        await live.end()
        assert len(failures) == 1
        assert "event log cannot be written" in failures[0]
        assert failures[0].endswith("No space left on device")
        assert talk.recordings.file("one", "recording.wav") is not None


@pytest.mark.skipif(os.name != "posix", reason="only there it can be asked whether a process lives")
def test_what_a_killed_server_left_behind_is_deleted_by_the_next_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with subprocess.Popen([sys.executable, "-c", ""]) as ended:
        pass
    left, own, others = (tmp_path / f"sotto-recordings-{pid}-x" for pid in (ended.pid, os.getpid(), "me"))
    for folder in (left, own, others):
        folder.mkdir()
        (folder / "recording.wav").write_bytes(b"sound")
    Recordings()._folder()
    assert [folder.is_dir() for folder in (left, own, others)] == [False, True, True]


def test_what_another_server_deletes_just_then_stands_in_nobody_s_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    # Listed, and not there any more when it is looked at.
    (tmp_path / "sotto-recordings-99999999-x").symlink_to(tmp_path / "gone")
    assert Recordings()._folder().parent.is_dir()
