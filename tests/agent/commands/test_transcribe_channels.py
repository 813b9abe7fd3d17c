"""`sotto transcribe --channels split`: each side of a stereo recording on its own."""

import io
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from rich.console import Console

from agent.commands.transcribe import Output, run_transcribe, transcribe_files
from agent.errors import InputError
from agent.settings.load import load_settings
from agent.transcripts import Format
from tests.support.house import FIXTURES, SPEECH

# Most load a model.
pytestmark = pytest.mark.apart
LIGHTS, TIMER = "Turn on the kitchen lights please.", "Set a timer for five minutes."
MODEL = FIXTURES / "micro_whisper"


def call(path: Path, *, starts_at_secs: float) -> Path:
    """A telephone call: one on the left asks for light, one on the right for a timer, the latter from some time on."""
    left_s16, rate_hz = soundfile.read(SPEECH / "kitchen_lights.wav", dtype="int16")
    right_s16, _ = soundfile.read(SPEECH / "five_minutes.wav", dtype="int16")
    begin = round(starts_at_secs * rate_hz)
    stereo_s16 = np.zeros((max(len(left_s16), begin + len(right_s16)), 2), np.int16)
    stereo_s16[: len(left_s16), 0] = left_s16
    stereo_s16[begin : begin + len(right_s16), 1] = right_s16
    soundfile.write(path, stereo_s16, rate_hz)
    return path


def transcribed(path: Path, kind: Format, capsys: pytest.CaptureFixture[str]) -> str:
    settings = load_settings({"stt.engine": "whisper", "stt.model": str(MODEL)})
    transcribe_files([path], settings, Output(kind, split=True), Console(file=io.StringIO()))
    return capsys.readouterr().out


@pytest.mark.parametrize("suffix", [".wav", ".flac"])
def test_each_side_is_named_before_its_words(tmp_path: Path, suffix: str) -> None:
    path = call(tmp_path / f"call{suffix}", starts_at_secs=3.0)
    command = [sys.executable, "-m", "agent.cli", "transcribe", str(path), "--channels", "split"]
    command += ["--stt", "whisper", "--set", f"stt.model={MODEL}"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (0, f"[left] {LIGHTS} [right] {TIMER}\n")


def test_sides_that_talk_at_once_are_both_understood(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = call(tmp_path / "call.wav", starts_at_secs=0.0)
    assert transcribed(path, "text", capsys) == f"[left] {LIGHTS} [right] {TIMER}\n"


def test_json_holds_both_sides(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = call(tmp_path / "call.wav", starts_at_secs=3.0)
    # 3 s and the 2.463 s of the second recording.
    usage = {"type": "duration", "seconds": 6}
    assert json.loads(transcribed(path, "json", capsys)) == {
        "text": f"[left] {LIGHTS} [right] {TIMER}",
        "usage": usage,
    }
    verbose: dict[str, Any] = json.loads(transcribed(path, "verbose_json", capsys))
    assert verbose["duration"] == pytest.approx(5.463, abs=0.001)
    assert [segment["text"] for segment in verbose["segments"]] == [f"[left] {LIGHTS}", f"[right] {TIMER}"]
    left, right = verbose["segments"]
    # Each recording begins with 0.3 s of silence and lasts 2.5 s; a segment may begin half a second before its voice.
    assert left["start"] == pytest.approx(0.3, abs=0.5)
    assert right["start"] == pytest.approx(3.3, abs=0.5)
    assert (left["end"] <= 2.5, right["end"] <= 5.5) == (True, True)


def test_subtitles_name_the_side_and_keep_its_times(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = transcribed(call(tmp_path / "call.wav", starts_at_secs=3.0), "srt", capsys).splitlines()
    assert [lines[index] for index in (0, 2, 4, 6)] == ["1", f"[left] {LIGHTS}", "2", f"[right] {TIMER}"]
    starts_secs = [float(lines[index].split(" --> ")[0].rpartition(":")[2].replace(",", ".")) for index in (1, 5)]
    assert starts_secs == pytest.approx([0.3, 3.3], abs=0.5)


def test_a_recording_of_one_channel_is_transcribed_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    assert transcribed(SPEECH / "five_minutes.wav", "text", capsys) == f"{TIMER}\n"


@pytest.mark.parametrize(
    ("channels", "live", "message"),
    [
        ("left", False, "--channels left: expected mix or split"),
        ("split", True, "--live hears one channel: leave out --channels split"),
    ],
)
def test_what_does_not_go_together_is_one_line(channels: str, live: bool, message: str) -> None:
    with pytest.raises(InputError) as told:
        run_transcribe([SPEECH / "stop.wav"], load_settings(), kind="text", out=None, live=live, channels=channels)
    assert str(told.value) == message
