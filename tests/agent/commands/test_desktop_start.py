"""`sotto desktop` finds its devices before it imports and loads what a conversation needs."""

import subprocess
import sys
from pathlib import Path

import pytest

# Each runs a process.
pytestmark = pytest.mark.apart


@pytest.mark.parametrize("side", ["--input", "--output"])
def test_a_missing_device_is_one_line_before_anything_heavy_is_imported(tmp_path: Path, side: str) -> None:
    command = [sys.executable, "-X", "importtime", "-m", "agent.cli", "desktop", side, "no such device"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, timeout=60, check=False)
    lines = done.stderr.splitlines()
    imported = {line.rpartition("|")[2].strip() for line in lines if line.startswith("import time:")}
    (message,) = [line for line in lines if not line.startswith("import time:")]
    assert (done.returncode, done.stdout) == (1, "")
    # Where PortAudio itself is missing, that is what is told.
    assert message.startswith((f"sotto: {side} 'no such device' is no such device; there is: ", "sotto: PortAudio, "))
    assert imported.isdisjoint({"pipecat", "onnxruntime", "agent.engines.host", "agent.commands.desktop"})
