"""Timers: due in order and once, cancelled by name, kept on disk only where that is wished, and told when missed."""

import asyncio
import errno
import json
import time
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from agent.settings.load import Settings
from agent.tools.timer_books import MAX_BOOKS, TimerBooks
from agent.tools.timer_tools import UNKEPT, next_time, timer_tools
from agent.tools.timers import LOOK_SECS, MAX_TIMERS, Timer, TimerBook
from agent.tools.tool import ToolError
from tests.support.house import hold, hosting, say
from tests.support.llm_session import options
from tests.support.scripted_engines import ScriptedRecognizerEngine, ScriptedSynthesizer
from tests.support.scripted_llm import ScriptedLLM
from tests.support.virtual_time import in_virtual_time


def listened(book: TimerBook) -> list[tuple[str, str]]:
    """What a book tells, as it comes: (change, label)."""
    told: list[tuple[str, str]] = []
    book.changed.append(lambda change, timer: told.append((change, timer.label)))
    return told


@in_virtual_time
async def test_timers_are_due_in_order_each_once() -> None:
    book, at_secs = TimerBook(), dict[str, float]()
    started_secs = time.time()

    def note(change: str, timer: Timer) -> None:
        if change == "due":
            at_secs[timer.label] = round(time.time() - started_secs, 3)

    book.changed.append(note)
    book.set(30, "eggs")
    book.set(12, "tea")
    await asyncio.sleep(5)
    book.set(3, "toast")
    await asyncio.sleep(60)
    assert list(at_secs.items()) == [("toast", 8.0), ("tea", 12.0), ("eggs", 30.0)]
    assert book.pending() == []
    await book.close()


@in_virtual_time
async def test_a_cancelled_timer_is_not_due_and_the_others_are() -> None:
    book = TimerBook()
    told = listened(book)
    for label in ("Tea", "eggs"):
        book.set(10, label)
    assert [timer.label for timer in book.cancel(" tea ")] == ["Tea"]
    assert book.cancel("tea") == []
    await asyncio.sleep(20)
    assert told == [("set", "Tea"), ("set", "eggs"), ("cancelled", "Tea"), ("due", "eggs")]
    await book.close()


@pytest.mark.parametrize("secs", [0.0, -5.0, 0.5, 4e7, float("nan")])
@in_virtual_time
async def test_a_time_that_makes_no_sense_is_refused(secs: float) -> None:
    book = TimerBook()
    with pytest.raises(ToolError, match="a timer takes from 1 second to 366 days"):
        book.set(secs)
    assert book.pending() == []


@in_virtual_time
async def test_there_are_not_more_timers_than_anybody_needs() -> None:
    book = TimerBook()
    for _ in range(MAX_TIMERS):
        book.set(60)
    with pytest.raises(ToolError, match=f"there are {MAX_TIMERS} timers already; cancel one first"):
        book.set(60)
    await book.close()


@in_virtual_time
async def test_kept_timers_outlive_a_restart_and_only_due_time_and_label_are_on_disk(tmp_path: Path) -> None:
    path = tmp_path / "timers" / "mine.json"
    before = TimerBook(path)
    timer = before.set(100, "tea")
    before.set(20, "toast")
    assert {tuple(sorted(one)) for one in json.loads(path.read_text())} == {("due", "label")}
    await before.close()
    after = TimerBook(path)
    told = listened(after)
    after.watch()
    await asyncio.sleep(50)
    assert told == [("due", "toast")]
    assert json.loads(path.read_text()) == [{"due": timer.due_secs, "label": "tea"}]
    await asyncio.sleep(60)
    assert told == [("due", "toast"), ("due", "tea")]
    assert not path.exists()
    await after.close()


@pytest.mark.parametrize("kept", [True, False])
@in_virtual_time
async def test_only_with_the_wish_something_is_on_disk(tmp_path: Path, kept: bool) -> None:
    books = TimerBooks(tmp_path / "timers" if kept else None)
    books.of(("me",)).set(5, "tea")
    await books.close()
    assert len(sorted(tmp_path.rglob("*.json"))) == int(kept)  # noqa: ASYNC240


@pytest.mark.parametrize("content", ["", "{", "[1]", '[{"due": "soon", "label": "tea"}]', '{"due": 1}'])
@in_virtual_time
async def test_a_spoilt_file_is_left_as_it_is_and_timers_go_on_in_memory(tmp_path: Path, content: str) -> None:
    path = tmp_path / "mine.json"
    path.write_text(content)
    book = TimerBook(path)
    book.set(60, "tea")
    assert path.read_text() == content
    assert [timer.label for timer in book.pending()] == ["tea"]
    await book.close()


