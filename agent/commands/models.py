"""`sotto models list | pull | path | verify | remove | import`.

In:  arguments.   Out: a table, files on disk, a path. Errors are one line on stderr; exit 1, 2 for bad input.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from agent.commands.usage import Commands
from agent.early_signals import raising_on_signals
from agent.errors import SottoError
from agent.models.catalogue import CATALOGUE, Model, find, is_installed, model_dir
from processors.errors import EngineError

if TYPE_CHECKING:
    from agent.models.sources.other_tools import OtherTools

PIPED_WIDTH_COLUMNS = 180  # rows stay whole where no terminal says how wide it is
WIDE_COLUMNS = 150  # from here on everything is shown

_HEADINGS: tuple[str, ...] = ("name", "stage", "engine", "size", "language", "licence", "here", "from", "what")
_WIDE_ONLY = frozenset({"engine", "language", "licence"})

RECOMMENDED = "recommended"  # not of the catalogue: what suits this machine
FOUNDRY, FOUNDRY_CHAT = "foundry", "foundry-llm"  # not of the catalogue: Foundry Local has its own

ModelsDir = Annotated[
    Path | None, typer.Option("--models-dir", metavar="PATH", help="Directory of models; default: the setting.")
]
Name = Annotated[str, typer.Argument(help="A name of `sotto models list`.")]

models_app = typer.Typer(
    cls=Commands, help="The models on this machine: list, fetch, find, check and remove them.", no_args_is_help=True
)


@models_app.command("list")
def list_models(models_dir: ModelsDir = None) -> None:
    """Show every model that sotto can fetch, which are here and where others can be had; more where there is room."""
    from rich.console import Console
    from rich.table import Table

    with _one_line_errors():
        directory = _models_dir(models_dir)
        console = Console()
        if not console.is_terminal:
            console = Console(width=PIPED_WIDTH_COLUMNS)
        table = Table(box=None, pad_edge=False)
        shown = [heading for heading in _HEADINGS if console.width >= WIDE_COLUMNS or heading not in _WIDE_ONLY]
        for heading in shown:
            table.add_column(heading, no_wrap=heading != "what", justify="right" if heading == "size" else "left")
        for model in CATALOGUE:
            row = dict(zip(_HEADINGS, _row(directory, model), strict=True))
            table.add_row(*[row[heading] for heading in shown])
        console.print(table)
        console.print(f"in {directory}", soft_wrap=True, highlight=False)


@models_app.command("pull")
def pull_models(
    name: Annotated[
        str | None, typer.Argument(help=f"A name of `sotto models list`, or {RECOMMENDED}: what suits this machine.")
    ] = None,
    yes: Annotated[
        bool, typer.Option("--yes", "-y", help="Do not ask before fetching, where no name is given.")
    ] = False,
    mirror: Annotated[
        str | None,
        typer.Option(metavar="URL", help="Fetch from here: this address, then the path of the original one."),
    ] = None,
    models_dir: ModelsDir = None,
) -> None:
    """Fetch a model, or those that suit this machine; an interrupted download is continued."""
    with _one_line_errors():
        directory = _models_dir(models_dir)
        if name == FOUNDRY:
            _pull_with_foundry(models_dir)
        elif name == FOUNDRY_CHAT:
            _pull_with_foundry(models_dir, chat=True)
        elif name in (None, RECOMMENDED):
            from agent.commands.pull_recommended import pull_recommended
            from agent.settings.load import load_settings

            settings = load_settings()
            languages = {"heard": settings.stt.language, "spoken": settings.tts.language}
            pull_recommended(directory, _tools(), mirror, **languages, ask=name is None and not yes)
        else:
            _pull_one(find(name), directory, mirror)


@models_app.command("path")
def show_path(name: Name, models_dir: ModelsDir = None) -> None:
    """Print the directory of an installed model."""
    with _one_line_errors():
        directory = _models_dir(models_dir)
        model = _installed(name, directory)
        typer.echo(model_dir(directory, model))


@models_app.command("verify")
def verify_models(
    name: Annotated[str | None, typer.Argument(help="A name of `sotto models list`; default: all installed.")] = None,
    models_dir: ModelsDir = None,
) -> None:
    """Compare installed files with the catalogue's checksums; exit 1 if one differs."""
    from agent.commands.pull_bar import pull_bar
    from agent.models.upkeep import faults

    with _one_line_errors():
        directory = _models_dir(models_dir)
        here = [model for model in CATALOGUE if is_installed(directory, model)]
        chosen = here if name is None else [_installed(name, directory)]
        are_whole = True
        for model in chosen:
            with pull_bar((), directory) as bar:
                bar.expect(model, sum(part.size_bytes for part in model.parts))
                found = faults(model, directory, bar.hearers(model).progress)
            for fault in found:
                mend = f"`sotto models remove {model.name}`, then `sotto models pull {model.name}` mends it"
                typer.echo(f"{model.name}: {fault}: {mend}", err=True)
            if not found:
                typer.echo(f"{model.name} is whole")
            are_whole = are_whole and not found
        if not chosen:
            typer.echo(f"no model is installed in {directory}")
        if not are_whole:
            raise typer.Exit(1)


