"""Continuing a download that was cut, by the server or by a full disk.

Faked, at the edge of the house: the catalogue (small files), the waits between attempts (none), and a full disk.
"""

import errno
import io
import os
import shutil
from collections import namedtuple
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from agent.models.catalogue import Model, is_installed
from agent.models.pull import RESERVE_BYTES, DownloadError, pull
from agent.models.sources import transfer
from tests.support.file_server import Fault, FileServer
from tests.support.small_model import (
    CUT,
    WEIGHTS,
    WEIGHTS_PATH,
    WHOLE,
    contents,
    model_at,
    put_part,
    serve_small,
    weights_requests,
)

ATTEMPTS = 5  # four waits between them


@pytest.fixture(autouse=True)
def _no_waits_and_no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transfer, "BACKOFF_SECS", (0.0,) * (ATTEMPTS - 1))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


@pytest.fixture
def server() -> Iterator[FileServer]:
    with serve_small() as state:
        yield state


@pytest.fixture
def model(server: FileServer) -> Model:
    return model_at(server.url)


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "stt" / "small"


def test_after_a_cut_the_rest_is_asked_for_and_the_bytes_are_right(
    model: Model, server: FileServer, tmp_path: Path, directory: Path
) -> None:
    server.faults = [Fault(), CUT]
    pull(model, tmp_path)
    assert weights_requests(server) == [(None, None), ("bytes=100000-", server.etag(WEIGHTS_PATH))]
    assert contents(directory) == WHOLE


def test_a_later_call_continues_where_the_earlier_one_gave_up(
    model: Model, server: FileServer, tmp_path: Path, directory: Path
) -> None:
    server.faults = [Fault(), CUT, *[Fault(cut_after_bytes=0)] * (ATTEMPTS - 1)]
    with pytest.raises(DownloadError) as caught:
        pull(model, tmp_path)
    message = str(caught.value)
    assert message.startswith("model.bin: the connection broke (")
    assert "5 times (100000 of 262144 bytes are here): `sotto models pull small` resumes, or try" in message
    assert not is_installed(tmp_path, model)
    pull(model, tmp_path)
    assert weights_requests(server)[-1] == ("bytes=100000-", server.etag(WEIGHTS_PATH))
    assert contents(directory) == WHOLE


def test_a_file_that_never_comes_whole_is_given_up_after_five_attempts(
    model: Model, server: FileServer, tmp_path: Path
) -> None:
    server.faults = [Fault(), *[Fault(cut_after_bytes=0)] * 20]
    with pytest.raises(DownloadError):
        pull(model, tmp_path)
    assert len(weights_requests(server)) == ATTEMPTS


def test_without_a_content_length_an_early_end_counts_as_a_cut(
    model: Model, server: FileServer, tmp_path: Path, directory: Path
) -> None:
    server.faults = [Fault(), Fault(content_length="none", cut_after_bytes=100_000)]
    pull(model, tmp_path)
    assert [asked for asked, _ in weights_requests(server)] == [None, "bytes=100000-"]
    assert contents(directory) == WHOLE


def test_a_server_that_ignores_the_range_sends_the_file_from_the_start(
    model: Model, server: FileServer, tmp_path: Path, directory: Path
) -> None:
    server.faults = [Fault(), CUT, Fault(ignore_range=True)]
    pull(model, tmp_path)
    assert [asked for asked, _ in weights_requests(server)] == [None, "bytes=100000-"]
    assert contents(directory) == WHOLE


def test_a_part_of_another_version_is_not_continued(server: FileServer, tmp_path: Path, directory: Path) -> None:
    # No checksum: only If-Range stands between the old half and the new one.
    put_part(directory, b"old" * 1000, '{"version": "\\"old\\""}')
    pull(model_at(server.url, checksum=None), tmp_path)
    assert weights_requests(server) == [("bytes=3000-", '"old"')]
    assert contents(directory) == WHOLE


@pytest.mark.parametrize("version", [None, "", "{}", "[]", "not json", '{"version": 7}', '{"version": "a\\nb"}'])
def test_a_part_of_unknown_version_is_continued_only_where_a_checksum_guards_it(
    server: FileServer, tmp_path: Path, directory: Path, version: str | None
) -> None:
    put_part(directory, WEIGHTS[:1000], version)
    pull(model_at(server.url), tmp_path)
    assert contents(directory) == WHOLE
    (directory / "model.bin").unlink()
    put_part(directory, WEIGHTS[:1000], version)
    pull(model_at(server.url, checksum=None), tmp_path)
    assert weights_requests(server) == [("bytes=1000-", None), (None, None)]
    assert contents(directory) == WHOLE


def test_a_weak_etag_is_never_sent_with_a_range(
    model: Model, server: FileServer, tmp_path: Path, directory: Path
) -> None:
    server.etags[WEIGHTS_PATH] = 'W/"1"'
    server.faults = [Fault(), CUT]
    pull(model, tmp_path)
    assert weights_requests(server) == [(None, None), ("bytes=100000-", None)]
    assert contents(directory) == WHOLE


