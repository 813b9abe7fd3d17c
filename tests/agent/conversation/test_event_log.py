"""The event log is sorted JSON lines, whatever order events come in."""

import json
from pathlib import Path
from typing import Any

import pytest
from pipecat.frames.frames import InputAudioRawFrame, VADUserStartedSpeakingFrame, VADUserStoppedSpeakingFrame
from pipecat.observers.base_observer import FramePushed
from pipecat.processors.filters.identity_filter import IdentityFilter
from pipecat.processors.frame_processor import FrameDirection

from agent.conversation.activity import Activity
from agent.conversation.event_log import Event, EventLog
from agent.conversation.observer import ConversationObserver
from agent.conversation.turn_clock import TurnClock
from agent.errors import InputError
from tests.support.virtual_time import in_virtual_time


def lines_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_lines_are_sorted_by_time(tmp_path: Path) -> None:
    path = tmp_path / "e.jsonl"
    log = EventLog(path)
    for t, name in ((0.0, "a"), (1.0, "c"), (0.8, "b"), (3.0, "e"), (2.5, "d")):
        log({"t": t, "event": name})
    log.close()
    assert [line["event"] for line in lines_of(path)] == ["a", "b", "c", "d", "e"]


def test_a_line_is_on_disk_a_second_later(tmp_path: Path) -> None:
    path = tmp_path / "e.jsonl"
    log = EventLog(path)
    log({"t": 0.5, "event": "a", "text": "café"})
    log({"t": 1.6, "event": "b"})
    assert lines_of(path) == [{"t": 0.5, "event": "a", "text": "café"}]
    log.close()


def test_an_event_that_comes_far_too_late_keeps_the_order(tmp_path: Path) -> None:
    path = tmp_path / "e.jsonl"
    log = EventLog(path)
    for t, name in ((0.0, "a"), (5.0, "b"), (9.0, "c"), (1.0, "late")):
        log({"t": t, "event": name})
    log.close()
    times = [line["t"] for line in lines_of(path)]
    assert times == sorted(times)
    assert {line["event"] for line in lines_of(path)} == {"a", "b", "c", "late"}


def test_a_log_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"event log cannot be written: .*nowhere"):
        EventLog(tmp_path / "nowhere" / "e.jsonl")


def test_half_a_character_and_control_characters_are_written_as_json_escapes_them(tmp_path: Path) -> None:
    path = tmp_path / "e.jsonl"
    failures: list[str] = []
    log = EventLog(path, on_failure=lambda: failures.append("failed"))
    event = {"t": 0.0, "event": "turn_ended", "text": "what is \ud800 this\x1b[31m\x00\n", "\udfff": ["café"]}
    log(event)
    log({"t": 0.1, "event": "after"})
    log.close()
    assert lines_of(path) == [event, {"t": 0.1, "event": "after"}]
    assert (failures, log.failure) == ([], None)


def test_latencies_are_told_only_where_both_ends_are_known() -> None:
    clock = TurnClock(
        speech_end_secs=1.0, decision_secs=1.25, turn_end_secs=1.27, asked_secs=1.27, first_token_secs=1.5
    )
    assert clock.latencies_ms(1.8) == {"voice_to_voice_ms": 800, "turn_ms": 250, "stt_ms": 20, "llm_ttft_ms": 230}


def test_the_agent_is_idle_only_when_nobody_speaks_and_no_answer_is_due() -> None:
    activity = Activity()
    seen = []
    for event in (
        {"event": "user_started_speaking"},
        {"event": "turn_started"},
        {"event": "user_stopped_speaking"},
        {"event": "turn_ended", "text": "hello"},
        {"event": "bot_started_speaking"},
        {"event": "latency", "voice_to_voice_ms": 500},
        {"event": "bot_stopped_speaking"},
    ):
        activity({"t": 0.0, **event})
        seen.append(activity.idle)
    assert seen == [False] * 6 + [True]
    assert (activity.n_turns, activity.n_answered, activity.latencies_ms) == (1, 1, [500])


def test_a_turn_without_words_wants_no_answer() -> None:
    activity = Activity()
    activity({"t": 0.0, "event": "turn_started"})
    activity({"t": 1.0, "event": "turn_ended", "text": ""})
    assert activity.idle
    assert activity.n_turns == 0


@in_virtual_time
async def test_a_key_that_is_pressed_before_the_first_sound_is_told_as_pressed_at_0() -> None:
    events: list[Event] = []
    observer = ConversationObserver([events.append])
    step = IdentityFilter()
    at_ns = 5_000_000_000
    # The frame of 20 ms begins the timeline; the key is released 1 s after its end.
    for frame, ns in (
        (VADUserStartedSpeakingFrame(start_secs=0.0), at_ns),
        (InputAudioRawFrame(bytes(640), 16_000, 1), at_ns + 500_000_000),
        (VADUserStoppedSpeakingFrame(stop_secs=0.0), at_ns + 1_500_000_000),
    ):
        await observer.on_push_frame(FramePushed(step, step, frame, FrameDirection.DOWNSTREAM, ns))
    assert events == [{"t": 0.0, "event": "user_started_speaking"}, {"t": 1.02, "event": "user_stopped_speaking"}]
