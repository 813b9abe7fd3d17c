"""`sotto audit`: holds a conversation in an empty home, and tells all that it wrote, asked, called and read.

In:  a conversation, or none: one question spoken by the bundled voice, and one typed.
Out: a table; status 1 if anything left. A conversation that was not held is an error, not a report with nothing in it.

On Linux strace sees system calls, and a network namespace without a way out keeps everything in; elsewhere, and where
strace is missing, Python's audit hooks see what Python code does, and a native library's own calls go past them.
"""

import json
import subprocess
import sys
import tempfile
import wave
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from agent.audit.finding import Finding, Kind
from agent.audit.home import AuditHome
from agent.audit.run import Report, audit, can_isolate, can_trace
from agent.conversation.activity import Activity
from agent.conversation.event_log import Event
from agent.errors import SottoError
from processors.tts.espeak import EspeakSynthesizer

SPOKEN = "What is the capital of Germany?"
CONVERSATION = """steps:
  - say: question.wav
  - type: What is the capital of France?
"""
LIMIT_SECS = 600.0
NOT_SEEN = (
    "seen by Python's audit hooks: what a native library writes, looks up or calls by itself is not in this table"
    " (on Linux, install strace to see it)"
)
MAX_OUTPUT_CHARS = 500
LAST_LINES = 3
WHAT: Mapping[Kind, str] = {"file": "wrote", "look-up": "looked up", "connection": "called", "variable": "read"}
# Of what did not go beyond.
WHOSE: Mapping[Kind, str] = {"file": "sotto's own", "look-up": "loopback", "connection": "loopback", "variable": ""}


class AuditError(SottoError):
    """The conversation under audit could not be held."""


def run_audit(
    files: Sequence[Path],
    flags: Sequence[str],
    inherited: Mapping[str, str],
    console: Console,
    *,
    servers: Sequence[str] = (),
) -> int:
    """Hold the conversation and print what it did; blocks until it is over.

    Args:
        files: As `sotto replay` takes them; none for a conversation of our own.
        flags: Of `sotto replay`.
        inherited: Variables of this process.
        console: Prints.
        servers: What names a server in the settings. Where there is one, the network is left as it is.

    Returns:
        1 if a name was looked up, an address beyond this machine called or a file written that is not sotto's own.

    Raises:
        AuditError: The conversation could not be held, or nothing was answered in it: there is nothing to tell of.
    """
    with tempfile.TemporaryDirectory(prefix="sotto-audit-") as folder:
        said = [path.absolute() for path in files] or [_conversation(Path(folder))]
        home = AuditHome(Path(folder) / "audit")
        events = home.notes / "conversation.jsonl"
        command = [sys.executable, "-m", "agent.cli", "replay", *map(str, said), "--events", str(events), *flags]
        isolated = not servers and can_isolate()
        try:
            report = audit(command, home.folder, inherited=inherited, timeout_secs=LIMIT_SECS, isolated=isolated)
        except subprocess.TimeoutExpired as error:
            raise AuditError(f"the conversation was not over within {LIMIT_SECS:g} s") from error
        went = _Held.read(events)
        if report.returncode not in (0, 1) or not went.held:
            raise AuditError(f"the conversation was not held, so nothing is known of it: {_last_lines(report.output)}")
        _print(console, report, Path(folder), _network(servers, isolated=isolated))
        if report.returncode == 1:
            console.print(escape(went.trouble), highlight=False)
    return 1 if report.findings else 0


class _Held(Activity):
    """How a conversation went, told from its event log."""

    def __init__(self) -> None:
        super().__init__()
        self.started = False

    @classmethod
    def read(cls, path: Path) -> Self:
        """What a log says; without a log nothing was begun."""
        went = cls()
        if path.is_file():
            for line in path.read_text(encoding="utf-8").splitlines():
                went(json.loads(line))
        return went

    def __call__(self, event: Event) -> None:
        self.started |= event["event"] == "session_started"
        super().__call__(event)

    @property
    def held(self) -> bool:
        """Whether it began, a turn was answered, and none was left open."""
        return self.started and self.n_turns > 0 and self.n_answered > 0 and not self.turn_open

    @property
    def trouble(self) -> str:
        """What a conversation that was held did not come to."""
        if self.errors:
            return f"A stage of the conversation failed: {self.errors[-1]['stage']}: {self.errors[-1]['message']}"
        return f"A turn of the conversation was not answered; {self.n_answered} were."


def _last_lines(output: str) -> str:
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    return " | ".join(lines[-LAST_LINES:])[-MAX_OUTPUT_CHARS:] or "it said nothing"


def _conversation(folder: Path) -> Path:
    synthesizer = EspeakSynthesizer()
    pcm16 = b"".join(chunk.pcm16 for chunk in synthesizer.synthesize(SPOKEN))
    with wave.open(str(folder / "question.wav"), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(synthesizer.sample_rate_hz)
        file.writeframes(pcm16)
    path = folder / "conversation.yaml"
    path.write_text(CONVERSATION, encoding="utf-8")
    return path


def _network(servers: Sequence[str], *, isolated: bool) -> str:
    """What network the conversation had, and why."""
    if isolated:
        return "without any network but the loopback"
    if servers:
        return f"with the network as it is (a server may stand behind {', '.join(servers)})"
    return "with the network as it is (this system cannot take it away)"


def _print(console: Console, report: Report, folder: Path, network: str) -> None:
    table = Table(title="what one conversation did")
    for column in ("what", "which", "by", "whose"):
        table.add_column(column, overflow="fold")
    for finding in report.findings:
        table.add_row(*_row(finding, folder), "[red]BEYOND[/red]")
    for finding in report.others:
        table.add_row(*_row(finding, folder), WHOSE[finding.kind])
    console.print(table)
    console.print(escape(f"The conversation was held in an empty home, {network}, and {_seen(report)}."))
    n_beyond = len(report.findings)
    told = "Nothing left this machine." if n_beyond == 0 else f"{n_beyond} of these went beyond sotto's own."
    console.print(told)


def _row(finding: Finding, folder: Path) -> tuple[str, str, str]:
    subject = finding.subject.replace(str(folder / "audit" / "home"), "~").replace(str(folder / "audit"), "(temporary)")
    return WHAT[finding.kind], escape(subject), escape(finding.by)


def _seen(report: Report) -> str:
    return "watched by strace" if report.seen_by == "strace" else NOT_SEEN if not can_trace() else "seen by hooks"
