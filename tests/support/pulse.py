"""A sound system of a test's own: a PulseAudio server with virtual devices, reached through ALSA as PortAudio does.

    with PulseServer() as pulse:
        pulse.plug_in()                       # loudspeaker "speaker", microphone "mic"
        pulse.say(path)                       # a recording enters the microphone
        ...
    pulse.heard_s16                           # what left the loudspeaker, 48 kHz mono

Nothing here is fake but the air: the real PortAudio, ALSA and PulseAudio run on null sinks.
"""

import asyncio
import os
import shutil
import subprocess
import tempfile
import threading
import time
from pathlib import Path
from typing import Any, Self

import numpy as np

RATE_HZ = 48_000
START_TIMEOUT_SECS = 20.0
STOP_TIMEOUT_SECS = 5.0
# A null sink is as slow as its most patient listener; 10 ms is what a real device gives.
LATENCY = "--latency-msec=10"
ALSA_CONFIG = """</usr/share/alsa/alsa.conf>
pcm.!default { type pulse }
ctl.!default { type pulse }
pcm.desk_speaker { type pulse device "speaker" }
pcm.desk_mic { type pulse device "mic" }
"""


class PulseServer:
    """A private server in a folder of its own; a context manager that ends every process it started."""

    def __init__(self) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="sotto-pulse-"))
        self._socket = self._folder / "socket"
        self._server: subprocess.Popen[bytes] | None = None
        self._recorders: list[subprocess.Popen[bytes]] = []
        self._readers: list[threading.Thread] = []
        self._modules: list[str] = []
        self._heard = bytearray()
        (self._folder / "asound.conf").write_text(ALSA_CONFIG)

    @property
    def environment(self) -> dict[str, str]:
        """What a process needs to find this server, and no other."""
        return {
            "PULSE_SERVER": f"unix:{self._socket}",
            "PULSE_COOKIE": str(self._folder / "cookie"),
            "PULSE_RUNTIME_PATH": str(self._folder),
            "XDG_RUNTIME_DIR": str(self._folder),
            "ALSA_CONFIG_PATH": str(self._folder / "asound.conf"),
        }

    @property
    def heard_s16(self) -> np.ndarray[Any, np.dtype[np.int16]]:
        """What has left the loudspeaker so far, 48 kHz mono."""
        whole = len(self._heard) // 2 * 2
        return np.frombuffer(bytes(self._heard[:whole]), "<i2")

    async def more(self, duration_secs: float) -> None:
        """Wait until so much more has left the loudspeaker: what a process has played travels through the sink."""
        until = len(self._heard) + 2 * round(duration_secs * RATE_HZ)
        while len(self._heard) < until:
            await asyncio.sleep(0.01)

    def start(self) -> None:
        """Run the server, without devices."""
        modules = [f"module-native-protocol-unix socket={self._socket} auth-anonymous=1"]
        command = [
            "pulseaudio",
            "-n",
            "--daemonize=no",
            "--use-pid-file=no",
            "--exit-idle-time=-1",
            "--log-level=error",
        ]
        for module in modules:
            command += ["-L", module]
        log = (self._folder / "log").open("wb")
        self._server = subprocess.Popen(command, env=self._full_environment(), stdout=log, stderr=log)
        log.close()
        due_secs = time.monotonic() + START_TIMEOUT_SECS
        while subprocess.run(self._pactl("info"), env=self._full_environment(), capture_output=True).returncode:
            if self._server.poll() is not None or time.monotonic() > due_secs:
                raise RuntimeError(f"pulseaudio did not start: {(self._folder / 'log').read_text()}")
            time.sleep(0.05)

    def stop(self) -> None:
        """End the server, as a crash would."""
        if self._server:
            _end(self._server)
        self._server = None
        self._modules = []
        self._end_recorders()

    def plug_in(self) -> None:
        """Connect the loudspeaker and the microphone."""
        for module in (
            f"module-null-sink sink_name=speaker rate={RATE_HZ} channels=1",
            f"module-null-sink sink_name=mic_feed rate={RATE_HZ} channels=1",
            "module-remap-source source_name=mic master=mic_feed.monitor remix=no",
        ):
            self._modules.append(self._ask("load-module", *module.split()))
        self._ask("set-default-sink", "speaker")
        self._ask("set-default-source", "mic")
        flowing = [self._record("speaker.monitor", self._heard), self._record("mic_feed.monitor", bytearray())]
        # The sinks are quick once their first samples have come.
        for event in flowing:
            event.wait(START_TIMEOUT_SECS)

    def pull_out(self) -> None:
        """Disconnect both; streams on them are killed."""
        for module in reversed(self._modules):
            self._ask("unload-module", module)
        self._modules = []
        self._end_recorders()

    def let_echo(self, delay_ms: int) -> None:
        """Let the microphone hear the loudspeaker, as in a room."""
        loop = f"module-loopback source=speaker.monitor sink=mic_feed latency_msec={delay_ms} remix=no"
        self._modules.append(self._ask("load-module", *loop.split()))

    def say(self, recording: Path) -> None:
        """Let a recording enter the microphone; returns when its last sample has entered."""
        command = ["paplay", "--device=mic_feed", LATENCY, str(recording)]
        subprocess.run(command, env=self._full_environment(), check=True)

    def _record(self, source: str, into: bytearray) -> threading.Event:
        form = ["--raw", f"--rate={RATE_HZ}", "--channels=1", "--format=s16le"]
        command = ["parec", f"--device={source}", LATENCY, *form]
        recorder = subprocess.Popen(
            command, env=self._full_environment(), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        stream = recorder.stdout
        if stream is None:
            raise RuntimeError("parec has no output")

        flowing = threading.Event()

        def read() -> None:
            while chunk := os.read(stream.fileno(), 65536):
                into.extend(chunk)
                flowing.set()
            stream.close()

        reader = threading.Thread(target=read)
        reader.start()
        self._recorders.append(recorder)
        self._readers.append(reader)
        return flowing

    def _end_recorders(self) -> None:
        for recorder in self._recorders:
            _end(recorder)
        for reader in self._readers:
            reader.join()
        self._recorders, self._readers = [], []

    def _ask(self, *arguments: str) -> str:
        done = subprocess.run(
            self._pactl(*arguments), env=self._full_environment(), capture_output=True, text=True, check=True
        )
        return done.stdout.strip()

    @staticmethod
    def _pactl(*arguments: str) -> list[str]:
        return ["pactl", *arguments]

    def _full_environment(self) -> dict[str, str]:
        return {**os.environ, **self.environment}

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        shutil.rmtree(self._folder, ignore_errors=True)


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(STOP_TIMEOUT_SECS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
