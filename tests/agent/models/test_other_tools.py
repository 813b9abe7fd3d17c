"""Models out of other tools' caches and from mirrors of the hub: what is taken, what is refused, who sees the token.

Faked, at the edge of the house: the other tools' folders, and hub and mirror, which are servers on loopback.
"""

import errno
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.errors import InputError
from agent.models.catalogue import Model
from agent.models.pull import DownloadError, Hearers, pull
from agent.models.sources import on_disk
from agent.models.sources.named import NamedFiles
from agent.models.sources.other_tools import HUB, OtherTools
from agent.models.sources.web import Web
from agent.models.supply import sources
from tests.support.file_server import Fault, FileServer, serve_files
from tests.support.small_model import CONFIG, WEIGHTS, WHOLE, contents, model_at, serve_small, sha256

PATHS = {"/a/small/resolve/1/config.json": CONFIG, "/a/small/resolve/1/model.bin": WEIGHTS}
BLOB = f"models--b--other/blobs/{sha256(WEIGHTS)}"


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


@pytest.fixture
def hub() -> Iterator[FileServer]:
    with serve_files(PATHS) as server:
        yield server


def hub_model(url: str) -> Model:
    """The small model, its files under `URL/a/small/resolve/1/`."""
    model = model_at(url)
    files = tuple(
        type(file)(file.name, f"{url}/a/small/resolve/1/{file.name}", file.size_bytes, file.sha256)
        for file in model.files
    )
    return type(model)("small", "stt", "whisper", "", "en", "MIT", files)


