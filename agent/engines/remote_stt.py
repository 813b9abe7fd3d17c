"""The recognizers that listen outside this process: an OpenAI-compatible server, and Foundry Local's runtime.

Neither is taken by `auto` without being set up: the first needs an address, the second must be named.
"""

from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import urlsplit

from agent.engines.addresses import group_of, looked_at
from agent.engines.candidates import Candidate
from agent.settings.load import Settings
from processors.address import addresses_in
from processors.errors import EngineUnavailableError
from processors.foundry_runtime import INSTALL_COMMAND
from processors.shown_url import shown_url
from processors.stt.foundry_catalogue import DEFAULT_ALIAS, download_model, knows_english_only
from processors.stt.recognizer import RecognizerEngine

BASE_URL_EXAMPLE = "--set stt.base_url=http://127.0.0.1:8000/v1"


def openai_candidate(settings: Settings) -> Candidate[RecognizerEngine]:
    """The server that `stt.base_url` names; whether it answers shows when it is loaded."""
    stt = settings.stt
    base_url = stt.base_url or ""

    def load() -> RecognizerEngine:
        from processors.stt.openai_compatible import OpenAIRecognizerEngine

        if problem := url_problem("stt", base_url):
            raise EngineUnavailableError(problem, BASE_URL_EXAMPLE)
        group = group_of("stt", stt, settings)
        return OpenAIRecognizerEngine(
            base_url,
            api_key=stt.api_key.get_secret_value() if stt.api_key and not group else None,
            addresses=group and looked_at(group),
            model=stt.model,
            language=stt.language,
            task=stt.task,
            prompt=stt.prompt,
            timeout_secs=stt.timeout_secs,
        )

    problem = url_problem("stt", base_url)
    return Candidate(
        "openai", stt.model, load, problem, BASE_URL_EXAMPLE if problem else "", measurable=False, named=bool(base_url)
    )


def foundry_candidate(settings: Settings) -> Candidate[RecognizerEngine]:
    """Foundry Local; whether its model is downloaded shows when it is loaded."""
    stt = settings.stt
    alias = stt.model or DEFAULT_ALIAS

    def load() -> RecognizerEngine:
        from processors.stt.foundry import FoundryEngine

        return FoundryEngine(alias, language=stt.language, app_data_dir=foundry_dir(settings))

    reason, mend = None, ""
    if find_spec("foundry_local_sdk") is None:
        reason, mend = "the foundry-local-sdk package is not installed", INSTALL_COMMAND
    elif stt.task == "translate":
        reason, mend = "it does not translate (stt.task = translate)", "sotto models pull base"
    elif stt.language not in ("en", "auto") and knows_english_only(alias):
        reason = f"{alias} knows English only, not stt.language = {stt.language}"
        mend = "set stt.model to a multilingual alias of Foundry Local's catalogue"
    return Candidate("foundry", alias, load, reason, mend, measurable=False)


def foundry_dir(settings: Settings) -> Path:
    """Where Foundry Local keeps its models."""
    return settings.models_dir.expanduser().absolute() / "foundry"


def pull_foundry_model(settings: Settings, on_percent: Callable[[float], None]) -> str:
    """Download the model that `foundry` would use; the user has agreed.

    Args:
        settings: `stt.model` names another alias than the default.
        on_percent: Called with 0 to 100 as it comes.

    Returns:
        The alias.

    Raises:
        EngineUnavailableError: The package is missing, the catalogue cannot be reached or lacks the alias, or the
            download failed.
    """
    alias = settings.stt.model or DEFAULT_ALIAS
    download_model(alias, foundry_dir(settings), on_percent)
    return alias


def url_problem(section: str, base_url: str) -> str | None:
    """Why a server cannot be asked there; None where nothing speaks against it.

    Args:
        section: Of the settings, whose `base_url` it is.
        base_url: As it was set; empty where it was not.
    """
    if not base_url:
        return f"no {section}.base_url is set"
    wrong = [one for one in addresses_in(base_url) if not _is_url(one)]
    return f"{section}.base_url is no URL: {shown_url(wrong[0])}" if wrong else None


def _is_url(text: str) -> bool:
    try:
        parts = urlsplit(text)
        # Reading the port raises where it is no number.
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False
