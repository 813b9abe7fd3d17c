"""What is wrong with a command line, in one line: what, which value, and the command that shows what is right.

In:  what typer found while it read the arguments.   Out: an `InputError`, or the group's help where nothing was asked.
"""

from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches
from typing import Any

import typer
from typer.core import TyperGroup
from typer.main import get_command

from agent.errors import InputError, one_line

MAX_SHOWN_CHARS = 80
# Typer's own, in every version of it; it has no public name.
UsageError: Any = typer.BadParameter.__base__
_WANTED = {"int_parsing": "a whole number", "float_parsing": "a number"}


class Commands(TyperGroup):
    """A group of commands that names the nearest one where it has none of that name."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """As typer has it.

        Raises:
            InputError: There is no such command.
        """
        name = args[0]
        if name.startswith("-") or self.get_command(ctx, name) is not None:
            return super().resolve_command(ctx, args)
        group = _path(ctx)
        near = _nearest(name, self.commands) or _within(name, self.commands)
        meant = f"; did you mean {group} {near}?" if near else ";"
        raise InputError(f"{group} has no command {_shown(name)}{meant} see {group} --help")


def usage_line(error: Any, app: typer.Typer, args: Sequence[str]) -> str:
    """What the user can do about a command line that cannot be read.

    Args:
        error: A `UsageError`.
        app: Whose command line.
        args: That was given, without the program's name.
    """
    command, path = _named(app, args)
    option = getattr(error, "option_name", "")
    if isinstance(error, typer.BadParameter):
        told = _bad_parameter(error, path)
    elif option and hasattr(error, "possibilities"):
        told = _no_such_option(error, option, command, path)
    elif option:
        given = next((one for one in args if one.startswith(f"{option}=")), "")
        told = f"{option} takes no value: {_shown(given)}" if given else f"{option} needs a value"
    elif extra := _extra(error):
        told = f"{path} cannot do anything with {_shown(extra)}"
    else:
        told = one_line(error.format_message()).rstrip(".")
    end = "" if told.endswith("?") else ";"
    return f"{told}{end} see {path} --help"


def show_help(error: Any) -> bool:
    """Print a group's help where nothing was asked of it; whether that was so."""
    if type(error).__name__ != "NoArgsIsHelpError":
        return False
    # With rich it has been printed when the error was made.
    if error.format_message():
        error.show()
    return True


def _bad_parameter(error: Any, path: str) -> str:
    parameter = error.param
    is_option = getattr(parameter, "param_type_name", "") == "option"
    name = parameter.opts[0] if is_option else str(getattr(parameter, "name", "")).upper()
    if type(error).__name__ == "MissingParameter":
        about = str(getattr(parameter, "help", "") or "").rstrip(".")
        return f"{path} needs {name}{f': {about[:1].lower()}{about[1:]}' if about else ''}"
    fault = _fault(error)
    if fault is None:
        return f"{name}: {one_line(error.message)}"
    wanted = _WANTED.get(fault["type"])
    shown = _shown(str(fault["input"]))
    return f"{name} takes {wanted}, not {shown}" if wanted else f"{name} = {shown}: {fault['msg']}"


def _fault(error: Any) -> Mapping[str, Any] | None:
    """What pydantic, which typer reads values by, found."""
    errors = getattr(error.__cause__, "errors", None)
    found = errors() if errors else []
    return found[0] if found else None


def _no_such_option(error: Any, option: str, command: Any, path: str) -> str:
    known = ["--help", *(name for parameter in command.params for name in parameter.opts if name.startswith("--"))]
    near = _nearest(option, known)
    return f"{path} has no option {_shown(option)}" + (f"; did you mean {near}?" if near else "")


def _extra(error: Any) -> str:
    return str(error.message).partition("unexpected extra argument(s) (")[2].removesuffix(")")


def _named(app: typer.Typer, args: Sequence[str]) -> tuple[Any, str]:
    """The command that a command line names, and how it is called."""
    command: Any = get_command(app)
    path = ["sotto"]
    for name in args:
        below = getattr(command, "commands", {})
        if name not in below:
            break
        command = below[name]
        path.append(name)
    return command, " ".join(path)


def _path(ctx: Any) -> str:
    names: list[str] = []
    while ctx.parent is not None:
        names.insert(0, ctx.info_name)
        ctx = ctx.parent
    return " ".join(["sotto", *names])


def _nearest(name: str, among: Any) -> str | None:
    return next(iter(get_close_matches(name, list(among), n=1)), None)


def _within(name: str, commands: Mapping[str, Any]) -> str | None:
    """The same name one group further down."""
    return next(_groups_with(name, commands), None)


def _groups_with(name: str, commands: Mapping[str, Any]) -> Iterator[str]:
    for group, command in commands.items():
        if name in getattr(command, "commands", {}):
            yield f"{group} {name}"


def _shown(value: str) -> str:
    return one_line(repr(value), MAX_SHOWN_CHARS)
