"""Pulling a model that comes as an archive, from a real HTTP server on loopback.

Faked, at the edge of the house: the catalogue (a small archive), the waits between attempts (none), a full disk.
"""

import bz2
import errno
import os
import shutil
import signal
import subprocess
import sys
import tarfile
from collections import namedtuple
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.models import archive
from agent.models.catalogue import Model, is_installed, model_dir
from agent.models.pull import LOCK_NAME, RESERVE_BYTES, DownloadError, Hearers, pull
from agent.models.sources import transfer
from tests.conftest import REPOSITORY
from tests.support.file_server import Fault, FileServer, serve_files
from tests.support.small_model import (
    ARCHIVE,
    ARCHIVE_PATH,
    ENCODER,
    PACKED,
    ROOT,
    TOKENS,
    UNPACKED,
    WHOLE_TAR,
    archive_at,
    contents,
    entry,
    sha256,
    tar,
)

UNPACKED_BYTES = len(ENCODER) + len(TOKENS)
GOOD = (entry(f"{ROOT}/encoder.int8.onnx", ENCODER), entry(f"{ROOT}/tokens.txt", TOKENS))


@pytest.fixture(autouse=True)
def _no_waits_and_no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transfer, "BACKOFF_SECS", (0.0,) * 4)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


@pytest.fixture
def server() -> Iterator[FileServer]:
    with serve_files({ARCHIVE_PATH: PACKED}) as state:
        yield state


@pytest.fixture
def model(server: FileServer) -> Model:
    return archive_at(server.url)


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "stt" / "small-archive"


def ranges(server: FileServer) -> list[str | None]:
    return [request.range for request in server.requests]


def test_a_pull_leaves_exactly_the_wanted_files_of_the_archive(model: Model, tmp_path: Path, directory: Path) -> None:
    assert pull(model, tmp_path) == directory == model_dir(tmp_path, model)
    assert contents(directory) == UNPACKED
    assert is_installed(tmp_path, model)


def test_a_second_pull_asks_the_server_for_nothing_and_writes_nothing(
    model: Model, server: FileServer, tmp_path: Path, directory: Path
) -> None:
    pull(model, tmp_path)
    before = {path.name: path.stat().st_mtime_ns for path in directory.iterdir() if path.name != LOCK_NAME}
    pull(model, tmp_path, hearers=Hearers(unpacked=lambda _done_bytes: pytest.fail("unpacked again")))
    after = {path.name: path.stat().st_mtime_ns for path in directory.iterdir() if path.name != LOCK_NAME}
    assert (len(server.requests), after) == (1, before)


def test_unpacking_is_counted_from_the_first_piece_to_the_last_byte(model: Model, tmp_path: Path) -> None:
    seen: list[int] = []
    pull(model, tmp_path, hearers=Hearers(unpacked=seen.append))
    assert seen == [len(ENCODER), UNPACKED_BYTES]


def test_a_file_of_the_model_that_has_the_wrong_size_is_mended(model: Model, tmp_path: Path, directory: Path) -> None:
    pull(model, tmp_path)
    (directory / "encoder.int8.onnx").write_bytes(ENCODER[:-1])
    pull(model, tmp_path)
    assert contents(directory) == UNPACKED


def test_after_a_cut_the_rest_of_the_archive_is_asked_for(
    model: Model, server: FileServer, tmp_path: Path, directory: Path
) -> None:
    server.faults = [Fault(cut_after_bytes=90_000)]
    pull(model, tmp_path)
    assert ranges(server) == [None, "bytes=90000-"]
    assert contents(directory) == UNPACKED


def test_a_later_call_continues_the_archive_where_the_earlier_one_gave_up(
    model: Model, server: FileServer, tmp_path: Path, directory: Path
) -> None:
    server.faults = [Fault(cut_after_bytes=90_000), *[Fault(status=503)] * 4]
    with pytest.raises(DownloadError, match=r"5 times \(90000 of"):
        pull(model, tmp_path)
    assert not is_installed(tmp_path, model)
    pull(model, tmp_path)
    assert ranges(server)[-1] == "bytes=90000-"
    assert contents(directory) == UNPACKED


def test_an_archive_with_the_wrong_checksum_is_not_opened(
    model: Model, server: FileServer, tmp_path: Path, directory: Path
) -> None:
    forged = PACKED[:-1] + bytes([PACKED[-1] ^ 1])
    server.files[ARCHIVE_PATH] = forged
    with pytest.raises(DownloadError) as caught:
        pull(model, tmp_path, hearers=Hearers(unpacked=lambda _done_bytes: pytest.fail("unpacked")))
    assert str(caught.value) == (
        f"{ARCHIVE}: wrong checksum from {server.url}{ARCHIVE_PATH}: expected sha256 {sha256(PACKED)},"
        f" got {sha256(forged)}; what was fetched is removed: try `sotto models pull small-archive --mirror URL`,"
        f" or copy {ARCHIVE} by hand into {directory}, then `sotto models pull small-archive` unpacks it"
    )
    assert contents(directory) == {}


