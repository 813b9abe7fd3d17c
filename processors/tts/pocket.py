"""Pocket: a model of 100 million parameters that speaks English in the voice of a recording, through sherpa-onnx.

In:  text.   Out: 24 kHz mono s16, a second at a time, with estimated word times (see `sherpa_voice`).
The weights are the user's to get: cards state CC-BY-4.0 for Kyutai's and non-commercial use for the export of them.
Facts of the format: sherpa-onnx's `offline-tts-pocket-model.cc` and `sentence-piece-tokenizer.cc`.

The library works out all of a piece before its first sound and then gives it in stretches of 1.2 s; a stop takes effect
at the next one. It knows no pace: `tts.speed` means nothing to it.
"""

import json
import wave
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import soxr

from processors.errors import EngineUnavailableError, one_line
from processors.onnx_outline import read_outline
from processors.tts.espeak_library import EspeakLibrary
from processors.tts.finishing import SAMPLE_RATE_HZ
from processors.tts.sherpa_voice import Generate, Pieces, SherpaSynthesizer, Take
from processors.tts.speech_level import Audio
from processors.tts.synthesizer import Voice

LANGUAGE = "en-us"
MEND = "set tts.model to a folder of sherpa-onnx-pocket-tts with a recording (WAV) of the voice in it"
PIECES = Pieces(first=60, rest=160)
# More of a voice costs time and adds nothing.
MAX_REFERENCE_SECS = 10.0
MIN_REFERENCE_SECS = 1.0
# Name of each network, its inputs and outputs; one that keeps states has as many more of both.
_NETWORKS = {
    "lm_flow": (4, 1),
    "lm_main": (2, 2),
    "encoder": (1, 1),
    "decoder": (1, 1),
    "text_conditioner": (1, 1),
}
_WITH_STATES = ("lm_main", "decoder")
_TEXTS = ("vocab", "token_scores")


@dataclass(frozen=True)
class PocketExport:
    """The files of an export, checked.

    Attributes:
        parts: By the names of sherpa-onnx's configuration.
        recordings: Of each voice, by name.
    """

    parts: dict[str, Path]
    recordings: dict[str, Path]


def export_files(directory: Path) -> PocketExport | None:
    """The files of an export, 8-bit networks where there are both; None where one is missing. Nothing is read."""
    parts: dict[str, Path] = {}
    for name in _NETWORKS:
        found = [path for ending in (".int8.onnx", ".onnx") if (path := directory / f"{name}{ending}").is_file()]
        parts |= {name: found[0]} if found else {}
    parts |= {f"{name}_json": path for name in _TEXTS if (path := directory / f"{name}.json").is_file()}
    recordings = {path.stem: path for path in sorted([*directory.glob("test_wavs/*.wav"), *directory.glob("*.wav")])}
    return PocketExport(parts, recordings) if len(parts) == len(_NETWORKS) + len(_TEXTS) else None


def read_export(directory: Path) -> PocketExport:
    """Find and check the files; what the library would end the process over is found here.

    Raises:
        EngineUnavailableError: A file is missing or not what it should be; the message names it.
    """
    export = export_files(directory)
    if export is None:
        raise _broken(directory, f"it lacks one of {', '.join(_NETWORKS)} (.onnx), vocab.json and token_scores.json")
    for name, (n_inputs, n_outputs) in _NETWORKS.items():
        path = export.parts[name]
        try:
            outline = read_outline(path)
        except (OSError, ValueError) as error:
            raise _broken(directory, f"{path.name}: {error}") from error
        n_states = outline.n_inputs - n_inputs
        if n_states != outline.n_outputs - n_outputs or (n_states > 0) != (name in _WITH_STATES):
            raise _broken(directory, f"{path.name} is another network")
    _check_texts(directory, export)
    if not export.recordings:
        raise _broken(directory, "it holds no recording of a voice, a .wav of some seconds")
    return export


def _check_texts(directory: Path, export: PocketExport) -> None:
    try:
        vocabulary, scores = (json.loads(export.parts[f"{name}_json"].read_text("utf-8")) for name in _TEXTS)
        is_numbered = sorted(vocabulary.values()) == list(range(len(vocabulary)))
        is_scored = all(isinstance(score, int | float) for score in scores.values())
    except (OSError, ValueError, AttributeError, TypeError) as error:
        raise _broken(directory, f"vocab.json or token_scores.json cannot be read ({one_line(error)})") from error
    if not vocabulary or not is_numbered or not is_scored or not vocabulary.keys() <= scores.keys():
        raise _broken(directory, "vocab.json and token_scores.json do not fit each other")