@in_virtual_time
async def test_a_folder_that_cannot_be_written_costs_no_timer(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    book = TimerBook(tmp_path / "file" / "mine.json")
    book.set(60, "tea")
    assert [timer.label for timer in book.pending()] == ["tea"]
    await book.close()


class FullDisk:
    """A fake at the edge: a disk without room, for as long as it is full; half of what is written gets there."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.is_full = True
        self.n_refused = 0
        written = Path.write_text

        def write(path: Path, text: str, *more: Any) -> int:
            if not self.is_full:
                return written(path, text, *more)
            self.n_refused += 1
            written(path, text[: len(text) // 2], *more)
            raise OSError(errno.ENOSPC, "No space left on device")

        monkeypatch.setattr(Path, "write_text", write)


@in_virtual_time
async def test_a_full_disk_costs_no_timer_and_what_was_not_written_is_written_once_there_is_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "mine.json"
    book = TimerBook(path)
    told, problems = listened(book), list[str]()
    book.failed.append(problems.append)
    book.set(1000, "tea")
    before = path.read_text()
    disk = FullDisk(monkeypatch)
    book.set(2000, "eggs")
    book.set(3000, "toast")
    assert problems == [f"timers cannot be kept in {path} (No space left on device): make room there, or allow writing"]
    # The old file is whole, and nothing half written lies beside it.
    assert (path.read_text(), [one.name for one in tmp_path.iterdir()]) == (before, ["mine.json"])  # noqa: ASYNC240
    set_timer = next(tool for tool in timer_tools(book) if tool.name == "set_timer")
    shown = await set_timer.run(set_timer.arguments.model_validate({"seconds": 60, "label": "bread"}))
    assert isinstance(shown, dict)
    assert shown["note"] == UNKEPT
    await asyncio.sleep(30)
    assert disk.n_refused > 3
    disk.is_full = False
    await asyncio.sleep(LOOK_SECS)
    assert book.problem == ""
    assert [one["label"] for one in json.loads(path.read_text())] == ["bread", "tea", "eggs", "toast"]
    await asyncio.sleep(30)
    assert told[-1] == ("due", "bread")
    assert len(problems) == 1
    # And again, the next time.
    disk.is_full = True
    book.cancel("eggs")
    assert len(problems) == 2
    await book.close()


@in_virtual_time
async def test_in_a_conversation_a_full_disk_is_one_line_and_the_timer_goes_off(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    FullDisk(monkeypatch)
    book = TimerBook(tmp_path / "mine.json")
    stt = ScriptedRecognizerEngine("set a timer for five seconds", "set a timer for six seconds")
    async with ScriptedLLM() as server, hosting(stt, options(server), ScriptedSynthesizer()) as host:
        held = await hold(
            host,
            [say("days_in_a_week.wav")] * 2,
            settings=Settings.model_validate({"turn": {"speculate": False}}),
            reflexes=True,
            timers=book,
            end_secs=8.0,
        )
    assert [event["stage"] for event in held.named("error")] == ["timers"]
    assert "No space left on device" in held.named("error")[0]["message"]
    assert len(held.named("timer_set")) == len(held.named("timer_due")) == 2
    await book.close()


@in_virtual_time
async def test_what_was_due_while_nobody_listened_is_missed() -> None:
    book = TimerBook()
    book.set(5, "tea")
    await asyncio.sleep(10)
    assert [timer.label for timer in book.missed] == ["tea"]
    await book.close()


@in_virtual_time
async def test_users_have_timers_of_their_own_for_as_long_as_they_wait() -> None:
    books = TimerBooks()
    books.of(("me",)).set(60, "mine")
    assert books.of(("you",)).pending() == []
    assert [timer.label for timer in books.of(("me",)).pending()] == ["mine"]
    for number in range(2 * MAX_BOOKS):
        books.of((str(number),)).set(3600)
    assert len(books) <= MAX_BOOKS + 1
    await books.close()


@pytest.mark.parametrize(
    ("now", "wanted", "found"),
    [
        ("2026-11-28 14:05", "14:06", "2026-11-28 14:06"),
        ("2026-11-28 14:05", "14:05", "2026-11-29 14:05"),
        ("2026-11-28 14:05", "7:30", "2026-11-29 07:30"),
        ("2026-12-31 23:59", "0:00", "2027-01-01 00:00"),
    ],
)
def test_an_alarm_is_for_the_next_time_that_the_clock_shows(now: str, wanted: str, found: str) -> None:
    local = datetime.fromisoformat(now).astimezone()
    assert f"{next_time(wanted, local):%Y-%m-%d %H:%M}" == found


@in_virtual_time
async def test_tools_tell_what_is_set_and_what_there_is_to_cancel() -> None:
    book = TimerBook()
    tools = {tool.name: tool for tool in timer_tools(book)}

    async def use(name: str, **arguments: object) -> object:
        return await tools[name].run(tools[name].arguments.model_validate(arguments))

    assert await use("list_timers") == "there are no timers and no alarms"
    set_now = await use("set_timer", seconds=90, label="tea")
    assert isinstance(set_now, dict)
    assert (set_now["label"], set_now["seconds_left"]) == ("tea", 90)
    await asyncio.sleep(30)
    (listed,) = await use("list_timers")  # pyright: ignore[reportGeneralTypeIssues]
    assert listed["seconds_left"] == 60
    with pytest.raises(ToolError, match="there is no timer named 'eggs'; there are: tea"):
        await use("cancel_timer", label="eggs")
    assert await use("cancel_timer") == {"cancelled": 1}
    for label in ("tea", "pasta", ""):
        await use("set_timer", seconds=90, label=label)
    with pytest.raises(
        ToolError, match=r"there are 3 timers and alarms \(tea, pasta, one of 1 minute and 30 seconds\); ask"
    ):
        await use("cancel_timer")
    assert len(book.pending()) == 3
    assert await use("cancel_timer", label="pasta") == {"cancelled": 1}
    await use("set_alarm", time="23:59")
    with pytest.raises(
        ToolError, match="no timer of 60 seconds; there are: tea, one of 1 minute and 30 seconds, an alarm"
    ):
        await use("cancel_timer", seconds=60)
    await use("set_timer", seconds=3600)
    assert await use("cancel_timer", seconds=3600) == {"cancelled": 1}
    assert await use("cancel_timer", all=True) == {"cancelled": 3}
    await book.close()
