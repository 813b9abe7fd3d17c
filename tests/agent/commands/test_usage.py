"""A command line that cannot be read: one line that says what, which value, and where the right ones stand; exit 2."""

import signal
import sys

import pytest
import typer
from typer.testing import CliRunner

from agent import cli
from agent.cli import app


def told(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, *args: str) -> tuple[object, str, str]:
    """The exit status of a command line, and what it wrote to both outputs."""
    monkeypatch.setattr(sys, "argv", ["sotto", *args])
    with pytest.raises(SystemExit) as end:
        cli._run()
    captured = capsys.readouterr()
    return end.value.code, captured.out, captured.err


@pytest.mark.parametrize(
    ("args", "line"),
    [
        ("serve --port abc", "--port takes a whole number, not 'abc'; see sotto serve --help"),
        ("serve --port=1.5", "--port takes a whole number, not '1.5'; see sotto serve --help"),
        ("say --speed fast hi", "--speed takes a number, not 'fast'; see sotto say --help"),
        ("serve --port", "--port needs a value; see sotto serve --help"),
        ("serve --https=1", "--https takes no value: '--https=1'; see sotto serve --help"),
        (
            "serve --prot 3",
            "sotto serve has no option '--prot'; did you mean --port? see sotto serve --help",
        ),
        ("serve -x", "sotto serve has no option '-x'; see sotto serve --help"),
        ("--bogus", "sotto has no option '--bogus'; see sotto --help"),
        ("models --hlep", "sotto models has no option '--hlep'; did you mean --help? see sotto models --help"),
        (
            "memory forget --yess",
            "sotto memory forget has no option '--yess'; did you mean --yes? see sotto memory forget --help",
        ),
        ("srve", "sotto has no command 'srve'; did you mean sotto serve? see sotto --help"),
        ("xyzzy", "sotto has no command 'xyzzy'; see sotto --help"),
        ("pull base", "sotto has no command 'pull'; did you mean sotto models pull? see sotto --help"),
        ("models pul", "sotto models has no command 'pul'; did you mean sotto models pull? see sotto models --help"),
        ("models path", "sotto models path needs NAME: a name of `sotto models list`; see sotto models path --help"),
        (
            "replay",
            "sotto replay needs FILES: recordings, or one conversation file (YAML); see sotto replay --help",
        ),
        ("version and more", "sotto version cannot do anything with 'and more'; see sotto version --help"),
        ("models pull a b", "sotto models pull cannot do anything with 'b'; see sotto models pull --help"),
        ("--", "Missing command; see sotto --help"),
    ],
)
def test_what_cannot_be_read_is_one_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, args: str, line: str
) -> None:
    assert told(capsys, monkeypatch, *args.split()) == (2, "", f"sotto: {line}\n")


def test_a_value_cannot_paint_the_terminal_or_fill_it(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    painted = "\x1b[31m\n" + "x" * 5000
    for args in ([painted], ["serve", "--port", painted], ["version", painted], ["serve", f"--{painted}"]):
        status, out, err = told(capsys, monkeypatch, *args)
        assert (status, out) == (2, "")
        assert err.count("\n") == 1
        assert "\x1b" not in err
        assert len(err) < 300


@pytest.mark.parametrize("args", [[], ["models"], ["memory"]])
def test_nothing_asked_is_still_answered_by_the_help(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, args: list[str]
) -> None:
    status, out, err = told(capsys, monkeypatch, *args)
    # Asked for, an empty line stands below it.
    helped = told(capsys, monkeypatch, *args, "--help")
    assert (status, err) == (2, "")
    assert helped == (0, f"{out}\n", "")
    assert "Usage: sotto" in out


def test_the_exit_status_of_a_command_stays_its_own(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert told(capsys, monkeypatch, "--version")[0] == 0
    assert told(capsys, monkeypatch, "version")[0] is None

    def ends_with(error: BaseException) -> object:
        def run(*_: object, **__: object) -> None:
            raise error

        monkeypatch.setattr(cli, "_settings", run)
        return told(capsys, monkeypatch, "doctor")

    assert ends_with(typer.Exit(1)) == (1, "", "")
    assert ends_with(KeyboardInterrupt()) == (128 + signal.SIGINT, "", "")
    assert ends_with(typer.Abort()) == (1, "", "sotto: called off: nothing was done\n")


def test_other_runners_of_the_commands_learn_of_an_unknown_one_as_of_any_bad_input() -> None:
    result = CliRunner().invoke(app, ["srve"])
    assert str(result.exception) == "sotto has no command 'srve'; did you mean sotto serve? see sotto --help"
