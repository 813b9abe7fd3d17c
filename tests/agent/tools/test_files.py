"""Files in one folder: no name and no link leads out of it, nothing is lost, and every refusal says why."""

import asyncio
import errno
import json
import os
import stat
from pathlib import Path
from typing import Any

import pytest

from agent.tools import directory, folder
from agent.tools.file_names import MAX_NAME_BYTES, file_name
from agent.tools.file_tools import file_tools, piece
from agent.tools.folder import Folder
from agent.tools.results import MAX_RESULT_CHARS
from agent.tools.tool import Done, ToolError
from agent.tools.toolbox import Toolbox
from tests.support.virtual_time import in_virtual_time


async def done(path: Path, tool: str, /, **arguments: object) -> Any:
    """What a tool gives, or the error that it tells."""
    return await Toolbox(file_tools(path)).call(tool, arguments)


def held(path: Path, *, in_bin: bool = True) -> dict[str, str]:
    """What every file in it holds, by its name."""
    found = path.rglob("*") if in_bin else path.glob("*")
    return {one.name: one.read_text("utf-8") for one in found if one.is_file()}


@pytest.mark.parametrize(
    ("said", "name"),
    [
        ("notes dot text", "notes.txt"),
        ("Notes dot TXT", "Notes.txt"),
        ("notes.txt", "notes.txt"),
        ("shopping list", "shopping list.txt"),
        ("  shopping   list. ", "shopping list.txt"),
        ("read me dot m d", "read me.md"),
        ("game dot python", "game.py"),
        ("table dot jason", "table.json"),
        ("einkauf punkt text", "einkauf.txt"),
        ("liste point markdown", "liste.md"),
        ("lista punto texto", "lista.txt"),
        ("v1.2 notes", "v1.2 notes.txt"),
        ("cafe\u0301", "café.txt"),
        ("the dot on the i", "the dot on the i.txt"),
        ("日本", "日本.txt"),
    ],
)
def test_a_name_is_what_was_said(said: str, name: str) -> None:
    assert file_name(said) == name


@pytest.mark.parametrize(
    ("said", "why"),
    [
        *[(one, "path separator") for one in ("../../etc/passwd", "/etc/passwd", "a/b.txt", "..\\up.txt", "C:\\x.txt")],
        *[(one, "begins with a dot") for one in ("..", ".", ".bashrc", ".bin", "...", ". .", "'.bashrc'")],
        *[(one, "name of a device") for one in ("con", "NUL.txt", "com1.tar.gz", "LPT9", "aux .txt", "COM¹.txt")],
        *[(one, "cannot be seen") for one in ("a\0b", "a\nb.txt", "gpj\u202eexe.txt", "a\u200bb")],
        *[(one, "some systems allow in no name") for one in ("notes.txt:hidden", "what?.txt", "a|b", '"x"')],
        *[(one, "needs a name") for one in ("", "   ")],
        ("x" * (MAX_NAME_BYTES + 1), "longer than"),
        ("é" * MAX_NAME_BYTES, "longer than"),
        ("x" * MAX_NAME_BYTES, "longer than"),
        ("\ud800", "valid string"),
    ],
)
@in_virtual_time
async def test_a_name_that_could_lead_elsewhere_is_refused_in_one_line(tmp_path: Path, said: str, why: str) -> None:
    root = tmp_path / "F"
    told = await done(root, "create_file", name=said, text="x")
    assert why in told["error"]
    assert "\n" not in told["error"]
    assert not root.exists()


