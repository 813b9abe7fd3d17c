"""Kitten: eight small English voices of 15 million parameters, through sherpa-onnx.

In:  text.   Out: 24 kHz mono s16, a piece at a time, with estimated word times (see `sherpa_voice`).
Licence of the weights: Apache-2.0; of espeak-ng, which the phonemes come from: GPL-3.0-or-later.
Facts of the format: sherpa-onnx's `offline-tts-kitten-model.cc`.

The library makes a piece in one go, without a callback (2.0.1), so pieces are short: a stop takes effect behind the one
that is being made. It knows no espeak-ng any more: phonemes come from ours.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from processors.errors import EngineUnavailableError, one_line
from processors.onnx_outline import read_outline
from processors.tts.espeak_library import EspeakLibrary
from processors.tts.sherpa_voice import Generate, Pieces, SherpaSynthesizer, Take
from processors.tts.synthesizer import Voice

LANGUAGE = "en-us"
MEND = "sotto models pull kitten"
# A piece sounds when all of it is made.
PIECES = Pieces(first=60, rest=140)
_N_INPUTS = 3
_FLOAT_BYTES = 4


@dataclass(frozen=True)
class KittenExport:
    """The files of a voice pack, checked.

    Attributes:
        voices: Their names, in the order of their numbers.
        known: The characters of phonemes that have a token.
    """

    model: Path
    voices_file: Path
    tokens: Path
    voices: tuple[str, ...]
    sample_rate_hz: int
    known: frozenset[str]


def export_files(directory: Path) -> tuple[Path, Path, Path] | None:
    """The network, the voices and the tokens; None where one is missing. Nothing is read."""
    models = sorted(directory.glob("model*.onnx"))
    voices, tokens = directory / "voices.bin", directory / "tokens.txt"
    return (models[0], voices, tokens) if models and voices.is_file() and tokens.is_file() else None


def read_export(directory: Path) -> KittenExport:
    """Find and check the files; what the library would end the process over is found here.

    Raises:
        EngineUnavailableError: A file is missing or not what it should be; the message names it.
    """
    files = export_files(directory)
    if files is None:
        raise _broken(directory, "it lacks one of model*.onnx, voices.bin and tokens.txt")
    model, voices_file, tokens = files
    try:
        outline = read_outline(model)
        told = outline.metadata
        names = tuple(name.strip() for name in told.get("speaker_names", "").split(",") if name.strip())
        rate_hz, n_voices = int(told.get("sample_rate", "0")), int(told.get("n_speakers", "0"))
        style = [int(size) for size in told.get("style_dim", "").split(",") if size]
        text = tokens.read_text("utf-8").rstrip("\n")
    except (OSError, ValueError) as error:
        raise _broken(directory, f"{model.name} or {tokens.name}: {one_line(error)}") from error
    if told.get("model_type") != "kitten-tts" or told.get("has_espeak") != "1" or outline.n_inputs != _N_INPUTS:
        raise _broken(directory, f"{model.name} is no kitten-tts of sherpa-onnx")
    if len(style) != 2 or min(style) < 1 or n_voices < 1 or rate_hz < 8000:
        raise _broken(directory, f"{model.name} has no voices in its metadata")
    if voices_file.stat().st_size != style[0] * style[1] * n_voices * _FLOAT_BYTES:
        raise _broken(directory, f"{voices_file.name} does not hold {n_voices} voices of {style[0] * style[1]} numbers")
    pairs = [line.rpartition(" ") for line in text.split("\n")]
    numbers = [number for _, _, number in pairs]
    if numbers != [str(index) for index in range(len(numbers))]:
        raise _broken(directory, f"{tokens.name} does not number its tokens from 0")
    named = names if len(names) == n_voices else tuple(f"voice-{index}" for index in range(n_voices))
    return KittenExport(model, voices_file, tokens, named, rate_hz, frozenset(token for token, _, _ in pairs))


class KittenSynthesizer(SherpaSynthesizer):
    """A loaded Kitten model with one of its voices.

    Args:
        directory: With model*.onnx, voices.bin and tokens.txt.
        voice: One of `voices`; by default the first.
        speed: 0.5 to 2; 1 is the natural pace.
        threads: CPU threads of one synthesis.
        provider: Of sherpa-onnx: cpu, cuda or coreml.

    Raises:
        EngineUnavailableError: A file is missing or broken, or the voice unknown.
    """

    name = "kitten"
    pieces = PIECES

    def __init__(
        self, directory: Path, *, voice: str | None = None, speed: float = 1.0, threads: int = 1, provider: str = "cpu"
    ) -> None:
        self._export = read_export(directory)
        self._library = EspeakLibrary.shared()
        super().__init__(self._export.sample_rate_hz, self._library.voice_name(LANGUAGE))
        try:
            self._tts = _loaded(self._export, threads, provider)
        except (RuntimeError, ValueError) as error:
            raise _broken(directory, one_line(error)) from error
        self._take_voice(voice or self._export.voices[0], speed)

    def _take_voice(self, voice: str, speed: float) -> None:
        if voice not in self._export.voices:
            known = ", ".join(self._export.voices)
            raise EngineUnavailableError(f"kitten does not know the voice tts.voice = {voice!r}", f"choose of {known}")
        super()._take_voice(voice, speed)
        self._speed = speed

    def _generator(self) -> Generate:
        number, speed = self._export.voices.index(self.model), self._speed

        def generate(piece: str, take: Take) -> Any:
            import sherpa_onnx

            config = sherpa_onnx.GenerationConfig()
            config.sid, config.speed, config.silence_scale = number, speed, 1.0
            config.phoneme_codepoints = [[ord(character) for character in self._phonemes(piece)]]
            return self._tts.generate("", config, take)

        return generate

    def _phonemes(self, piece: str) -> str:
        """What the network has a token for, one a character; the library says a line about each that it has not."""
        clauses = self._library.clauses(piece, self._espeak_voice)
        spoken = " ".join(clause.phonemes + clause.mark for clause in clauses)
        return "".join(character for character in spoken if character in self._export.known)

    def voices(self) -> list[Voice]:
        """See `Synthesizer.voices`."""
        return [Voice(name, LANGUAGE, name) for name in sorted(self._export.voices)]


def _loaded(export: KittenExport, threads: int, provider: str) -> Any:
    import sherpa_onnx

    kitten = sherpa_onnx.OfflineTtsKittenModelConfig(
        model=str(export.model), voices=str(export.voices_file), tokens=str(export.tokens)
    )
    model = sherpa_onnx.OfflineTtsModelConfig(kitten=kitten, num_threads=threads, provider=provider)
    return sherpa_onnx.OfflineTts(sherpa_onnx.OfflineTtsConfig(model=model))


def _broken(directory: Path, what: str) -> EngineUnavailableError:
    return EngineUnavailableError(f"kitten voices {directory} cannot be loaded ({what})", MEND)
