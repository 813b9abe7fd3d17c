"""`sotto models list | pull [NAME] | path NAME`.

In:  arguments.   Out: a table, files on disk, a path. Errors are one line on stderr; exit 1, 2 for bad input.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from agent.errors import SottoError
from agent.models.catalogue import CATALOGUE, RECOMMENDED, Model, ModelFile, find, is_installed, model_dir
from processors.errors import EngineError

PIPED_WIDTH_COLUMNS = 180  # rows stay whole where no terminal says how wide it is
WIDE_COLUMNS = 150  # from here on everything is shown

_HEADINGS: tuple[str, ...] = ("name", "stage", "engine", "size", "language", "licence", "installed", "what")
_WIDE_ONLY = frozenset({"engine", "licence"})

FOUNDRY = "foundry"  # not of the catalogue: Foundry Local has its own

ModelsDir = Annotated[
    Path | None, typer.Option("--models-dir", metavar="PATH", help="Directory of models; default: the setting.")
]

models_app = typer.Typer(help="The models on this machine: list them, fetch them, find them.", no_args_is_help=True)


@models_app.command("list")
def list_models(models_dir: ModelsDir = None) -> None:
    """Show every model that sotto can fetch, and which are installed; engines and licences where there is room."""
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
    name: Annotated[str | None, typer.Argument(help="A name of `sotto models list`; default: the recommended.")] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask before fetching the recommended.")] = False,
    mirror: Annotated[
        str | None,
        typer.Option(metavar="URL", help="Fetch from here: this address, then the path of the original one."),
    ] = None,
    models_dir: ModelsDir = None,
) -> None:
    """Fetch a model, or the recommended ones; an interrupted download is continued."""
    with _one_line_errors():
        directory = _models_dir(models_dir)
        if name == FOUNDRY:
            _pull_with_foundry(models_dir)
            return
        if name is not None:
            chosen = [find(name)]
        else:
            chosen = [model for model in map(find, RECOMMENDED) if not is_installed(directory, model)]
            if not chosen:
                typer.echo(f"the recommended models are installed: {', '.join(RECOMMENDED)}")
                return
            _agree(chosen, directory, yes)
        for model in chosen:
            typer.echo(f"{model.name} is ready in {_pull_with_bar(model, directory, mirror)}")


@models_app.command("path")
def show_path(
    name: Annotated[str, typer.Argument(help="A name of `sotto models list`.")], models_dir: ModelsDir = None
) -> None:
    """Print the directory of an installed model."""
    with _one_line_errors():
        directory = _models_dir(models_dir)
        model = find(name)
        if not is_installed(directory, model):
            raise SottoError(f"{name} is not installed in {directory}: `sotto models pull {name}` fetches it")
        typer.echo(model_dir(directory, model))


def _row(directory: Path, model: Model) -> tuple[str, ...]:
    from rich.filesize import decimal

    here = "yes" if is_installed(directory, model) else "no"
    size = decimal(model.size_bytes)
    return model.name, model.stage, model.engine, size, model.language, model.licence, here, model.description


def _agree(chosen: list[Model], directory: Path, yes: bool) -> None:
    """Say what would be fetched and ask; leaves with exit 1 unless the user agrees."""
    from rich.filesize import decimal

    typer.echo(f"Recommended, to be fetched into {directory}:")
    for model in chosen:
        typer.echo(f"  {model.name}  {decimal(model.size_bytes)}  {model.licence}  {model.description}")
    total = decimal(sum(model.size_bytes for model in chosen))
    if not yes:
        typer.confirm(f"Fetch {total}?", abort=True)


def _pull_with_bar(model: Model, directory: Path, mirror: str | None) -> Path:
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

    from agent.models.pull import pull

    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as bar:
        tasks = {
            file: bar.add_task(_bar_label(model, file), total=file.size_bytes, start=False) for file in model.files
        }
        total = sum(member.size_bytes for member in model.members)
        unpacking = bar.add_task(f"unpacking {model.name}", total=total, start=False, visible=bool(model.members))

        def show(file: ModelFile, done_bytes: int) -> None:
            bar.start_task(tasks[file])
            bar.update(tasks[file], completed=done_bytes)

        def show_unpacked(done_bytes: int) -> None:
            bar.start_task(unpacking)
            bar.update(unpacking, completed=done_bytes)

        path = pull(model, directory, mirror=mirror, progress=show, unpacked=show_unpacked)
        for file, task in tasks.items():
            bar.update(task, completed=file.size_bytes)
        bar.update(unpacking, completed=total)
        return path


def _bar_label(model: Model, file: ModelFile) -> str:
    return model.name if model.archive else f"{model.name}/{file.name}"  # an archive's name would fill the line


def _pull_with_foundry(models_dir: Path | None) -> None:
    """Foundry Local fetches and keeps its models itself."""
    from rich.console import Console
    from rich.progress import Progress

    from agent.engines.remote_stt import pull_foundry_model
    from agent.settings.load import load_settings

    settings = load_settings({"models_dir": models_dir})
    with Progress(console=Console(stderr=True)) as bar:
        task = bar.add_task(FOUNDRY, total=100)
        model = pull_foundry_model(settings, lambda percent: bar.update(task, completed=percent))
    typer.echo(f"{model} is ready in Foundry Local")


def _models_dir(option: Path | None) -> Path:
    from agent.settings.load import load_settings

    directory = load_settings().models_dir if option is None else option
    return directory.expanduser().absolute()


@contextmanager
def _one_line_errors() -> Iterator[None]:
    try:
        yield
    except SottoError as error:
        typer.echo(f"sotto: {error}", err=True)
        raise typer.Exit(error.exit_status) from error
    except EngineError as error:
        typer.echo(f"sotto: {error}", err=True)
        raise typer.Exit(1) from error
