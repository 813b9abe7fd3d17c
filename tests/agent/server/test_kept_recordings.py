"""Calls of those who have no page are recorded where a setting names a folder: the page's two files, and they stay."""

import json
import wave
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from agent.conversation.recordings import prepare_folder
from agent.errors import InputError
from tests.agent.server.realtime.stage import TRANSCRIBED, staged
from tests.agent.server.realtime.test_realtime_conversations import QUESTION
from tests.agent.server.test_telephone import LINES, in_call, speech
from tests.support.realtime_caller import calling_realtime
from tests.support.scripted_engines import WORD_SECS
from tests.support.telephone_house import holding_lines, until_active
from tests.support.virtual_time import in_virtual_time


def only(folder: Path) -> Path:
    [call] = folder.iterdir()
    assert sorted(path.name for path in call.iterdir()) == ["events.jsonl", "recording.wav"]
    return call


def events_of(call: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (call / "events.jsonl").read_text().splitlines()]


def loud_secs(call: Path) -> tuple[float, float]:
    """How long the caller and the agent were loud."""
    with wave.open(str(call / "recording.wav")) as file:
        both = np.frombuffer(file.readframes(file.getnframes()), "<i2").reshape(-1, 2)
        rate_hz = file.getframerate()
    left, right = (np.abs(both.astype(int)) > 1000).sum(axis=0) / rate_hz
    return float(left), float(right)


@in_virtual_time
async def test_a_telephone_call_leaves_its_sound_and_its_events_in_a_folder_of_its_own(tmp_path: Path) -> None:
    folder = tmp_path / "calls"
    kept = {"server.recordings": str(folder)}
    async with holding_lines(LINES, "say it", replies=("One two three four.",), settings=kept) as lines:
        async with in_call(lines) as caller:
            caller.say(speech("days_in_a_week"))
            await lines.until_event("bot_stopped_speaking")
        await until_active(lines.sessions, 0)
    call = only(folder)
    assert call.name.split()[2] == "telephone"
    events = events_of(call)
    assert [event["text"] for event in events if event["event"] == "turn_ended"] == ["say it"]
    assert events[-1]["event"] == "session_ended"
    assert not any("settings" in event for event in events)
    assert events[0]["recording"] is True
    caller_secs, agent_secs = loud_secs(call)
    assert caller_secs > 0.3
    # A sine is below the threshold near its zeros.
    assert agent_secs == pytest.approx(4 * WORD_SECS, rel=0.08)


@in_virtual_time
async def test_a_realtime_call_is_recorded_too(tmp_path: Path) -> None:
    async with staged("say it", replies=("One two.",), **{"server.recordings": str(tmp_path)}) as stage:
        async with calling_realtime(stage.url) as caller:
            await caller.update(audio=TRANSCRIBED)
            await caller.say(QUESTION)
            await caller.until("response.done")
        await stage.live.close()
    call = only(tmp_path)
    assert call.name.split()[2] == "realtime"
    assert [event["text"] for event in events_of(call) if event["event"] == "turn_ended"] == ["say it"]
    assert loud_secs(call)[1] == pytest.approx(2 * WORD_SECS, rel=0.08)


@in_virtual_time
async def test_without_the_setting_nothing_is_recorded() -> None:
    async with holding_lines(LINES) as lines, in_call(lines):
        started = await lines.until_event("session_started")
    assert started["recording"] is False


@in_virtual_time
async def test_a_call_is_held_all_the_same_where_the_folder_has_gone(tmp_path: Path) -> None:
    folder = tmp_path / "calls"
    kept = {"server.recordings": str(folder)}
    async with holding_lines(LINES, "say it", replies=("Seven.",), settings=kept) as lines:
        folder.rmdir()
        folder.touch()
        async with in_call(lines) as caller:
            caller.say(speech("days_in_a_week"))
            await lines.until_event("bot_stopped_speaking")
    [error] = lines.named("error")
    assert error["stage"] == "recording"
    assert error["message"].startswith(f"server.recordings = {folder} cannot be used (File exists)")


def test_a_folder_that_cannot_be_used_is_told_at_the_start(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match=r"^server\.recordings = .*: name a folder that may be written$"):
        prepare_folder(tmp_path / "file" / "calls")
