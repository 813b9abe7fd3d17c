"""A sherpa-onnx export of a Moonshine model on disk: which of the two kinds it is, its files, checked.

In:  a directory.   Out: paths.

sherpa-onnx ends the process on a tokens file that does not fit and reads past its arrays where an encoder lies in the
decoder's place, so these are found here first; a file that is damaged within is refused by onnxruntime, in words.
Facts of the format: sherpa-onnx's `offline-moonshine-model.cc`, `offline-moonshine-model-v2.cc` and
`offline-recognizer-moonshine*-impl.h`. Files ending in .ort are onnxruntime's own format, a FlatBuffer `ORTM`.
"""

import mmap
from dataclasses import dataclass
from pathlib import Path

from processors.errors import EngineUnavailableError
from processors.onnx_outline import read_outline

# By what stands in each file's name, and how many inputs and outputs the graph has at least.
_FOUR_PARTS = {"preprocess": (1, 1), "encode": (2, 1), "uncached_decode": (3, 2), "cached_decode": (4, 2)}
_TWO_PARTS = {"encoder_model": (1, 1), "decoder_model_merged": (7, 5)}
# Names of tensors that only a merged decoder has.
_DECODER_TENSORS = (b"past_key_values", b"use_cache_branch")
_ORT_MAGIC = b"ORTM"


@dataclass(frozen=True)
class MoonshineExport:
    """The files of an export.

    Attributes:
        tokens: The tokens file.
        parts: The networks, by the names of sherpa-onnx's factory: four, or `encoder` and `decoder` of the later kind.
    """

    tokens: Path
    parts: dict[str, Path]

    @property
    def is_merged(self) -> bool:
        """Whether one decoder does the first and the later steps (v2)."""
        return "decoder" in self.parts


def export_files(directory: Path) -> MoonshineExport | None:
    """The files of an export, the 8-bit ones where there are both; None where one is missing. Nothing is read."""
    tokens = directory / "tokens.txt"
    if not tokens.is_file():
        return None
    two = {name: _file(directory, name) for name in _TWO_PARTS}
    if all(two.values()):
        encoder, decoder = (path for path in two.values() if path)
        return MoonshineExport(tokens, {"encoder": encoder, "decoder": decoder})
    four = {name: path for name in _FOUR_PARTS if (path := _file(directory, name))}
    if len(four) < len(_FOUR_PARTS):
        return None
    preprocess, encode, uncached, cached = four.values()
    names = {"preprocessor": preprocess, "encoder": encode, "uncached_decoder": uncached, "cached_decoder": cached}
    return MoonshineExport(tokens, names)


def read_export(directory: Path) -> MoonshineExport:
    """Find and check the files of an export.

    Raises:
        EngineUnavailableError: A file is missing or not what it should be; the message names it.
    """
    export = export_files(directory)
    if export is None:
        lacks = "it lacks tokens.txt, encoder_model and decoder_model_merged, or one of " + ", ".join(_FOUR_PARTS)
        raise broken(directory, lacks)
    needs = _TWO_PARTS if export.is_merged else _FOUR_PARTS
    for path, (n_inputs, n_outputs) in zip(export.parts.values(), needs.values(), strict=True):
        try:
            problem = _problem(path, n_inputs, n_outputs, has_cache=path == export.parts.get("decoder"))
        except (OSError, ValueError) as error:
            raise broken(directory, f"{path.name}: {error}") from error
        if problem:
            raise broken(directory, f"{path.name} {problem}")
    _check_tokens(directory, export.tokens)
    return export


def broken(directory: Path, what: str) -> EngineUnavailableError:
    """What to say of an export that cannot be used."""
    return EngineUnavailableError(
        f"moonshine model {directory} cannot be loaded ({what})", f"sotto models pull {directory.name}"
    )


def _file(directory: Path, name: str) -> Path | None:
    endings = (".int8.onnx", ".ort", ".onnx")
    return next((path for ending in endings if (path := directory / f"{name}{ending}").is_file()), None)


def _problem(path: Path, n_inputs: int, n_outputs: int, *, has_cache: bool) -> str | None:
    if path.suffix == ".ort":
        with path.open("rb") as file:
            if file.read(8)[4:] != _ORT_MAGIC:
                return "is no file of onnxruntime's format"
    else:
        outline = read_outline(path)
        fits = outline.n_inputs >= n_inputs and outline.n_outputs >= n_outputs
        if not fits or (n_outputs == 1 and outline.n_outputs > 1):
            return f"has {outline.n_inputs} inputs and {outline.n_outputs} outputs: another network"
    if path.name.startswith(tuple(_TWO_PARTS)) and _names_cache(path) != has_cache:
        return "is no merged decoder" if has_cache else "is a decoder"
    return None


def _names_cache(path: Path) -> bool:
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        return all(data.find(name) >= 0 for name in _DECODER_TENSORS)


def _check_tokens(directory: Path, path: Path) -> None:
    try:
        lines = path.read_text(encoding="utf-8").rstrip("\n").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise broken(directory, f"{path.name} is no UTF-8 text") from error
    numbers = [line.rpartition(" ")[2] for line in lines]
    if len(numbers) < 4 or any(number != str(index) for index, number in enumerate(numbers)):
        raise broken(directory, f"{path.name} does not number its tokens from 0")