@in_virtual_time
async def test_a_file_is_created_read_added_to_renamed_binned_and_restored(tmp_path: Path) -> None:
    root = tmp_path / "F"
    assert await done(root, "create_file", name="notes dot text", text="buy milk") == {
        "created": "notes.txt",
        "bytes": 9,
    }
    assert await done(root, "append_to_file", name="Notes", text="and bread\n") == {
        "added_to": "notes.txt",
        "bytes": 19,
    }
    told = await done(root, "read_file", name="notes dot txt")
    assert told == {"file": "notes.txt", "start": 0, "of": 19, "text": "buy milk\nand bread\n"}
    assert (await done(root, "rename_file", name="notes", new_name="Shopping"))["renamed_to"] == "Shopping.txt"
    assert (await done(root, "rename_file", name="shopping", new_name="shopping"))["renamed_to"] == "shopping.txt"
    assert [one["name"] for one in (await done(root, "list_files"))["files"]] == ["shopping.txt"]
    assert (await done(root, "delete_file", name="shopping"))["moved_to_the_bin"] == "shopping.txt"
    assert await done(root, "list_files") == {"files": [], "of": 0}
    assert len(list((root / ".bin").iterdir())) == 1
    assert (await done(root, "restore_file", name="Shopping dot text"))["restored"] == "shopping.txt"
    assert (root / "shopping.txt").read_text("utf-8") == "buy milk\nand bread\n"
    assert sorted(path.name for path in root.rglob("*")) == [".bin", "shopping.txt"]
    if os.name == "posix":
        assert stat.S_IMODE((root / "shopping.txt").stat().st_mode) == 0o600


@in_virtual_time
async def test_what_is_there_is_named_and_never_overwritten(tmp_path: Path) -> None:
    (tmp_path / "Notes.txt").write_text("old", "utf-8")
    (tmp_path / "b.txt").write_text("b", "utf-8")
    told = await done(tmp_path, "create_file", name="notes.txt", text="new")
    assert told["error"].startswith("there is already a file Notes.txt; nothing was changed")
    told = await done(tmp_path, "rename_file", name="b", new_name="NOTES.txt")
    assert told["error"].startswith("there is already a file Notes.txt")
    await done(tmp_path, "delete_file", name="notes")
    (tmp_path / "notes.txt").write_text("newer", "utf-8")
    assert "already a file notes.txt" in (await done(tmp_path, "restore_file", name="notes"))["error"]
    assert sorted(held(tmp_path).values()) == ["b", "newer", "old"]


@in_virtual_time
async def test_a_file_that_is_not_there_is_told_with_those_that_are(tmp_path: Path) -> None:
    assert (await done(tmp_path, "read_file", name="x"))["error"] == "there is no file 'x' in the folder; it is empty"
    for name in ("notes.txt", "notes.md", "list.txt"):
        (tmp_path / name).write_text("x", "utf-8")
    assert "there are list.txt" in (await done(tmp_path, "delete_file", name="lost.txt"))["error"]
    assert (await done(tmp_path, "delete_file", name="notes"))["moved_to_the_bin"] == "notes.txt"
    (tmp_path / "Notes.csv").write_text("x", "utf-8")
    assert (await done(tmp_path, "read_file", name="notes"))[
        "error"
    ] == "'notes' may be Notes.csv or notes.md; say which"


@pytest.mark.parametrize("way", ["create_file", "append_to_file"])
@in_virtual_time
async def test_a_full_disk_leaves_the_old_file_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: str) -> None:
    (tmp_path / "old.txt").write_text("old\n", "utf-8")
    real_write = os.write

    def full(descriptor: int, content: Any) -> int:
        real_write(descriptor, bytes(content)[:3])
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(directory.os, "write", full)
    name = "old" if way == "append_to_file" else "new"
    told = await done(tmp_path, way, name=name, text="more words")
    assert told["error"].endswith("was not written: the disk is full; nothing was changed")
    assert held(tmp_path) == {"old.txt": "old\n"}


