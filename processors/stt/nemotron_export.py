"""A sherpa-onnx export of a Nemotron streaming model on disk: its files, checked, and what they say of the model.

In:  a directory.   Out: paths, chunk length, languages, tokens.

sherpa-onnx ends the whole process on many broken files (a decoder in the encoder's place, a tokens.txt that does not
fit), so everything that it would trip over is checked here first. Facts of the format: sherpa-onnx's export scripts
for `nemotron-speech-streaming-en-0.6b` and `nemotron-3.5-asr-streaming-0.6b`, and its own reader (2.0.1).
"""

import json
from dataclasses import dataclass
from pathlib import Path

from processors.errors import EngineUnavailableError
from processors.onnx_outline import OnnxOutline, read_outline

FRAME_MS = 10
BLANK = "<blk>"
# SentencePiece writes it where a word begins.
WORD_START = "▁"

_PARTS = ("encoder", "decoder", "joiner")
_NUMBERS = (
    *("vocab_size", "window_size", "chunk_shift", "subsampling_factor", "pred_rnn_layers", "pred_hidden"),
    *(f"cache_last_{cache}_dim{index}" for cache in ("channel", "time") for index in (1, 2, 3)),
)
# The decoder takes and gives a token, its length and two states; sherpa-onnx tells a NeMo model by that.
_DECODER_TENSORS = 4
_JOINER_INPUTS, _JOINER_OUTPUTS = 2, 1
_ENCODER_OUTPUTS = 5


@dataclass(frozen=True)
class NemotronExport:
    """An export that sherpa-onnx can load.

    Attributes:
        encoder: ONNX file.
        decoder: ONNX file.
        joiner: ONNX file.
        tokens_file: One token and its number a line.
        tokens: In the order of their numbers, the blank last.
        chunk_frames: How many 10 ms frames one step takes in.
        lookback_frames: How many frames before a step's own the encoder looks at.
        output_frames: How many frames one output of the encoder stands for.
        languages: The codes that a multilingual export can be told, in lower case; None for an English one.
    """

    encoder: Path
    decoder: Path
    joiner: Path
    tokens_file: Path
    tokens: tuple[str, ...]
    chunk_frames: int
    lookback_frames: int
    output_frames: int
    languages: frozenset[str] | None

    @property
    def chunk_ms(self) -> int:
        return self.chunk_frames * FRAME_MS


def export_files(directory: Path) -> tuple[Path, Path, Path, Path] | None:
    """Encoder, decoder, joiner and tokens of an export, the 8-bit ones first; None where one is missing."""
    found = [sorted(directory.glob(f"{part}*.onnx")) for part in _PARTS]
    tokens_file = directory / "tokens.txt"
    if not all(found) or not tokens_file.is_file():
        return None
    encoder, decoder, joiner = (paths[0] for paths in found)
    return encoder, decoder, joiner, tokens_file


def read_export(directory: Path) -> NemotronExport:
    """Find and check the files of an export.

    Raises:
        EngineUnavailableError: A file is missing or not what it should be; the message names it.
    """
    files = export_files(directory)
    if files is None:
        raise _broken(directory, "it lacks one of encoder*.onnx, decoder*.onnx, joiner*.onnx and tokens.txt")
    encoder, decoder, joiner, tokens_file = files
    outlines = {path: _outline(directory, path) for path in (encoder, decoder, joiner)}
    numbers = _encoder_numbers(directory, encoder, outlines[encoder])
    inner = outlines[decoder]
    if inner.n_inputs < _DECODER_TENSORS or inner.n_outputs != _DECODER_TENSORS:
        raise _broken(directory, f"{decoder.name} is no decoder of a NeMo transducer")
    if outlines[joiner].n_inputs < _JOINER_INPUTS or outlines[joiner].n_outputs != _JOINER_OUTPUTS:
        raise _broken(directory, f"{joiner.name} is no joiner of a NeMo transducer")
    return NemotronExport(
        *files,
        tokens=_tokens(directory, tokens_file, numbers["vocab_size"] + 1),
        chunk_frames=numbers["chunk_shift"],
        lookback_frames=numbers["window_size"] - numbers["chunk_shift"],
        output_frames=numbers["subsampling_factor"],
        languages=_languages(directory, encoder, outlines[encoder]),
    )


def _outline(directory: Path, path: Path) -> OnnxOutline:
    try:
        return read_outline(path)
    except (OSError, ValueError) as error:
        raise _broken(directory, f"{path.name}: {error}") from error


def _encoder_numbers(directory: Path, encoder: Path, outline: OnnxOutline) -> dict[str, int]:
    wrong = [key for key in _NUMBERS if not outline.metadata.get(key, "").isdecimal()]
    if wrong or outline.n_outputs != _ENCODER_OUTPUTS:
        lack = f" (no {wrong[0]} in its metadata)" if wrong else ""
        raise _broken(directory, f"{encoder.name} is no streaming encoder of a NeMo transducer{lack}")
    numbers = {key: int(outline.metadata[key]) for key in _NUMBERS}
    if not 0 < numbers["chunk_shift"] <= numbers["window_size"]:
        raise _broken(directory, f"{encoder.name} has a chunk_shift of {numbers['chunk_shift']} frames")
    return numbers


def _languages(directory: Path, encoder: Path, outline: OnnxOutline) -> frozenset[str] | None:
    """Locales such as `en-us` and their bare languages, as sherpa-onnx accepts both."""
    written = outline.metadata.get("prompt_dictionary")
    if written is None:
        return None
    try:
        locales = [str(key).lower().replace("_", "-") for key in json.loads(written)]
    except (ValueError, TypeError) as error:
        raise _broken(directory, f"{encoder.name} has an unreadable prompt_dictionary") from error
    return frozenset(locales + [locale.partition("-")[0] for locale in locales]) - {"auto"}


def _tokens(directory: Path, path: Path, n_expected: int) -> tuple[str, ...]:
    try:
        # Not splitlines(): a token may be one of Unicode's other line ends.
        lines = path.read_text(encoding="utf-8").rstrip("\n").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise _broken(directory, f"{path.name} is no UTF-8 text") from error
    pairs = [line.rpartition(" ") for line in lines]
    if [number for _, _, number in pairs] != [str(index) for index in range(n_expected)]:
        raise _broken(
            directory, f"{path.name} does not number its tokens from 0 to {n_expected - 1} as the encoder does"
        )
    if pairs[-1][0] != BLANK:
        raise _broken(directory, f"{path.name} does not end with {BLANK}")
    return tuple(token for token, _, _ in pairs)


def _broken(directory: Path, what: str) -> EngineUnavailableError:
    return EngineUnavailableError(
        f"nemotron model {directory} cannot be loaded ({what})", f"sotto models pull {directory.name}"
    )
