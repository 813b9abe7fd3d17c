"""Links in the folder of files, symbolic and hard ones: none leads out of it, whenever it is put there."""

import os
import sys
from pathlib import Path
from typing import Any

import pytest

from agent.tools import directory
from tests.agent.tools.test_files import done, held
from tests.support.virtual_time import in_virtual_time

links = pytest.mark.skipif(sys.platform == "win32", reason="links need rights there")


@links
@in_virtual_time
async def test_no_link_is_followed(tmp_path: Path) -> None:
    root, secret = tmp_path / "F", tmp_path / "secret.txt"
    root.mkdir()
    secret.write_text("secret", "utf-8")
    (root / "link.txt").symlink_to(secret)
    (root / "way").symlink_to(tmp_path)
    os.mkfifo(root / "pipe.txt")
    for tool, more in (("read_file", {}), ("append_to_file", {"text": "x"}), ("delete_file", {})):
        for name in ("link.txt", "way", "pipe.txt"):
            assert "there is no file" in (await done(root, tool, name=name, **more))["error"]
    assert "was not written" in (await done(root, "create_file", name="link.txt", text="x"))["error"]
    assert secret.read_text("utf-8") == "secret"
    # A bin that leads elsewhere takes nothing.
    (root / ".bin").symlink_to(tmp_path / "elsewhere", target_is_directory=True)
    (tmp_path / "elsewhere").mkdir()
    (root / "a.txt").write_text("a", "utf-8")
    assert "was not moved" in (await done(root, "delete_file", name="a"))["error"]
    assert list((tmp_path / "elsewhere").iterdir()) == []
    assert (root / "a.txt").read_text("utf-8") == "a"


@links
@in_virtual_time
async def test_a_file_that_has_another_name_elsewhere_is_neither_told_nor_changed_nor_moved(tmp_path: Path) -> None:
    root, secret = tmp_path / "F", tmp_path / "secret.txt"
    root.mkdir()
    secret.write_text("secret\n", "utf-8")
    (root / "a.txt").hardlink_to(secret)
    for tool, more, not_done in (
        ("read_file", {}, "read"),
        ("append_to_file", {"text": "x"}, "written"),
        ("rename_file", {"new_name": "b"}, "renamed"),
        ("delete_file", {}, "moved"),
    ):
        assert (await done(root, tool, name="a", **more))["error"] == (
            f"a was not {not_done}: a.txt is a file of another name, too (a hard link), and links are not followed"
        )
    assert "already a file a.txt" in (await done(root, "create_file", name="a", text="x"))["error"]
    (root / "b.txt").write_text("b\n", "utf-8")
    assert "already a file a.txt" in (await done(root, "rename_file", name="b", new_name="a"))["error"]
    # One in the bin stays there.
    (root / ".bin").mkdir()
    (root / ".bin" / "20260102-030405-000006 c.txt").hardlink_to(secret)
    assert "a hard link" in (await done(root, "restore_file", name="c"))["error"]
    assert (secret.read_text("utf-8"), secret.stat().st_nlink) == ("secret\n", 3)
    assert sorted(held(root, in_bin=False)) == ["a.txt", "b.txt"]
    # Once it has one name, it is a file as any.
    secret.unlink()
    (root / ".bin" / "20260102-030405-000006 c.txt").unlink()
    assert (await done(root, "append_to_file", name="a", text="x"))["added_to"] == "a.txt"


@links
@pytest.mark.parametrize("has_descriptors", [True, False])
@in_virtual_time
async def test_a_hard_link_that_is_put_there_between_look_and_use_is_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, has_descriptors: bool
) -> None:
    (tmp_path / "a.txt").write_text("mine", "utf-8")
    monkeypatch.setattr(directory, "HAS_DESCRIPTORS", has_descriptors)
    real_open = os.open

    def linking(path: Any, flags: int, *more: Any, **how: Any) -> int:
        if os.path.basename(path) == "a.txt":
            (tmp_path.parent / f"{tmp_path.name}.elsewhere").hardlink_to(tmp_path / "a.txt")
        return real_open(path, flags, *more, **how)

    monkeypatch.setattr(directory.os, "open", linking)
    assert "a hard link" in (await done(tmp_path, "read_file", name="a"))["error"]


@links
@pytest.mark.parametrize("has_descriptors", [True, False])
@in_virtual_time
async def test_a_link_that_is_put_there_between_look_and_use_leads_nowhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, has_descriptors: bool
) -> None:
    root, secret = tmp_path / "F", tmp_path / "secret.txt"
    root.mkdir()
    (root / "a.txt").write_text("mine", "utf-8")
    secret.write_text("secret", "utf-8")
    monkeypatch.setattr(directory, "HAS_DESCRIPTORS", has_descriptors)
    # As on a platform that cannot refuse links when it opens a file.
    monkeypatch.setattr(directory, "_READ", os.O_RDONLY if not has_descriptors else directory._READ)
    real_stat = os.stat
    swaps = iter([True])

    def swapping(path: Any, **how: Any) -> os.stat_result:
        status = real_stat(path, **how)
        if os.path.basename(path) == "a.txt" and next(swaps, False):
            (root / "a.txt").unlink()
            (root / "a.txt").symlink_to(secret)
        return status

    monkeypatch.setattr(directory.os, "stat", swapping)
    assert "was not read" in (await done(root, "read_file", name="a"))["error"]
    assert secret.read_text("utf-8") == "secret"


@links
@pytest.mark.parametrize("has_descriptors", [True, False])
@in_virtual_time
async def test_what_is_written_through_a_swapped_link_stays_in_the_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, has_descriptors: bool
) -> None:
    root, secret = tmp_path / "F", tmp_path / "secret.txt"
    root.mkdir()
    (root / "a.txt").write_text("mine\n", "utf-8")
    secret.write_text("secret", "utf-8")
    monkeypatch.setattr(directory, "HAS_DESCRIPTORS", has_descriptors)
    real_fsync = os.fsync

    def swapping(descriptor: int) -> None:
        real_fsync(descriptor)
        (root / "a.txt").unlink()
        (root / "a.txt").symlink_to(secret)

    monkeypatch.setattr(directory.os, "fsync", swapping)
    assert (await done(root, "append_to_file", name="a", text="more"))["added_to"] == "a.txt"
    assert secret.read_text("utf-8") == "secret"
    assert not (root / "a.txt").is_symlink()
    assert (root / "a.txt").read_text("utf-8") == "mine\nmore\n"
