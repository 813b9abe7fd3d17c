"""Fetching a model: a catalogue entry in, complete and checked files on disk out.

In:  a model, the models directory, its sources.   Out: the model's directory with every file in it.

Nothing is fetched but by a call of `pull`. One process at a time pulls a model. An archive lies beside the files
that come out of it until they are whole; killed at any point, the next call goes on from what is there.
"""

import errno
import os
import shutil
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path

from agent.errors import SottoError
from agent.models.archive import ArchiveError, Unpacked, discard_unpacking, unpack
from agent.models.catalogue import Model, model_dir
from agent.models.lock import LockHeldError, hold
from agent.models.sources.file import (
    ModelFile,
    Progress,
    WrongContentError,
    copy_path,
    hash_file,
    part_path,
    publish,
    sidecar_path,
    size_on_disk,
)
from agent.models.sources.other_tools import OtherTools
from agent.models.sources.packages import discard_packages
from agent.models.sources.source import Source, SourceError
from agent.models.supply import sources

RESERVE_BYTES = 64 * 1024 * 1024  # left free on the disk
LOCK_NAME = ".pull.lock"

Said = Callable[[str], None]
Arrived = Callable[[ModelFile, str], None]


class DownloadError(SottoError):
    """A model could not be fetched; the message is one line and says what to do.

    Args:
        what: What went wrong.
        mend: What mends it, for who types commands.
        press: The same for who has a button in place of commands: "go on" or "try again".

    Attributes:
        what, press: As above.
    """

    def __init__(self, what: str, mend: str, press: str) -> None:
        super().__init__(f"{what}: {mend}")
        self.what = what
        self.press = press


@dataclass(frozen=True)
class Hearers:
    """Who is told of what while a model is pulled; all are called in the thread of the pull.

    Attributes:
        progress: The file and its bytes on disk so far, after every piece. The count falls back to 0 when a file has
            to start again.
        unpacked: The bytes unpacked so far, after every piece; never for a model that is no archive.
        arrived: A file that is whole, and where it came from.
        said: One line: a source failed, and which is next.
    """

    progress: Progress = lambda _file, _done_bytes: None
    unpacked: Unpacked = lambda _done_bytes: None
    arrived: Arrived = lambda _file, _origin: None
    said: Said = lambda _line: None


NOBODY = Hearers()


def pull_command(model: Model) -> str:
    """What the user types to fetch the model."""
    return f"sotto models pull {model.name}"


def pull(
    model: Model,
    models_dir: Path,
    *,
    mirror: str | None = None,
    among: Sequence[Source] | None = None,
    only: Collection[str] | None = None,
    hearers: Hearers = NOBODY,
) -> Path:
    """Fetch what is missing of a model, unpack it if it comes as an archive; blocks until it is whole.

    Files of the right size are left alone; a part of an earlier call is continued.

    Args:
        model: What to fetch.
        models_dir: The models directory; made if need be.
        mirror: Another server, as for `web.mirror_url`, where no sources are given.
        among: The sources, in the order of trying; default: all but other tools' caches.
        only: Leave out files whose sha256 is not one of these; the model may then lack some.
        hearers: Who is told of what.

    Returns:
        The model's directory.

    Raises:
        InputError: The mirror is not an http(s) address.
        DownloadError: A file could not be fetched, checked, unpacked or written, the disk is full, or another
            process is pulling the same model.
    """
    supply = sources(models_dir, OtherTools(), mirror=mirror) if among is None else nullcontext(among)
    directory = model_dir(models_dir, model)
    with supply as found, _one_line_errors(model, directory):
        directory.mkdir(parents=True, exist_ok=True)
        with hold(directory / LOCK_NAME):
            discard_unpacking(model.members, directory)
            missing = [file for file in missing_files(model, directory) if only is None or file.sha256 in only]
            check_space(model, directory, missing)
            for file in missing:
                _bring(model, file, directory, found, hearers)
            if model.archive is not None:
                _unpack(model, directory / model.archive.name, missing, hearers.unpacked)
            discard_packages(directory)
    return directory


def missing_files(model: Model, directory: Path) -> list[ModelFile]:
    """The files that are not there at their size; an archive is needed whole, whichever of its files is missing."""
    if all(size_on_disk(directory / part.name) == part.size_bytes for part in model.parts):
        return []
    if model.archive is not None:
        return [model.archive]
    return [file for file in model.files if size_on_disk(directory / file.name) != file.size_bytes]


def leftovers(model: Model, directory: Path) -> list[Path]:
    """What a pull that did not end may have left behind."""
    parts = [part_path(directory, file) for file in model.files]
    return [*parts, *map(sidecar_path, parts), *(copy_path(directory, file) for file in model.files)]


