"""Runs a program in an empty home; reports what it wrote, looked up and called beyond its folders and this machine.

In:  a command.   Out: findings, each with its process and, where it can be known, the library behind it.

On Linux strace sees system calls, native libraries' too, and a network namespace without any way out keeps what is
seen from leaving. Elsewhere Python's audit hooks see what Python code does, which is less; `Report.seen_by` says which.
"""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

from agent.audit import python_hook, strace
from agent.audit.finding import OWN, Finding, is_loopback
from agent.audit.home import AuditHome

# Without a network but the loopback. Names are asked of an address that nobody listens at, so that they are asked.
_ISOLATED = """
set -e
ip link set lo up
printf 'nameserver 127.0.0.1\\noptions attempts:1 timeout:1\\n' > "$1/resolv.conf"
printf 'hosts: files dns\\n' > "$1/nsswitch.conf"
for file in resolv.conf nsswitch.conf; do mount --bind "$1/$file" "$(readlink -f /etc/$file)"; done
shift
exec "$@"
"""
# Devices, kernel tables and semaphores are no files that stay.
_NO_FILES = (
    "/dev/null",
    "/dev/tty",
    "/dev/pts/",
    "/dev/zero",
    "/dev/urandom",
    "/dev/random",
    "/proc/",
    "/sys/",
    "/dev/shm/sem.",  # noqa: S108 - looked for, not written
)
_NO_LOOKUPS = {"localhost", "localhost.localdomain", "ip6-localhost"}


@dataclass(frozen=True)
class Report:
    """What a program did.

    Attributes:
        returncode: Its exit status.
        output: Standard output and standard error together.
        findings: What went beyond, each once, in order of kind and subject.
        others: What did not, and variables that libraries read to be led out; each once, in the same order.
        seen_by: `strace`, or `python` where only Python code was watched.
    """

    returncode: int
    output: str
    findings: tuple[Finding, ...]
    others: tuple[Finding, ...]
    seen_by: str

    def lines(self) -> list[str]:
        """The findings, one line each."""
        return [str(finding) for finding in self.findings]


def audit(
    command: Sequence[str],
    folder: Path,
    *,
    inherited: Mapping[str, str],
    timeout_secs: float,
    native: bool | None = None,
    isolated: bool | None = None,
    libraries: bool = False,
) -> Report:
    """Run a program to its end in an empty home, and report what went beyond.

    Args:
        command: The program and its arguments.
        folder: Where its home, temporary and working folders are made; must not hold them yet.
        inherited: Variables of this process, which the program gets without what leads it elsewhere.
        timeout_secs: When it is killed, with all that it started.
        native: Whether strace watches; None where it can.
        isolated: Whether it runs without a network but the loopback; None where that can be had.
        libraries: Also name the shared library behind each system call. Takes thirty times as long.

    Raises:
        subprocess.TimeoutExpired: It took too long.
        FileExistsError: The folder is in use.
    """
    home = AuditHome(folder)
    home.make()
    native = can_trace() if native is None else native
    isolated = can_isolate() if isolated is None else isolated
    environment = home.environment(inherited)
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, [str(_hooked(home)), environment.get("PYTHONPATH")]))
    full = list(command)
    if native:
        full = [*strace.ARGUMENTS, *(["-k"] if libraries else []), "-o", str(home.notes / "strace"), *full]
    if isolated:
        full = [*_isolation(home.notes), *full]
    result = _run(full, home.work, environment, timeout_secs)
    seen = _once(_seen(home, native))
    beyond = tuple(finding for finding in seen if _is_beyond(home, finding))
    others = tuple(finding for finding in seen if finding not in beyond and _is_told(home, finding))
    return Report(result.returncode, result.stdout, beyond, others, "strace" if native else "python")


@cache
def can_trace() -> bool:
    """Whether strace is installed and may watch a process of this user."""
    program = shutil.which("strace")
    return program is not None and _succeeds([program, "-f", "--seccomp-bpf", "-o", "/dev/null", "true"])


@cache
def can_isolate() -> bool:
    """Whether this user may make a namespace without a network."""
    with _scratch() as folder:
        return shutil.which("unshare") is not None and _succeeds([*_isolation(folder), "true"])


