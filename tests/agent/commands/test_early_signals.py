"""A signal in the first seconds of a command: no traceback, and the exit status of a process that a signal ended."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from agent.early_signals import end_on_signals, is_command, raising_on_signals
from tests.support.house import FIXTURES, SPEECH

# Most run a process.
pytestmark = pytest.mark.apart
INT, TERM = signal.SIGINT, signal.SIGTERM
WHISPER = f"stt.model={FIXTURES / 'micro_whisper'}"
COMMANDS: dict[str, tuple[str | Path, ...]] = {
    "serve": ("serve", "--port", "0", "--llm", "embedded"),
    "replay": ("replay", SPEECH / "stop.wav", "--llm", "embedded"),
    "transcribe": ("transcribe", SPEECH / "stop.wav", "--stt", "whisper", "--set", WHISPER),
    "doctor": ("doctor", "--llm", "embedded"),
    "desktop": ("desktop", "--input", "none such"),
}
LOADING = "loading the models ..."


def run_until(word: str, command: str, directory: Path) -> "subprocess.Popen[str]":
    """Start a command and come back once a line on its standard error ends with a word.

    Python tells there of each module once it is imported, within those that import it, so that a line is a moment.
    """
    line = [sys.executable, "-X", "importtime", "-m", "agent.cli", *map(str, COMMANDS[command])]
    nowhere = {"XDG_CONFIG_HOME": str(directory), "XDG_DATA_HOME": str(directory)}
    process = subprocess.Popen(
        line,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        encoding="utf-8",
        cwd=directory,
        env={**os.environ, **nowhere},
    )
    assert process.stderr is not None
    seen: list[str] = []
    for told in process.stderr:
        seen.append(told)
        if told.rstrip().endswith(word):
            return process
    raise AssertionError(f"{word} never came: {[told for told in seen if 'import time:' not in told]}")


@pytest.mark.parametrize(
    ("command", "word", "number"),
    [
        ("serve", " agent.library_switches", INT),
        ("serve", " agent.library_switches", TERM),
        ("doctor", " typer", INT),
        ("transcribe", " pydantic_settings", TERM),
        ("desktop", " agent.settings.load", INT),
        ("replay", " numpy", INT),
        ("doctor", " agent.engines.candidates", TERM),
        ("serve", " pipecat.frames.frames", INT),
        ("serve", LOADING, INT),
        ("serve", LOADING, TERM),
        ("replay", LOADING, INT),
        ("replay", LOADING, TERM),
        ("doctor", " ctranslate2", INT),
        ("transcribe", " ctranslate2", TERM),
        ("transcribe", " ctranslate2", INT),
    ],
)
def test_a_signal_ends_the_start_without_a_traceback(
    tmp_path: Path, command: str, word: str, number: signal.Signals
) -> None:
    process = run_until(word, command, tmp_path)
    children = psutil.Process(process.pid).children(recursive=True)
    process.send_signal(number)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 128 + number
    assert "Traceback" not in errors
    _, alive = psutil.wait_procs(children, timeout=10)
    assert not alive


@pytest.mark.parametrize(
    ("arguments", "python", "expected"),
    [
        (["-m"], ["python", "-m", "agent.cli", "serve"], True),
        (["-m"], ["python", "-X", "utf8", "-m", "agent.cli"], True),
        (["-m"], ["python", "-m", "agent.engines.embedded_llm_worker"], False),
        (["-m"], ["python", "-m", "pytest", "tests"], False),
        (["bin/sotto", "serve"], ["python", "bin/sotto", "serve"], True),
        (["Scripts/sotto.exe"], ["python.exe", "Scripts/sotto.exe"], True),
        (["Scripts/sotto-script.pyw"], ["python.exe"], True),
        (["bin/pytest", "sotto"], ["python", "bin/pytest", "sotto"], False),
        (["-c"], ["python", "-c", "import agent"], False),
        ([""], ["python"], False),
        ([], ["python"], False),
    ],
)
def test_only_the_command_takes_signals_when_it_is_imported(
    monkeypatch: pytest.MonkeyPatch, arguments: list[str], python: list[str], expected: bool
) -> None:
    monkeypatch.setattr(sys, "argv", arguments)
    monkeypatch.setattr(sys, "orig_argv", python)
    assert is_command() is expected


def test_a_signal_that_was_ignored_stays_ignored() -> None:
    before = {number: signal.getsignal(number) for number in (INT, TERM)}
    try:
        for number in before:
            signal.signal(number, signal.SIG_IGN)
        end_on_signals()
        with raising_on_signals():
            os.kill(os.getpid(), INT)
            os.kill(os.getpid(), TERM)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@pytest.mark.parametrize(("number", "status"), [(INT, None), (TERM, 143)])
def test_where_something_is_open_a_signal_unwinds(number: signal.Signals, status: int | None) -> None:
    before = [signal.getsignal(number) for number in (INT, TERM)]
    with pytest.raises(KeyboardInterrupt if status is None else SystemExit) as left, raising_on_signals():
        os.kill(os.getpid(), number)
    assert getattr(left.value, "code", None) == status
    assert [signal.getsignal(number) for number in (INT, TERM)] == before