@in_virtual_time
async def test_a_file_system_without_hard_links_overwrites_nothing_either(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(directory.os, "link", refuse)
    assert (await done(tmp_path, "create_file", name="a", text="a"))["created"] == "a.txt"
    monkeypatch.setattr(folder, "check_is_new", lambda *_: None)
    told = await done(tmp_path, "create_file", name="a", text="b")
    assert told["error"] == "a.txt was not written: there is a file of that name now"
    assert held(tmp_path) == {"a.txt": "a\n"}


@in_virtual_time
async def test_limits_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folder, "MAX_FILES", 2)
    monkeypatch.setattr(folder, "MAX_BINNED", 1)
    for name in ("a", "b"):
        await done(tmp_path, "create_file", name=name, text="x")
    assert "holds 2 files" in (await done(tmp_path, "create_file", name="c", text="x"))["error"]
    assert "at most 20000 characters" in (await done(tmp_path, "create_file", name="c", text="x" * 20_001))["error"]
    (tmp_path / "a.txt").write_bytes(b"x" * 980_000)
    # A line end before what is added, and one after it.
    assert (await done(tmp_path, "append_to_file", name="a", text="x" * 19_998))["bytes"] == 1_000_000
    assert (await done(tmp_path, "append_to_file", name="a", text=""))["bytes"] == 1_000_000
    assert (await done(tmp_path, "append_to_file", name="a", text="x"))["error"] == (
        "a.txt was not written: it would be larger than 1 MB"
    )
    (tmp_path / "big.txt").write_bytes(b"x" * 1_000_001)
    assert (await done(tmp_path, "read_file", name="big"))["error"] == "big.txt is larger than 1 MB"
    (tmp_path / "raw.txt").write_bytes(b"\xff\xfe\x00")
    assert (await done(tmp_path, "read_file", name="raw"))["error"] == "raw.txt is no text in UTF-8"
    await done(tmp_path, "delete_file", name="a")
    assert "the bin holds 1 files" in (await done(tmp_path, "delete_file", name="b"))["error"]


@pytest.mark.parametrize(
    ("name", "text", "problem"),
    [
        ("a.py", "def f(:\n", "line 1: invalid syntax"),
        ("a.py", "x = (\n" * 3000, "line"),
        ("a.json", '{"a": 1,}', "line 1 column"),
        ("a.json", "[NaN]", "NaN is no JSON"),
        ("a.json", "[" * 20_000, "nested too deep"),
    ],
)
@in_virtual_time
async def test_what_is_no_python_or_json_is_not_written(tmp_path: Path, name: str, text: str, problem: str) -> None:
    told = await done(tmp_path, "create_file", name=name, text=text)
    assert told["error"].startswith(f"{name} was not written, for it is no valid ")
    assert problem in told["error"]
    assert held(tmp_path) == {}


@in_virtual_time
async def test_python_and_json_that_can_be_read_are_written_as_they_are(tmp_path: Path) -> None:
    program = "  \nif True:\n    print('é')\n"
    assert (await done(tmp_path, "create_file", name="a.py", text=program))["created"] == "a.py"
    assert (tmp_path / "a.py").read_text("utf-8") == program
    assert (await done(tmp_path, "create_file", name="a.json", text='{"a": "é"}'))["created"] == "a.json"
    told = await done(tmp_path, "append_to_file", name="a.json", text="{}")
    assert "Extra data: line 2" in told["error"]
    assert (await done(tmp_path, "append_to_file", name="a.py", text="    pass"))["added_to"] == "a.py"
    await done(tmp_path, "create_file", name="b.txt", text="no python here")
    assert "no valid Python" in (await done(tmp_path, "rename_file", name="b", new_name="b.py"))["error"]


@in_virtual_time
async def test_a_long_file_comes_in_pieces_that_are_all_of_it(tmp_path: Path) -> None:
    text = "".join(f'Paragraph {n}: "quoted"\tand\n' + "words and words. " * (n % 40) + "\n\n" for n in range(200))
    (tmp_path / "long.txt").write_text(text, "utf-8", newline="")
    read, start = "", 0
    while True:
        told = await done(tmp_path, "read_file", name="long", start=start)
        assert len(json.dumps(told, ensure_ascii=False)) <= MAX_RESULT_CHARS
        assert told["start"] == len(read)
        read += told["text"]
        if "next_start" not in told:
            break
        # Where a paragraph ends, for all pieces but the last.
        assert told["text"].endswith("\n\n")
        start = told["next_start"]
    assert read == text
    assert "there is nothing from" in (await done(tmp_path, "read_file", name="long", start=len(text)))["error"]
    assert (await done(tmp_path, "read_file", name="long", start=-1))["error"].startswith("start: ")
    assert piece("x", '"' * 10_000, 0)["next_start"] == piece("x", "\n" * 10_000, 0)["next_start"]
    assert piece("empty.txt", "", 0) == {"file": "empty.txt", "start": 0, "of": 0, "text": ""}