def put(path: Path, content: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def fetch(models_dir: Path, tools: OtherTools, url: str, mirror: str | None = None) -> dict[str, str]:
    """Pull the small model: where each file came from."""
    came: dict[str, str] = {}
    with sources(models_dir, tools, mirror=mirror) as among:
        hearers = Hearers(arrived=lambda file, origin: came.update({file.name: origin}))
        pull(hub_model(url), models_dir, among=among, hearers=hearers)
    assert contents(models_dir / "stt" / "small") == WHOLE
    return came


def test_large_files_are_taken_from_hugging_faces_cache_by_checksum_and_small_ones_by_snapshot(
    hub: FileServer, tmp_path: Path
) -> None:
    cache = tmp_path / "hf"
    weights = put(cache / BLOB, WEIGHTS)
    config = put(cache / "models--a--small/blobs/0123", CONFIG)
    snapshot = cache / "models--a--small/snapshots/1/config.json"
    snapshot.parent.mkdir(parents=True)
    snapshot.symlink_to(os.path.relpath(config, snapshot.parent))
    came = fetch(tmp_path / "models", OtherTools(hugging_face=(cache,), hub=hub.url), hub.url)
    assert came == {"config.json": "Hugging Face's cache", "model.bin": "Hugging Face's cache"}
    assert hub.requests == []
    assert (weights.read_bytes(), config.read_bytes(), snapshot.is_symlink()) == (WEIGHTS, CONFIG, True)


@pytest.mark.parametrize(
    ("tool", "path", "origin"),
    [
        ("ollama", f"o/blobs/sha256-{sha256(WEIGHTS)}", "Ollama's models"),
        ("lm_studio", "l/someone/Small-GGUF/model.bin", "LM Studio's models"),
        ("", "models/stt/other/model.bin", "another model"),
    ],
)
def test_a_file_of_another_tool_or_model_is_taken_and_only_the_rest_is_fetched(
    hub: FileServer, tmp_path: Path, tool: str, path: str, origin: str
) -> None:
    theirs = put(tmp_path / path, WEIGHTS)
    found = OtherTools(
        ollama=(tmp_path / "o",) if tool == "ollama" else (),
        lm_studio=(tmp_path / "l",) if tool == "lm_studio" else (),
        hub=hub.url,
    )
    came = fetch(tmp_path / "models", found, hub.url)
    assert came == {"config.json": "127.0.0.1", "model.bin": origin}
    assert [request.path for request in hub.requests] == ["/a/small/resolve/1/config.json"]
    assert theirs.read_bytes() == WEIGHTS


def test_what_lm_studio_keeps_is_copied_so_that_a_later_change_of_it_is_not_ours(
    hub: FileServer, tmp_path: Path
) -> None:
    theirs = put(tmp_path / "l/someone/small/model.bin", WEIGHTS)
    fetch(tmp_path / "models", OtherTools(lm_studio=(tmp_path / "l",), hub=hub.url), hub.url)
    theirs.write_bytes(b"changed")
    assert contents(tmp_path / "models" / "stt" / "small") == WHOLE


@pytest.mark.parametrize("content", [b"\0" * len(WEIGHTS), WEIGHTS[:-1] + bytes([WEIGHTS[-1] ^ 1]), WEIGHTS[:-1]])
def test_a_cached_file_of_other_content_is_passed_over_and_left_alone(
    hub: FileServer, tmp_path: Path, content: bytes
) -> None:
    theirs = put(tmp_path / BLOB, content)
    came = fetch(tmp_path / "models", OtherTools(hugging_face=(tmp_path,), hub=hub.url), hub.url)
    assert came["model.bin"] == "127.0.0.1"
    assert theirs.read_bytes() == content


@pytest.mark.parametrize("is_right", [True, False])
def test_a_link_in_a_cache_that_leads_elsewhere_is_not_followed(
    hub: FileServer, tmp_path: Path, is_right: bool
) -> None:
    elsewhere = put(tmp_path / "private", WEIGHTS if is_right else b"\0" * len(WEIGHTS))
    blob = tmp_path / "hf" / BLOB
    blob.parent.mkdir(parents=True)
    blob.symlink_to(elsewhere)
    said: list[str] = []
    tools = OtherTools(hugging_face=(tmp_path / "hf",), hub=hub.url)
    with sources(tmp_path / "models", tools) as among:
        pull(hub_model(hub.url), tmp_path / "models", among=among, hearers=Hearers(said=said.append))
    assert said == [f"model.bin: {blob} in Hugging Face's cache is not used (it leads elsewhere): trying 127.0.0.1"]
    assert (elsewhere.stat().st_nlink, contents(tmp_path / "models" / "stt" / "small")) == (1, WHOLE)


def test_a_whole_cache_behind_a_link_is_the_users_choice(hub: FileServer, tmp_path: Path) -> None:
    put(tmp_path / "big disk" / BLOB, WEIGHTS)
    (tmp_path / "hf").symlink_to(tmp_path / "big disk")
    came = fetch(tmp_path / "models", OtherTools(hugging_face=(tmp_path / "hf",), hub=hub.url), hub.url)
    assert came["model.bin"] == "Hugging Face's cache"


@pytest.mark.parametrize("may_link", [True, False])
def test_a_cached_file_that_changes_while_it_is_read_is_refused(
    hub: FileServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, may_link: bool
) -> None:
    theirs = put(tmp_path / "o" / "blobs" / f"sha256-{sha256(WEIGHTS)}", WEIGHTS)
    monkeypatch.setattr(on_disk, "HASH_PIECE_BYTES", 100_000)
    monkeypatch.setattr("agent.models.sources.file.HASH_PIECE_BYTES", 100_000)
    if not may_link:
        monkeypatch.setattr(on_disk, "_linked", lambda _path, _target: False)
    came: dict[str, str] = {}

    def change(file: object, done_bytes: int) -> None:
        if done_bytes == 100_000 and not came.get("model.bin"):
            with theirs.open("ab") as growing:
                growing.write(b"more")

    said: list[str] = []
    hearers = Hearers(change, arrived=lambda file, origin: came.update({file.name: origin}), said=said.append)
    with sources(tmp_path / "models", OtherTools(ollama=(tmp_path / "o",), hub=hub.url)) as among:
        pull(hub_model(hub.url), tmp_path / "models", among=among, hearers=hearers)
    assert said == [
        f"model.bin: {theirs} in Ollama's models is not used (it changed while it was read): trying 127.0.0.1"
    ]
    assert contents(tmp_path / "models" / "stt" / "small") == WHOLE


def test_a_link_that_a_killed_pull_has_left_is_not_written_through(hub: FileServer, tmp_path: Path) -> None:
    theirs = put(tmp_path / "elsewhere", b"of another tool")
    directory = tmp_path / "models" / "stt" / "small"
    directory.mkdir(parents=True)
    os.link(theirs, directory / "model.bin.copy")
    put(tmp_path / "l/someone/small/model.bin", WEIGHTS)
    fetch(tmp_path / "models", OtherTools(lm_studio=(tmp_path / "l",), hub=hub.url), hub.url)
    assert (theirs.read_bytes(), theirs.stat().st_nlink) == (b"of another tool", 1)


def test_a_disk_that_fills_up_while_a_cached_file_is_copied_is_said_and_leaves_nothing(
    hub: FileServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(tmp_path / "l/someone/small/model.bin", WEIGHTS)

    def full(_path: Path, target: Path, *_rest: object) -> None:
        target.write_bytes(b"half")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(target))

    monkeypatch.setattr(on_disk, "_copy", full)
    directory = tmp_path / "models" / "stt" / "small"
    with (
        sources(tmp_path / "models", OtherTools(lm_studio=(tmp_path / "l",), hub=hub.url)) as among,
        pytest.raises(DownloadError) as caught,
    ):
        pull(hub_model(hub.url), tmp_path / "models", among=among)
    assert str(caught.value) == (
        f"the disk is full at {directory}: free some space, then `sotto models pull small` resumes"
    )
    assert contents(directory) == {"config.json": CONFIG}


def test_hf_endpoint_stands_in_for_the_hub_and_the_token_stays_away_from_it(hub: FileServer, tmp_path: Path) -> None:
    with serve_files({f"/mirror{path}": content for path, content in PATHS.items()}) as mirror:
        tools = OtherTools(hub=hub.url, hub_mirror=f"{mirror.url}/mirror", hub_token="hf_secret")
        fetch(tmp_path, tools, hub.url)
    assert hub.requests == []
    assert [request.authorization for request in mirror.requests] == [None, None]


def test_the_hub_alone_sees_the_token_and_not_the_server_it_leads_on_to(hub: FileServer, tmp_path: Path) -> None:
    with serve_files({"/cdn": WEIGHTS}) as cdn:
        hub.faults = [Fault(), Fault(status=302, headers=(("Location", f"{cdn.url}/cdn"),))]
        fetch(tmp_path, OtherTools(hub=hub.url, hub_token="hf_secret"), hub.url)
        assert [request.authorization for request in cdn.requests] == [None]
    assert [request.authorization for request in hub.requests] == ["Bearer hf_secret"] * 2


def test_neither_a_mirror_nor_a_release_sees_the_token(tmp_path: Path) -> None:
    tools = OtherTools(hub_token="hf_secret")
    with serve_files(PATHS) as server:
        fetch(tmp_path / "release", tools, server.url)
        fetch(tmp_path / "mirror", tools, HUB, mirror=server.url)
        assert [request.authorization for request in server.requests] == [None] * 4


def test_a_token_that_is_refused_is_named_and_never_shown(hub: FileServer, tmp_path: Path) -> None:
    hub.faults = [Fault(status=401)]
    with pytest.raises(DownloadError) as caught:
        fetch(tmp_path, OtherTools(hub=hub.url, hub_token="hf_secret"), hub.url)
    assert "401 Unauthorized at" in str(caught.value)
    assert "(HF_TOKEN is not accepted)" in str(caught.value)
    assert "hf_secret" not in str(caught.value)


def test_hf_hub_offline_bars_the_hub_and_is_named(hub: FileServer, tmp_path: Path) -> None:
    with pytest.raises(DownloadError, match=r"^config\.json: HF_HUB_OFFLINE bars the hub: try"):
        fetch(tmp_path, OtherTools(hub=hub.url, is_hub_barred=True), hub.url)
    assert hub.requests == []


def test_an_endpoint_that_is_no_address_is_bad_input_that_names_the_variable(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"^HF_ENDPOINT 'mirror': expected an address such as"):
        fetch(tmp_path, OtherTools(hub_mirror="mirror"), HUB)


def test_the_environment_is_read_as_the_tools_read_it(tmp_path: Path) -> None:
    plain = OtherTools.of({}, tmp_path)
    assert plain.hugging_face == (tmp_path / ".cache/huggingface/hub",)
    assert plain.ollama[0] == tmp_path / ".ollama/models"
    assert (plain.hub_mirror, plain.hub_token, plain.is_hub_barred) == (None, None, False)
    told = OtherTools.of(
        {
            "HF_HOME": "/hf",
            "HF_ENDPOINT": "https://mirror.example/",
            "HF_TOKEN": "t",
            "HF_HUB_OFFLINE": "1",
            "OLLAMA_MODELS": "/o",
        },
        tmp_path,
    )
    assert (told.hugging_face, told.ollama[0]) == ((Path("/hf/hub"),), Path("/o"))
    assert (told.hub_mirror, told.hub_token, told.is_hub_barred) == ("https://mirror.example", "t", True)
    assert OtherTools.of({"HF_HUB_CACHE": "/c", "HF_HOME": "/hf"}, tmp_path).hugging_face == (Path("/c"),)
    assert OtherTools.of({"XDG_CACHE_HOME": "/x"}, tmp_path).hugging_face == (Path("/x/huggingface/hub"),)
    assert OtherTools.of({"HF_ENDPOINT": HUB, "HF_TOKEN": ""}, tmp_path) == plain


def test_a_server_that_does_not_answer_is_asked_once_for_all_files(tmp_path: Path) -> None:
    with serve_small() as gone:
        pass
    said: list[str] = []
    copies = put(tmp_path / "l/x/y/config.json", CONFIG), put(tmp_path / "l/x/y/model.bin", WEIGHTS)
    named = NamedFiles.of(list(copies)).source()
    pull(model_at(gone.url), tmp_path, among=(Web(), named), hearers=Hearers(said=said.append))
    [line] = said
    assert line.startswith("config.json: 127.0.0.1 cannot be reached (")
    assert line.endswith("; is this computer offline?): trying the files named")
