"""The terminal of a desktop conversation: keys, captions, meters and state."""

import asyncio
import io
import os
import pty
import sys
import termios
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from rich.console import Console

from agent.commands import keys
from agent.commands.desktop import Desktop
from agent.commands.keys import PushToTalkKey, keys_read
from agent.commands.screen import DesktopScreen, DesktopStatus
from tests.support.scripted_sounddevice import ScriptedSoundDevice
from transports.desktop import DesktopTransport

QUIET = DesktopStatus(-100.0, -100.0, 1.0, False, None, "microphone: A, loudspeaker: B", None, 0, 0, 0)


class Picture:
    """A screen, what it has printed, and what it shows now."""

    def __init__(self, width: int = 100) -> None:
        self.status = QUIET
        self.console = Console(file=io.StringIO(), width=width)
        self.screen = DesktopScreen(self.console, lambda: self.status)

    def happen(self, event: str, **fields: Any) -> None:
        self.screen({"t": 1.5, "event": event, **fields})

    @property
    def state(self) -> str:
        return self.screen.state(self.status)

    def printed(self) -> list[str]:
        return [line.rstrip() for line in self.console.file.getvalue().splitlines()]  # pyright: ignore[reportAttributeAccessIssue]

    def shown(self) -> list[str]:
        aside = Console(file=io.StringIO(), width=self.console.width)
        aside.print(self.screen)
        return [line.rstrip() for line in aside.file.getvalue().splitlines()]  # pyright: ignore[reportAttributeAccessIssue]


def test_the_state_follows_a_turn() -> None:
    picture = Picture()
    states = [picture.state]
    for event, fields in (
        ("user_started_speaking", {}),
        ("turn_started", {}),
        ("user_stopped_speaking", {}),
        ("turn_ended", {"text": "hello"}),
        ("bot_started_speaking", {}),
        ("playout", {"level": "paused"}),
        ("playout", {"level": "full"}),
        ("bot_stopped_speaking", {}),
    ):
        picture.happen(event, **fields)
        states.append(picture.state)
    assert states == [
        "listening",
        "hearing you",
        "hearing you",
        "hearing you",
        "thinking",
        "speaking",
        "paused",
        "speaking",
        "listening",
    ]
    picture.status = replace(QUIET, muted=True)
    assert picture.state == "muted"


def test_captions_stand_below_until_they_are_whole() -> None:
    picture = Picture()
    picture.happen("partial_transcript", text="what is the")
    assert picture.shown()[:2] == ["   you  what is the", " agent"]
    picture.happen("transcript", text="what is the time")
    for word in ("It", "is", "noon."):
        picture.happen("bot_word", text=word)
    assert picture.shown()[:2] == ["   you", " agent  It is noon."]
    picture.happen("bot_stopped_speaking")
    assert picture.shown()[:2] == ["   you", " agent"]
    assert picture.printed() == ["    1.50  you    what is the time", "    1.50  agent  It is noon."]


def test_a_cut_answer_is_shown_as_far_as_it_was_heard() -> None:
    picture = Picture()
    picture.happen("bot_word", text="It")
    picture.happen("interruption", heard="It", planned="It is noon.")
    assert picture.printed() == ["    1.50  agent  It –"]


def test_a_long_caption_shows_its_end() -> None:
    picture = Picture(width=30)
    picture.happen("partial_transcript", text="one two three four five six seven")
    assert picture.shown()[0] == "   you  …e four five six seven"


def test_markup_in_speech_is_text() -> None:
    picture = Picture()
    picture.happen("transcript", text="[bold]loud[/bold]")
    assert picture.printed() == ["    1.50  you    [bold]loud[/bold]"]


@pytest.mark.parametrize(("level_dbfs", "n_cells"), [(-100.0, 0), (-60.0, 0), (-30.0, 12), (0.0, 24)])
def test_the_meter_shows_60_db(level_dbfs: float, n_cells: int) -> None:
    picture = Picture()
    picture.status = replace(QUIET, microphone_dbfs=level_dbfs)
    assert picture.shown()[2].count("█") == n_cells


def test_trouble_latency_tier_and_counts_are_shown_when_there_are_any() -> None:
    picture = Picture(width=160)
    assert picture.shown()[3:5] == ["        listening", "microphone: A, loudspeaker: B"]
    picture.happen("latency", voice_to_voice_ms=612)
    picture.happen("echo_tier", tier="aec3")
    picture.status = replace(QUIET, trouble="no microphone found", n_overruns=2, n_underruns=1, n_losses=3)
    assert picture.shown()[3:5] == [
        "        listening   answered in 612 ms   echo aec3   2 overruns   1 underruns   3 lost devices",
        "no microphone found",
    ]


