"""Two small models on a loopback server, one of two files and one that is an archive: what the download tests pull."""

import bz2
import hashlib
import io
import random
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from agent.models.catalogue import Member, Model, ModelFile
from agent.models.pull import LOCK_NAME
from tests.support.file_server import Fault, FileServer, serve_files

WEIGHTS = bytes(range(256)) * 1024  # 262 144 bytes
CONFIG = b'{"n_mels": 80}\n'
WHOLE = {"config.json": CONFIG, "model.bin": WEIGHTS}
WEIGHTS_PATH = "/small/resolve/1/model.bin"
CONFIG_PATH = "/small/resolve/1/config.json"
CUT = Fault(cut_after_bytes=100_000)

ARCHIVE = "small-archive.tar.bz2"
ARCHIVE_PATH = f"/small/releases/{ARCHIVE}"
ROOT = "small-archive"
ENCODER = random.Random(1).randbytes(200_000)  # noise, so that the archive is no smaller
TOKENS = b"<blk> 0\n"
UNPACKED = {"encoder.int8.onnx": ENCODER, "tokens.txt": TOKENS}


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def model_at(url: str, *, checksum: str | None = sha256(WEIGHTS)) -> Model:
    """The model `small`, its weights with the checksum given."""
    files = (
        ModelFile("config.json", url + CONFIG_PATH, len(CONFIG), sha256(CONFIG)),
        ModelFile("model.bin", url + WEIGHTS_PATH, len(WEIGHTS), checksum),
    )
    return Model("small", "stt", "whisper", "a small one", "en", "MIT", files)


def entry(name: str, content: bytes = b"", kind: bytes = tarfile.REGTYPE) -> tuple[tarfile.TarInfo, bytes]:
    """One entry of an archive; a link leads to the file `target`."""
    info = tarfile.TarInfo(name)
    info.type, info.size = kind, len(content)
    info.linkname = "target" if kind in (tarfile.SYMTYPE, tarfile.LNKTYPE) else ""
    return info, content


def tar(*entries: tuple[tarfile.TarInfo, bytes]) -> bytes:
    """The entries as a tar file, not compressed."""
    with io.BytesIO() as file:
        with tarfile.open(fileobj=file, mode="w") as archive:
            for info, content in entries:
                archive.addfile(info, io.BytesIO(content))
        return file.getvalue()


WHOLE_TAR = tar(
    entry(ROOT, kind=tarfile.DIRTYPE),
    entry(f"{ROOT}/README.md", b"An export of a model.\n"),
    entry(f"{ROOT}/encoder.int8.onnx", ENCODER),
    entry(f"{ROOT}/tokens.txt", TOKENS),
    entry(f"{ROOT}/test_wavs/0.wav", b"RIFF"),
)
PACKED = bz2.compress(WHOLE_TAR)


def archive_at(url: str, content: bytes = PACKED) -> Model:
    """The model `small-archive`, whose archive is to have this content."""
    files = (ModelFile(ARCHIVE, url + ARCHIVE_PATH, len(content), sha256(content)),)
    members = tuple(Member(name, len(wanted)) for name, wanted in UNPACKED.items())
    return Model("small-archive", "stt", "nemotron", "an archive", "en", "MIT", files, members)


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
