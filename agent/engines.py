"""The speech engines that settings can choose, in order of preference, found on this machine without loading them."""

import os
from importlib.util import find_spec
from pathlib import Path

from agent.candidates import Candidate
from agent.catalogue import CATALOGUE, is_installed, model_dir
from agent.settings import Settings
from processors.errors import EngineUnavailableError
from processors.stt.recognizer import RecognizerEngine
from processors.tts.synthesizer import Synthesizer

# The best first: what a machine without a GPU can still decode in time.
WHISPER_PREFERENCE = (
    "small.en",
    "base.en",
    "small",
    "base",
    "large-v3-turbo",
    "distil-large-v3",
    "medium.en",
    "tiny.en",
    "tiny",
    "large-v3",
)


def half_of_the_cores(threads: int = 0) -> int:
    """The number of threads asked for; 0 stands for half of the cores, so that the event loop keeps one."""
    return threads or max(1, (os.cpu_count() or 2) // 2)


def stt_candidates(settings: Settings) -> list[Candidate[RecognizerEngine]]:
    """Recognizers, the best first."""
    return [_whisper(settings), _pocketsphinx(settings)]


def tts_candidates(settings: Settings) -> list[Candidate[Synthesizer]]:
    """Synthesizers, the best first."""
    return [_kokoro(settings), _espeak(settings)]


def _whisper(settings: Settings) -> Candidate[RecognizerEngine]:
    stt = settings.stt
    path, reason = _whisper_path(settings)
    mend = f"sotto models pull {stt.model or 'base.en'}"

    def load() -> RecognizerEngine:
        from processors.stt.hallucination import Guards
        from processors.stt.whisper import WhisperEngine, WhisperOptions

        if path is None:
            raise EngineUnavailableError(reason or "no model", mend)
        guards = Guards(
            stt.no_speech_threshold,
            stt.log_probability_threshold,
            stt.compression_ratio_threshold,
            stt.phantom_level_dbfs,
        )
        options = WhisperOptions(
            stt.language,
            stt.task,
            stt.prompt,
            tuple(stt.hotwords),
            stt.partial_interval_secs,
            guards,
            half_of_the_cores(stt.threads),
        )
        return WhisperEngine(path, options)

    return Candidate("whisper", path.name if path else stt.model, load, reason, "" if path else mend)


def _whisper_path(settings: Settings) -> tuple[Path | None, str | None]:
    wanted = settings.stt.model
    if wanted and (Path(wanted) / "model.bin").is_file():
        return Path(wanted), None
    names = (wanted,) if wanted else WHISPER_PREFERENCE
    for name in names:
        model = next((model for model in CATALOGUE if model.name == name and model.engine == "whisper"), None)
        if model and is_installed(settings.models_dir, model):
            return model_dir(settings.models_dir, model), None
    if wanted:
        return None, f"model {wanted} is neither installed nor a directory with a model.bin"
    return None, "no model is installed"


def _pocketsphinx(settings: Settings) -> Candidate[RecognizerEngine]:
    def load() -> RecognizerEngine:
        from processors.stt.pocketsphinx import PocketSphinxEngine

        return PocketSphinxEngine()

    reason, mend = None, ""
    if find_spec("pocketsphinx") is None:
        reason, mend = "the pocketsphinx package is not installed", "uv sync"
    elif settings.stt.language not in ("en", "auto"):
        reason = f"it knows English only, not stt.language = {settings.stt.language}"
        mend = "sotto models pull base"
    return Candidate("pocketsphinx", "en-us", load, reason, mend)


def _kokoro(settings: Settings) -> Candidate[Synthesizer]:
    tts = settings.tts
    files = _kokoro_files(settings)

    def load() -> Synthesizer:
        from processors.tts.kokoro import DEFAULT_VOICE, KokoroSynthesizer

        if files is None:
            raise EngineUnavailableError("no model is installed", "sotto models pull kokoro")
        return KokoroSynthesizer(
            *files,
            voice=tts.voice or DEFAULT_VOICE,
            language=tts.language,
            speed=tts.speed,
            threads=half_of_the_cores(),
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

        return EspeakSynthesizer(voice=tts.voice or tts.language, speed=tts.speed)

    if find_spec("espeakng_loader") is None:
        return Candidate("espeak", None, load, "the espeakng-loader package is not installed", "uv sync")
    return Candidate("espeak", tts.voice or tts.language, load)
