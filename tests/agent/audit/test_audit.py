"""The audit sees a written file, a look-up and a connection, also where native code makes them, and names who did it.

The samples are harmless: names and addresses that are reserved for examples (RFC 2606, RFC 5737, RFC 3849).
"""

import contextlib
import os
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from agent.audit.finding import Finding
from agent.audit.run import Report, audit
from tests.conftest import REPOSITORY

PYTHON_SAMPLE = """
import contextlib, os, socket
from pathlib import Path
with contextlib.suppress(OSError):
    socket.getaddrinfo("nothing.invalid", 443)
for family, address in ((socket.AF_INET, "192.0.2.1"), (socket.AF_INET6, "2001:db8::1")):
    with contextlib.suppress(OSError), socket.socket(family, socket.SOCK_STREAM) as tcp:
        tcp.settimeout(0.1)
        tcp.connect((address, 9))
with contextlib.suppress(OSError), socket.socket(type=socket.SOCK_DGRAM) as udp:
    udp.sendto(b"hello", ("192.0.2.2", 9))
folder = Path.home() / ".spy"
folder.mkdir()
(folder / "id").write_text("me")
os.rename(folder / "id", folder / "device id")
"""
OWN_SAMPLE = """
import os, socket
from pathlib import Path
for name in (".cache/sotto", ".local/share/sotto/models"):
    (Path.home() / name).mkdir(parents=True)
    (Path.home() / name / "a").write_text("a")
Path("here.txt").write_text("a")
with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()):
    socket.getaddrinfo("localhost", 80)
open(os.devnull, "w").close()
"""
NATIVE_SAMPLE = """
import ctypes, os
libc = ctypes.CDLL(None)
libc.mkdir(os.path.expanduser("~/.cache").encode(), 0o700)
libc.close(libc.open(os.path.expanduser("~/.cache/spy.db").encode(), os.O_CREAT | os.O_WRONLY, 0o600))
class Address(ctypes.Structure):
    _fields_ = [("family", ctypes.c_uint16), ("port", ctypes.c_uint8 * 2), ("ip", ctypes.c_uint8 * 4),
                ("zero", ctypes.c_uint8 * 8)]
address = Address(2, (1, 187), (192, 0, 2, 3))
libc.connect(libc.socket(2, 2 | os.O_NONBLOCK, 0), ctypes.byref(address), 16)
libc.getaddrinfo(b"native.invalid", b"443", None, ctypes.byref(ctypes.c_void_p()))
"""


# One end answers natively, as the server of a library does, and asks not who has called.
ANSWERED_SAMPLE = """
import ctypes, socket, threading
libc = ctypes.CDLL(None)
family = socket.AF_INET6 if ":" in "{address}" else socket.AF_INET
with socket.create_server(("{address}", 0), family=family) as server:
    def answer():
        taken = libc.accept(server.fileno(), None, None)
        libc.send(taken, b"hello", 5, 0)
        libc.close(taken)
    thread = threading.Thread(target=answer)
    thread.start()
    with socket.create_connection(server.getsockname()[:2]) as caller:
        caller.recv(9)
    thread.join()
    print(server.getsockname()[1])
"""
SOUND_LIBRARY_SAMPLE = """
import ctypes, importlib.util
from pathlib import Path
folder = Path(importlib.util.find_spec("_soundfile_data").origin).parent
library = ctypes.CDLL(str(next(folder.glob("libsndfile*"))))
info = (ctypes.c_int64 * 8)()
ctypes.memmove(info, (ctypes.c_int64 * 2)(0, 8000 | 1 << 32), 16)
ctypes.cast(ctypes.byref(info, 16), ctypes.POINTER(ctypes.c_int32))[0] = 0x010002  # WAV, 16 bits
library.sf_open.restype = ctypes.c_void_p
library.sf_open(str(Path.home() / "take.wav").encode(), 0x20, ctypes.byref(info))
"""


def run(tmp_path: Path, source: str, **how: bool) -> Report:
    sample = tmp_path / "sample.py"
    sample.write_text(source, encoding="utf-8")
    command = [sys.executable, str(sample)]
    report = audit(command, tmp_path / "audit", inherited=os.environ, timeout_secs=100, **how)
    assert report.returncode == 0, report.output
    return report


def seen(report: Report, tmp_path: Path) -> list[tuple[str, str]]:
    home = f"{tmp_path}/audit/home/"
    return [(finding.kind, finding.subject.removeprefix(home)) for finding in report.findings]


PYTHON_FINDINGS = [
    ("connection", "192.0.2.1:9"),
    ("connection", "192.0.2.2:9"),
    ("connection", "[2001:db8::1]:9"),
    ("file", ".spy"),
    ("file", ".spy/device id"),
    ("file", ".spy/id"),
    ("look-up", "nothing.invalid"),
]


@pytest.mark.network
def test_files_names_and_addresses_are_seen_from_outside(tmp_path: Path) -> None:
    report = run(tmp_path, PYTHON_SAMPLE)
    assert report.seen_by == "strace"
    assert seen(report, tmp_path) == PYTHON_FINDINGS


