"""Which Moonshine models are on disk, and whether they can be used now.

In:  settings.   Out: candidates for speech-to-text; nothing is loaded.
"""

from importlib.util import find_spec
from pathlib import Path

from agent.engines.candidates import Candidate
from agent.engines.compute import half_of_the_cores, placement
from agent.models.catalogue import CATALOGUE, installed, model_dir
from agent.settings.load import Settings
from processors.errors import EngineUnavailableError
from processors.stt.moonshine_export import export_files
from processors.stt.recognizer import RecognizerEngine

ENGINE = "moonshine"
_PULL = "sotto models pull moonshine-base"


def moonshine_candidates(settings: Settings) -> list[Candidate[RecognizerEngine]]:
    """The models on disk, the best first; where there is none, one that says so."""
    stt = settings.stt
    if stt.model and export_files(Path(stt.model)) is not None:
        paths = [Path(stt.model)]
    else:
        found = [model for model in installed(settings.models_dir, "stt") if model.engine == ENGINE]
        paths = [model_dir(settings.models_dir, model) for model in found if stt.model in (None, model.name)]
    return [_candidate(settings, path) for path in paths] or [_candidate(settings, None)]


def _candidate(settings: Settings, path: Path | None) -> Candidate[RecognizerEngine]:
    stt = settings.stt
    reason, mend = _objection(settings, path)

    def load() -> RecognizerEngine:
        from processors.stt.hallucination import Guards
        from processors.stt.moonshine import MoonshineEngine

        if path is None:
            raise EngineUnavailableError(reason or "no model is installed", mend)
        return MoonshineEngine(
            path,
            language=stt.language,
            partial_interval_secs=stt.partial_interval_secs,
            guards=Guards(phantom_level_dbfs=stt.phantom_level_dbfs),
            threads=half_of_the_cores(stt.threads),
            provider=placement(settings.compute.device).sherpa,
        )

    return Candidate(ENGINE, path.name if path else stt.model, load, reason, mend)


def _objection(settings: Settings, path: Path | None) -> tuple[str | None, str]:
    stt = settings.stt
    if find_spec("sherpa_onnx") is None:
        return "the sherpa-onnx package is not installed", "uv sync"
    if stt.task == "translate":
        return "it does not translate (stt.task = translate)", "sotto models pull base"
    if stt.language not in ("en", "auto"):
        return f"it knows English only, not stt.language = {stt.language}", "sotto models pull base"
    if path is not None:
        return None, ""
    if stt.model is None:
        return "no model is installed", _PULL
    if any(model.name == stt.model and model.engine == ENGINE for model in CATALOGUE):
        return f"model {stt.model} is not installed", f"sotto models pull {stt.model}"
    return f"stt.model = {stt.model} is neither a moonshine model nor a directory with one", "sotto models list"
