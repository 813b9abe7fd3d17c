"""A note that is dictated to a fresh install: bundled ears, bundled mind, and a file."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.house import FIXTURES

pytestmark = [pytest.mark.realtime, pytest.mark.group("ears")]
NOTE = FIXTURES / "said" / "note.yaml"


def test_a_file_is_created_once_by_a_spoken_request(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "agent.cli", "replay", str(NOTE), "--llm", "embedded", "--tts", "espeak"]
    command += ["--set", f"tools.folder={tmp_path / 'mine'}", "--set", f"models_dir={tmp_path}", "--events", "e.jsonl"]
    result = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, timeout=150, check=False)
    assert result.returncode == 0, result.stderr
    (file,) = [path for path in (tmp_path / "mine").rglob("*") if path.is_file()]
    assert (file.name, file.read_text("utf-8")) == ("notes.txt", "buy milk\n")
    events = [json.loads(line) for line in (tmp_path / "e.jsonl").read_text("utf-8").splitlines()]
    (call,) = [event for event in events if event["event"] == "tool_call"]
    assert (call["name"], call["arguments"]) == ("create_file", {"name": "notes.txt", "text": "buy milk"})
    assert [event["text"] for event in events if event["event"] == "bot_word"] == ["Done."]
