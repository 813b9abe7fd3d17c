"""What every test shares: where recordings are, which machines can run which test, and no way out to the network."""

import os
import shutil
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

import pytest
from loguru import logger

# Pipecat tells every step at DEBUG; a failing test is easier to read without it.
logger.configure(handlers=[{"sink": sys.stderr, "level": "WARNING"}])

REPOSITORY = Path(__file__).resolve().parent.parent

# Per marker: any one of these programs, what they are for, and the command that mends their absence.
NEEDED_PROGRAMS: dict[str, tuple[tuple[str, ...], str, str]] = {
    "browser": (
        ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome"),
        "Chromium",
        "apt-get install chromium",
    ),
    "device": (("pulseaudio",), "PulseAudio", "apt-get install pulseaudio libasound2-plugins libportaudio2"),
}
# Where a models directory with real weights is; .ci/weights lays one out and prints its path.
WEIGHTS_VARIABLE = "SOTTO_TEST_WEIGHTS"
LOOPBACK_NAMES = {"localhost", "::1", ""}


def _lacks(reason: str) -> NoReturn:
    """Skip this test; where CI=true, fail it."""
    if os.environ.get("CI") == "true":
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What takes `real_weights` is marked `weights`, what is marked `weights` is `long`, and `long` comes last."""
    for item in items:
        if "real_weights" in getattr(item, "fixturenames", ()):
            item.add_marker("weights")
        if item.get_closest_marker("weights") is not None:
            item.add_marker("long")
    items.sort(key=lambda item: item.get_closest_marker("long") is not None)


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip a test whose programs or weights are missing; where CI=true a missing one is a failure."""
    for marker, (programs, name, install) in NEEDED_PROGRAMS.items():
        if item.get_closest_marker(marker) is not None and not any(map(shutil.which, programs)):
            _lacks(f"{name} is not installed ({', '.join(programs)} not on PATH): {install}")
    if item.get_closest_marker("weights") is not None:
        _weights_path()


def _weights_path() -> Path:
    install = f"{WEIGHTS_VARIABLE}=$(.ci/weights) uv run pytest -m weights"
    named = os.environ.get(WEIGHTS_VARIABLE)
    if not named:
        _lacks(f"no real weights ({WEIGHTS_VARIABLE} names no models directory): {install}")
    missing = [
        part
        for part in ("stt/tiny.en", "stt/base", "tts/kokoro-int8", "tts/piper-joe")
        if not (Path(named) / part).is_dir()
    ]
    if missing:
        _lacks(f"{WEIGHTS_VARIABLE}={named} has no {', '.join(missing)}: {install}")
    return Path(named).resolve()


@pytest.fixture(scope="session")
def real_weights() -> Path:
    """A models directory with real weights: stt/tiny.en, stt/base, tts/kokoro-int8 and tts/piper-joe; read only."""
    return _weights_path()


@pytest.fixture(scope="session")
def fixtures_dir() -> Path:
    """The small recordings and models that belong to the project."""
    return REPOSITORY / "tests" / "fixtures"


@pytest.fixture(scope="session")
def shared_audio() -> Path:
    """Recordings of people speaking, which lie beside the repository on some machines."""
    path = REPOSITORY.parent / "shared" / "audio"
    if not path.is_dir():
        pytest.skip("no recordings of people beside this checkout (../shared/audio)")
    return path


class ConnectionBeyondLoopback(AssertionError):
    """A test tried to reach another machine."""


def _is_loopback(family: int, address: Any) -> bool:
    if family not in (socket.AF_INET, socket.AF_INET6):
        return True
    host = str(address[0])
    return host in LOOPBACK_NAMES or host.startswith(("127.", "::ffff:127."))


@pytest.fixture(scope="session", autouse=True)
def refused_connections() -> Iterator[list[str]]:
    """Addresses beyond loopback that TCP connections of this process were refused to.

    Datagrams are left alone: ICE sends them to every address of this machine.
    """
    refused: list[str] = []

    def guarded(name: str) -> Any:
        original = getattr(socket.socket, name)

        def connect(self: socket.socket, address: Any) -> Any:
            if self.type == socket.SOCK_STREAM and not _is_loopback(self.family, address):
                refused.append(f"{address[0]}:{address[1]}")
                self.close()  # callers close after an OSError only
                raise ConnectionBeyondLoopback(f"tests talk to loopback only, not to {address}")
            return original(self, address)

        return connect

    with pytest.MonkeyPatch.context() as patch:
        for name in ("connect", "connect_ex"):
            patch.setattr(socket.socket, name, guarded(name))
        yield refused


@pytest.fixture(autouse=True)
def _loopback_only(refused_connections: list[str]) -> Iterator[None]:
    """Fail a test that tried to leave the machine, even where the code under test caught the refusal."""
    yield
    if refused_connections:
        addresses = ", ".join(refused_connections)
        refused_connections.clear()
        pytest.fail(f"tests talk to loopback only, but this one tried {addresses}", pytrace=False)
