"""The recognizers that settings can choose, in order of preference, found on this machine without loading them."""

from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

from agent.engines.bundled_ears import INSTALL, MODEL, bundled_whisper, check_bundled_whisper
from agent.engines.candidates import Candidate
from agent.engines.compute import half_of_the_cores, placement
from agent.engines.moonshine import moonshine_candidates
from agent.engines.nemotron import nemotron_candidate
from agent.engines.remote_stt import foundry_candidate, openai_candidate
from agent.models.catalogue import CATALOGUE, is_installed, model_dir
from agent.settings.load import Settings
from processors.errors import EngineUnavailableError
from processors.stt.recognizer import RecognizerEngine

ENGLISH_ONLY = ("moonshine", "pocketsphinx")
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


def stt_candidates(settings: Settings) -> list[Candidate[RecognizerEngine]]:
    """Recognizers, the best first; those that are only taken when they are named come when they are."""
    candidates = [nemotron_candidate(settings), *_whispers(settings)]
    if settings.stt.engine != "whisper" or settings.stt.model in (None, MODEL):
        candidates.append(_bundled_whisper(settings))
    # Moonshine base made as few errors as tiny.en where both were measured, and took three to four times its work.
    candidates += moonshine_candidates(settings)
    candidates.append(_pocketsphinx(settings))
    if settings.stt.base_url or settings.stt.engine == "openai":
        candidates.insert(0, openai_candidate(settings))
    if settings.stt.engine == "foundry":
        candidates.append(foundry_candidate(settings))
    return [_for_interpreter(candidate, settings) for candidate in candidates]


def _for_interpreter(candidate: Candidate[RecognizerEngine], settings: Settings) -> Candidate[RecognizerEngine]:
    """Not usable where it hears nothing but the language that is to come out: all would be passed over in silence."""
    into, pair = settings.interpreter.into, settings.interpreter.pair
    if not settings.interpreter.is_on or not candidate.usable:
        return candidate
    hears_english_only = candidate.engine in ENGLISH_ONLY or (candidate.model or "").endswith(".en")
    if pair:
        return _for_pair(candidate, settings, pair, hears_english_only)
    if settings.stt.language == into:
        reason = f"stt.language = {into} is the language that interpreter.into asks for"
        return replace(candidate, reason=reason, mend="--set stt.language=auto")
    if into == "en" and hears_english_only:
        reason = "it knows English only, and interpreter.into = en asks for other languages"
        return replace(candidate, reason=reason, mend="sotto models pull base")
    return candidate


def _for_pair(
    candidate: Candidate[RecognizerEngine], settings: Settings, pair: tuple[str, str], hears_english_only: bool
) -> Candidate[RecognizerEngine]:
    """Not usable where it cannot hear both languages."""
    named = f"interpreter.languages = {','.join(pair)}"
    if hears_english_only:
        return replace(candidate, reason=f"it knows English only, and {named}", mend="sotto models pull base")
    if settings.stt.language != "auto":
        reason = f"stt.language = {settings.stt.language} is one language, and {named}"
        return replace(candidate, reason=reason, mend="--set stt.language=auto")
    if settings.stt.task == "translate" and (candidate.engine != "whisper" or "en" not in pair):
        reason = f"stt.task = translate gives English without the language that was spoken, and {named}"
        return replace(candidate, reason=reason, mend="--set stt.task=transcribe")
    return candidate


def _whispers(settings: Settings) -> list[Candidate[RecognizerEngine]]:
    """Whisper models on disk, the best first; where there is none, one that says so."""
    wanted = settings.stt.model
    if wanted and (Path(wanted) / "model.bin").is_file():
        return [_whisper(settings, Path(wanted), None)]
    on_disk = {
        model.name: model_dir(settings.models_dir, model)
        for model in CATALOGUE
        if model.engine == "whisper" and is_installed(settings.models_dir, model)
    }
    paths = [on_disk[name] for name in ((wanted,) if wanted else WHISPER_PREFERENCE) if name in on_disk]
    if paths:
        return [_whisper(settings, path, None) for path in paths]
    missing = f"model {wanted} is neither installed nor a directory with a model.bin"
    return [_whisper(settings, None, missing if wanted else "no model is installed")]


def _whisper(settings: Settings, path: Path | None, reason: str | None) -> Candidate[RecognizerEngine]:
    stt = settings.stt
    english = stt.language in ("en", "auto") and stt.task == "transcribe"
    mend = f"sotto models pull {stt.model or ('base.en' if english else 'base')}"

    def load() -> RecognizerEngine:
        if path is None:
            raise EngineUnavailableError(reason or "no model", mend)
        return _load_whisper(settings, path, path.name)

    return Candidate("whisper", path.name if path else stt.model, load, reason, "" if path else mend)


def _bundled_whisper(settings: Settings) -> Candidate[RecognizerEngine]:
    """Whisper tiny.en of the dependency group `ears`; its files are checked when it is loaded."""
    path, reason = bundled_whisper()
    mend = "" if path else INSTALL
    if path and settings.stt.language not in ("en", "auto"):
        reason = f"the bundled {MODEL} knows English only, not stt.language = {settings.stt.language}"
        mend = "sotto models pull base"
    elif path and settings.stt.task == "translate":
        reason, mend = f"the bundled {MODEL} does not translate", "sotto models pull base"

    def load() -> RecognizerEngine:
        if path is None:
            raise EngineUnavailableError(reason or "no model", mend)
        check_bundled_whisper(path)
        return _load_whisper(settings, path, MODEL)

    return Candidate("whisper", MODEL, load, reason, mend)


def _load_whisper(settings: Settings, path: Path, name: str) -> RecognizerEngine:
    from processors.stt.hallucination import Guards
    from processors.stt.whisper import WhisperEngine
    from processors.stt.whisper_model import WhisperOptions

    stt = settings.stt
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
        placement(settings.compute.device).whisper,
    )
    return WhisperEngine(path, options, name=name)


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
    elif settings.stt.task == "translate":
        reason, mend = "it does not translate (stt.task = translate)", "sotto models pull base"
    return Candidate("pocketsphinx", "en-us", load, reason, mend, last_resort=True)