class PocketSynthesizer(SherpaSynthesizer):
    """A loaded Pocket model with one of its voices.

    Args:
        directory: With the networks, the two texts, and a WAV of each voice, there or in `test_wavs`.
        voice: The name of a recording without its ending; by default the first.
        threads: CPU threads of one synthesis.
        provider: Of sherpa-onnx: cpu, cuda or coreml.

    Raises:
        EngineUnavailableError: A file is missing or broken, or the voice unknown.
    """

    name = "pocket"
    pieces = PIECES

    def __init__(self, directory: Path, *, voice: str | None = None, threads: int = 1, provider: str = "cpu") -> None:
        export = read_export(directory)
        self._recordings = export.recordings
        super().__init__(SAMPLE_RATE_HZ, EspeakLibrary.shared().voice_name(LANGUAGE))
        try:
            self._tts = _loaded(export, threads, provider)
        except (RuntimeError, ValueError) as error:
            raise _broken(directory, one_line(error)) from error
        self._take_voice(voice or next(iter(self._recordings)), 1.0)

    def _take_voice(self, voice: str, speed: float) -> None:
        if voice not in self._recordings:
            known = ", ".join(self._recordings)
            raise EngineUnavailableError(f"pocket does not know the voice tts.voice = {voice!r}", f"choose of {known}")
        self._reference = read_reference(self._recordings[voice])
        super()._take_voice(voice, speed)

    def _generator(self) -> Generate:
        reference = self._reference

        def generate(piece: str, take: Take) -> Any:
            import sherpa_onnx

            config = sherpa_onnx.GenerationConfig()
            config.reference_audio, config.reference_sample_rate = reference, SAMPLE_RATE_HZ
            config.silence_scale = 1.0
            return self._tts.generate(_written(piece), config, take)

        return generate

    def voices(self) -> list[Voice]:
        """See `Synthesizer.voices`."""
        return [Voice(name, LANGUAGE, name) for name in sorted(self._recordings)]


def read_reference(path: Path) -> Audio:
    """The recording of a voice, shape (n_samples,), 24 kHz float32, its first 10 s.

    Raises:
        EngineUnavailableError: It is no WAV of 16-bit samples, or has less than 1 s.
    """
    try:
        with wave.open(str(path), "rb") as file:
            if file.getsampwidth() != 2:
                raise ValueError(f"{8 * file.getsampwidth()} bits a sample, not 16")
            rate_hz, n_channels = file.getframerate(), file.getnchannels()
            pcm16 = file.readframes(int(MAX_REFERENCE_SECS * rate_hz))
    except (OSError, EOFError, ValueError, wave.Error) as error:
        raise _broken(path, one_line(error) or "it ends too early") from error
    audio_f32 = (np.frombuffer(pcm16, "<i2").reshape(-1, n_channels) / 32768.0).mean(axis=1).astype(np.float32)
    if len(audio_f32) < MIN_REFERENCE_SECS * rate_hz:
        raise _broken(path, f"it has less than {MIN_REFERENCE_SECS:.0f} s of the voice")
    return soxr.resample(audio_f32, rate_hz, SAMPLE_RATE_HZ)


def _written(piece: str) -> str:
    """As the model was trained: it begins with a capital and ends with a mark."""
    text = " ".join(piece.split())
    return text[:1].upper() + text[1:] + ("." if text[-1:].isalnum() else "")


def _loaded(export: PocketExport, threads: int, provider: str) -> Any:
    import sherpa_onnx

    pocket = sherpa_onnx.OfflineTtsPocketModelConfig(**{name: str(path) for name, path in export.parts.items()})
    model = sherpa_onnx.OfflineTtsModelConfig(pocket=pocket, num_threads=threads, provider=provider)
    return sherpa_onnx.OfflineTts(sherpa_onnx.OfflineTtsConfig(model=model))


def _broken(path: Path, what: str) -> EngineUnavailableError:
    return EngineUnavailableError(f"pocket voices {path} cannot be loaded ({what})", MEND)
