"""What is done with models that are on this machine: check them, remove them, take in files by their checksum.

In:  a model or files, the models directory.   Out: what is wrong, what was removed, where files went.
"""

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from agent.errors import InputError, SottoError
from agent.models.archive import discard_unpacking
from agent.models.catalogue import CATALOGUE, Model, is_installed, model_dir
from agent.models.lock import LockHeldError, hold
from agent.models.pull import LOCK_NAME, Hearers, leftovers, missing_files, pull, pull_command
from agent.models.sources.file import ModelFile, Progress, hash_file, size_on_disk
from agent.models.sources.named import NamedFiles
from agent.models.sources.packages import discard_packages


@dataclass(frozen=True)
class Import:
    """What became of files that the user named.

    Attributes:
        arrived: Models that have got files, each with what it still lacks.
        foreign: Files that are none of the catalogue's.
        shared: Files that several models have, none of which could be meant for certain, with those models' names.
    """

    arrived: dict[Model, list[ModelFile]]
    foreign: list[Path]
    shared: dict[Path, list[str]]


def faults(model: Model, models_dir: Path, progress: Progress) -> list[str]:
    """Hash every file of an installed model; files out of an archive have a size only.

    Returns:
        What is wrong, a file each: nothing, if the model is whole.

    Raises:
        OSError: A file cannot be read.
    """
    directory, found = model_dir(models_dir, model), []
    for part in model.parts:
        path = directory / part.name
        if size_on_disk(path) != part.size_bytes:
            found.append(f"{part.name} has {size_on_disk(path)} bytes where {part.size_bytes} are expected")
        elif isinstance(part, ModelFile) and part.sha256 is not None:
            sha256 = hash_file(path, lambda done, file=part: progress(file, done)).hexdigest()
            if sha256 != part.sha256:
                found.append(f"{part.name} has sha256 {sha256} where {part.sha256} is expected")
    return found


def remove(model: Model, models_dir: Path) -> int:
    """Remove a model's files and what pulls have left of it; files of other names stay.

    Returns:
        The bytes that were removed.

    Raises:
        SottoError: Nothing of it is there, it is being pulled, or its directory is a link.
        OSError: A file cannot be removed.
    """
    directory = model_dir(models_dir, model)
    if directory.is_symlink():
        raise SottoError(f"{directory} is a link to {directory.resolve()}: remove what you want gone by hand")
    if not directory.is_dir():
        raise SottoError(f"{model.name} is not installed in {models_dir}: `sotto models list` shows what is")
    paths = [directory / part.name for part in (*model.parts, *model.files)] + leftovers(model, directory)
    try:
        with hold(directory / LOCK_NAME):
            n_bytes = sum(size_on_disk(path) for path in set(paths))
            for path in paths:
                path.unlink(missing_ok=True)
            discard_unpacking(model.members, directory)
            discard_packages(directory)
    except LockHeldError as error:
        raise SottoError(f"{model.name} is being pulled by process {error.pid}: wait for it or end it") from error
    (directory / LOCK_NAME).unlink(missing_ok=True)
    with suppress(OSError):  # something else lies there
        directory.rmdir()
    return n_bytes


def take_in(paths: Sequence[Path], models_dir: Path, hearers: Callable[[Model], Hearers]) -> Import:
    """Put files into the models that they belong to, whatever they are called and in whatever order they come.

    A file that several models share goes to those of them that have, or now get, a file of their own.

    Raises:
        InputError: A file does not exist or cannot be read.
        DownloadError: A file could not be written, or an archive not be unpacked.
    """
    named = _hashed(paths)
    owners = {path: _owners(sha256) for sha256, path in named.paths.items()}
    meant = [model for model in CATALOGUE if _is_meant(model, set(named.paths), models_dir)]
    result = Import({}, [path for path, models in owners.items() if not models], {})
    for path, models in owners.items():
        if models and not set(models) & set(meant):
            result.shared[path] = [model.name for model in models]
    for model in meant:
        pull(model, models_dir, among=(named.source(),), only=named.paths, hearers=hearers(model))
        result.arrived[model] = missing_files(model, model_dir(models_dir, model))
    return result


def lacking(model: Model, missing: Sequence[ModelFile]) -> str:
    """What to do about a model that is not whole, in words."""
    return f"{model.name} lacks {', '.join(file.name for file in missing)}: `{pull_command(model)}` fetches the rest"


def _hashed(paths: Sequence[Path]) -> NamedFiles:
    for path in paths:
        if not path.is_file():
            raise InputError(f"{path}: no such file (name files, not folders)")
    try:
        return NamedFiles.of(list(paths))
    except OSError as error:
        raise InputError(f"{error.filename} cannot be read ({error.strerror})") from error


def _owners(sha256: str) -> list[Model]:
    return [model for model in CATALOGUE if any(file.sha256 == sha256 for file in model.files)]


def _is_meant(model: Model, given: set[str], models_dir: Path) -> bool:
    """Whether one of the files given belongs to this model, and a file that only it has is given or here."""
    if not any(file.sha256 in given for file in model.files):
        return False
    own = [file for file in model.files if _owners(file.sha256 or "") == [model]]
    directory = model_dir(models_dir, model)
    is_begun = any(size_on_disk(directory / file.name) == file.size_bytes for file in own)
    return is_begun or is_installed(models_dir, model) or any(file.sha256 in given for file in own)
