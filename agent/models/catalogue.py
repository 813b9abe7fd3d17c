"""The models that sotto can fetch, and where each lies on disk.

In:  a model name, the models directory.   Out: its files with address, size and checksum; its directory.

Nothing here touches the network. A model's files lie in `<models_dir>/<stage>/<name>/`, under the names of
this catalogue. The facts themselves are in `agent.models.ears`, `.minds` and `.voices`.
"""

import difflib
from dataclasses import dataclass
from pathlib import Path

from agent.errors import InputError
from agent.models.ears import MOONSHINE_MODELS, NEMOTRON_MODELS, WHISPER_MODELS
from agent.models.listing import Listing, Stage
from agent.models.minds import LANGUAGE_MODELS
from agent.models.sources.file import ModelFile, is_plain_name
from agent.models.voices import KITTEN_MODELS, KOKORO_MODELS, PIPER_MODELS

__all__ = [
    "ARCHIVE_SUFFIX",
    "CATALOGUE",
    "CatalogueError",
    "Member",
    "Model",
    "ModelFile",
    "Stage",
    "find",
    "installed",
    "is_installed",
    "model_dir",
]

ARCHIVE_SUFFIX = ".tar.bz2"


class CatalogueError(InputError):
    """A model name is unknown; the message names it and the close ones."""


@dataclass(frozen=True)
class Member:
    """One file that is kept of an archive.

    Attributes:
        name: Plain file name, on disk and in the archive's only directory.
        size_bytes: Exact size.

    Raises:
        ValueError: The name could leave its directory, or the size is not positive.
    """

    name: str
    size_bytes: int

    def __post_init__(self) -> None:
        if not is_plain_name(self.name):
            raise ValueError(f"not a plain file name: {self.name!r}")
        if self.size_bytes <= 0:
            raise ValueError(f"{self.name}: size must be positive, not {self.size_bytes}")


@dataclass(frozen=True)
class Model:
    """A model of one stage.

    Attributes:
        name: What the user types; also its directory's name.
        stage: Which step of the conversation it serves.
        engine: The engine that loads it: such as nemotron, whisper or piper.
        description: One line for people.
        language: ISO 639-1 code, or `multilingual`.
        licence: SPDX identifier of the weights.
        files: What is fetched; all of them are needed.
        members: Empty where the files are the model. Else the one file is an archive, `X.tar.bz2`, and the model
            is these files of its directory `X`.

    Raises:
        ValueError: The name could leave its directory, or the members have no archive with a checksum.
    """

    name: str
    stage: Stage
    engine: str
    description: str
    language: str
    licence: str
    files: tuple[ModelFile, ...]
    members: tuple[Member, ...] = ()

    def __post_init__(self) -> None:
        if not is_plain_name(self.name):
            raise ValueError(f"not a plain model name: {self.name!r}")
        checked = [file.name for file in self.files if file.sha256 is not None]
        if self.members and not (len(self.files) == len(checked) == 1 and checked[0].endswith(ARCHIVE_SUFFIX)):
            raise ValueError(f"{self.name}: members need one {ARCHIVE_SUFFIX} file with a checksum")

    @property
    def size_bytes(self) -> int:
        """What is fetched."""
        return sum(file.size_bytes for file in self.files)

    @property
    def archive(self) -> ModelFile | None:
        """The file to unpack, if the model comes as one."""
        return self.files[0] if self.members else None

    @property
    def parts(self) -> tuple[ModelFile, ...] | tuple[Member, ...]:
        """What lies on disk, under these names and of these sizes, once the model is installed."""
        return self.members or self.files


def _model(listing: Listing) -> Model:
    files = tuple(ModelFile(name, f"{listing.base_url}/{name}", size, sha256) for name, size, sha256 in listing.files)
    members = tuple(Member(name, size) for name, size in listing.members)
    about = (listing.name, listing.stage, listing.engine, listing.description, listing.language, listing.licence)
    return Model(*about, files, members)


_LISTINGS = (
    NEMOTRON_MODELS + WHISPER_MODELS + MOONSHINE_MODELS + LANGUAGE_MODELS + KOKORO_MODELS + PIPER_MODELS + KITTEN_MODELS
)
CATALOGUE: tuple[Model, ...] = tuple(map(_model, _LISTINGS))


def find(name: str) -> Model:
    """The model of that name.

    Raises:
        CatalogueError: There is none; the message names the close ones.
    """
    by_name = {model.name: model for model in CATALOGUE}
    if name in by_name:
        return by_name[name]
    close = difflib.get_close_matches(name.lower(), by_name, n=3, cutoff=0.5)
    hint = f"did you mean {', '.join(close)}? " if close else ""
    raise CatalogueError(f"unknown model: {name!r}: {hint}`sotto models list` shows them all")


def model_dir(models_dir: Path, model: Model) -> Path:
    """Where the model's files lie, whether or not they are there."""
    return models_dir / model.stage / model.name


def is_installed(models_dir: Path, model: Model) -> bool:
    """Whether every file is there under its final name and not empty; half of a file has another name."""
    paths = [model_dir(models_dir, model) / part.name for part in model.parts]
    return all(path.is_file() and path.stat().st_size > 0 for path in paths)


def installed(models_dir: Path, stage: Stage) -> tuple[Model, ...]:
    """The stage's installed models, in the order of the catalogue."""
    return tuple(model for model in CATALOGUE if model.stage == stage and is_installed(models_dir, model))
