"""The source that makes files of what Python and npm packages hold, fetched by the tools that are installed.

In:  a file that a recipe stands for.   Out: the file. Packages are kept beside it in `.packages` until the model is
whole, so that a pull that is cut off does not fetch them twice.
"""

import hashlib
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from agent.models.sources.file import (
    HASH_PIECE_BYTES,
    Digest,
    ModelFile,
    Progress,
    WrongContentError,
    copy_path,
    hash_file,
    publish,
)
from agent.models.sources.on_disk import take
from agent.models.sources.package_tools import missing_tools, tools_for
from agent.models.sources.recipes import RECIPES, Joined, Package, Piece, Recipe, VoicesArchive
from agent.models.sources.source import SourceError

STORE_NAME = ".packages"


@dataclass(frozen=True)
class Packages:
    """Files out of packages.

    Attributes:
        recipes: By sha256.
        say: Told of each package that is about to be fetched.
    """

    recipes: Mapping[str, Recipe]
    say: Callable[[str], None]
    is_remote: bool = True

    def origin(self, file: ModelFile) -> str | None:
        """The packages, where there is a recipe."""
        recipe = self.recipes.get(file.sha256 or "")
        return _named(recipe.packages) if recipe else None

    def fetch(self, file: ModelFile, directory: Path, progress: Progress) -> None:
        """Fetch the packages that are not there yet, and make the file of them.

        Raises:
            SourceError: A package cannot be had, or holds something else.
            OSError: The disk.
        """
        recipe = self.recipes[file.sha256 or ""]
        store = directory / STORE_NAME
        folders = {package: self._fetched(package, store) for package in recipe.packages}
        try:
            if isinstance(recipe, VoicesArchive):
                _archive_voices(recipe, folders[recipe.package], file, directory, progress)
            else:
                _join(recipe, folders, file, directory, progress)
        except (SourceError, WrongContentError) as error:
            for folder in folders.values():
                shutil.rmtree(folder)
            raise SourceError(f"{_named(recipe.packages)}: {error}") from error

    def _fetched(self, package: Package, store: Path) -> Path:
        """The folder of an unpacked package; it has this name only when the tool has finished."""
        folder = store / f"{package.name}-{package.version}"
        if folder.is_dir():
            return folder
        reasons = []
        for tool in tools_for(package.registry):
            self.say(f"{tool.name} fetches the package {package}")
            store.mkdir(parents=True, exist_ok=True)
            growing = Path(tempfile.mkdtemp(prefix="growing-", dir=store))
            try:
                tool.fetch(tool.command, package, growing)
                growing.rename(folder)
            except SourceError as error:
                reasons.append(f"{tool.name}: {error}")
            else:
                return folder
            finally:
                shutil.rmtree(growing, ignore_errors=True)
        reason = "; ".join(reasons) or missing_tools(package.registry)
        raise SourceError(f"the package {package} cannot be fetched ({reason})")


def discard_packages(directory: Path) -> None:
    """Remove the packages that were kept for a model."""
    shutil.rmtree(directory / STORE_NAME, ignore_errors=True)


def in_installed_packages(file: ModelFile) -> Iterator[tuple[Path, Path]]:
    """The file in a package that is installed with sotto; the package is not imported."""
    recipe = RECIPES.get(file.sha256 or "")
    if not isinstance(recipe, Joined) or len(recipe.pieces) != 1 or recipe.packages[0].registry != "Python":
        return
    try:
        installed = distribution(recipe.packages[0].name)
    except PackageNotFoundError:
        return
    path = Path(str(installed.locate_file(recipe.pieces[0].path)))
    yield path, Path(str(installed.locate_file("")))


def _named(packages: tuple[Package, ...]) -> str:
    names = [str(package) for package in packages]
    if len(names) == 1:
        return f"the package {names[0]}"
    return f"the packages {names[0]} {'and' if len(names) == 2 else 'to'} {names[-1]}"


def _piece(piece: Piece, folders: Mapping[Package, Path]) -> Path:
    path = folders[piece.package] / piece.path
    if not path.is_file() or not path.resolve().is_relative_to(folders[piece.package].resolve()):
        raise SourceError(f"{piece.package} holds no {piece.path}")
    return path


def _join(
    recipe: Joined, folders: Mapping[Package, Path], file: ModelFile, directory: Path, progress: Progress
) -> None:
    paths = [_piece(piece, folders) for piece in recipe.pieces]
    size_bytes = sum(path.stat().st_size for path in paths)
    if size_bytes != file.size_bytes:
        raise SourceError(f"{size_bytes} bytes where {file.size_bytes} are expected")
    if len(paths) == 1:
        take(paths[0], file, directory, progress, may_link=True)
        return
    grown = copy_path(directory, file)
    grown.unlink(missing_ok=True)
    try:
        publish(grown, _joined(paths, grown, file, progress), file, directory)
    finally:
        grown.unlink(missing_ok=True)


def _joined(paths: list[Path], grown: Path, file: ModelFile, progress: Progress) -> Digest:
    digest, done = hashlib.sha256(), 0
    with grown.open("xb") as joined:
        for path in paths:
            with path.open("rb") as part:
                while piece := part.read(HASH_PIECE_BYTES):
                    joined.write(piece)
                    digest.update(piece)
                    done += len(piece)
                    progress(file, done)
    return digest


def _archive_voices(recipe: VoicesArchive, folder: Path, file: ModelFile, directory: Path, progress: Progress) -> None:
    import numpy as np

    n_values = recipe.shape[0] * recipe.shape[1] * recipe.shape[2]
    voices = {}
    for path in sorted((folder / recipe.folder).glob("*.bin")):
        values = np.fromfile(path, "<f4")
        if values.size != n_values:
            raise SourceError(f"{path.name} holds {values.size} numbers where {n_values} are expected")
        voices[path.stem] = values.reshape(recipe.shape)
    grown = copy_path(directory, file)
    grown.unlink(missing_ok=True)
    try:
        with grown.open("xb") as archive:
            np.savez(archive, **voices)
        publish(grown, hash_file(grown, lambda done: progress(file, done)), file, directory)
    finally:
        grown.unlink(missing_ok=True)