@in_virtual_time
async def test_a_long_list_comes_in_pieces(tmp_path: Path) -> None:
    names = [f"a file with a rather long name {n:03}.txt" for n in range(300)]
    for name in names:
        (tmp_path / name).touch()
    listed: list[str] = []
    start: int | None = 0
    while start is not None:
        told = await done(tmp_path, "list_files", start=start)
        assert len(json.dumps(told, ensure_ascii=False)) <= MAX_RESULT_CHARS
        listed += [one["name"] for one in told["files"]]
        start = told.get("next_start")
    assert listed == names


@in_virtual_time
async def test_many_conversations_add_to_one_file_and_no_line_is_lost(tmp_path: Path) -> None:
    boxes = [Toolbox(file_tools(tmp_path)) for _ in range(2)]
    created = await asyncio.gather(*(box.call("create_file", {"name": "a", "text": "first"}) for box in boxes))
    assert sorted("error" in told for told in created if isinstance(told, dict)) == [False, True]
    lines = [f"line {n}" for n in range(40)]
    await asyncio.gather(
        *(boxes[n % 2].call("append_to_file", {"name": "a", "text": line}) for n, line in enumerate(lines))
    )
    (text,) = held(tmp_path).values()
    assert sorted(text.splitlines()) == sorted(["first", *lines])


async def changed(root: Path, name: str, /, **arguments: object) -> Done:
    tool = next(tool for tool in file_tools(root) if tool.name == name)
    given = await tool.run(tool.arguments.model_validate(arguments))
    assert isinstance(given, Done)
    return given


@in_virtual_time
async def test_each_act_can_be_taken_back(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("one", "utf-8")
    for name, arguments, after in (
        ("create_file", {"name": "b", "text": "b"}, {"a.txt": "one", "b.txt": "b\n"}),
        ("append_to_file", {"name": "a", "text": "two"}, {"a.txt": "one\ntwo\n"}),
        ("rename_file", {"name": "a", "new_name": "c"}, {"c.txt": "one"}),
        ("rename_file", {"name": "a", "new_name": "A"}, {"A.txt": "one"}),
        ("delete_file", {"name": "a"}, {}),
    ):
        act = await changed(tmp_path, name, **arguments)
        assert held(tmp_path, in_bin=False) == after
        await act.undo()
        assert held(tmp_path, in_bin=False) == {"a.txt": "one"}
    await changed(tmp_path, "delete_file", name="a")
    act = await changed(tmp_path, "restore_file", name="a")
    assert held(tmp_path, in_bin=False) == {"a.txt": "one"}
    await act.undo()
    assert held(tmp_path, in_bin=False) == {}
    assert sorted(held(tmp_path).values()) == ["b\n", "one"]


@in_virtual_time
async def test_what_was_changed_since_is_not_taken_back(tmp_path: Path) -> None:
    act = await changed(tmp_path, "create_file", name="a", text="a")
    (tmp_path / "a.txt").write_text("by hand", "utf-8")
    with pytest.raises(ToolError, match=r"a\.txt was changed since; it is left as it is"):
        await act.undo()
    act = await changed(tmp_path, "delete_file", name="a")
    (tmp_path / "a.txt").write_text("another", "utf-8")
    with pytest.raises(ToolError, match="there is a file of that name now"):
        await act.undo()
    (tmp_path / "a.txt").unlink()
    await act.undo()
    with pytest.raises(ToolError, match="it is no longer there"):
        await act.undo()
    assert (tmp_path / "a.txt").read_text("utf-8") == "by hand"


def test_a_folder_that_cannot_be_used_is_told(tmp_path: Path) -> None:
    (tmp_path / "F").write_text("a file", "utf-8")
    with pytest.raises(ToolError, match="the files was not read"):
        Folder(tmp_path / "F").files()