def _bring(model: Model, file: ModelFile, directory: Path, found: Sequence[Source], hearers: Hearers) -> None:
    """Try one source after the other."""
    if _is_here(file, directory, hearers):
        return
    able = [(source, origin) for source in found if (origin := source.origin(file)) is not None]
    reasons: list[SourceError] = []
    for i, (source, origin) in enumerate(able):
        try:
            source.fetch(file, directory, hearers.progress)
        except SourceError as error:
            reasons.append(error)
            if i + 1 < len(able) and not error.is_known:
                hearers.said(f"{file.name}: {error}: trying {able[i + 1][1]}")
        else:
            hearers.arrived(file, origin)
            return
    why = "; ".join(map(str, reasons)) or "no source has it"
    resumes = any(error.resumes for error in reasons)
    way = f"`{pull_command(model)}` resumes, or {_ways_out(model, directory)}"
    mend = way if resumes else _ways_out(model, directory)
    press = "go on to fetch the rest" if resumes else "see to that, then try again"
    raise DownloadError(f"{file.name}: {why}", mend, press) from (reasons[-1] if reasons else None)


def _is_here(file: ModelFile, directory: Path, hearers: Hearers) -> bool:
    """Whether the file lies whole under its own name, copied by hand, or under that of its part."""
    here, part = directory / file.name, part_path(directory, file)
    if size_on_disk(here) == file.size_bytes:
        os.replace(here, part)
    if file.sha256 is None or size_on_disk(part) != file.size_bytes:
        return False
    digest = hash_file(part, lambda done_bytes: hearers.progress(file, done_bytes))
    try:
        publish(part, digest, file, directory)
    except WrongContentError as error:
        sidecar_path(part).unlink(missing_ok=True)
        hearers.said(f"{file.name} in {directory} is not the file: {error}")
        return False
    hearers.arrived(file, "this disk")
    return True


def _ways_out(model: Model, directory: Path) -> str:
    names = ", ".join(file.name for file in model.files)
    then = f", then `{pull_command(model)}` unpacks it" if model.archive else ""
    return f"try `{pull_command(model)} --mirror URL`, or copy {names} by hand into {directory}{then}"


def _unpack(model: Model, archive: Path, fetched: list[ModelFile], unpacked: Unpacked) -> None:
    """Unpack what was fetched; a full disk leaves the archive, anything else removes it."""
    try:
        if fetched:
            unpack(archive, model.members, archive.parent, unpacked)
    except ArchiveError as error:
        archive.unlink()
        what = f"{model.name}: {archive.name} {error}; it is removed"
        raise DownloadError(what, f"`{pull_command(model)}` fetches it again", "try again to fetch it anew") from error
    archive.unlink(missing_ok=True)


def needed_bytes(model: Model, directory: Path, missing: Sequence[ModelFile]) -> int:
    """What the missing files of a model will still take on the disk; an archive lies beside what comes out of it.

    Args:
        model: The model.
        directory: Its own; it need not exist.
        missing: See `missing_files`.
    """
    if not missing:
        return 0
    fetched = sum(max(file.size_bytes - _arrived_bytes(file, directory), 0) for file in missing)
    return fetched + sum(member.size_bytes for member in model.members)


def check_space(model: Model, directory: Path, missing: Sequence[ModelFile], others_bytes: int = 0) -> None:
    """See that a model's missing files find room.

    Args:
        model: The model.
        directory: Its own; it need not exist.
        missing: See `missing_files`.
        others_bytes: What others that are to come before it will take.

    Raises:
        DownloadError: The disk is too full.
        OSError: It cannot be asked.
    """
    needed = needed_bytes(model, directory, missing)
    free = free_bytes(directory) - others_bytes
    if missing and free < needed + RESERVE_BYTES:
        left = f"{max(free, 0) / 1e6:.1f} MB are free"
        what = f"{model.name} needs {needed / 1e6:.1f} MB more in {directory}, where {left}"
        other_place = f"free some space, or use `{pull_command(model)} --models-dir PATH`"
        raise DownloadError(what, other_place, "free some space, then try again")


def free_bytes(directory: Path) -> int:
    """What is free where a directory is, or is to be made.

    Raises:
        OSError: It cannot be asked.
    """
    found = next(path for path in (directory, *directory.absolute().parents) if path.exists())
    return shutil.disk_usage(found).free


def _arrived_bytes(file: ModelFile, directory: Path) -> int:
    whole = size_on_disk(directory / file.name) == file.size_bytes  # an archive that waits to be unpacked
    return file.size_bytes if whole else size_on_disk(part_path(directory, file))


@contextmanager
def _one_line_errors(model: Model, directory: Path) -> Iterator[None]:
    try:
        yield
    except LockHeldError as error:
        what = f"{model.name} is being pulled by process {error.pid}"
        mend = f"wait for it, then run `{pull_command(model)}` again"
        raise DownloadError(what, mend, "wait for it, then try again") from error
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            mend = f"free some space, then `{pull_command(model)}` resumes"
            raise DownloadError(f"the disk is full at {directory}", mend, "free some space, then go on") from error
        what = f"{error.filename or directory} cannot be used ({error.strerror})"
        mend = f"mend it, or use `{pull_command(model)} --models-dir PATH`"
        raise DownloadError(what, mend, "mend it, then try again") from error
