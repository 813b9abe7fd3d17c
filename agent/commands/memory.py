"""`sotto memory list | forget | export`: all that is remembered, of everybody who talks to this user's sotto.

In:  arguments.   Out: a table, JSON lines. Works also while the memory is switched off. Errors are one line on stderr.
"""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from agent.commands.usage import Commands
from agent.errors import InputError, one_line

if TYPE_CHECKING:
    from agent.memory.store import MemoryStore

PIPED_WIDTH_COLUMNS = 180
MAX_SHOWN_CHARS = 200
MAX_NUMBER, MAX_DIGITS = 2**53, 20
WHO = {"fact": "asked to remember", "user": "user said", "agent": "agent said"}

memory_app = typer.Typer(
    cls=Commands, help="What the agent remembers: see it, forget it, take it along.", no_args_is_help=True
)


@memory_app.command("list")
def list_memory(
    about: Annotated[str | None, typer.Argument(help="Only what shares words with this.")] = None,
) -> None:
    """Show what is remembered, the earliest first; with words, the best first."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    from agent.memory.export import shown

    store = _store()
    items = store.items(None)
    if about is not None:
        owners = dict.fromkeys(item.owner for item in items)
        items = [item for owner in owners for item in store.find(owner, about, limit=50)]
    console = Console()
    if not console.is_terminal:
        console = Console(width=PIPED_WIDTH_COLUMNS)
    table = Table("number", "date", "whose", "what", "text", box=None, pad_edge=False)
    for item in items:
        date = str(shown(item)["date"])[:16].replace("T", " ")
        text = item.text if len(item.text) <= MAX_SHOWN_CHARS else f"{item.text[:MAX_SHOWN_CHARS]}…"
        table.add_row(str(item.number), date, item.owner[:8], WHO[item.kind], escape(one_line(text)))
    console.print(table if items else "nothing is remembered")
    console.print(f"in {store.path}", soft_wrap=True, highlight=False)


@memory_app.command("forget")
def forget_memory(
    numbers: Annotated[list[str] | None, typer.Argument(help="Numbers of `sotto memory list`.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="Everything, of everybody.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask before forgetting everything.")] = False,
) -> None:
    """Delete for good; a fact together with the turn of the conversation in which it was said."""
    if bool(numbers) == everything:
        raise InputError("say what is to be forgotten: numbers of sotto memory list, or --all")
    if everything and not yes:
        if not sys.stdin.isatty():
            raise InputError(
                "everything would be forgotten; to do so without being asked: sotto memory forget --all --yes"
            )
        typer.confirm("Forget everything, of everybody, for good?", abort=True)
    wanted = [_number(one) for one in numbers or ()]
    n_forgotten = _store().forget(None, None if everything else wanted)
    if not everything and n_forgotten < len(set(wanted)):
        raise InputError(
            f"{n_forgotten} of {len(set(wanted))} forgotten; nothing is remembered under the other numbers:"
            " sotto memory list"
        )
    typer.echo(f"forgotten: {n_forgotten}")


@memory_app.command("export")
def export_memory(
    out: Annotated[Path | None, typer.Option(help="Write it into this file.", metavar="FILE")] = None,
) -> None:
    """Write all that is remembered as JSON lines, one item a line."""
    from agent.memory.export import json_lines

    lines = json_lines(_store().items(None), with_owner=True)
    if out is None:
        sys.stdout.reconfigure(encoding="utf-8")  # pyright: ignore[reportAttributeAccessIssue]
        for line in lines:
            typer.echo(line, nl=False)
        return
    try:
        out.write_text("".join(lines), encoding="utf-8")
    except OSError as error:
        raise InputError(f"the memory cannot be written to {out}: {error.strerror}") from error


def _number(text: str) -> int:
    if not text.isascii() or not text.isdigit() or not 0 < int(text[:MAX_DIGITS]) < MAX_NUMBER:
        raise InputError(f"{text[:60]!r} is no number of what is remembered; to see them: sotto memory list")
    return int(text)


def _store() -> "MemoryStore":
    from agent.memory.memory import memory_path
    from agent.memory.store import MemoryStore

    return MemoryStore(memory_path())
