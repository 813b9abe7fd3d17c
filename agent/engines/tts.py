"""The synthesizers that settings can choose, in order of preference, found on this machine without loading them."""

from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

from agent.engines.candidates import Candidate
from agent.engines.compute import half_of_the_cores, placement
from agent.engines.remote_tts import openai_voice
from agent.engines.small_voices import kitten, pocket
from agent.models.catalogue import CATALOGUE, installed, is_installed, model_dir
from agent.settings.load import Settings
from agent.settings.sections import TtsSettings
from processors.errors import EngineUnavailableError
from processors.stt.languages import language_code, voice_language
from processors.tts.synthesizer import Synthesizer

# The best first.
KOKORO_PREFERENCE = ("kokoro", "kokoro-int8-timed", "kokoro-int8")
_PULL_PIPER = "sotto models pull piper-joe"


def tts_candidates(settings: Settings) -> list[Candidate[Synthesizer]]:
    """Synthesizers, the best first; a server where one is named."""
    found: list[Candidate[Synthesizer]] = []
    local = settings
    if settings.tts.base_url or settings.tts.engine == "openai":
        found.append(openai_voice(settings))
        # Model and voice are the server's; who stands in for it speaks with his own.
        local = settings.model_copy(update={"tts": settings.tts.model_copy(update={"model": None, "voice": None})})
    found += [*_kokoros(local), pocket(local), _piper(local), kitten(local), _espeak(local)]
    return [_for_interpreter(candidate, settings) for candidate in found] if settings.interpreter.pair else found


def in_language(synthesizer: Synthesizer, wanted: TtsSettings, language: str) -> Synthesizer:
    """The same loaded model in the voice of a language: the one that settings name where it speaks that.

    Args:
        synthesizer: Loaded, in the voice of the settings.
        wanted: Says how it is to speak.
        language: ISO 639-1 code.

    Raises:
        EngineUnavailableError: It has no voice of that language.
    """
    named = [voice.language for voice in synthesizer.voices() if voice.name == wanted.voice]
    if language_code(named[0] if named else wanted.language) == language:
        return synthesizer
    known = known_voice_language(synthesizer, language)
    return synthesizer.in_voice(None, language=known, speed=wanted.speed)


def check_pair(synthesizer: Synthesizer, settings: Settings) -> None:
    """See that an interpreter of two ways has a voice for each.

    Raises:
        EngineUnavailableError: It has none for one of them; the line says which, and what mends it.
    """
    for language in settings.interpreter.pair or ():
        try:
            in_language(synthesizer, settings.tts, language)
        except EngineUnavailableError as error:
            piper = [model.name for model in CATALOGUE if model.engine == "piper" and model.language == language]
            mend = f"sotto models pull {piper[0]}" if piper and synthesizer.name == "piper" else "--tts espeak"
            pair = ",".join(settings.interpreter.pair or ())
            reason = f"no voice of it speaks {language}, which interpreter.languages = {pair} asks for"
            raise EngineUnavailableError(reason, mend) from error


def _for_interpreter(candidate: Candidate[Synthesizer], settings: Settings) -> Candidate[Synthesizer]:
    """Not usable without a voice of each language; only the loaded engine knows."""

    def load() -> Synthesizer:
        loaded = candidate.load()
        try:
            check_pair(loaded, settings)
        except BaseException:
            loaded.close()
            raise
        return loaded

    return replace(candidate, load=load)


def known_voice_language(synthesizer: Synthesizer, wanted: str) -> str:
    """What an engine calls the language that is wanted.

    Raises:
        EngineUnavailableError: It has no voice of that language.
    """
    known = {voice.language for voice in synthesizer.voices()}
    if (language := voice_language(wanted, known)) is None:
        shown = ", ".join(sorted(known)[:12])
        raise EngineUnavailableError(f"no voice speaks tts.language = {wanted!r}", f"choose one such as {shown}")
    return language


