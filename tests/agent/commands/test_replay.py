"""`sotto replay` as a user runs it: real engines in a process of its own, its files, and its exit status."""

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
import soundfile

from tests.support.house import FIXTURES, SPEECH

# Each holds a conversation in real time, in a process of its own.
pytestmark = pytest.mark.realtime
BUNDLED = ("--stt", "pocketsphinx", "--llm", "embedded", "--tts", "espeak")


def replay(directory: Path, *arguments: str | Path) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "agent.cli", "replay", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, cwd=directory, timeout=150, check=False)


def events_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def texts(events: list[dict[str, Any]], name: str) -> list[Any]:
    return [event["text"] for event in events if event["event"] == name]


def test_two_recordings_are_two_turns_and_two_answers_in_order(tmp_path: Path) -> None:
    files = [SPEECH / "capital_of_germany.wav", SPEECH / "days_in_a_week.wav"]
    result = replay(tmp_path, *files, *BUNDLED, "--out", "o.wav", "--events", "e.jsonl")
    assert result.returncode == 0, result.stderr
    events = events_of(tmp_path / "e.jsonl")
    assert texts(events, "turn_ended") == ["what is the capital of germany", "how many days are in a week"]
    times = [event["t"] for event in events]
    assert times == sorted(times)
    names = [event["event"] for event in events]
    order = [name for name in names if name in ("turn_ended", "bot_started_speaking", "bot_stopped_speaking")]
    assert order == ["turn_ended", "bot_started_speaking", "bot_stopped_speaking"] * 2
    assert "what is the capital of germany" in result.stdout
    assert "2 turns, 2 answered" in result.stdout

    stereo, rate_hz = soundfile.read(tmp_path / "o.wav", dtype="int16")
    assert soundfile.info(tmp_path / "o.wav").subtype == "PCM_16"
    left, right = np.abs(stereo[:, 0].astype(int)), np.abs(stereo[:, 1].astype(int))
    first = next(event for event in events if event["event"] == "bot_started_speaking")
    started = int(first["t"] * rate_hz)
    # Nothing sounds on the right before the first answer, which starts after the question has ended.
    assert right[: started - 10].max() <= 104
    assert right[started : started + rate_hz].max() > 1000
    assert np.flatnonzero(left[:started] > 300)[-1] < started
    latency = next(event for event in events if event["event"] == "latency")
    assert set(latency) == {
        "t",
        "event",
        "voice_to_voice_ms",
        "turn_ms",
        "stt_ms",
        "llm_ttft_ms",
        "tts_ttfb_ms",
    }


def test_people_are_understood(tmp_path: Path, shared_audio: Path) -> None:
    files = [shared_audio / "hello_world.wav", shared_audio / "weather_question.wav"]
    result = replay(tmp_path, *files, *BUNDLED, "--events", "e.jsonl")
    assert result.returncode == 0, result.stderr
    assert texts(events_of(tmp_path / "e.jsonl"), "turn_ended") == ["hello world", "what is the weather in paris"]


def test_a_quiet_microphone_is_heard(tmp_path: Path, shared_audio: Path) -> None:
    # About -32 dBFS.
    result = replay(tmp_path, shared_audio / "reader1_5.wav", *BUNDLED, "--events", "e.jsonl")
    assert result.returncode == 0, result.stderr
    assert texts(events_of(tmp_path / "e.jsonl"), "turn_ended") == ["sunday is the best part of the week"]


def test_a_conversation_file_says_its_steps_at_their_time(tmp_path: Path) -> None:
    script = tmp_path / "talk.yaml"
    script.write_text(
        f"""
steps:
  - say: {SPEECH / "tell_me_a_story.wav"}
  - say: {SPEECH / "stop.wav"}
    after: bot_started_speaking
    delay_secs: 0.6
    gain_db: -3
end_secs: 0.5
""",
        encoding="utf-8",
    )
    result = replay(tmp_path, script, *BUNDLED, "--events", "e.jsonl", "--out", "o.wav")
    events = events_of(tmp_path / "e.jsonl")
    started = next(event["t"] for event in events if event["event"] == "bot_started_speaking")
    left, rate_hz = soundfile.read(tmp_path / "o.wav", dtype="int16")
    loud = np.flatnonzero(np.abs(left[int(started * rate_hz) :, 0].astype(int)) > 300)
    # The recording has 0.3 s of silence before its voice.
    assert loud[0] / rate_hz == pytest.approx(0.6 + 0.3, abs=0.1)
    assert result.returncode == 0, result.stderr


