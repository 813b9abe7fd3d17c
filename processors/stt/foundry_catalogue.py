"""Foundry Local's speech models: how one is found and downloaded, and what its errors mean.

In:  an alias.   Out: the SDK's model object, as long as the runtime is used.
"""

import re
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

from processors.errors import EngineError, one_line
from processors.foundry_runtime import Kind, download, find_model, runtime, sdk_errors, sdk_failures

# The English streaming model of the catalogue.
DEFAULT_ALIAS = "nemotron-speech-streaming-en-0.6b"
PULL_COMMAND = "sotto models pull foundry"
SPEECH = Kind("stt", "speech", PULL_COMMAND)

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
    download(model_alias, app_data_dir, on_percent, SPEECH)


@contextmanager
def catalogue_model(model_alias: str, app_data_dir: Path | None) -> Iterator[Any]:
    """The catalogue's model, as long as the runtime is used."""
    with runtime(app_data_dir) as manager:
        yield find_model(manager, model_alias, SPEECH)


def unavailable_on_error(what: str) -> AbstractContextManager[None]:
    """What the SDK raises within the block becomes an EngineUnavailableError that begins with `what`."""
    return sdk_errors(what, SPEECH)


@contextmanager
def engine_errors() -> Iterator[None]:
    """What the SDK raises within the block becomes an EngineError of one line."""
    try:
        yield
    except sdk_failures() as error:
        raise EngineError(f"foundry failed: {one_line(error)}") from error
