"""What `sotto replay` refuses before it begins, and how: one line on standard error, and the exit status.

Within the test's own process; as a process of its own test_replay.py has one.
"""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from loguru import logger

from agent import cli
from tests.support.house import SPEECH


class Refusing:
    """Runs command lines in a folder."""

    def __init__(self, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
        self._capsys = capsys
        self._monkeypatch = monkeypatch

    def __call__(self, *arguments: str | Path) -> tuple[object, str]:
        """The exit status of `sotto replay`, and its one line."""
        self._monkeypatch.setattr(sys, "argv", ["sotto", "replay", *map(str, arguments)])
        with pytest.raises(SystemExit) as end:
            cli._run()
        told = self._capsys.readouterr()
        assert told.out == ""
        assert told.err.count("\n") == 1, told.err
        return end.value.code, told.err


@pytest.fixture
def refusing(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Refusing]:
    monkeypatch.chdir(tmp_path)
    yield Refusing(capsys, monkeypatch)
    # As tests/conftest.py has it: the command leads logs elsewhere.
    logger.configure(handlers=[{"sink": sys.stderr, "level": "WARNING"}])


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("empty.wav", "recording {path} is empty"),
        ("truncated_header.wav", "recording {path} is not a sound file, or it is damaged"),
        ("text.wav", "recording {path} is not a sound file, or it is damaged"),
        ("missing.wav", "recording not found: {path}"),
    ],
)
def test_a_broken_recording_ends_with_2_and_one_line(refusing: Refusing, name: str, message: str) -> None:
    status, line = refusing(SPEECH / name)
    assert status == 2
    assert line.startswith("sotto: " + message.format(path=SPEECH / name))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("steps:\n  - say: a.wav\n    when: now\n", "unknown key: steps.0.when"),
        ("steps:\n  - say: a.wav\n    after: lunch\n", "after: 'lunch' is no event"),
        ("steps:\n  - say: a.wav\n    delay_secs: -1\n", "steps.0.delay_secs: "),
        ("steps:\n  - say: a.wav\n", "recording not found: "),
        ("steps: []\n", "steps: "),
        ("speed: 2\n", "unknown key: speed"),
        ("- a\n", "holds no steps"),
        ("", "holds no steps"),
        ("steps: [\n", "cannot be read"),
        ("\x00", "cannot be read"),
        ("steps: " + "[" * 5000, "cannot be read"),
    ],
)
def test_a_wrong_conversation_file_ends_with_2_and_one_line(refusing: Refusing, content: str, message: str) -> None:
    Path("talk.yaml").write_text(content, encoding="utf-8")
    status, line = refusing("talk.yaml")
    assert status == 2
    assert message in line


def test_two_outputs_in_one_file_are_refused(refusing: Refusing) -> None:
    status, line = refusing(SPEECH / "stop.wav", "--out", "o.wav", "--events", "./o.wav")
    assert (status, line) == (2, "sotto: --out and --events name the same file: o.wav\n")


def test_files_that_cannot_be_written_are_named_before_anything_is_said(refusing: Refusing) -> None:
    for flag in ("--out", "--events"):
        status, line = refusing(SPEECH / "stop.wav", flag, "nowhere/file")
        assert status == 2
        assert "nowhere/file" in line


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--stt", "parrot"), "stt.engine = 'parrot'"),
        (("--set", "vad.stop_secs"), "expected key=value"),
        (("--set", "no.such=1"), "unknown setting: no.such"),
        (("--config", "nowhere.toml"), "configuration file not found: nowhere.toml"),
    ],
)
def test_a_wrong_flag_ends_with_2_and_one_line(refusing: Refusing, arguments: tuple[str, str], message: str) -> None:
    status, line = refusing(SPEECH / "stop.wav", *arguments)
    assert status == 2
    assert message in line


def test_turns_that_wait_for_a_key_are_refused_in_one_line(refusing: Refusing) -> None:
    status, line = refusing(SPEECH / "stop.wav", "--set", "turn.mode=push_to_talk")
    assert (status, line) == (2, "sotto: a replay has no key to hold: sotto replay --set turn.mode=open\n")