@contextmanager
def _scratch() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="sotto-audit-") as folder:
        yield Path(folder)


def _succeeds(command: Sequence[str]) -> bool:
    try:
        return subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=20).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False


def _isolation(notes: Path) -> list[str]:
    return ["unshare", "--map-root-user", "--net", "--mount", "sh", "-c", _ISOLATED, "sh", str(notes)]


def _hooked(home: AuditHome) -> Path:
    """A folder for the program's path, whose `sitecustomize` installs the hook in every Python process."""
    folder = home.notes / "path"
    folder.mkdir()
    hook = repr(str(Path(python_hook.__file__).resolve()))
    source = f"import runpy\nrunpy.run_path({hook})['install']({str(home.notes)!r})\n"
    (folder / "sitecustomize.py").write_text(source, encoding="utf-8")
    return folder


def _run(
    command: Sequence[str], work: Path, environment: Mapping[str, str], timeout_secs: float
) -> "subprocess.CompletedProcess[str]":
    process = subprocess.Popen(
        command,
        cwd=work,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
        text=True,
    )
    try:
        output, _ = process.communicate(timeout=timeout_secs)
    except BaseException:
        _kill_group(process)
        process.communicate()
        raise
    return subprocess.CompletedProcess(command, process.returncode, output)


def _kill_group(process: "subprocess.Popen[str]") -> None:
    """End it and what it started: strace lets go of what it watches when it is killed itself."""
    if sys.platform == "win32":
        process.kill()
    else:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)


def _seen(home: AuditHome, native: bool) -> list[Finding]:
    """Everything; Python's stacks stand with what strace saw."""
    hooked = list(_hook_notes(home.notes))
    if not native:
        return [finding for _, finding in hooked]
    stacks = {(thread, found.kind, found.subject): found.stack for thread, found in hooked}
    names = {thread: found.stack for thread, found in hooked if found.kind == "look-up"}
    seen = [found for _, found in hooked if found.kind == "variable"]
    for thread, found in strace.findings(home.notes, home.work):
        stack = stacks.get((thread, found.kind, found.subject), ())
        if not stack and found.kind == "look-up":
            stack = names.get(thread, ())
        seen.append(replace(found, stack=(*found.stack, *stack)))
    return seen


def _hook_notes(notes: Path) -> Iterator[tuple[int, Finding]]:
    for path in sorted(notes.glob("hook.*.jsonl")):
        seen = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        # By run of reads: those that went through all variables, as a copy does.
        of_all = {note["run"] for note in seen if note["kind"] == "all variables"}
        for note in seen:
            if note["kind"] == "all variables" or (note.get("run") in of_all and not note["named"]):
                continue
            yield (
                note["thread"],
                Finding(note["kind"], note["subject"], note["process"], tuple(note["stack"])),
            )


def _once(seen: Iterable[Finding]) -> list[Finding]:
    kept: dict[tuple[str, str], Finding] = {}
    for finding in seen:
        kept.setdefault((finding.kind, finding.subject), finding)
    return [kept[key] for key in sorted(kept)]


def _is_told(home: AuditHome, finding: Finding) -> bool:
    """Whether it is worth a line though nothing went beyond: of variables, those that a library read."""
    if finding.kind == "file":
        return not _is_no_file(finding.subject) and not Path(finding.subject).is_relative_to(home.notes)
    return finding.kind != "variable" or finding.culprit not in ("", OWN)


def _is_no_file(path: str) -> bool:
    # Compiled sources belong to the interpreter.
    return path.startswith(_NO_FILES) or "__pycache__" in Path(path).parts


def _is_beyond(home: AuditHome, finding: Finding) -> bool:
    if finding.kind == "variable":
        return False
    if finding.kind == "file":
        return not _is_no_file(finding.subject) and not home.is_own(Path(finding.subject))
    host = finding.subject
    if finding.kind == "connection":
        host = host.rpartition(":")[0].strip("[]")
    try:
        return not is_loopback(host)
    except ValueError:
        return host not in _NO_LOOKUPS
