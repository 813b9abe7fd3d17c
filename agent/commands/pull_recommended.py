"""`sotto models pull recommended`: the models that suit this machine, from wherever they can be had.

In:  the machine, its user's languages, the models directory.   Out: what would be fetched, how much; then the models.
"""

from collections.abc import Sequence
from pathlib import Path

import typer
from rich.filesize import decimal

from agent.commands.pull_bar import PullBar, pull_bar
from agent.models.catalogue import Model, find, is_installed
from agent.models.machine import this_machine
from agent.models.pull import DownloadError, pull
from agent.models.recommended import ENGLISH, Wish, wishes
from agent.models.sources.other_tools import OtherTools
from agent.models.sources.source import Source
from agent.models.supply import comes_with_sotto, origins, sources


def pull_recommended(
    directory: Path, tools: OtherTools, mirror: str | None, *, heard: str, spoken: str, ask: bool
) -> None:
    """Say what suits this machine, fetch it, and say where it came from.

    Args:
        directory: The models directory.
        tools: Other tools' folders, the hub's mirror and token.
        mirror: Another server, in place of all others.
        heard: ISO 639-1 code of what the user speaks, or `auto`.
        spoken: BCP 47 tag of the agent's voice.
        ask: Fetch only on a yes.

    Raises:
        InputError: A mirror is not an http(s) address.
        typer.Exit: What a conversation needs could not be had, or the user does not agree.
    """
    machine = this_machine()
    cores = "1 core" if machine.cores == 1 else f"{machine.cores} cores"
    languages = "" if heard == ENGLISH == spoken[:2] else f", to hear {heard} and to speak {spoken}"
    memory = f"{machine.memory_bytes / 1e9:.1f} GB of memory"
    typer.echo(f"Recommended for {cores} and {memory}{languages}, in {directory}:")
    wanted: list[tuple[Wish, Model]] = []
    for wish in wishes(machine, heard, spoken):
        models = [find(name) for name in wish.names]
        here = [model for model in models if is_installed(directory, model) or comes_with_sotto(model)]
        if here:
            typer.echo(f"  {here[0].name}  is here")
        else:
            wanted.append((wish, models[0]))
    if not wanted:
        return
    firsts = [model for _, model in wanted]
    with pull_bar(firsts, directory) as bar, sources(directory, tools, mirror=mirror, say=bar.say) as among:
        _agree(firsts, among, ask)
        outcomes = [_pull_wish(wish, directory, among, bar) for wish, _ in wanted]
    for outcome in outcomes:
        typer.echo(outcome or "", nl=outcome is not None)
    if None in outcomes:
        raise typer.Exit(1)


def _agree(models: Sequence[Model], among: Sequence[Source], ask: bool) -> None:
    """Say what would be fetched, from where and how much that is; leaves with exit 1 if the user does not agree."""
    total_bytes = 0
    for model in models:
        largest = max(model.files, key=lambda file: file.size_bytes)
        is_here = any(not source.is_remote and source.origin(largest) for source in among)
        total_bytes += 0 if is_here else model.size_bytes
        typer.echo(f"  {model.name}  {decimal(model.size_bytes)}  {model.licence}  {model.description}")
        typer.echo(f"    from {', else '.join(origins(largest, among))}")
    typer.echo(f"{decimal(total_bytes)} to fetch")
    if ask:
        typer.confirm("Fetch them?", abort=True)


def _pull_wish(wish: Wish, directory: Path, among: Sequence[Source], bar: PullBar) -> str | None:
    """The first model of a wish that can be had: what to say of it; None where something needed cannot."""
    for i, model in enumerate(map(find, wish.names)):
        if i:
            bar.add(model, directory)
        try:
            path = pull(model, directory, among=among, hearers=bar.hearers(model))
        except DownloadError as error:
            bar.drop(model)
            bar.say(f"sotto: {error}")
        else:
            return f"{model.name} is ready in {path}{bar.came_from(model)}"
    return None if wish.is_needed else f"{wish.names[0]} is left out, and not needed"
