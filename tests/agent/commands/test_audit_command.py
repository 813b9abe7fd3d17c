"""`sotto audit`: what a conversation did, as a table, and a status that tells whether anything left."""

import json
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from typer.testing import CliRunner

from agent.audit.finding import Finding
from agent.audit.run import Report
from agent.cli import app
from agent.commands import audit as command
from agent.commands.audit import AuditError, run_audit

BUNDLED = ["--stt", "pocketsphinx", "--llm", "embedded", "--tts", "espeak"]
LOOPBACK = Finding("connection", "127.0.0.1:11434", "", ("/x/site-packages/anyio/a.py:1 f",))
NATIVE = Finding("connection", "127.0.0.1:9", "worker")
VARIABLE = Finding("variable", "OTEL_EXPORTER", "", ("/x/site-packages/opentelemetry/a.py:1 f",))
HELD = [
    {"t": 0.0, "event": "session_started"},
    {"t": 0.1, "event": "turn_started"},
    {"t": 1.0, "event": "turn_ended", "text": "what is the capital of Germany"},
    {"t": 1.4, "event": "bot_started_speaking"},
    {"t": 1.4, "event": "latency", "voice_to_voice_ms": 400},
    {"t": 2.4, "event": "bot_stopped_speaking"},
]
LOOK_UP = Finding("look-up", "telemetry.invalid", "", ("/x/site-packages/reporter/a.py:1 f",))


def audited(
    monkeypatch: pytest.MonkeyPatch,
    report: Report,
    events: Sequence[Mapping[str, Any]] | None = HELD,
    servers: Sequence[str] = ("llm.engine = ollama",),
) -> tuple[int, str, list[list[str]]]:
    """What is printed of a report, with the audit itself replaced by one that gives it and leaves an event log."""
    commands: list[list[str]] = []

    def instead(argv: list[str], folder: Path, *_: object, **__: object) -> Report:
        commands.append(argv)
        log = Path(argv[argv.index("--events") + 1])
        assert log.is_relative_to(folder)
        if events is not None:
            log.parent.mkdir(parents=True)
            log.write_text("".join(json.dumps(event) + "\n" for event in events), encoding="utf-8")
        return report

    monkeypatch.setattr(command, "audit", instead)
    console = Console(width=160, record=True)
    status = run_audit([], ["--llm", "ollama"], {}, console, servers=servers)
    return status, console.export_text(), commands


def test_the_table_names_what_it_is_and_the_library_behind_it(monkeypatch: pytest.MonkeyPatch) -> None:
    status, text, ((*_, first, _, _, flag, engine),) = audited(
        monkeypatch, Report(0, "", (), (LOOPBACK, NATIVE, VARIABLE), "strace")
    )
    assert status == 0
    assert (Path(first).name, flag, engine) == ("conversation.yaml", "--llm", "ollama")
    rows = [[cell.strip() for cell in line.strip("│").split("│")] for line in text.splitlines() if line[:1] == "│"]
    assert rows == [
        ["called", "127.0.0.1:11434", "anyio", "loopback"],
        ["called", "127.0.0.1:9", "unknown (native)", "loopback"],
        ["read", "OTEL_EXPORTER", "opentelemetry", ""],
    ]
    assert "Nothing left this machine." in text
    assert "with the network as it is (a server may stand behind llm.engine = ollama), and watched by strace" in text


def test_what_goes_beyond_is_marked_and_the_status_is_1(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "can_trace", lambda: False)
    status, text, _ = audited(monkeypatch, Report(1, "", (LOOK_UP,), (LOOPBACK,), "python"))
    assert status == 1
    assert "telemetry.invalid" in text
    assert "BEYOND" in text
    assert "what a native library writes, looks up or calls by itself is not in this table" in " ".join(text.split())
    assert "1 of these went beyond sotto's own" in text


@pytest.mark.parametrize(
    ("status", "events"),
    [(0, None), (0, []), (0, HELD[:1]), (0, HELD[:2]), (0, HELD[:3]), (0, HELD[1:]), (1, [*HELD, HELD[1]]), (2, HELD)],
    ids=["no log", "empty", "started", "open", "unanswered", "never started", "left open", "status 2"],
)
def test_what_is_no_conversation_is_told_in_one_line_and_never_passes(
    monkeypatch: pytest.MonkeyPatch, status: int, events: list[dict[str, Any]] | None
) -> None:
    output = "".join(f"line {n}\n" for n in range(9)) + "\nsotto: no such engine\n"
    with pytest.raises(AuditError) as error:
        audited(monkeypatch, Report(status, output, (), (), "strace"), events)
    assert str(error.value) == (
        "the conversation was not held, so nothing is known of it: line 7 | line 8 | sotto: no such engine"
    )


