"""Which Nemotron model the settings mean, and whether it can be used now.

In:  settings.   Out: a candidate for speech-to-text; nothing is loaded.
"""

import re
from importlib.util import find_spec
from pathlib import Path

from agent.engines.candidates import Candidate
from agent.engines.compute import half_of_the_cores, placement
from agent.models.catalogue import CATALOGUE, Model, is_installed, model_dir
from agent.settings.load import Settings
from agent.settings.sections import SttSettings
from processors.errors import EngineUnavailableError
from processors.stt.nemotron_export import export_files
from processors.stt.recognizer import RecognizerEngine

ENGINE = "nemotron"
ENGLISH = "en"
# 560 ms is safe on a CPU; after it the quicker ones, as long as they hear well.
CHUNK_PREFERENCE_MS = (560, 160, 320, 1120, 80)

_CHUNK = re.compile(r"-(\d+)ms$")


def nemotron_candidate(settings: Settings) -> Candidate[RecognizerEngine]:
    """The streaming recognizer, with the directory that `stt.model` names or the best model that is installed."""
    stt = settings.stt
    path, reason, mend = _found(settings)

    def load() -> RecognizerEngine:
        from processors.stt.nemotron import NemotronEngine

        if path is None:
            raise EngineUnavailableError(reason, mend)
        threads = half_of_the_cores(stt.threads)
        provider = placement(settings.compute.device).sherpa
        return NemotronEngine(path, language=stt.language, threads=threads, hotwords=stt.hotwords, provider=provider)

    if path is None:
        return Candidate(ENGINE, stt.model, load, reason, mend)
    return Candidate(ENGINE, path.name, load)


def _found(settings: Settings) -> tuple[Path | None, str, str]:
    """The model's directory; or None, the reason, and what mends it."""
    stt = settings.stt
    if find_spec("sherpa_onnx") is None:
        return None, "the sherpa-onnx package is not installed", "uv sync"
    if stt.task == "translate":
        return None, "it does not translate (stt.task = translate)", "sotto models pull base"
    if stt.model is not None:
        return _named(settings.models_dir, stt.model)
    fitting = _fitting(stt)
    for model in fitting:
        if is_installed(settings.models_dir, model):
            return model_dir(settings.models_dir, model), "", ""
    wish = f" for stt.language = {stt.language}" + (f" and stt.chunk_ms = {stt.chunk_ms}" if stt.chunk_ms else "")
    if not fitting:
        return None, f"there is no model{wish}", "set another stt.chunk_ms (sotto models list)"
    return None, f"no model{wish} is installed", f"sotto models pull {fitting[0].name}"


def _named(models_dir: Path, wanted: str) -> tuple[Path | None, str, str]:
    if export_files(Path(wanted)) is not None:
        return Path(wanted), "", ""
    named = next((model for model in CATALOGUE if model.name == wanted and model.stage == "stt"), None)
    pull = f"sotto models pull {wanted}"
    if named is None:
        lacks = "neither a known model nor a directory with encoder*.onnx, decoder*.onnx, joiner*.onnx and tokens.txt"
        return None, f"stt.model = {wanted} is {lacks}", "sotto models list"
    if named.engine != ENGINE:
        return (
            None,
            f"stt.model = {wanted} is a model of {named.engine}",
            "leave stt.model unset or name one of nemotron",
        )
    if not is_installed(models_dir, named):
        return None, f"model {wanted} is not installed", pull
    return model_dir(models_dir, named), "", ""


def _fitting(stt: SttSettings) -> list[Model]:
    """The known models of the language and the chunk that are asked for, the best first."""
    return sorted(
        (
            model
            for model in CATALOGUE
            if model.engine == ENGINE
            and (model.language != ENGLISH or stt.language in (ENGLISH, "auto"))
            and stt.chunk_ms in (None, _chunk_ms(model))
        ),
        key=lambda model: (
            # An English model hears English better; it cannot find out what else is spoken.
            (model.language == ENGLISH) != (stt.language == ENGLISH),
            CHUNK_PREFERENCE_MS.index(_chunk_ms(model)),
        ),
    )


def _chunk_ms(model: Model) -> int:
    """What the name says, as in `nemotron-en-560ms`."""
    match = _CHUNK.search(model.name)
    if match is None:
        raise ValueError(f"{model.name}: the name of a nemotron model ends with its chunk, such as -560ms")
    return int(match[1])
