"""Recordings on a disk that is slow: the conversation goes on, and nothing is lost that the disk takes in the end.

Fake: the file that the event log has open, whose writes wait until the test lets them go on.
"""

import asyncio
import json
import threading
from pathlib import Path
from typing import Any, TextIO

import pytest

from agent.conversation import live_recording
from agent.conversation.live_recording import EVENTS, SOUND, LiveRecording
from agent.conversation.recordings import Recordings
from tests.transports.test_session_recorder import OUT_RATE_HZ, Edges
from transports import session_recorder
from transports.recording import load_recording


class SlowFile:
    """Takes a line once it may."""

    def __init__(self, file: TextIO) -> None:
        self.may_write = threading.Event()
        self._file = file

    def write(self, text: str) -> int:
        assert threading.current_thread() is not threading.main_thread(), "it would hold up the conversation"
        assert self.may_write.wait(60)
        return self._file.write(text)

    def flush(self) -> None:
        self._file.flush()

    def close(self) -> None:
        self._file.close()


class Talk:
    """A recording whose event log lies on a slow disk."""

    def __init__(self, folder: Path) -> None:
        self.edges = Edges()
        self.failures: list[str] = []
        self.ends: list[bool] = []
        self.live = LiveRecording(folder, self.edges, OUT_RATE_HZ, self.failures.append, self.ends.append)
        self.file: Any = SlowFile(self.live._events._file)
        self.live._events._file = self.file


async def test_a_slow_disk_delays_no_sound_and_no_event_and_loses_nothing(tmp_path: Path) -> None:
    talk = Talk(tmp_path / "call")
    for index in range(100):
        # Events that are more than a second old are written: the disk stands still from the first of them on.
        talk.live({"t": index * 2.0, "event": "vad", "number": index})
        await talk.edges.hear(b"\1\0" * 320)
    assert (tmp_path / "call" / EVENTS).read_text("utf-8") == ""
    ending = asyncio.create_task(talk.live.end())
    talk.file.may_write.set()
    await ending
    lines = [json.loads(line) for line in (tmp_path / "call" / EVENTS).read_text("utf-8").splitlines()]
    assert [line["number"] for line in lines] == [*range(100)]
    assert load_recording(tmp_path / "call" / SOUND).audio_s16.size > 0
    assert (talk.failures, talk.ends) == ([], [True])


async def test_a_disk_that_stays_behind_ends_the_log_with_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live_recording, "MAX_UNWRITTEN", 20)
    talk = Talk(tmp_path / "call")
    for index in range(100):
        talk.live({"t": index * 2.0, "event": "vad", "number": index})
    assert talk.failures == ["the recording cannot be written: the disk is too slow"]
    talk.file.may_write.set()
    await talk.live.end()
    # What had been taken in by then is whole.
    lines = (tmp_path / "call" / EVENTS).read_text("utf-8").splitlines()
    assert [json.loads(line)["number"] for line in lines] == [*range(len(lines))]
    # The first event, which waits for its order, costs the disk nothing.
    assert len(lines) in (20, 21)


async def test_what_is_still_being_written_does_not_go_on_in_the_next_call(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live_recording, "CLOSE_TIMEOUT_SECS", 0.05)
    monkeypatch.setattr(session_recorder, "CLOSE_TIMEOUT_SECS", 0.05)
    recordings, edges = Recordings(), Edges()
    first = recordings.begin("one", edges, OUT_RATE_HZ)
    slow: Any = SlowFile(first._events._file)
    first._events._file = slow
    try:
        for index in range(3):
            first({"t": index * 2.0, "event": "vad"})
        await first.end()
        earlier = recordings.file("one", EVENTS)
        assert recordings.rate_hz_of("one") is None
        # Else two threads would write into the same files.
        second = recordings.begin("one", edges, OUT_RATE_HZ)
        assert second.start_secs == 0
        await second.end()
        assert recordings.file("one", EVENTS) != earlier
        assert recordings.rate_hz_of("one") == OUT_RATE_HZ
    finally:
        slow.may_write.set()
        recordings.close()
