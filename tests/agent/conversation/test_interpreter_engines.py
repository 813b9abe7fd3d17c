"""The persona `interpreter` as a user runs it, with ears that translate."""

import json
import subprocess
import sys
import wave
from pathlib import Path
from typing import Any

import pytest

from processors.tts.espeak import SAMPLE_RATE_HZ
from tests.support.house import FIXTURES, SPEECH
from tests.support.sounds import said_afresh

pytestmark = pytest.mark.apart
ENGINES = ("--llm", "embedded", "--tts", "espeak", "--persona", "interpreter")


def interpreted(folder: Path, recording: Path, model: Path) -> list[dict[str, Any]]:
    """The events of a conversation with an interpreter."""
    command = [sys.executable, "-m", "agent.cli", "replay", recording, *ENGINES, "--set", f"stt.model={model}"]
    result = subprocess.run(
        [*map(str, command), "--events", "e.jsonl"], capture_output=True, text=True, cwd=folder, timeout=150
    )
    assert result.returncode == 0, result.stderr
    return [json.loads(line) for line in (folder / "e.jsonl").read_text(encoding="utf-8").splitlines()]


def texts(events: list[dict[str, Any]], name: str) -> str:
    return " ".join(event["text"] for event in events if event["event"] == name)


def test_a_spanish_sentence_comes_out_in_english_without_the_language_model(tmp_path: Path) -> None:
    events = interpreted(tmp_path, SPEECH / "buenos_dias.wav", FIXTURES / "micro_whisper")
    assert texts(events, "bot_word") == texts(events, "turn_ended") == "Hello, good morning friend."
    assert "llm_first_token" not in {event["event"] for event in events}


@pytest.mark.realtime
@pytest.mark.weights
def test_a_german_sentence_comes_out_in_english_with_real_ears(tmp_path: Path, real_weights: Path) -> None:
    pcm16 = b"".join(chunk.pcm16 for chunk in said_afresh("Ich möchte ein Glas Wasser.", "de"))
    with wave.open(str(tmp_path / "german.wav"), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(SAMPLE_RATE_HZ)
        file.writeframes(pcm16)
    events = interpreted(tmp_path, tmp_path / "german.wav", real_weights / "stt" / "base")
    assert "glass of water" in texts(events, "bot_word")
