"""The models of the catalogue as whoever chooses one wants to see them: what for, how large, here or not, how fast.

In:  settings, the engines that serve.   Out: plain data for each model. Nothing is loaded, no network is asked.
"""

from collections.abc import Collection, Iterable, Mapping
from typing import Any

from agent.engines.candidates import Candidate, Choice
from agent.engines.estimated_speed import estimated_factor
from agent.engines.host import ModelHost
from agent.engines.known_speeds import KnownSpeeds, known_speeds
from agent.engines.speed import MAX_FACTOR, Speed, too_slow
from agent.errors import InputError
from agent.models.catalogue import CATALOGUE, Model, find, is_installed, model_dir
from agent.models.machine import this_machine
from agent.models.pull import leftovers, missing_files
from agent.models.purposes import purpose
from agent.models.recommended import ENGLISH, wishes
from agent.models.sources.file import size_on_disk
from agent.models.sources.source import Source
from agent.models.supply import comes_with_sotto, origins
from agent.settings.load import Settings

# How the settings name the weights of these: by their folder, since what they call a model is a voice.
_BY_FOLDER = ("kokoro", "kitten")


def serves(choice: Choice[Any], model: Model) -> bool:
    """Whether an engine that is loaded runs a model.

    Args:
        choice: The engine.
        model: Of the catalogue.
    """
    if (choice.stage, choice.engine) != (model.stage, model.engine):
        return choice.engine == model.engine == "embedded" and _is_file_of(choice.model, model)
    if model.engine in _BY_FOLDER:
        return choice.candidate is not None and choice.candidate.weights == model.name
    if model.engine == "piper":
        return choice.model.partition("/")[0] == model.name
    if model.engine == "embedded":
        return _is_file_of(choice.model, model)
    return choice.model == model.name


def users(hosts: Iterable[ModelHost], model: Model) -> bool:
    """Whether one of these has a model loaded as its own."""
    return any(serves(choice, model) for host in hosts for choice in _choices(host))


def speed_of(speeds: KnownSpeeds, model: Model) -> Speed | None:
    """What was measured of a model on this machine; None where nothing was."""
    name = {"embedded": model.files[0].name, **dict.fromkeys(_BY_FOLDER)}.get(model.engine, model.name)
    weights = model.name if model.engine in _BY_FOLDER else ""
    found = speeds.known(model.stage, Candidate(model.engine, name, _nothing, weights=weights))
    # One voice of several in a folder, or that folder alone.
    return found or speeds.known(model.stage, Candidate(model.engine, name, _nothing, weights=model.name))


def describe_models(
    settings: Settings, host: ModelHost, calls: Collection[ModelHost], among: Collection[Source]
) -> list[dict[str, Any]]:
    """Every model, in the order of the catalogue; blocks for some milliseconds.

    Args:
        settings: The server's.
        host: Its engines.
        calls: Those of the conversations that go on.
        among: Where files may come from.

    Returns:
        name, stage, engine, purpose, about, language, licence, size_bytes, origins, state (`here`, `bundled`, `partly`,
        `absent`), done_bytes, in_use, speed, recommended, and `choice`: the options by which a page asks for it.
    """
    speeds = known_speeds(settings)
    measured = _measured(host, speeds)
    recommended = recommended_names(settings)
    return [
        {
            **_facts(model),
            **_presence(settings, model),
            "origins": origins(max(model.files, key=lambda file: file.size_bytes), list(among)),
            "in_use": users([host, *calls], model),
            "speed": _speed(model, speed_of(speeds, model), measured),
            "recommended": model.name in recommended,
        }
        for model in CATALOGUE
    ]


def recommended_names(settings: Settings) -> list[str]:
    """What this machine runs well in the languages of the settings, ears and voice and what else fits."""
    found = wishes(this_machine(), settings.stt.language, settings.tts.language)
    return [wish.names[0] for wish in found]


def options_for(model: Model) -> dict[str, Any]:
    """The options of a conversation with a model, and in its language where it knows but one."""
    options = {f"{model.stage}.engine": model.engine, f"{model.stage}.model": model.name}
    if model.language == "multilingual":
        return options
    locale = model.files[0].name.partition("-")[0].replace("_", "-").lower() if model.engine == "piper" else "en-us"
    spoken = locale if model.language == ENGLISH else model.language
    return {**options, f"{model.stage}.language": spoken if model.stage == "tts" else model.language}


def asked_model(settings: Settings, stage: str, engine: str, name: str) -> Model:
    """The model that a conversation has asked for by its name.

    Raises:
        InputError: It is no model of that stage and engine, or not here.
    """
    model = find(name)
    if model.stage != stage or engine not in ("auto", model.engine):
        raise InputError(f"{stage}.model = {name} is a model of {model.engine}, and {stage}.engine = {engine}")
    if not is_installed(settings.models_dir, model):
        raise InputError(f"{stage}.model = {name} is not here: `sotto models pull {name}` fetches it")
    return model


def path_of(settings: Settings, model: Model) -> str:
    """Where a model lies, as the settings of its stage take it: a language model's file, else a folder."""
    path = model_dir(settings.models_dir, model)
    return str(path / model.files[0].name if model.stage == "llm" else path)


def _facts(model: Model) -> dict[str, Any]:
    return {
        "name": model.name,
        "stage": model.stage,
        "engine": model.engine,
        "purpose": purpose(model),
        "about": model.description,
        "language": model.language,
        "licence": model.licence,
        "size_bytes": model.size_bytes,
        "choice": options_for(model),
    }


def _presence(settings: Settings, model: Model) -> dict[str, Any]:
    directory = model_dir(settings.models_dir, model)
    if is_installed(settings.models_dir, model):
        return {"state": "here", "done_bytes": model.size_bytes}
    if comes_with_sotto(model):
        return {"state": "bundled", "done_bytes": model.size_bytes}
    missing = missing_files(model, directory)
    whole = sum(file.size_bytes for file in model.files if file not in missing)
    done_bytes = whole + sum(map(size_on_disk, leftovers(model, directory)))
    return {"state": "partly" if done_bytes else "absent", "done_bytes": min(done_bytes, model.size_bytes)}


def _speed(model: Model, speed: Speed | None, measured: Mapping[str, Speed]) -> dict[str, Any] | None:
    if speed:
        kind, factor, first_secs = "measured", speed.factor, speed.first_secs
    elif (estimated := estimated_factor(model, measured)) is not None:
        kind, factor, first_secs = "estimated", estimated, None
    else:
        return None
    keeps_up = not too_slow(model.stage, speed) if speed else factor <= MAX_FACTOR
    return {"kind": kind, "factor": factor, "first_secs": first_secs, "keeps_up": keeps_up}


def _measured(host: ModelHost, speeds: KnownSpeeds) -> dict[str, Speed]:
    """What is known of this machine, by names of the catalogue or of what comes with sotto; the ears first."""
    found = {model.name: speed for model in CATALOGUE if (speed := speed_of(speeds, model))}
    serving = [choice for choice in _choices(host) if choice.speed]
    named = {"pocketsphinx" if one.engine == "pocketsphinx" else one.model: one.speed for one in serving}
    return found | {name: speed for name, speed in named.items() if speed}


def _choices(host: ModelHost) -> list[Choice[Any]]:
    return [choice for choice in (host.stt, host.llm, host.large, host.tts) if choice]


def _is_file_of(name: str, model: Model) -> bool:
    return bool(name) and model.files[0].name.startswith(name)


def _nothing() -> None:
    """In place of what loads a candidate: none is loaded here."""
