"""Fetching a model: a catalogue entry in, complete and checked files on disk out.

In:  a model, the models directory, perhaps a mirror.   Out: the model's directory with every file in it.

Nothing is fetched but by a call of `pull`. One process at a time pulls a model. An archive lies beside the files
that come out of it until they are whole; killed at any point, the next call goes on from what is there.
"""

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from agent import __version__
from agent.errors import InputError
from agent.models.archive import ArchiveError, Unpacked, discard_unpacking, unpack
from agent.models.catalogue import Model, ModelFile, model_dir
from agent.models.lock import LockHeldError, hold
from agent.models.transfer import DownloadError, Progress, Transfer, part_path, pull_command, size_on_disk

RESERVE_BYTES = 64 * 1024 * 1024  # left free on the disk
LOCK_NAME = ".pull.lock"

_TIMEOUT = httpx.Timeout(30.0, connect=10.0)


def pull(
    model: Model,
    models_dir: Path,
    *,
    mirror: str | None = None,
    progress: Progress = lambda _file, _done_bytes: None,
    unpacked: Unpacked = lambda _done_bytes: None,
) -> Path:
    """Fetch what is missing of a model, unpack it if it comes as an archive; blocks until it is whole.

    Files of the right size are left alone; a part of an earlier call is continued.

    Args:
        model: What to fetch.
        models_dir: The models directory; made if need be.
        mirror: Another server, as for `mirror_url`.
        progress: Called with the file and its bytes on disk so far, after every piece. The count falls back
            to 0 when a file has to start again.
        unpacked: Called with the bytes unpacked so far, after every piece; never for a model that is no archive.

    Returns:
        The model's directory.

    Raises:
        InputError: The mirror is not an http(s) address.
        DownloadError: A file could not be fetched, checked, unpacked or written, the disk is full, or another
            process is pulling the same model.
    """
    urls = {file: file.url if mirror is None else mirror_url(file.url, mirror) for file in model.files}
    directory = model_dir(models_dir, model)
    with _one_line_errors(model, directory):
        directory.mkdir(parents=True, exist_ok=True)
        with hold(directory / LOCK_NAME):
            discard_unpacking(model.members, directory)
            missing = _to_fetch(model, directory)
            _check_space(model, directory, missing)
            with _client() as client:
                for file in missing:
                    reached = file is not missing[0]
                    Transfer(client, model, file, urls[file], directory, progress, reached).run()
            if model.archive is not None:
                _unpack(model, directory / model.archive.name, missing, unpacked)
    return directory


def mirror_url(url: str, mirror: str) -> str:
    """The address of a file on a mirror: the mirror, then the path of the original address.

    `https://huggingface.co/a/b` on `http://cache.local:8080/hub/` is `http://cache.local:8080/hub/a/b`.

    Raises:
        InputError: The mirror is not a plain http(s) address.
    """
    try:
        base = httpx.URL(mirror)
    except httpx.InvalidURL:
        base = httpx.URL()
    plain = base.scheme in ("http", "https") and base.host and not base.query and not base.fragment
    if not plain or not 0 < (base.port or 80) < 65536:
        raise InputError(f"--mirror {mirror!r}: expected an address such as https://mirror.example/path")
    return str(base.copy_with(raw_path=base.raw_path.rstrip(b"/") + httpx.URL(url).raw_path))


def _client() -> httpx.Client:
    # A compressed body could not be continued at a byte of the file.
    headers = {"User-Agent": f"sotto/{__version__}", "Accept-Encoding": "identity"}
    try:
        return httpx.Client(headers=headers, timeout=_TIMEOUT, follow_redirects=True)
    except (ImportError, ValueError, httpx.InvalidURL) as error:
        raise DownloadError(f"the proxy of HTTP_PROXY, HTTPS_PROXY or ALL_PROXY is no use: {error}") from error


def _to_fetch(model: Model, directory: Path) -> list[ModelFile]:
    """The files that are not there; an archive is needed whole, whichever of its files is missing."""
    if all(size_on_disk(directory / part.name) == part.size_bytes for part in model.parts):
        return []
    if model.archive is None:
        return [file for file in model.files if size_on_disk(directory / file.name) != file.size_bytes]
    here = directory / model.archive.name
    if size_on_disk(here) == model.archive.size_bytes:
        os.replace(here, part_path(directory, model.archive))  # a whole part is checked and not fetched
    return [model.archive]


def _unpack(model: Model, archive: Path, fetched: list[ModelFile], unpacked: Unpacked) -> None:
    """Unpack what was fetched; a full disk leaves the archive, anything else removes it."""
    try:
        if fetched:
            unpack(archive, model.members, archive.parent, unpacked)
    except ArchiveError as error:
        archive.unlink()
        raise DownloadError(
            f"{model.name}: {archive.name} {error}; it is removed: `{pull_command(model)}` fetches it again"
        ) from error
    archive.unlink(missing_ok=True)


def _check_space(model: Model, directory: Path, missing: list[ModelFile]) -> None:
    needed = sum(max(file.size_bytes - size_on_disk(part_path(directory, file)), 0) for file in missing)
    needed += sum(member.size_bytes for member in model.members)  # beside the archive
    free = shutil.disk_usage(directory).free
    if missing and free < needed + RESERVE_BYTES:
        raise DownloadError(
            f"{model.name} needs {needed / 1e6:.1f} MB more in {directory}, where {free / 1e6:.1f} MB are"
            f" free: free some space, or use `{pull_command(model)} --models-dir PATH`"
        )


@contextmanager
def _one_line_errors(model: Model, directory: Path) -> Iterator[None]:
    try:
        yield
    except LockHeldError as error:
        raise DownloadError(
            f"{model.name} is being pulled by process {error.pid}: wait for it, then run `{pull_command(model)}` again"
        ) from error
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            mend = f"free some space, then `{pull_command(model)}` resumes"
            raise DownloadError(f"the disk is full at {directory}: {mend}") from error
        raise DownloadError(
            f"{error.filename or directory} cannot be used ({error.strerror}):"
            f" mend it, or use `{pull_command(model)} --models-dir PATH`"
        ) from error