def test_the_date_of_change_serves_where_there_is_no_etag(
    model: Model, server: FileServer, tmp_path: Path, directory: Path
) -> None:
    date = "Wed, 21 Oct 2015 07:28:00 GMT"
    server.etags[WEIGHTS_PATH] = ""
    server.faults = [Fault(), Fault(cut_after_bytes=100_000, headers=(("Last-Modified", date),))]
    pull(model, tmp_path)
    assert weights_requests(server)[1] == ("bytes=100000-", date)
    assert contents(directory) == WHOLE


def test_a_refused_range_starts_the_file_again(
    model: Model, server: FileServer, tmp_path: Path, directory: Path
) -> None:
    put_part(directory, WEIGHTS[:1000])
    server.faults = [Fault(status=416)]
    pull(model, tmp_path)
    assert [asked for asked, _ in weights_requests(server)] == ["bytes=1000-", None]
    assert contents(directory) == WHOLE


@pytest.mark.parametrize("content_range", ["bytes 0-262143/262144", "bytes 999-262143/262144", "nonsense", "bytes */9"])
def test_a_server_that_continues_at_the_wrong_place_is_asked_for_the_whole_file(
    model: Model, server: FileServer, tmp_path: Path, directory: Path, content_range: str
) -> None:
    put_part(directory, WEIGHTS[:1000])
    server.faults = [Fault(content_range=content_range)]
    pull(model, tmp_path)
    assert [asked for asked, _ in weights_requests(server)] == ["bytes=1000-", None]
    assert contents(directory) == WHOLE


def test_a_part_that_is_already_whole_is_checked_and_put_in_place_without_a_request(
    model: Model, server: FileServer, tmp_path: Path, directory: Path
) -> None:
    put_part(directory, WEIGHTS)
    pull(model, tmp_path)
    assert server.requests == []
    assert contents(directory) == WHOLE


@pytest.mark.parametrize("part", [WEIGHTS + b"x", b""])
def test_a_part_that_is_too_long_or_empty_is_started_again(
    model: Model, server: FileServer, tmp_path: Path, directory: Path, part: bytes
) -> None:
    put_part(directory, part)
    pull(model, tmp_path)
    assert weights_requests(server) == [(None, None)]
    assert contents(directory) == WHOLE


class FullDisk(io.BytesIO):
    """A file that takes so many bytes and then no more."""

    def __init__(self, path: Path, room_bytes: int) -> None:
        super().__init__()
        self.path = path
        self.room_bytes = room_bytes

    def write(self, data: Any) -> int:
        taken = data[: self.room_bytes]
        with self.path.open("ab") as file:
            file.write(taken)
        self.room_bytes -= len(taken)
        if len(taken) < len(data):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self.path))
        return len(taken)


def test_a_disk_that_fills_up_keeps_the_part_for_the_next_call(
    model: Model, server: FileServer, tmp_path: Path, directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(transfer, "_open_part", lambda path: FullDisk(path, room_bytes=50_000))
        with pytest.raises(DownloadError) as caught:
            pull(model, tmp_path)
    assert str(caught.value) == (
        f"the disk is full at {directory}: free some space, then `sotto models pull small` resumes"
    )
    pull(model, tmp_path)
    assert weights_requests(server) == [(None, None), ("bytes=50000-", server.etag(WEIGHTS_PATH))]
    assert contents(directory) == WHOLE


@pytest.mark.parametrize(("spare_bytes", "fits"), [(0, True), (-1, False)])
def test_the_free_space_is_checked_before_anything_is_fetched(
    model: Model,
    server: FileServer,
    tmp_path: Path,
    directory: Path,
    monkeypatch: pytest.MonkeyPatch,
    spare_bytes: int,
    fits: bool,
) -> None:
    put_part(directory, WEIGHTS[:1000])
    needed = len(WEIGHTS) - 1000  # the config is there, and so are 1000 bytes
    usage = namedtuple("usage", "total used free")(0, 0, needed + RESERVE_BYTES + spare_bytes)
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: usage)
    if fits:
        pull(model, tmp_path)
        assert contents(directory) == WHOLE
        return
    with pytest.raises(DownloadError) as caught:
        pull(model, tmp_path)
    # 261 144 bytes; 64 MiB + 261 144 - 1 = 67 370 007 bytes
    assert str(caught.value) == (
        f"small needs 0.3 MB more in {directory}, where 67.4 MB are free: free some space,"
        " or use `sotto models pull small --models-dir PATH`"
    )
    assert server.requests == []


def test_a_models_directory_that_cannot_be_made_is_named(model: Model, tmp_path: Path) -> None:
    (tmp_path / "stt").write_text("a file in the way")
    with pytest.raises(DownloadError) as caught:
        pull(model, tmp_path)
    assert str(caught.value) == (
        f"{tmp_path / 'stt' / 'small'} cannot be used (Not a directory): mend it,"
        " or use `sotto models pull small --models-dir PATH`"
    )
