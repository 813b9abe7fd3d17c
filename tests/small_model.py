"""A small model of two files on a loopback server: what the download tests pull."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from agent.catalogue import Model, ModelFile
from agent.downloads import LOCK_NAME
from tests.file_server import Fault, FileServer, serve_files

WEIGHTS = bytes(range(256)) * 1024  # 262 144 bytes
CONFIG = b'{"n_mels": 80}\n'
WHOLE = {"config.json": CONFIG, "model.bin": WEIGHTS}
WEIGHTS_PATH = "/small/resolve/1/model.bin"
CONFIG_PATH = "/small/resolve/1/config.json"
CUT = Fault(cut_after_bytes=100_000)


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def model_at(url: str, *, checksum: str | None = sha256(WEIGHTS)) -> Model:
    """The model `small`, its weights with the checksum given."""
    files = (
        ModelFile("config.json", url + CONFIG_PATH, len(CONFIG), sha256(CONFIG)),
        ModelFile("model.bin", url + WEIGHTS_PATH, len(WEIGHTS), checksum),
    )
    return Model("small", "stt", "whisper", "a small one", "en", "MIT", files)


@contextmanager
def serve_small(prefix: str = "") -> Iterator[FileServer]:
    """Serve both files, their paths behind the prefix."""
    with serve_files({prefix + CONFIG_PATH: CONFIG, prefix + WEIGHTS_PATH: WEIGHTS}) as server:
        yield server


def contents(directory: Path) -> dict[str, bytes]:
    """Every file of the directory but the lock."""
    return {path.name: path.read_bytes() for path in directory.iterdir() if path.name != LOCK_NAME}


def weights_requests(server: FileServer) -> list[tuple[str | None, str | None]]:
    """Range and If-Range of each request for the weights."""
    return [(request.range, request.if_range) for request in server.requests if request.path == WEIGHTS_PATH]


def put_part(directory: Path, content: bytes, version: str | None = None) -> None:
    """Lay down the whole config and a part of the weights, as an earlier call would."""
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "config.json").write_bytes(CONFIG)
    (directory / "model.bin.part").write_bytes(content)
    if version is not None:
        (directory / "model.bin.part.json").write_text(version, encoding="utf-8")