def test_whisper_and_kokoro_hold_a_conversation_on_micro_models(tmp_path: Path) -> None:
    result = replay(
        tmp_path,
        SPEECH / "five_minutes.wav",
        *("--stt", "whisper", "--set", f"stt.model={FIXTURES / 'micro_whisper'}"),
        *("--tts", "kokoro", "--set", f"tts.model={FIXTURES / 'micro_kokoro'}"),
        # Else there would be a timer, and the replay would wait for it.
        *("--set", "tools.reflexes=false", "--set", "tools.choice=off", "--llm", "embedded", "--events", "e.jsonl"),
    )
    assert result.returncode == 0, result.stderr
    events = events_of(tmp_path / "e.jsonl")
    assert texts(events, "turn_ended") == ["Set a timer for five minutes."]
    said = " ".join(map(str, texts(events, "bot_word")))
    planned = " ".join(str(texts(events, "llm_done")[0]).split())
    assert said
    assert said.split()[0].strip(".,!") in planned


@pytest.mark.parametrize("engine", ["kitten", "pocket"])
def test_moonshine_and_a_small_voice_hold_a_conversation_on_fakes(tmp_path: Path, engine: str) -> None:
    voice = Path(shutil.copytree(FIXTURES / f"micro_{engine}", tmp_path / engine))
    shutil.copy(SPEECH / "five_minutes.wav", voice / "anna.wav")
    result = replay(
        tmp_path,
        SPEECH / "five_minutes.wav",
        *("--stt", "moonshine", "--set", f"stt.model={FIXTURES / 'micro_moonshine' / 'v2'}"),
        *("--tts", engine, "--set", f"tts.model={voice}"),
        *("--llm", "embedded", "--events", "e.jsonl"),
    )
    assert result.returncode == 0, result.stderr
    events = events_of(tmp_path / "e.jsonl")
    # The fake writes a word for each second of speech: 1.7 s are one.
    assert texts(events, "turn_ended") == ["one"]
    said = " ".join(map(str, texts(events, "bot_word")))
    assert said
    assert said.split()[0].strip(".,!") in str(texts(events, "llm_done")[0])


def test_silence_is_not_answered_and_says_so(tmp_path: Path) -> None:
    result = replay(tmp_path, SPEECH / "silence.wav", *BUNDLED)
    assert result.returncode == 1
    assert "not answered" in result.stderr
    assert "0 turns, 0 answered" in result.stdout


def test_bad_input_ends_a_replay_with_2_and_one_line(tmp_path: Path) -> None:
    result = replay(tmp_path, SPEECH / "text.wav")
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr == f"sotto: recording {SPEECH / 'text.wav'} is not a sound file, or it is damaged\n"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_a_replay_in_order(tmp_path: Path, number: signal.Signals) -> None:
    script = tmp_path / "talk.yaml"
    script.write_text(f"steps:\n  - say: {SPEECH / 'stop.wav'}\n    delay_secs: 300\n", encoding="utf-8")
    files = ("--out", "o.wav", "--events", "e.jsonl")
    command = [sys.executable, "-m", "agent.cli", "replay", str(script), *BUNDLED, *files]
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=tmp_path,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )
    assert process.stdout is not None
    process.stdout.readline()  # the engines: the conversation has begun
    children = psutil.Process(process.pid).children(recursive=True)
    process.send_signal(number)
    _, errors = process.communicate(timeout=30)
    assert process.returncode == 128 + number
    assert b"Traceback" not in errors
    assert events_of(tmp_path / "e.jsonl")[-1]["reason"] == "stopped"
    assert soundfile.info(tmp_path / "o.wav").channels == 2
    _, alive = psutil.wait_procs(children, timeout=10)
    assert not alive


def test_a_reader_that_goes_away_does_not_stop_a_replay(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "agent.cli", "replay", str(SPEECH / "days_in_a_week.wav"), *BUNDLED]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=tmp_path)
    assert process.stdout is not None
    process.stdout.close()
    assert process.stderr is not None
    with process.stderr as errors:
        told = errors.read()
    assert process.wait(60) == 0
    assert b"Traceback" not in told


def test_a_full_disk_ends_a_replay_with_one_line(tmp_path: Path) -> None:
    result = replay(tmp_path, SPEECH / "days_in_a_week.wav", *BUNDLED, "--events", "/dev/full")
    assert result.returncode == 2
    assert result.stderr.splitlines()[-1] == "sotto: event log cannot be written: /dev/full: No space left on device"
    assert "Traceback" not in result.stderr


def test_an_engine_without_its_model_ends_with_1_and_the_command_that_mends_it(tmp_path: Path) -> None:
    result = replay(tmp_path, SPEECH / "stop.wav", "--stt", "nemotron", "--set", f"models_dir={tmp_path}")
    assert result.returncode == 1
    assert result.stderr.splitlines()[-1] == (
        "sotto: stt.engine = nemotron: no model for stt.language = en is installed: sotto models pull nemotron-en-560ms"
    )