def test_an_archive_that_was_copied_by_hand_is_checked_and_unpacked_without_a_request(
    model: Model, server: FileServer, tmp_path: Path, directory: Path
) -> None:
    directory.mkdir(parents=True)
    (directory / ARCHIVE).write_bytes(PACKED)
    pull(model, tmp_path)
    assert server.requests == []
    assert contents(directory) == UNPACKED


def test_an_archive_that_was_copied_by_hand_and_is_another_is_said_to_be_and_fetched(
    model: Model, server: FileServer, tmp_path: Path, directory: Path
) -> None:
    directory.mkdir(parents=True)
    other = PACKED[:-1] + b"x"
    (directory / ARCHIVE).write_bytes(other)
    said: list[str] = []
    pull(model, tmp_path, hearers=Hearers(said=said.append))
    assert said == [
        f"{ARCHIVE} in {directory} is not the file: expected sha256 {sha256(PACKED)}, got {sha256(other)};"
        " what was fetched is removed"
    ]
    assert ranges(server) == [None]
    assert contents(directory) == UNPACKED


def refused(content: bytes, tmp_path: Path) -> str:
    """What is wrong with an archive of this content and of the right checksum, as the user reads it."""
    with serve_files({ARCHIVE_PATH: content}) as server, pytest.raises(DownloadError) as caught:
        pull(archive_at(server.url, content), tmp_path)
    directory = tmp_path / "stt" / "small-archive"
    assert sorted(tmp_path.rglob("*")) == [directory.parent, directory, directory / LOCK_NAME]
    start, end = f"small-archive: {ARCHIVE} ", "; it is removed: `sotto models pull small-archive` fetches it again"
    message = str(caught.value)
    assert message.startswith(start), message
    assert message.endswith(end), message
    return message[len(start) : -len(end)]


@pytest.mark.parametrize("name", ["../evil", "/evil", f"{ROOT}/../../evil", f"{ROOT}/../{ROOT}/tokens.txt"])
def test_a_name_that_leads_out_of_the_archive_is_refused(tmp_path: Path, name: str) -> None:
    assert refused(bz2.compress(tar(entry(name, b"x"), *GOOD)), tmp_path) == f"holds {name!r}, which leads out of it"


@pytest.mark.parametrize(
    "kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE, tarfile.DIRTYPE]
)
def test_a_wanted_name_that_is_no_plain_file_is_refused(tmp_path: Path, kind: bytes) -> None:
    content = bz2.compress(tar(GOOD[0], entry(f"{ROOT}/tokens.txt", kind=kind)))
    assert refused(content, tmp_path) == f"holds {ROOT}/tokens.txt as something other than a plain file"


def test_a_malformed_sparse_file_is_damage(tmp_path: Path) -> None:
    info, content = entry(f"{ROOT}/sparse", b"no map of holes" * 100)
    info.pax_headers = {"GNU.sparse.major": "1", "GNU.sparse.minor": "0"}
    assert refused(bz2.compress(tar((info, content), *GOOD)), tmp_path).startswith("is damaged (")


def test_links_and_devices_of_other_names_are_passed_over(tmp_path: Path, directory: Path) -> None:
    others = [entry(f"{ROOT}/{kind!r}", kind=kind) for kind in (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE)]
    content = bz2.compress(tar(*others, *GOOD))
    with serve_files({ARCHIVE_PATH: content}) as server:
        pull(archive_at(server.url, content), tmp_path)
    assert contents(directory) == UNPACKED


@pytest.mark.parametrize("size_bytes", [0, len(TOKENS) - 1, len(TOKENS) + 1, 50_000_000])
def test_a_file_of_another_size_than_the_catalogue_says_is_refused(tmp_path: Path, size_bytes: int) -> None:
    content = bz2.compress(tar(GOOD[0], entry(f"{ROOT}/tokens.txt", bytes(size_bytes))))
    assert refused(content, tmp_path) == (
        f"holds {ROOT}/tokens.txt of {size_bytes} bytes where {len(TOKENS)} are expected"
    )


def test_what_is_not_wanted_may_not_unpack_without_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive, "OTHERS_BYTES", 1_000_000)
    content = bz2.compress(tar(entry(f"{ROOT}/zeros", bytes(5_000_000)), *GOOD))
    assert refused(content, tmp_path) == f"unpacks to more than {UNPACKED_BYTES + 1_000_000} bytes"


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (bz2.compress(tar(GOOD[0])), f"lacks {ROOT}/tokens.txt"),
        (bz2.compress(tar(entry("tokens.txt", TOKENS), GOOD[0])), f"lacks {ROOT}/tokens.txt"),
        (bz2.compress(tar()), f"lacks {ROOT}/encoder.int8.onnx, {ROOT}/tokens.txt"),
        (PACKED[: len(PACKED) // 2], "is cut off"),
        (PACKED[:50_000] + b"\0" * 100 + PACKED[50_100:], "is damaged (Invalid data stream)"),
        (b"<html>Please log in</html>", "is damaged (Invalid data stream)"),
        (bz2.compress(WHOLE_TAR[:100_000]), "is damaged (unexpected end of data)"),
        (bz2.compress(b"\xff" * 10_000), "is damaged (bad checksum)"),
        (bz2.compress(b""), "is damaged (empty file)"),
    ],
    ids=["no tokens", "outside its directory", "empty tar", "cut", "zeroed", "page", "cut tar", "no tar", "nothing"],
)
def test_a_damaged_archive_is_one_line_that_names_the_model_and_what_mends_it(
    tmp_path: Path, content: bytes, what: str
) -> None:
    assert refused(content, tmp_path) == what


