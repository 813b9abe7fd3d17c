"""With the memory's switch off nothing of what is said reaches the disk, wherever it might be written."""

import os
import sqlite3
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from agent.memory.item import Item
from agent.memory.memory import memory_of
from agent.memory.store import MemoryStore
from agent.settings.load import load_settings
from tests.support.house import hold, hosting, say
from tests.support.llm_session import options
from tests.support.scripted_engines import ScriptedRecognizerEngine, ScriptedSynthesizer
from tests.support.scripted_llm import Reply, ScriptedLLM
from tests.support.served import serving_page
from tests.support.speech_callers import NotingEngine
from tests.support.virtual_time import in_virtual_time

WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_noting: list[list[str]] = []


def _hook(event: str, arguments: tuple[Any, ...]) -> None:
    if not _noting:
        return
    if event == "sqlite3.connect":
        _noting[-1].append(os.fsdecode(arguments[0]))
    elif event == "open":
        path, _, flags = arguments
        # A number is a pipe or a socket that is open already.
        if isinstance(flags, int) and flags & WRITES and not isinstance(path, int) and path != os.devnull:
            _noting[-1].append(os.fsdecode(path))


# For the life of the process: a hook cannot be taken away.
sys.addaudithook(_hook)


@contextmanager
def files_written() -> Iterator[list[str]]:
    """The paths that are opened to be written to within a block, by this process, in any folder."""
    _noting.append([])
    try:
        yield _noting[-1]
    finally:
        _noting.pop()


@pytest.fixture(autouse=True)
def own_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("XDG_DATA_HOME", "XDG_CONFIG_HOME", "XDG_CACHE_HOME"):
        monkeypatch.setenv(name, str(tmp_path / name))


def on_disk(folder: Path) -> list[str]:
    return [str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()]


def test_the_watch_sees_a_memory_that_is_written(tmp_path: Path) -> None:
    with files_written() as written:
        store = MemoryStore(tmp_path / "memory" / "m.sqlite3")
        thread = threading.Thread(target=lambda: store.add([Item("anna", "fact", "milk", 1.0)]))
        thread.start()
        thread.join()
        (tmp_path / "note.txt").write_text("milk")
        sqlite3.connect(tmp_path / "other").close()
    assert {Path(path).name for path in written} == {"m.sqlite3", "note.txt", "other"}


@in_virtual_time
async def test_with_the_switch_off_a_call_writes_no_file(tmp_path: Path) -> None:
    settings = load_settings({"turn.speculate": "false"})
    assert memory_of(settings) is None
    stt = ScriptedRecognizerEngine("remember the word xylophonequartz")
    async with (
        ScriptedLLM(Reply("Xylophonequartz it is.")) as server,
        hosting(stt, options(server), ScriptedSynthesizer()) as host,
    ):
        with files_written() as written:
            held = await hold(host, [say("days_in_a_week.wav")], settings=settings)
        offered = {tool["function"]["name"] for tool in server.requests[0].body["tools"]}
    assert held.texts("bot_word") == ["Xylophonequartz", "it", "is."]
    assert offered & {"remember", "recall", "forget"} == set()
    assert (written, on_disk(tmp_path)) == ([], [])


async def test_with_the_switch_off_a_server_writes_no_file_of_what_is_typed(tmp_path: Path) -> None:
    with files_written() as written:
        async with (
            ScriptedLLM(Reply("Xylophonequartz it is.")) as llm,
            serving_page(NotingEngine(), options(llm)) as served,
            httpx.AsyncClient(base_url=served.url, trust_env=False) as client,
        ):
            question = {"text": "remember the word xylophonequartz", "browser": "a" * 32}
            answer = await client.post("/api/chat", json=question)
            assert "Xylophonequartz it is." in answer.text
            assert (await client.get("/api/memory", headers={"X-Sotto-Browser": "a" * 32})).status_code == 404
    assert (written, on_disk(tmp_path)) == ([], [])
