"""Foundry Local's package, runtime and catalogue, for its speech models and its chat models.

In:  an alias.   Out: the SDK's model object, as long as the runtime is used.
Source: the signatures and docstrings of foundry-local-sdk 2.2.1. There is one runtime a process: it begins with its
first user here and ends with its last, and one that somebody else has begun is theirs to end. Its server was
seen to bind a free port, to list models at /v1/models and to refuse an unknown one at /v1/chat/completions.

Privacy: the runtime asks Microsoft's catalogue at each start and reports its process even with telemetry off, as its
own log says ("ProcessInfo still uploads"). Licence: MIT; each model has its own.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from processors.errors import EngineUnavailableError, one_line

APP_NAME = "sotto"
INSTALL_COMMAND = "uv sync --extra foundry"
MAX_ALIASES_NAMED = 8
PRIVACY_NOTE = (
    "Foundry Local contacts Microsoft at every start, for its catalogue and with a report on its process "
    "that no setting turns off"
)
# Any free port of this machine alone, once its server is asked for.
WEB_ADDRESS = "http://127.0.0.1:0"

_lock = threading.Lock()
# How many use a runtime that began here.
_users: dict[int, int] = {}


@dataclass(frozen=True)
class Kind:
    """A kind of models.

    Attributes:
        stage: Whose settings name it: stt or llm.
        task: A part of what the catalogue calls its task.
        pull_command: Downloads the one that is set.
    """

    stage: str
    task: str
    pull_command: str


@contextmanager
def runtime(app_data_dir: Path | None) -> Iterator[Any]:
    """The process's runtime.

    Args:
        app_data_dir: Where it keeps models and logs; its own directory by default. The first user's counts.

    Raises:
        EngineUnavailableError: The package is missing, or the runtime does not start.
    """
    sdk = import_sdk()
    with _lock, _starting():
        manager = sdk.FoundryLocalManager.instance
        if manager is None:
            sdk.FoundryLocalManager.initialize(
                sdk.Configuration(
                    APP_NAME,
                    app_data_dir=str(app_data_dir) if app_data_dir else None,
                    # Its console lines; everything stands in its log file.
                    log_level=sdk.LogLevel.FATAL,
                    web=sdk.Configuration.WebService(urls=WEB_ADDRESS),
                    disable_nonessential_telemetry=True,
                )
            )
            manager = sdk.FoundryLocalManager.instance
            _users[id(manager)] = 0
        is_ours = id(manager) in _users
        if is_ours:
            _users[id(manager)] += 1
    try:
        yield manager
    finally:
        if is_ours:
            _leave(manager)


def find_model(manager: Any, model_alias: str, kind: Kind) -> Any:
    """The catalogue's model.

    Args:
        manager: The runtime.
        model_alias: Its name in Foundry Local's catalogue.
        kind: What it is to be.

    Raises:
        EngineUnavailableError: The catalogue cannot be reached, or lacks it.
    """
    with _starting():
        model = manager.catalog.get_model(model_alias)
        known = [] if model is not None else manager.catalog.list_models()
    if model is None:
        raise _unknown_model(model_alias, known, kind)
    return model


def download(model_alias: str, app_data_dir: Path | None, on_percent: Callable[[float], None], kind: Kind) -> None:
    """Download a model; only after the user agreed.

    Args:
        model_alias: Its name in Foundry Local's catalogue.
        app_data_dir: Where Foundry Local keeps models and logs; its own directory by default.
        on_percent: Called with 0 to 100 as it comes.
        kind: What it is.

    Raises:
        EngineUnavailableError: The package is missing, the catalogue cannot be reached or lacks the alias, or the
            download failed.
    """
    with runtime(app_data_dir) as manager:
        model = find_model(manager, model_alias, kind)
        with sdk_errors(f"{model_alias} was not downloaded", kind):
            model.download(on_percent)


def load(model: Any, model_alias: str, kind: Kind) -> None:
    """Load a model of the catalogue that has been downloaded.

    Args:
        model: The SDK's.
        model_alias: Its name in the catalogue.
        kind: What it is.

    Raises:
        EngineUnavailableError: It is not downloaded, or does not load.
    """
    with sdk_errors(f"Foundry Local's model {model_alias} does not load", kind):
        if not model.is_cached:
            raise EngineUnavailableError(f"Foundry Local's model {model_alias} is not downloaded", kind.pull_command)
        model.load()


@contextmanager
def sdk_errors(what: str, kind: Kind) -> Iterator[None]:
    """What the SDK raises within the block becomes an EngineUnavailableError.

    Args:
        what: Its first words.
        kind: Of the model.
    """
    try:
        yield
    except sdk_failures() as error:
        mend = f"see its log, or use another {kind.stage}.engine"
        raise EngineUnavailableError(f"{what} ({one_line(error)})", mend) from error


def sdk_failures() -> tuple[type[Exception], ...]:
    """What the SDK raises: its own error, RuntimeError once it is closed, and its library's loading errors."""
    return (import_sdk().FoundryLocalException, RuntimeError, OSError, ImportError)


def import_sdk() -> Any:
    """The package.

    Raises:
        EngineUnavailableError: It is not installed, or cannot be loaded.
    """
    try:
        import foundry_local_sdk  # pyright: ignore[reportMissingImports]
    except (ImportError, OSError) as error:
        missing = isinstance(error, ModuleNotFoundError) and error.name == "foundry_local_sdk"
        problem = "is not installed" if missing else f"cannot be loaded ({one_line(error)})"
        raise EngineUnavailableError(f"the foundry-local-sdk package {problem}", INSTALL_COMMAND) from error
    return foundry_local_sdk


@contextmanager
def _starting() -> Iterator[None]:
    try:
        yield
    except sdk_failures() as error:
        mend = "see its log, or use another engine"
        raise EngineUnavailableError(f"Foundry Local does not start ({one_line(error)})", mend) from error


def _leave(manager: Any) -> None:
    with _lock:
        _users[id(manager)] -= 1
        if _users[id(manager)]:
            return
        del _users[id(manager)]
        manager.close()


def _unknown_model(model_alias: str, known: list[Any], kind: Kind) -> EngineUnavailableError:
    # An unreachable catalogue is no error to the SDK: its list is empty.
    if not known:
        return EngineUnavailableError(
            "Foundry Local's catalogue cannot be reached, and it keeps no copy of it",
            f"connect this machine to the internet and run `{kind.pull_command}`",
        )
    suiting = {model.alias for model in known if kind.task in (model.info.task or "")}
    named = sorted(suiting or {model.alias for model in known})[:MAX_ALIASES_NAMED]
    return EngineUnavailableError(
        f"Foundry Local's catalogue has no model {model_alias}", f"set {kind.stage}.model to one of {', '.join(named)}"
    )