@pytest.mark.skipif(sys.platform == "win32", reason="the home's paths are compared as POSIX paths")
def test_files_names_and_addresses_of_python_code_are_seen_from_within(tmp_path: Path) -> None:
    report = run(tmp_path, PYTHON_SAMPLE, native=False)
    assert report.seen_by == "python"
    assert seen(report, tmp_path) == PYTHON_FINDINGS


@pytest.mark.network
def test_native_code_is_seen_too(tmp_path: Path) -> None:
    assert seen(run(tmp_path, NATIVE_SAMPLE), tmp_path) == [
        ("connection", "192.0.2.3:443"),
        ("file", ".cache/spy.db"),
        ("look-up", "native.invalid"),
    ]


@pytest.mark.network
def test_what_a_child_process_does_is_said_to_be_its_own(tmp_path: Path) -> None:
    report = run(tmp_path, "import subprocess\nsubprocess.run(['getent', 'ahosts', 'child.invalid'])")
    assert report.lines() == ["looked up child.invalid (in: getent ahosts child.invalid)"]


@pytest.mark.network
@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
def test_a_call_within_this_machine_is_told_once_where_it_was_made(tmp_path: Path, address: str) -> None:
    report = run(tmp_path, ANSWERED_SAMPLE.format(address=address))
    calls = [finding.subject for finding in report.others if finding.kind == "connection"]
    shown = f"[{address}]" if ":" in address else address
    assert calls == [f"{shown}:{report.output.strip()}"]


@pytest.mark.network
@pytest.mark.parametrize("native", [True, False])
def test_own_folders_this_machine_and_devices_are_nobodys_business(tmp_path: Path, native: bool) -> None:
    assert run(tmp_path, OWN_SAMPLE, native=native).lines() == []


@pytest.mark.parametrize("native", [pytest.param(True, marks=pytest.mark.network), False])
def test_the_python_library_behind_it_is_named(tmp_path: Path, native: bool) -> None:
    package = tmp_path / "site-packages" / "spy"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("from pathlib import Path\nPath('~/id').expanduser().write_text('me')")
    report = run(tmp_path, f"import sys\nsys.path.append({str(package.parent)!r})\nimport spy", native=native)
    assert [finding.culprit for finding in report.findings] == ["spy"]


@pytest.mark.network
def test_the_shared_library_behind_it_is_named(tmp_path: Path) -> None:
    report = run(tmp_path, SOUND_LIBRARY_SAMPLE, libraries=True)
    assert [(finding.subject, finding.culprit) for finding in report.findings] == [
        (f"{tmp_path}/audit/home/take.wav", "_soundfile_data")
    ]


def test_a_program_that_takes_too_long_is_ended_with_what_it_started(tmp_path: Path) -> None:
    started = tmp_path / "started"
    program = f"""
import subprocess
process = subprocess.Popen(['sleep', '300'])
open({str(started)!r}, 'w').write(str(process.pid))
process.wait()
"""
    command = [sys.executable, "-c", program]
    with pytest.raises(subprocess.TimeoutExpired):
        audit(command, tmp_path / "audit", inherited=os.environ, timeout_secs=3)
    # It is killed without being waited for; whoever inherits it may not have collected its status.
    end_secs = time.monotonic() + 30
    with contextlib.suppress(psutil.NoSuchProcess):
        while psutil.Process(int(started.read_text())).status() != psutil.STATUS_ZOMBIE:
            assert time.monotonic() < end_secs
            time.sleep(0.01)


def test_an_audit_needs_an_empty_home(tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    with pytest.raises(FileExistsError):
        audit([sys.executable, "-c", ""], tmp_path, inherited=os.environ, timeout_secs=10)


@pytest.mark.parametrize(
    ("frames", "culprit"),
    [
        (["/usr/lib/libc.so.6(mkdir+0x7)", "/v/site-packages/onnxruntime/capi/a.so(f+0x1)"], "onnxruntime"),
        (["/v/lib/python3.11/site-packages/ray/_private/usage.py:12 report"], "ray"),
        (["C:\\v\\site-packages\\ray\\usage.py:12 report"], "ray" if sys.platform == "win32" else ""),
        (["/usr/lib/python3.11/json.py:1 f", f"{REPOSITORY / 'agent' / 'cli.py'}:9 main"], "sotto"),
        ([f"{REPOSITORY / 'processors' / 'x.py'}:9 f", "/v/site-packages/typer/main.py:9 main"], "sotto"),
        (["/v/site-packages/anyio/a.py:9 f", f"{REPOSITORY / 'agent' / 'cli.py'}:9 main"], "anyio"),
        (["/usr/lib/libavahi.so(f+0x1)"], ""),
        ([], ""),
    ],
)
def test_the_culprit_is_the_first_installed_package_of_the_stack(frames: list[str], culprit: str) -> None:
    finding = Finding("file", "x", stack=tuple(frames))
    assert finding.culprit == culprit
    assert finding.by == (culprit or ("unknown" if frames else "unknown (native)"))