@models_app.command("remove")
def remove_model(name: Name, models_dir: ModelsDir = None) -> None:
    """Remove a model's files, and what interrupted downloads have left of it."""
    from rich.filesize import decimal

    from agent.models.upkeep import remove

    with _one_line_errors():
        directory = _models_dir(models_dir)
        n_bytes = remove(find(name), directory)
        typer.echo(f"{name} is removed from {directory} ({decimal(n_bytes)})")


@models_app.command("import")
def import_files(
    files: Annotated[list[Path], typer.Argument(help="Files of models, under any name, in any order.")],
    models_dir: ModelsDir = None,
) -> None:
    """Take in files that were fetched by other means; their checksums say what they are."""
    from agent.commands.pull_bar import pull_bar
    from agent.models.upkeep import lacking, take_in

    with _one_line_errors():
        directory = _models_dir(models_dir)
        with pull_bar((), directory) as bar:
            result = take_in(files, directory, bar.hearers)
        for model, missing in result.arrived.items():
            here = f"{model.name} is ready in {model_dir(directory, model)}"
            typer.echo(lacking(model, missing) if missing else here)
        for path in result.foreign:
            typer.echo(f"sotto: {path} is no file of the catalogue (`sotto models list`), or is damaged", err=True)
        for path, names in result.shared.items():
            typer.echo(f"sotto: {path} belongs to each of {', '.join(names)}: name another file of it, too", err=True)
        if result.foreign or result.shared:
            raise typer.Exit(1)


def _row(directory: Path, model: Model) -> tuple[str, ...]:
    from rich.filesize import decimal

    from agent.models.sources.recipes import RECIPES
    from agent.models.supply import comes_with_sotto

    here = "yes" if is_installed(directory, model) else "sotto's" if comes_with_sotto(model) else "no"
    places = "hub" if "huggingface.co" in model.files[0].url else "release"
    if all(file.sha256 in RECIPES for file in model.files):
        places += ", package"
    size = decimal(model.size_bytes)
    return model.name, model.stage, model.engine, size, model.language, model.licence, here, places, model.description


def _installed(name: str, directory: Path) -> Model:
    model = find(name)
    if not is_installed(directory, model):
        raise SottoError(f"{name} is not installed in {directory}: `sotto models pull {name}` fetches it")
    return model


def _pull_one(model: Model, directory: Path, mirror: str | None) -> None:
    from agent.commands.pull_bar import pull_bar
    from agent.models.pull import pull
    from agent.models.supply import sources

    with pull_bar([model], directory) as bar, sources(directory, _tools(), mirror=mirror, say=bar.say) as among:
        path = pull(model, directory, among=among, hearers=bar.hearers(model))
    typer.echo(f"{model.name} is ready in {path}{bar.came_from(model)}")


def _tools() -> "OtherTools":
    from agent.models.sources.other_tools import OtherTools
    from agent.settings.load import other_tools_environment

    return OtherTools.of(other_tools_environment(), Path.home())


def _pull_with_foundry(models_dir: Path | None, *, chat: bool = False) -> None:
    """Foundry Local fetches and keeps its models itself."""
    from rich.console import Console
    from rich.progress import Progress

    from agent.engines.llm import pull_foundry_chat
    from agent.engines.remote_stt import pull_foundry_model
    from agent.settings.load import load_settings

    settings = load_settings({"models_dir": models_dir})
    with Progress(console=Console(stderr=True)) as bar:
        task = bar.add_task(FOUNDRY_CHAT if chat else FOUNDRY, total=100)
        pull = pull_foundry_chat if chat else pull_foundry_model
        model = pull(settings, lambda percent: bar.update(task, completed=percent))
    typer.echo(f"{model} is ready in Foundry Local")


def _models_dir(option: Path | None) -> Path:
    from agent.settings.load import load_settings

    directory = load_settings().models_dir if option is None else option
    return directory.expanduser().absolute()


@contextmanager
def _one_line_errors() -> Iterator[None]:
    try:
        with raising_on_signals():
            yield
    except SottoError as error:
        typer.echo(f"sotto: {error}", err=True)
        raise typer.Exit(error.exit_status) from error
    except EngineError as error:
        typer.echo(f"sotto: {error}", err=True)
        raise typer.Exit(1) from error