def test_a_turn_without_an_answer_and_a_stage_that_failed_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    status, text, _ = audited(monkeypatch, Report(1, "", (), (), "strace"))
    assert (status, "A turn of the conversation was not answered; 1 were." in text) == (0, True)
    failed = [*HELD, {"t": 3.0, "event": "error", "stage": "llm", "message": "it is [away]"}]
    _, text, _ = audited(monkeypatch, Report(1, "", (), (), "strace"), failed)
    assert "A stage of the conversation failed: llm: it is [away]" in text
    assert "was not answered" not in audited(monkeypatch, Report(0, "", (), (), "strace"))[1]


@pytest.mark.parametrize("address", ["http://127.0.0.1:9/v1"])
def test_a_server_that_is_not_there_is_no_audit_that_passed(address: str) -> None:
    asked = [*BUNDLED, "--llm", "endpoint", "--set", f"llm.base_url={address}"]
    result = CliRunner().invoke(app, ["audit", *asked])
    assert result.exit_code == 1
    assert isinstance(result.exception, AuditError)
    assert "nothing listens there" in str(result.exception)
    assert "Nothing left this machine." not in result.output


@pytest.mark.parametrize(
    ("arguments", "config", "named"),
    [
        ([], None, []),
        (BUNDLED, None, []),
        (["--stt", "whisper", "--llm", "auto", "--tts", "kokoro", "--set", "vad.stop_secs=0.3"], None, []),
        # An address that is not asked.
        (["--llm", "embedded", "--set", "llm.base_url=http://box:1/v1"], None, []),
        (["--stt", "whisper", "--set", "stt.base_url=http://box:1/v1"], None, []),
        (["--llm", "ollama"], None, ["llm.engine = ollama"]),
        (["--set", "llm.base_url=http://box:1/v1"], None, ["llm.base_url"]),
        (["--stt", "openai"], None, ["stt.engine = openai"]),
        (["--set", "stt.base_url=http://box:1/v1"], None, ["stt.base_url"]),
        (["--tts", "openai", "--set", "tts.base_url=http://box:1/v1"], None, ["tts.engine = openai", "tts.base_url"]),
        (["--tts", "espeak", "--set", "tts.base_url=http://box:1/v1"], None, []),
        ([], "[tts]\nspeed = 1.1\n", []),
        ([], "[llm]\nengine = 'vllm'\n", ["llm.engine = vllm"]),
        ([], "[mcp.servers.files]\ncommand = 'npx'\n", ["mcp.servers.files"]),
        (["--set", "tools.servers=off"], "[mcp.servers.files]\ncommand = 'npx'\n", []),
        ([], "[home]\nurl = 'http://box:8123'\ntoken = 'secret'\n", ["home.url"]),
        (["--set", "tools.home=off"], "[home]\nurl = 'http://box:8123'\ntoken = 'secret'\n", []),
    ],
)
def test_the_network_is_left_as_it_is_only_where_the_settings_name_a_server(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, arguments: list[str], config: str | None, named: list[str]
) -> None:
    # What is set for this user does not reach the conversation, which has another home.
    (tmp_path / "sotto.toml").write_text("[llm]\nengine = 'lmstudio'\n", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SOTTO_STT__BASE_URL", "http://box:1/v1")
    monkeypatch.setattr(command, "can_isolate", lambda: True)
    isolated: list[bool] = []

    def instead(argv: list[str], *_: object, **how: Any) -> Report:
        isolated.append(how["isolated"])
        log = Path(argv[argv.index("--events") + 1])
        log.parent.mkdir(parents=True)
        log.write_text("".join(json.dumps(event) + "\n" for event in HELD), encoding="utf-8")
        return Report(0, "", (), (), "strace")

    monkeypatch.setattr(command, "audit", instead)
    if config is not None:
        (tmp_path / "mine.toml").write_text(config, encoding="utf-8")
        arguments = [*arguments, "--config", "mine.toml"]
    result = CliRunner().invoke(app, ["audit", *arguments])
    assert result.exit_code == 0, result.output
    assert isolated == [not named]
    told = f"a server may stand behind {', '.join(named)})" if named else "without any network but the loopback"
    assert told in " ".join(result.output.split())


def test_a_system_that_cannot_take_the_network_away_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "can_isolate", lambda: False)
    _, text, _ = audited(monkeypatch, Report(0, "", (), (), "python"), servers=())
    assert "with the network as it is (this system cannot take it away)" in text


@pytest.mark.long
@pytest.mark.network
def test_a_conversation_with_the_bundled_engines_leaves_nothing_outside() -> None:
    result = CliRunner(env={**os.environ, "COLUMNS": "160"}).invoke(app, ["audit", *BUNDLED])
    assert result.exit_code == 0, result.output
    assert "Nothing left this machine." in result.output
    assert "without any network but the loopback, and watched by strace" in " ".join(result.output.split())
    assert "speeds.json" in result.output
    assert sys.executable not in result.output
