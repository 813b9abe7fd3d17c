"""The synthesizers that settings can choose, in order of preference, found on this machine without loading them."""

from importlib.util import find_spec
from pathlib import Path

from agent.engines.candidates import Candidate
from agent.engines.compute import half_of_the_cores, placement
from agent.models.catalogue import CATALOGUE, is_installed, model_dir
from agent.settings.load import Settings
from processors.errors import EngineUnavailableError
from processors.stt.languages import voice_language
from processors.tts.synthesizer import Synthesizer


def tts_candidates(settings: Settings) -> list[Candidate[Synthesizer]]:
    """Synthesizers, the best first."""
    return [_kokoro(settings), _espeak(settings)]


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


def _kokoro(settings: Settings) -> Candidate[Synthesizer]:
    tts = settings.tts
    files = _kokoro_files(settings)

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
    return Candidate("kokoro", tts.voice, load, reason, "" if files else "sotto models pull kokoro")


def _kokoro_files(settings: Settings) -> tuple[Path, Path] | None:
    """The model file and the voices file."""
    if settings.tts.model and Path(settings.tts.model).is_dir():
        directory = Path(settings.tts.model)
    else:
        names = [settings.tts.model] if settings.tts.model else ["kokoro", "kokoro-int8"]
        known = [model for model in CATALOGUE if model.stage == "tts" and model.name in names]
        installed = [model for model in known if is_installed(settings.models_dir, model)]
        if not installed:
            return None
        directory = model_dir(settings.models_dir, min(installed, key=lambda model: names.index(model.name)))
    models, voices = sorted(directory.glob("*.onnx")), sorted(directory.glob("*.bin"))
    return (models[0], voices[0]) if models and voices else None


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
