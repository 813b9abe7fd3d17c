"""Pulling a model from a real HTTP server on loopback that sends the wrong thing, refuses, or is not there.

Faked, at the edge of the house: the catalogue (small files) and the waits between attempts (none).
"""

import errno
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.errors import InputError
from agent.models.catalogue import Model, is_installed, model_dir
from agent.models.pull import LOCK_NAME, DownloadError, Hearers, pull
from agent.models.sources import transfer
from agent.models.sources.web import mirror_url
from tests.conftest import REPOSITORY
from tests.support.file_server import Fault, FileServer
from tests.support.small_model import (
    CONFIG,
    CONFIG_PATH,
    WEIGHTS,
    WEIGHTS_PATH,
    WHOLE,
    contents,
    model_at,
    put_part,
    serve_small,
    sha256,
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


def test_a_pull_leaves_exactly_the_files_of_the_catalogue(model: Model, tmp_path: Path, directory: Path) -> None:
    assert pull(model, tmp_path) == directory == model_dir(tmp_path, model)
    assert contents(directory) == WHOLE
    assert is_installed(tmp_path, model)


def test_a_second_pull_asks_the_server_for_nothing(model: Model, server: FileServer, tmp_path: Path) -> None:
    pull(model, tmp_path)
    asked = len(server.requests)
    pull(model, tmp_path)
    assert len(server.requests) == asked == 2


def test_a_file_of_the_wrong_size_is_fetched_again(model: Model, tmp_path: Path, directory: Path) -> None:
    directory.mkdir(parents=True)
    (directory / "model.bin").write_bytes(WEIGHTS[:-1])
    pull(model, tmp_path)
    assert contents(directory) == WHOLE


def test_progress_runs_from_nothing_to_the_whole_of_each_file(model: Model, tmp_path: Path) -> None:
    seen: dict[str, list[int]] = {}
    pull(model, tmp_path, hearers=Hearers(progress=lambda file, done: seen.setdefault(file.name, []).append(done)))
    assert {name: (counts[0], counts[-1]) for name, counts in seen.items()} == {
        "config.json": (0, len(CONFIG)),
        "model.bin": (0, len(WEIGHTS)),
    }
    assert all(counts == sorted(counts) for counts in seen.values())


def test_a_redirect_is_followed(model: Model, server: FileServer, tmp_path: Path, directory: Path) -> None:
    server.files["/cdn/1"] = WEIGHTS
    server.faults = [Fault(), Fault(status=302, headers=(("Location", "/cdn/1"),))]
    pull(model, tmp_path)
    assert contents(directory) == WHOLE


def test_a_wrong_checksum_names_file_and_both_sums_and_leaves_no_trace(
    model: Model, server: FileServer, tmp_path: Path, directory: Path
) -> None:
    forged = b"\0" * len(WEIGHTS)
    server.files[WEIGHTS_PATH] = forged
    with pytest.raises(DownloadError) as caught:
        pull(model, tmp_path)
    assert str(caught.value) == (
        f"model.bin: wrong checksum from {server.url}{WEIGHTS_PATH}: expected sha256 {sha256(WEIGHTS)},"
        f" got {sha256(forged)}; what was fetched is removed: try `sotto models pull small --mirror URL`,"
        f" or copy config.json, model.bin by hand into {directory}"
    )
    assert contents(directory) == {"config.json": CONFIG}
    server.files[WEIGHTS_PATH] = WEIGHTS
    pull(model, tmp_path)
    assert contents(directory) == WHOLE


def test_a_damaged_part_is_found_by_the_checksum_and_removed(model: Model, tmp_path: Path, directory: Path) -> None:
    put_part(directory, b"\xff" * 1000)
    with pytest.raises(DownloadError, match="wrong checksum"):
        pull(model, tmp_path)
    assert contents(directory) == {"config.json": CONFIG}


@pytest.mark.parametrize("body", [b"<html>Please log in</html>", b"", WEIGHTS + b"x"])
def test_a_body_of_another_size_is_refused_and_an_earlier_part_survives(
    model: Model, server: FileServer, tmp_path: Path, directory: Path, body: bytes
) -> None:
    put_part(directory, WEIGHTS[:1000])
    server.faults = [Fault(body=body, ignore_range=True)]
    with pytest.raises(DownloadError, match=rf"model.bin: .* offers {len(body)} bytes where 262144 are expected"):
        pull(model, tmp_path)
    assert contents(directory) == {"config.json": CONFIG, "model.bin.part": WEIGHTS[:1000]}


def test_a_body_that_does_not_end_is_cut_off_at_the_expected_size(
    model: Model, server: FileServer, tmp_path: Path, directory: Path
) -> None:
    server.faults = [Fault(), Fault(body=WEIGHTS * 3, content_length="none")]
    with pytest.raises(DownloadError, match="offers more than 262144 bytes where 262144 are expected"):
        pull(model, tmp_path)
    assert contents(directory) == {"config.json": CONFIG}


def test_a_content_length_that_promises_less_than_the_file_is_refused(
    model: Model, server: FileServer, tmp_path: Path
) -> None:
    server.faults = [Fault(), Fault(content_length=len(WEIGHTS) - 1)]
    with pytest.raises(DownloadError, match="offers 262143 bytes where 262144 are expected"):
        pull(model, tmp_path)


def test_a_compressed_body_is_refused(model: Model, server: FileServer, tmp_path: Path) -> None:
    server.faults = [Fault(headers=(("Content-Encoding", "gzip"),))]
    with pytest.raises(DownloadError, match=r"config\.json: .* sends it compressed \(gzip\)"):
        pull(model, tmp_path)


@pytest.mark.parametrize(
    ("status", "answer"), [(404, "404 Not Found"), (403, "403 Forbidden"), (401, "401 Unauthorized"), (410, "410 Gone")]
)
def test_a_refusal_is_one_line_that_says_what_to_do_and_is_not_repeated(
    model: Model, server: FileServer, tmp_path: Path, directory: Path, status: int, answer: str
) -> None:
    server.faults = [Fault(status=status)]
    with pytest.raises(DownloadError) as caught:
        pull(model, tmp_path)
    assert str(caught.value) == (
        f"config.json: {answer} at {server.url}{CONFIG_PATH}: try `sotto models pull small --mirror URL`,"
        f" or copy config.json, model.bin by hand into {directory}"
    )
    assert len(server.requests) == 1


@pytest.mark.parametrize("status", [500, 502, 503, 429])
def test_a_server_in_trouble_is_asked_again(
    model: Model, server: FileServer, tmp_path: Path, directory: Path, status: int
) -> None:
    server.faults = [Fault(status=status), Fault(status=status)]
    pull(model, tmp_path)
    assert contents(directory) == WHOLE


def test_a_server_that_stays_in_trouble_is_given_up(model: Model, server: FileServer, tmp_path: Path) -> None:
    server.faults = [Fault(status=503)] * 20
    with pytest.raises(DownloadError, match=r"config\.json: the server answered 503 Service Unavailable, 5 times"):
        pull(model, tmp_path)
    assert len(server.requests) == ATTEMPTS


@pytest.mark.parametrize("location", ["ftp://127.0.0.1/x", CONFIG_PATH])
def test_a_redirect_that_leads_nowhere_is_an_error(
    model: Model, server: FileServer, tmp_path: Path, location: str
) -> None:
    server.faults = [Fault(status=302, headers=(("Location", location),))] * 50
    with pytest.raises(DownloadError, match=r"config\.json: bad redirect from"):
        pull(model, tmp_path)


def test_offline_is_said_at_once_with_the_ways_out(tmp_path: Path, directory: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with pytest.raises(DownloadError) as caught:
        pull(model_at(f"http://127.0.0.1:{port}"), tmp_path)
    assert str(caught.value) == (
        "config.json: 127.0.0.1 cannot be reached ([Errno 111] Connection refused; is this computer offline?):"
        " try `sotto models pull small --mirror URL`,"
        f" or copy config.json, model.bin by hand into {directory}"
    ).replace("[Errno 111]", f"[Errno {errno.ECONNREFUSED}]")


def test_no_file_has_its_final_name_before_it_is_whole_and_two_pulls_do_not_meet(
    model: Model, server: FileServer, tmp_path: Path, directory: Path
) -> None:
    go_on = threading.Event()
    server.faults = [Fault(), Fault(hold=go_on)]
    first = threading.Thread(target=pull, args=(model, tmp_path))
    first.start()
    try:
        assert server.halfway.wait(timeout=10)
        assert not (directory / "model.bin").exists()
        assert not is_installed(tmp_path, model)
        with pytest.raises(DownloadError) as caught:
            pull(model, tmp_path)
        assert str(caught.value) == (
            f"small is being pulled by process {os.getpid()}: wait for it, then run `sotto models pull small` again"
        )
    finally:
        go_on.set()
        first.join()
    assert contents(directory) == WHOLE
    assert len(server.requests) == 2


def test_the_lock_of_a_dead_process_bars_nobody(model: Model, tmp_path: Path, directory: Path) -> None:
    directory.mkdir(parents=True)
    script = (
        "import os, sys, pathlib; from agent.models.lock import hold\nwith hold(pathlib.Path(sys.argv[1])): os.abort()"
    )
    holder = subprocess.run([sys.executable, "-c", script, str(directory / LOCK_NAME)], cwd=REPOSITORY, check=False)
    assert holder.returncode != 0
    assert (directory / LOCK_NAME).read_text().strip().isdigit()
    pull(model, tmp_path)
    assert contents(directory) == WHOLE


@pytest.mark.parametrize(
    ("mirror", "expected"),
    [
        ("http://cache.local", "http://cache.local/a/b%20c/model.bin"),
        ("http://cache.local/", "http://cache.local/a/b%20c/model.bin"),
        ("https://cache.local:8443/hub", "https://cache.local:8443/hub/a/b%20c/model.bin"),
        ("https://cache.local/x/hub/", "https://cache.local/x/hub/a/b%20c/model.bin"),
        ("http://user:secret@cache.local", "http://user:secret@cache.local/a/b%20c/model.bin"),
    ],
)
def test_a_mirror_stands_before_the_path_of_the_original(mirror: str, expected: str) -> None:
    assert mirror_url("https://huggingface.co/a/b%20c/model.bin", mirror) == expected


@pytest.mark.parametrize(
    "mirror",
    [
        "",
        "cache.local",
        "ftp://cache.local",
        "file:///models",
        "http://",
        "http://h:70000",
        "http://h/?a=b",
        "http://h\n",
    ],
)
def test_a_mirror_that_is_no_plain_http_address_is_bad_input(mirror: str, tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        pull(model_at("http://127.0.0.1:9"), tmp_path, mirror=mirror)
    assert str(caught.value) == f"--mirror {mirror!r}: expected an address such as https://mirror.example/path"
    assert list(tmp_path.iterdir()) == []


def test_with_a_mirror_the_original_server_is_never_asked(tmp_path: Path, directory: Path) -> None:
    original = model_at("https://models.invalid")
    with serve_small("/hub") as mirror:
        pull(original, tmp_path, mirror=f"{mirror.url}/hub/")
        assert [request.path for request in mirror.requests] == ["/hub" + CONFIG_PATH, "/hub" + WEIGHTS_PATH]
    assert contents(directory) == WHOLE


def test_a_mirrors_password_is_sent_to_it_and_shown_to_nobody(model: Model, server: FileServer, tmp_path: Path) -> None:
    server.faults = [Fault(status=403)]
    with pytest.raises(DownloadError) as caught:
        pull(model, tmp_path, mirror=server.url.replace("//", "//me:secret@"))
    assert server.requests[0].authorization == "Basic bWU6c2VjcmV0"  # me:secret
    assert "secret" not in str(caught.value)
    assert f"403 Forbidden at {server.url}{CONFIG_PATH}" in str(caught.value)