def _kokoros(settings: Settings) -> list[Candidate[Synthesizer]]:
    """Kokoro's weights on disk, the best first; where there are none, one that says so."""
    wanted = settings.tts.model
    if wanted and Path(wanted).is_dir():
        directories = [Path(wanted)]
    else:
        known = {model.name: model for model in CATALOGUE if model.engine == "kokoro"}
        models = [known[name] for name in ((wanted,) if wanted else KOKORO_PREFERENCE) if name in known]
        directories = [model_dir(settings.models_dir, one) for one in models if is_installed(settings.models_dir, one)]
    found = [(path.name, files) for path in directories if (files := _kokoro_files(path))]
    return [_kokoro(settings, *one) for one in found] or [_kokoro(settings, "", None)]


def _kokoro(settings: Settings, weights: str, files: tuple[Path, Path] | None) -> Candidate[Synthesizer]:
    tts = settings.tts

    def load() -> Synthesizer:
        from processors.tts.kokoro import DEFAULT_VOICE, LANGUAGES, KokoroSynthesizer

        if files is None:
            raise EngineUnavailableError("no model is installed", "sotto models pull kokoro")
        return KokoroSynthesizer(
            *files,
            voice=tts.voice or DEFAULT_VOICE,
            language=voice_language(tts.language, LANGUAGES.values()) or tts.language,
            speed=tts.speed,
            threads=half_of_the_cores(),
            providers=placement(settings.compute.device).onnx,
        )

    reason = None if files else "no model is installed"
    mend = "" if files else "sotto models pull kokoro"
    return Candidate("kokoro", tts.voice, load, reason, mend, weights=weights)


def _kokoro_files(directory: Path) -> tuple[Path, Path] | None:
    """The model file and the voices file."""
    models, voices = sorted(directory.glob("*.onnx")), sorted(directory.glob("*.bin"))
    return (models[0], voices[0]) if models and voices else None


def _piper(settings: Settings) -> Candidate[Synthesizer]:
    tts = settings.tts
    voices = _piper_voices(settings)

    def load() -> Synthesizer:
        from processors.tts.piper import PiperSynthesizer

        return PiperSynthesizer(
            voices,
            voice=tts.voice,
            language=tts.language,
            speed=tts.speed,
            threads=half_of_the_cores(),
            providers=placement(settings.compute.device).onnx,
        )

    reason = None if voices else "no voice is installed"
    model = tts.voice or next(iter(voices), None)
    # Where one folder is named, its voices are all that there are.
    alone = Path(tts.model).name if tts.model else ""
    return Candidate("piper", model, load, reason, "" if voices else _PULL_PIPER, weights=alone)


def _piper_voices(settings: Settings) -> dict[str, Path]:
    """The ONNX file of each installed voice, by name; the one that `tts.model` names stands alone."""
    wanted = settings.tts.model
    if wanted and Path(wanted).is_dir():
        directories = {Path(wanted).resolve().name: Path(wanted)}
    else:
        models = [model for model in installed(settings.models_dir, "tts") if model.engine == "piper"]
        directories = {model.name: model_dir(settings.models_dir, model) for model in models}
        directories = {name: path for name, path in directories.items() if wanted in (None, "", name)}
    found = {name: sorted(path.glob("*.onnx")) for name, path in directories.items()}
    # Kokoro's files have no configuration beside them.
    return {name: paths[0] for name, paths in found.items() if paths and Path(f"{paths[0]}.json").is_file()}


def _espeak(settings: Settings) -> Candidate[Synthesizer]:
    tts = settings.tts

    def load() -> Synthesizer:
        from processors.tts.espeak import EspeakSynthesizer

        if tts.voice:
            return EspeakSynthesizer(voice=tts.voice, speed=tts.speed)
        plain = EspeakSynthesizer(speed=tts.speed)
        language = known_voice_language(plain, tts.language)
        return plain if language == plain.model else EspeakSynthesizer(voice=language, speed=tts.speed)

    if find_spec("espeakng_loader") is None:
        return Candidate("espeak", None, load, "the espeakng-loader package is not installed", "uv sync")
    return Candidate("espeak", tts.voice or tts.language, load)