# What a process that is killed has done last: halfway through a file, before the first file has its name, between
# the two, before the archive is removed. The archive takes its own name by the first `os.replace`.
KILLED_AT = {
    "unpacking": "archive._PIECE_BYTES = 1000\nunpacked = die",
    "unpacked": "replace = os.replace; left = [2]",
    "one name": "replace = os.replace; left = [3]",
    "both names": "archive.discard_unpacking, done = die_when_done, []",
}
KILLED_PULL = """
import os, signal, sys
from pathlib import Path
from agent.models import archive
from agent.models.pull import Hearers, pull
from tests.support.small_model import archive_at

def die(*_):
    os.kill(os.getpid(), signal.SIGKILL)

def die_when_done(members, directory):
    if (directory / members[-1].name).exists():
        die()

unpacked, left, replace = (lambda _done_bytes: None), [0], os.replace
{kill}

def counted(source, target):
    left[0] -= 1
    die() if left[0] == 0 else replace(source, target)

os.replace = counted
pull(archive_at(sys.argv[1]), Path(sys.argv[2]), hearers=Hearers(unpacked=unpacked))
"""


@pytest.mark.parametrize(
    ("moment", "left_behind", "is_whole"),
    [
        ("unpacking", {ARCHIVE, "encoder.int8.onnx.unpacking"}, False),
        ("unpacked", {ARCHIVE, "encoder.int8.onnx.unpacking", "tokens.txt.unpacking"}, False),
        ("one name", {ARCHIVE, "encoder.int8.onnx", "tokens.txt.unpacking"}, False),
        ("both names", {ARCHIVE, "encoder.int8.onnx", "tokens.txt"}, True),
    ],
)
def test_a_pull_that_is_killed_goes_on_from_the_archive(
    model: Model,
    server: FileServer,
    tmp_path: Path,
    directory: Path,
    moment: str,
    left_behind: set[str],
    is_whole: bool,
) -> None:
    script = KILLED_PULL.format(kill=KILLED_AT[moment])
    arguments = [sys.executable, "-c", script, server.url, str(tmp_path)]
    killed = subprocess.run(arguments, cwd=REPOSITORY, check=False)
    assert killed.returncode == -signal.SIGKILL
    assert set(contents(directory)) == left_behind
    assert is_installed(tmp_path, model) is is_whole
    pull(model, tmp_path)
    assert contents(directory) == UNPACKED
    assert len(server.requests) == 1


def test_a_disk_that_fills_up_while_unpacking_keeps_the_archive_for_the_next_call(
    model: Model, server: FileServer, tmp_path: Path, directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_source: object, target: Path, *_rest: object) -> int:
        target.write_bytes(b"the beginning")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(target))

    with monkeypatch.context() as patch:
        patch.setattr(archive, "_copy", full)
        with pytest.raises(DownloadError) as caught:
            pull(model, tmp_path)
    assert str(caught.value) == (
        f"the disk is full at {directory}: free some space, then `sotto models pull small-archive` resumes"
    )
    assert contents(directory) == {ARCHIVE: PACKED}
    pull(model, tmp_path)
    assert contents(directory) == UNPACKED
    assert len(server.requests) == 1


def free(n_bytes: int) -> tuple[int, int, int]:
    return namedtuple("usage", "total used free")(0, 0, n_bytes)


@pytest.mark.parametrize("here_bytes", [0, 50_000, len(PACKED)])
@pytest.mark.parametrize(("spare_bytes", "fits"), [(0, True), (-1, False)])
def test_the_disk_must_have_room_for_the_archive_and_for_what_comes_out_of_it(
    model: Model,
    server: FileServer,
    tmp_path: Path,
    directory: Path,
    monkeypatch: pytest.MonkeyPatch,
    here_bytes: int,
    spare_bytes: int,
    fits: bool,
) -> None:
    directory.mkdir(parents=True)
    (directory / f"{ARCHIVE}.part").write_bytes(PACKED[:here_bytes])
    needed = len(PACKED) - here_bytes + UNPACKED_BYTES
    left = directory / "encoder.int8.onnx.unpacking"  # by a pull that was killed; removed before the disk is looked at
    left.write_bytes(b"half")
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: free(needed + RESERVE_BYTES + spare_bytes - left.exists()))
    if fits:
        pull(model, tmp_path)
        assert contents(directory) == UNPACKED
        return
    with pytest.raises(DownloadError, match=rf"^small-archive needs {needed / 1e6:.1f} MB more in "):
        pull(model, tmp_path)
    assert server.requests == []
