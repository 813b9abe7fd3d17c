"""Nothing of a conversation leaves the machine: each command in an empty home, watched from outside where that can be.

No file but its own, no name looked up, no address called beyond the loopback. What goes beyond is named with its
process; `audit(..., libraries=True)` names the shared library, too.
"""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from agent.audit.run import Report, audit
from agent.engines.bundled_ears import bundled_whisper
from agent.library_switches import LIBRARY_SWITCHES
from tests.support.house import SPEECH

SOTTO = (sys.executable, "-m", "agent.cli")
BUNDLED = ("--stt", "pocketsphinx", "--llm", "embedded", "--tts", "espeak")
# Asks from within, since the audit may leave the program no network but its own loopback.
SERVED = """
import json, re, subprocess, sys, urllib.request
command = [sys.executable, "-m", "agent.cli", "serve", "--port", "0", *sys.argv[1:]]
process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
url = next(match[1] for line in process.stderr if (match := re.search(r"ready: (http://[\\d.:]+)", line)))
opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
for path in ("/health", "/"):
    print(path, opener.open(url + path, timeout=20).status)
process.terminate()
sys.exit(process.wait())
"""


def watched(tmp_path: Path, command: Sequence[str | Path]) -> Report:
    return audit([*map(str, command)], tmp_path / "audit", inherited=os.environ, timeout_secs=170)


@pytest.mark.long
@pytest.mark.network
@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        # With the engines that `auto` takes; it keeps how fast they are in a cache of its own.
        (["replay", SPEECH / "capital_of_germany.wav", "--out", "o.wav"], "1 turns, 1 answered"),
        (["transcribe", SPEECH / "days_in_a_week.wav", "--stt", "pocketsphinx"], "how many days are in a week"),
        (["doctor", *BUNDLED], "stt.engine"),
        (["models", "list"], "tiny.en"),
        (["models", "pull", "no-such-model"], "no-such-model"),
    ],
    ids=["replay", "transcribe", "doctor", "models-list", "models-pull-unknown"],
)
def test_a_command_leaves_nothing_outside(tmp_path: Path, arguments: list[str | Path], said: str) -> None:
    report = watched(tmp_path, [*SOTTO, *arguments])
    assert said in report.output
    assert report.lines() == []


@pytest.mark.network
@pytest.mark.group("ears")
@pytest.mark.parametrize("command", [["pull", "tiny.en"], ["import"]], ids=["pull", "import"])
def test_a_model_that_is_on_this_machine_is_taken_without_a_look_outside(tmp_path: Path, command: list[str]) -> None:
    bundled, missing = bundled_whisper()
    assert bundled is not None, missing
    files = sorted(bundled.iterdir()) if command == ["import"] else []
    report = watched(tmp_path, [*SOTTO, "models", *command, *(path for path in files if path.suffix != ".py")])
    assert "tiny.en is ready in" in report.output
    assert report.lines() == []


@pytest.mark.long
@pytest.mark.network
def test_a_server_leaves_nothing_outside(tmp_path: Path) -> None:
    report = watched(tmp_path, [sys.executable, "-c", SERVED, *BUNDLED])
    assert report.output == "/health 200\n/ 200\n"
    assert report.lines() == []


# Every library that a reader could choose, and what the benches and the tests load.
EVERYTHING = """
import agent, sys, time
import onnxruntime, sherpa_onnx, faster_whisper, ctranslate2, kokoro_onnx, huggingface_hub, tokenizers, xllamacpp
import pipecat.audio.vad.silero, pipecat.pipeline.worker, aiortc, openai, pocketsphinx
import tests.bench.engines, tests.bench.conversation, tests.bench.dynamics.stock
onnxruntime.InferenceSession(sys.argv[1], providers=["CPUExecutionProvider"]).get_inputs()
time.sleep(2)
"""


@pytest.mark.long
@pytest.mark.network
def test_no_library_reports_its_use_even_where_the_environment_asks_for_it(tmp_path: Path) -> None:
    import pipecat.audio.vad

    model = Path(pipecat.audio.vad.__file__).parent / "data" / "silero_vad.onnx"
    wanted = ["ORT_DISABLE_TELEMETRY=0", "HF_HUB_DISABLE_TELEMETRY=0", "DO_NOT_TRACK=0", "HF_XET_TELEMETRY_ENABLED=1"]
    report = watched(tmp_path, ["env", *wanted, sys.executable, "-c", EVERYTHING, model])
    assert report.returncode == 0, report.output
    assert report.lines() == []


@pytest.mark.parametrize("module", ["agent", "agent.cli", "agent.settings.load", "tests", "tests.bench.table"])
def test_every_switch_is_set_for_our_processes_and_their_children(module: str) -> None:
    child = "import os, json; print(json.dumps(dict(os.environ)))"
    program = f"import subprocess, sys, {module}\nsubprocess.run([sys.executable, '-c', {child!r}])"
    # As a user might have them, for other programs.
    asked_for = dict.fromkeys(LIBRARY_SWITCHES, "maybe")
    command = [sys.executable, "-c", program]
    output = subprocess.run(command, env={**os.environ, **asked_for}, capture_output=True, text=True, check=True)
    environment = json.loads(output.stdout)
    assert {name: environment[name] for name in LIBRARY_SWITCHES} == {
        name: value for name, (value, _) in LIBRARY_SWITCHES.items()
    }