async def pressed(*keys: str, keyed: bool = False) -> tuple[Desktop, DesktopTransport, list[str]]:
    """A desktop on which keys were pressed, and what it did."""
    transport = DesktopTransport(24_000, sounddevice=ScriptedSoundDevice())
    desk = Desktop(transport, keyed=keyed)
    done: list[str] = []

    async def on_stop() -> None:
        done.append("stop")

    async def on_push_to_talk(active: bool) -> None:
        done.append("talk" if active else "talked")

    desk.on_stop, desk.on_push_to_talk = on_stop, on_push_to_talk
    for key in keys:
        desk.press(key)
    await desk.close()
    return desk, transport, done


async def test_m_mutes_and_unmutes() -> None:
    _, transport, _ = await pressed("m")
    assert transport.audio.muted
    _, transport, _ = await pressed("m", "M")
    assert not transport.audio.muted


async def test_s_stops_the_agent_and_q_leaves() -> None:
    desk, _, done = await pressed("s", "q")
    assert done == ["stop"]
    assert desk.left.is_set()


async def test_an_unknown_key_does_nothing() -> None:
    desk, transport, done = await pressed("x", "\x1b", "é")
    assert (done, desk.left.is_set(), transport.audio.muted, transport.audio.volume) == ([], False, False, 1.0)


async def test_plus_and_minus_change_the_volume() -> None:
    _, transport, _ = await pressed("-", "-", "+")
    assert transport.audio.volume == pytest.approx(0.9)


async def test_the_microphone_is_open_only_while_the_user_talks_by_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keys, "RELEASED_SECS", 0.001)
    desk, transport, done = await pressed(" ")
    assert (done, transport.audio.muted, desk.look().push_to_talk) == (["talk"], False, True)
    desk.press(" ")
    async with asyncio.timeout(30):
        while desk.look().push_to_talk:
            await asyncio.sleep(0.001)
    await desk.close()
    assert (done, transport.audio.muted) == (["talk", "talked"], True)
    desk.press("m")
    assert (transport.audio.muted, desk.look().push_to_talk) == (False, None)


async def test_leaving_push_to_talk_while_talking_ends_the_talk() -> None:
    desk, transport, done = await pressed(" ", "m")
    assert (done, transport.audio.muted, desk.look().push_to_talk) == (["talk", "talked"], False, None)


async def test_where_the_key_is_the_only_way_to_talk_m_ends_the_talk_and_frees_no_hands() -> None:
    desk, transport, done = await pressed("m", keyed=True)
    assert (done, transport.audio.muted, desk.look().push_to_talk) == ([], True, False)
    desk, transport, done = await pressed(" ", keyed=True)
    assert (done, transport.audio.muted, desk.look().push_to_talk) == (["talk"], False, True)
    desk, transport, done = await pressed(" ", "m", keyed=True)
    assert (done, transport.audio.muted, desk.look().push_to_talk) == (["talk", "talked"], True, False)
    picture = Picture()
    picture.status = desk.look()
    assert "push-to-talk: space to talk" in picture.shown()[3]
    assert "hands-free" not in picture.shown()[3]


async def test_a_key_that_is_held_talks_until_it_is_let_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keys, "RELEASED_SECS", 0.02)
    changes: list[bool] = []
    ended = asyncio.Event()

    def change(active: bool) -> None:
        changes.append(active)
        if not active:
            ended.set()

    key = PushToTalkKey(change)
    for _ in range(30):
        key.press()
    assert changes == [True]
    await asyncio.wait_for(ended.wait(), 30)
    assert changes == [True, False]


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """A terminal as standard input; its other end."""
    master, slave = pty.openpty()
    with os.fdopen(slave) as standard_input:
        monkeypatch.setattr(sys, "stdin", standard_input)
        yield master
    os.close(master)


async def test_keys_arrive_without_enter_and_the_terminal_is_restored(terminal: int) -> None:
    before = termios.tcgetattr(sys.stdin)
    typed: list[str] = []
    arrived = asyncio.Event()

    def on_key(key: str) -> None:
        typed.append(key)
        if key == "q":
            arrived.set()

    with keys_read(on_key) as reading:
        assert reading
        assert not termios.tcgetattr(sys.stdin)[3] & termios.ECHO
        os.write(terminal, "m ü".encode() + b"q")
        await asyncio.wait_for(arrived.wait(), 30)
    assert typed == ["m", " ", "ü", "q"]
    assert termios.tcgetattr(sys.stdin) == before


async def test_the_terminal_is_restored_after_a_failure(terminal: int) -> None:
    before = termios.tcgetattr(sys.stdin)
    with pytest.raises(ValueError, match="broken"), keys_read(lambda key: None):
        raise ValueError("broken")
    assert termios.tcgetattr(sys.stdin) == before


async def test_no_keys_are_read_from_a_pipe(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("q"))
    with keys_read(lambda key: pytest.fail(f"read {key!r}")) as reading:
        assert not reading
