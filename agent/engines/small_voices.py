"""Which voices of Kitten and Pocket are on disk, and whether they can be used now.

In:  settings.   Out: candidates for text-to-speech; nothing is loaded.
"""

from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

from agent.engines.candidates import Candidate
from agent.engines.compute import half_of_the_cores, placement
from agent.models.catalogue import installed, model_dir
from agent.settings.load import Settings
from processors.errors import EngineUnavailableError
from processors.tts import kitten as kitten_files
from processors.tts import pocket as pocket_files
from processors.tts.synthesizer import Synthesizer

_POCKET_FOLDER = "pocket"


def kitten(settings: Settings) -> Candidate[Synthesizer]:
    """Kitten: a folder that `tts.model` names, or what is installed."""
    named = _named(settings)
    models = [model for model in installed(settings.models_dir, "tts") if model.engine == "kitten"]
    found = [model_dir(settings.models_dir, model) for model in models]
    paths = [named] if named else [path for path in found if settings.tts.model in (None, "", path.name)]
    path = next((path for path in paths if kitten_files.export_files(path)), None)

    def load() -> Synthesizer:
        if path is None:
            raise EngineUnavailableError("no voice is installed", kitten_files.MEND)
        return kitten_files.KittenSynthesizer(
            path,
            voice=settings.tts.voice,
            speed=settings.tts.speed,
            threads=half_of_the_cores(),
            provider=placement(settings.compute.device).sherpa,
        )

    return _candidate(settings, "kitten", path, load, kitten_files.MEND)


def pocket(settings: Settings) -> Candidate[Synthesizer]:
    """Pocket: a folder that `tts.model` names, or `tts/pocket` of the models directory."""
    wanted = _named(settings) or settings.models_dir / "tts" / _POCKET_FOLDER
    is_meant = _named(settings) is not None or settings.tts.model in (None, "", _POCKET_FOLDER)
    path = wanted if is_meant and pocket_files.export_files(wanted) else None

    def load() -> Synthesizer:
        if path is None:
            raise EngineUnavailableError("no voice is installed", pocket_files.MEND)
        return pocket_files.PocketSynthesizer(
            path,
            voice=settings.tts.voice,
            threads=half_of_the_cores(),
            provider=placement(settings.compute.device).sherpa,
        )

    return _candidate(settings, "pocket", path, load, pocket_files.MEND)


def _named(settings: Settings) -> Path | None:
    return Path(settings.tts.model) if settings.tts.model and Path(settings.tts.model).is_dir() else None


def _candidate(
    settings: Settings, engine: str, path: Path | None, load: Callable[[], Synthesizer], mend: str
) -> Candidate[Synthesizer]:
    reason = None if path else "no voice is installed"
    if find_spec("sherpa_onnx") is None:
        reason, mend = "the sherpa-onnx package is not installed", "uv sync"
    elif settings.tts.language.partition("-")[0] != "en":
        reason, mend = f"it speaks English only, not tts.language = {settings.tts.language}", "sotto models list"
    weights = path.name if path else ""
    return Candidate(engine, settings.tts.voice, load, reason, "" if reason is None else mend, weights=weights)
