"""Foundry Local's package, runtime and catalogue: how a model is found and downloaded, and what its errors mean.

In:  an alias.   Out: the SDK's model object, as long as the runtime lives.
Source: the signatures and docstrings of foundry-local-sdk 2.2.1. There is one runtime a process.
"""

import contextlib
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from processors.errors import EngineError, EngineUnavailableError, one_line

APP_NAME = "sotto"
# The English streaming model of the catalogue.
DEFAULT_ALIAS = "nemotron-speech-streaming-en-0.6b"
INSTALL_COMMAND = "uv sync --extra foundry"
PULL_COMMAND = "sotto models pull foundry"
MAX_ALIASES_NAMED = 8

_ENGLISH = re.compile(r"(^|[-.])en([-.]|$)")


def knows_english_only(model_alias: str) -> bool:
    """Whether the name says so, as that of the default does."""
    return bool(_ENGLISH.search(model_alias))


def download_model(model_alias: str, app_data_dir: Path | None, on_percent: Callable[[float], None]) -> None:
    """Download a model; only after the user agreed.

    Args:
        model_alias: Its name in Foundry Local's catalogue.
        app_data_dir: Where Foundry Local keeps models and logs; its own directory by default.
        on_percent: Called with 0 to 100 as it comes.

    Raises:
        EngineUnavailableError: The package is missing, the catalogue cannot be reached or lacks the alias, or the
            download failed.
    """
    with catalogue_model(model_alias, app_data_dir) as model, unavailable_on_error(f"{model_alias} was not downloaded"):
        model.download(on_percent)


@contextmanager
def catalogue_model(model_alias: str, app_data_dir: Path | None) -> Iterator[Any]:
    """The catalogue's model; the runtime ends with the block if it began here (there is one a process)."""
    sdk = _import_sdk()
    manager_class = sdk.FoundryLocalManager
    with contextlib.ExitStack() as ending:
        with unavailable_on_error("Foundry Local does not start"):
            manager = manager_class.instance
            if manager is None:
                manager_class.initialize(
                    sdk.Configuration(
                        APP_NAME,
                        app_data_dir=str(app_data_dir) if app_data_dir else None,
                        # Its console lines; everything stands in its log file.
                        log_level=sdk.LogLevel.FATAL,
                        disable_nonessential_telemetry=True,
                    )
                )
                manager = manager_class.instance
                ending.callback(manager.close)
            catalogue = manager.catalog
            model = catalogue.get_model(model_alias)
            known = [] if model is not None else catalogue.list_models()
        if model is None:
            raise _unknown_model(model_alias, known)
        yield model


def _unknown_model(model_alias: str, known: list[Any]) -> EngineUnavailableError:
    # An unreachable catalogue is no error to the SDK: its list is empty.
    if not known:
        return EngineUnavailableError(
            "Foundry Local's catalogue cannot be reached, and it keeps no copy of it",
            f"connect this machine to the internet and run `{PULL_COMMAND}`",
        )
    speech = {model.alias for model in known if "speech" in (model.info.task or "")}
    named = sorted(speech or {model.alias for model in known})[:MAX_ALIASES_NAMED]
    return EngineUnavailableError(
        f"Foundry Local's catalogue has no model {model_alias}", f"set stt.model to one of {', '.join(named)}"
    )


def _import_sdk() -> Any:
    try:
        import foundry_local_sdk  # pyright: ignore[reportMissingImports]
    except (ImportError, OSError) as error:
        missing = isinstance(error, ModuleNotFoundError) and error.name == "foundry_local_sdk"
        problem = "is not installed" if missing else f"cannot be loaded ({one_line(error)})"
        raise EngineUnavailableError(f"the foundry-local-sdk package {problem}", INSTALL_COMMAND) from error
    return foundry_local_sdk


def _sdk_failures() -> tuple[type[Exception], ...]:
    """What the SDK raises: its own error, RuntimeError once it is closed, and its library's loading errors."""
    return (_import_sdk().FoundryLocalException, RuntimeError, OSError, ImportError)


@contextmanager
def unavailable_on_error(what: str) -> Iterator[None]:
    """What the SDK raises within the block becomes an EngineUnavailableError that begins with `what`."""
    try:
        yield
    except _sdk_failures() as error:
        raise EngineUnavailableError(f"{what} ({one_line(error)})", "see its log, or use another stt.engine") from error


@contextmanager
def engine_errors() -> Iterator[None]:
    """What the SDK raises within the block becomes an EngineError of one line."""
    try:
        yield
    except _sdk_failures() as error:
        raise EngineError(f"foundry failed: {one_line(error)}") from error
