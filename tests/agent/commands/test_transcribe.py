"""`sotto transcribe` as its users meet it: files in, text and subtitles out, one-line errors."""

import io
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
from rich.console import Console

from agent.commands.live_transcript import transcribe_live
from agent.commands.transcribe import Output, check, transcribe_files
from agent.errors import InputError
from agent.settings.load import load_settings
from tests.support.house import FIXTURES, SPEECH
from tests.support.scripted_engines import ScriptedRecognizerEngine
from transports.recording import load_recording

# Most run a process.
pytestmark = pytest.mark.apart
WHISPER = ("--stt", "whisper", "--set", f"stt.model={FIXTURES / 'micro_whisper'}")


def run(*arguments: str | Path) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "agent.cli", "transcribe", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, encoding="utf-8")


def test_words_go_to_standard_output() -> None:
    done = run(SPEECH / "capital_of_germany.wav")
    assert (done.returncode, done.stdout) == (0, "What is the capital of Germany?\n")


def test_subtitles_have_numbered_cues_with_times() -> None:
    # Whisper dates the first word where the sound begins, up to 0.4 s before the voice.
    done = run(SPEECH / "capital_of_germany.wav", "--format", "srt", "--stt", "pocketsphinx")
    number, times, text = done.stdout.splitlines()
    assert (number, text) == ("1", "what is the capital of germany")
    start, end = (int(part[6:8]) + int(part[9:12]) / 1000 for part in times.split(" --> "))
    # The voice lies between 0.30 and 2.07 s of the recording.
    assert start == pytest.approx(0.3, abs=0.2)
    assert end == pytest.approx(2.07, abs=0.25)


def test_a_language_is_detected_and_translated() -> None:
    spoken = run(SPEECH / "buenos_dias.wav", *WHISPER, "--language", "auto", "--format", "verbose_json")
    answer = json.loads(spoken.stdout)
    assert (answer["text"], answer["language"]) == ("Hola, buenos días amigo.", "spanish")
    translated = run(SPEECH / "buenos_dias.wav", *WHISPER, "--language", "es", "--translate")
    assert translated.stdout == "Hello, good morning friend.\n"


def test_several_files_are_told_apart_and_a_broken_one_stops_none(tmp_path: Path) -> None:
    files = [SPEECH / name for name in ("kitchen_lights.wav", "text.wav", "five_minutes.wav")]
    done = run(*files, *WHISPER)
    lights, timer = (
        f"{files[0]}:\nTurn on the kitchen lights please.\n",
        f"{files[2]}:\nSet a timer for five minutes.\n",
    )
    assert (done.returncode, done.stdout) == (2, lights + timer)
    assert done.stderr.splitlines()[-1] == f"sotto: {files[1]} is not a sound file, or it is damaged"
    done = run(files[0], files[2], *WHISPER, "--format", "vtt", "--out", tmp_path / "subtitles")
    assert (done.returncode, done.stdout) == (0, "")
    written = {path.name: path.read_text(encoding="utf-8") for path in (tmp_path / "subtitles").iterdir()}
    assert sorted(written) == ["five_minutes.vtt", "kitchen_lights.vtt"]
    assert written["kitchen_lights.vtt"].startswith("WEBVTT\n")
    assert written["kitchen_lights.vtt"].rstrip().endswith("Turn on the kitchen lights please.")


def test_several_files_as_json_are_a_line_each_with_their_names() -> None:
    files = [SPEECH / name for name in ("silence.wav", "five_minutes.wav")]
    done = run(*files, *WHISPER, "--language", "auto", "--format", "verbose_json")
    silence, timer = map(json.loads, done.stdout.splitlines())
    assert (silence["file"], silence["text"], timer["file"]) == (str(files[0]), "", str(files[1]))
    assert timer["text"] == "Set a timer for five minutes."
    assert "auto" not in done.stdout


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full on this system, a disk that is always full")
def test_a_full_disk_is_one_line() -> None:
    command = [sys.executable, "-m", "agent.cli", "transcribe", str(SPEECH / "stop.wav")]
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert done.stderr.startswith("sotto: standard output cannot be written: ")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([SPEECH / "nowhere.wav"], "recording not found: "),
        ([SPEECH / "empty.wav"], "is empty"),
        ([SPEECH / "stop.wav", "--format", "doc"], "--format doc: expected one of "),
        ([SPEECH / "stop.wav", SPEECH / "cough.wav", "--format", "srt"], "--out DIR writes one for each"),
        ([SPEECH / "stop.wav", "--language", "es"], "stt"),
        ([SPEECH / "stop.wav", "--live", "--format", "srt"], "--live shows text as it comes"),
        ([SPEECH / "stop.wav", SPEECH / "stop.wav", "--out", "."], "written to one file"),
    ],
)
def test_bad_input_is_one_line(arguments: list[str | Path], message: str) -> None:
    done = run(*arguments)
    assert done.returncode in (1, 2)
    assert done.stdout == ""
    assert len(done.stderr.splitlines()) == 1
    assert message in done.stderr


def test_live_words_come_before_the_final_line(tmp_path: Path) -> None:
    done = run(SPEECH / "capital_of_germany.wav", "--live")
    assert (done.returncode, done.stdout.split(maxsplit=3)[-1]) == (0, "What is the capital of Germany?\n")


async def test_live_partials_are_shown_on_a_terminal() -> None:
    class Partials(ScriptedRecognizerEngine):
        def recognizer(self):
            recognizer = super().recognizer()
            accept = recognizer.accept
            recognizer.accept = lambda pcm16: accept(pcm16) or "so far"  # pyright: ignore[reportAttributeAccessIssue]
            return recognizer

    screen = io.StringIO()
    console = Console(file=screen, force_terminal=True, width=80)
    sound = load_recording(SPEECH / "stop.wav").audio_s16
    await transcribe_live(Partials("stop"), sound, load_settings(), console)
    shown = screen.getvalue()
    assert "so far …" in shown
    assert shown.index("so far …") < shown.index("  stop")


def test_a_long_file_has_a_progress_bar_on_standard_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "long.wav"
    soundfile.write(path, np.zeros(16_000 * 30, np.int16), 16_000)
    drawn = io.StringIO()
    settings = load_settings({"stt.engine": "pocketsphinx"})
    transcribe_files([path], settings, Output("text"), Console(file=drawn, force_terminal=True, width=80))
    assert "long.wav" in drawn.getvalue()
    assert capsys.readouterr().out == "\n"


def test_an_output_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match=r"--out .*file/deeper cannot be made"):
        check([SPEECH / "stop.wav"], Output("text", tmp_path / "file" / "deeper"))
