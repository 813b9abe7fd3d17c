"""A folder that other programs use, too: whoever waits for it waits not for ever, and their files stay theirs."""

import asyncio
import os
import stat
import sys
import threading
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import pytest

from agent.tools import directory, file_tools, folder
from agent.tools.file_names import caseless
from agent.tools.folder import BUSY, BUSY_SECS
from agent.tools.tool import LIMIT_SECS, ToolError
from tests.agent.tools.test_files import changed, done, held

posix = pytest.mark.skipif(sys.platform == "win32", reason="locks and rights are others there")


@contextmanager
def another_program(path: Path) -> Iterator[None]:
    """One that keeps the folder for itself."""
    import fcntl

    path.mkdir(exist_ok=True)
    descriptor = os.open(path, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


@posix
async def test_what_could_not_be_done_for_another_program_is_not_done_afterwards_either(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert BUSY_SECS < LIMIT_SECS
    monkeypatch.setattr(file_tools, "BUSY_SECS", 0.2)
    with another_program(tmp_path):
        told = await asyncio.gather(
            done(tmp_path, "create_file", name="a", text="x"), done(tmp_path, "create_file", name="b", text="x")
        )
        assert told == [{"error": BUSY}] * 2
    assert (await done(tmp_path, "create_file", name="c", text="x"))["created"] == "c.txt"
    assert held(tmp_path) == {"c.txt": "x\n"}


@posix
async def test_a_folder_does_not_wait_for_another(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(file_tools, "BUSY_SECS", 60.0)
    first, second = tmp_path / "first", tmp_path / "second"
    tried = threading.Event()
    lock = directory._lock

    def noting(descriptor: int, until_secs: float) -> None:
        tried.set()
        lock(descriptor, until_secs)

    monkeypatch.setattr(directory, "_lock", noting)
    with another_program(first):
        waits = asyncio.create_task(done(first, "create_file", name="a", text="x"))
        await asyncio.to_thread(tried.wait)
        assert (await done(second, "create_file", name="b", text="x"))["created"] == "b.txt"
        assert not waits.done()
    # It was free in time.
    assert (await waits)["created"] == "a.txt"


async def test_a_call_that_got_its_thread_too_late_is_not_done(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(file_tools, "BUSY_SECS", -1.0)
    assert await done(tmp_path / "F", "create_file", name="a", text="x") == {"error": BUSY}
    assert not (tmp_path / "F").exists()


async def test_an_undo_takes_back_no_other_file(tmp_path: Path) -> None:
    await changed(tmp_path, "create_file", name="n", text="old")
    await changed(tmp_path, "delete_file", name="n")
    restored = await changed(tmp_path, "restore_file", name="n")
    renamed = await changed(tmp_path, "rename_file", name="n", new_name="old")
    await changed(tmp_path, "create_file", name="n", text="new")
    with pytest.raises(ToolError, match=r"n\.txt was changed since; it is left as it is"):
        await restored.undo()
    await changed(tmp_path, "rename_file", name="old", new_name="older")
    await changed(tmp_path, "create_file", name="old", text="other")
    with pytest.raises(ToolError, match=r"old\.txt was changed since; it is left as it is"):
        await renamed.undo()
    assert held(tmp_path) == {"n.txt": "new\n", "old.txt": "other\n", "older.txt": "old\n"}


async def test_of_a_large_file_an_undo_looks_at_its_size_and_its_time_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(folder, "MAX_FILE_BYTES", 4)
    (tmp_path / "n.txt").write_text("large as it is", "utf-8")
    await changed(tmp_path, "delete_file", name="n")
    for n in range(2):
        restored = await changed(tmp_path, "restore_file", name="n")
        if n:
            (tmp_path / "n.txt").write_text("large as it was", "utf-8")
            with pytest.raises(ToolError, match="was changed since"):
                await restored.undo()
        else:
            await restored.undo()
    assert held(tmp_path) == {"n.txt": "large as it was"}


@posix
async def test_rights_stay_as_they_are_whatever_the_umask(tmp_path: Path) -> None:
    shared = tmp_path / "shared.txt"
    shared.write_text("one\n", "utf-8")
    shared.chmod(0o664)
    before = os.umask(0o022)
    try:
        act = await changed(tmp_path, "append_to_file", name="shared", text="two")
        assert stat.S_IMODE(shared.stat().st_mode) == 0o664
        await act.undo()
    finally:
        os.umask(before)
    assert stat.S_IMODE(shared.stat().st_mode) == 0o664
    assert held(tmp_path) == {"shared.txt": "one\n"}


@posix
async def test_a_file_that_is_only_to_be_read_is_not_written(tmp_path: Path) -> None:
    kept = tmp_path / "kept.txt"
    kept.write_text("kept\n", "utf-8")
    kept.chmod(0o444)
    told = await done(tmp_path, "append_to_file", name="kept", text="more")
    assert told == {"error": "kept was not written: it is only to be read; nothing was changed"}
    assert (held(tmp_path), stat.S_IMODE(kept.stat().st_mode)) == ({"kept.txt": "kept\n"}, 0o444)


@pytest.mark.parametrize("form", ["NFC", "NFD"])
async def test_an_accent_is_the_same_however_a_system_codes_it(tmp_path: Path, form: Literal["NFC", "NFD"]) -> None:
    name = unicodedata.normalize(form, "Café Über.txt")
    (tmp_path / name).write_text("x", "utf-8")
    for said in ("café über", "CAFÉ ÜBER.txt", unicodedata.normalize("NFD", "café über.txt")):
        assert (await done(tmp_path, "read_file", name=said))["text"] == "x"
        assert "there is already a file" in (await done(tmp_path, "create_file", name=said, text="y"))["error"]
    assert os.listdir(tmp_path) == [name]
    await done(tmp_path, "delete_file", name="café über")
    assert (await done(tmp_path, "restore_file", name="café über"))["restored"] == name
    assert (await done(tmp_path, "rename_file", name="café über", new_name="Café Über.txt"))["renamed_to"]
    assert os.listdir(tmp_path / ".bin") == []
    assert caseless("Straße") == caseless("STRASSE")
