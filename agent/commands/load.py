"""`sotto load`: so many callers hold conversations with a running server, and what they saw.

In:  an address and limits.   Out: a table while it goes on, the figures as JSON, and whether all was within the limits.
"""

import asyncio
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
from rich.console import Console
from rich.live import Live
from rich.table import Table

from agent.early_signals import SIGNALLED_STATUS
from agent.errors import InputError
from agent.load.callers import Callers, Plan
from agent.load.find import largest
from agent.load.line import MAX_SESSIONS, UNAUTHORIZED, CallLine, Server
from agent.load.measured import Limits, Measured
from agent.load.questions import for_callers
from agent.load.realtime import RealtimeCall
from agent.load.webrtc import WebRtcCall
from agent.load.websocket import WebSocketCall
from agent.settings.serving import ServerSettings
from agent.stopping import Stopping, stop_on_signals
from transports.ice_addresses import open_only, reach_of

__all__ = ["Limits", "LoadOptions", "Plan", "run_load", "server_here"]

DOORS: Mapping[str, Callable[[Server], CallLine]] = {
    "webrtc": WebRtcCall,
    "websocket": WebSocketCall,
    "realtime": RealtimeCall,
}
MOST_CALLS = 1000
# Calls of a trial have ended by then, and the next one begins.
FREE_SECS = 20.0
LOOK_SECS = 0.25
# A pipe is told so often how it goes.
LINE_SECS = 5
STANDARD_OUTPUT = Path("-")


@dataclass(frozen=True)
class LoadOptions:
    """What is asked for.

    Attributes:
        url: The server's address.
        token: What it asks for; None: nothing.
        door: How callers come in.
        n_calls: How many; with `find` the most that are tried.
        find: Whether the largest number within the limits is looked for.
        plan: How long.
        limits: What has to be kept.
        say: Recordings in place of synthesised questions.
        json_path: Where the figures go; `-`: standard output.
    """

    url: str
    token: str | None = None
    door: str = "webrtc"
    n_calls: int | None = None
    find: bool = False
    plan: Plan = field(default_factory=lambda: Plan(60.0))
    limits: Limits = field(default_factory=Limits)
    say: Sequence[Path] = ()
    json_path: Path | None = None


async def run_load(options: LoadOptions) -> int:
    """Call, and tell what came of it.

    Returns:
        The exit status: 0 within the limits, 1 beyond them, 130 or 143 where a signal ended it.

    Raises:
        InputError: An option is no use, or nothing answers at the address.
    """
    make_call = DOORS.get(options.door)
    if make_call is None:
        raise InputError(f"--door {options.door}: expected one of {', '.join(DOORS)}")
    stopping, server = stop_on_signals(), server_of(options.url, options.token)
    if server.is_here:
        # WebRTC's packets go to this machine alone, too.
        open_only(reach_of("127.0.0.1"))
    most = await most_sessions(server)
    # With JSON on standard output nothing else stands there.
    console = Console(stderr=options.json_path == STANDARD_OUTPUT)
    trials = Trials(options, server, make_call, console, stopping)
    if options.find:
        found = await trials.find(options.n_calls or most or MOST_CALLS, most)
    else:
        found = await trials.once(options.n_calls or 1, most)
    if options.json_path:
        _write(options.json_path, json.dumps(found, indent=2) + "\n")
    if stopping.is_set():
        return stopping.exit_status or SIGNALLED_STATUS
    return 0 if found["within_limits"] else 1


class Trials:
    """Loads of one server, one after another.

    Args:
        options: What is asked for.
        server: Whom callers call.
        make_call: Makes a call.
        console: Where it is told.
        stopping: Ends it early.
    """

    def __init__(
        self,
        options: LoadOptions,
        server: Server,
        make_call: Callable[[Server], CallLine],
        console: Console,
        stopping: Stopping,
    ) -> None:
        self._options, self._server, self._make_call = options, server, make_call
        self._console, self._stopping = console, stopping

    async def once(self, n_calls: int, most: int | None) -> dict[str, Any]:
        """So many callers; the figures."""
        limits = self._options.limits
        measured = await self._measure(n_calls)
        problems = measured.problems(limits)
        for line in [*problems, *measured.notes()]:
            self._console.print(f"! {line}", markup=False)
        if MAX_SESSIONS in measured.refused:
            self._console.print(f"stopped by {MAX_SESSIONS} = {most}: sotto serve --set {MAX_SESSIONS}={n_calls}")
        return {"within_limits": not problems, "server_max_sessions": most, **measured.as_json(limits)}

    async def find(self, highest: int, most: int | None) -> dict[str, Any]:
        """The largest number of calls within the limits; the figures of all trials."""
        tried: dict[int, Measured] = {}
        limits = self._options.limits

        async def holds(n_calls: int) -> bool:
            if self._stopping.is_set():
                return False
            tried[n_calls] = await self._measure(n_calls)
            await self._until_free()
            return not tried[n_calls].problems(limits)

        n_calls = await largest(highest, holds)
        beyond = min((n for n in tried if n > n_calls), default=None)
        if beyond is not None:
            stopped_by = tried[beyond].problems(limits)
        else:
            stopped_by = [f"{MAX_SESSIONS} = {most}" if n_calls == most else f"--calls {highest}"]
        self._console.print(f"{n_calls} calls are held; stopped by: {'; '.join(stopped_by)}", markup=False)
        return {
            "within_limits": n_calls > 0,
            "largest": n_calls,
            "stopped_by": stopped_by,
            "server_max_sessions": most,
            "trials": [one.as_json(limits) for one in tried.values()],
        }

    async def _measure(self, n_calls: int) -> Measured:
        questions = await asyncio.to_thread(for_callers, n_calls, self._options.say)
        callers = Callers(questions, lambda: self._make_call(self._server), self._options.plan)
        if not self._console.is_terminal:
            n_told = 0

            def tell(measured: Measured) -> None:
                nonlocal n_told
                n_told += 1
                if n_told % LINE_SECS == 0:
                    line = "   ".join(f"{name} {value}" for name, value in row_of(measured))
                    self._console.print(line, markup=False, soft_wrap=True)

            measured = await callers.run(self._stopping, tell)
            self._console.print(table_of(measured))
            return measured
        with Live(table_of(callers.measured), console=self._console, auto_refresh=False) as live:
            measured = await callers.run(self._stopping, lambda now: live.update(table_of(now), refresh=True))
            live.update(table_of(measured), refresh=True)
        return measured

    async def _until_free(self) -> None:
        """Wait until the calls of a trial have left their places; nothing of the server's tells when."""
        with suppress(httpx.HTTPError):
            async with self._server.client() as client:
                for _ in range(round(FREE_SECS / LOOK_SECS)):
                    if not (await client.get("/health")).json().get("sessions", {}).get("active"):
                        return
                    await asyncio.sleep(LOOK_SECS)


def server_here(server: ServerSettings) -> tuple[str, str | None]:
    """The address of this machine's server, and what opens it.

    Args:
        server: Its settings; a token that it makes at every start is not known.
    """
    scheme = "https" if server.https or server.certificate else "http"
    token = server.token.get_secret_value() if server.token else None
    return f"{scheme}://127.0.0.1:{server.port}", None if token == "auto" else token  # noqa: S105


def server_of(url: str, token: str | None) -> Server:
    """The server at an address.

    Args:
        url: As it was given.
        token: What opens it.

    Raises:
        InputError: It is no address of a server.
    """
    problem = f"--url {url}: expected an address such as http://127.0.0.1:7860"
    try:
        parts = urlsplit(url)
        is_address = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        raise InputError(problem) from None
    if not is_address or parts.username or parts.path.strip("/") or parts.query:
        raise InputError(problem)
    is_here = parts.hostname in ("127.0.0.1", "localhost", "::1")
    return Server(f"{parts.scheme}://{parts.netloc}", token, is_here)


async def most_sessions(server: Server) -> int | None:
    """How many calls the server takes; None where it does not tell.

    Raises:
        InputError: Nothing answers, or the token is wrong, or it takes no calls.
    """
    try:
        async with server.client(10) as client:
            health = await client.get("/health")
            options = await client.get("/api/options")
        report = health.json()
    except (httpx.HTTPError, ValueError) as error:
        raise InputError(f"no sotto answers at {server.url} ({error!r}): start one with sotto serve") from error
    if UNAUTHORIZED in (health.status_code, options.status_code):
        raise InputError(f"{server.url} asks for its token: sotto load --token TOKEN")
    if report.get("status") != "ready" or "sessions" not in report:
        raise InputError(f"{server.url} takes no calls now: it says {report.get('status', 'nothing')}")
    return report["sessions"]["max"]


def row_of(measured: Measured) -> list[tuple[str, str]]:
    """Figures, each with its name; `late` is how late the callers themselves sent."""

    def secs(percent: float) -> str:
        value = measured.percentile_secs(percent)
        return "-" if value is None else f"{value:.2f} s"

    return [
        ("calls", f"{measured.n_held}/{measured.n_calls}"),
        ("answered", f"{len(measured.answer_secs)}/{measured.n_questions}"),
        ("p50", secs(50)),
        ("p95", secs(95)),
        ("misheard", str(measured.n_misheard)),
        ("mixed up", str(measured.n_mixed_up)),
        ("lost", str(measured.lost.total())),
        ("errors", str(measured.errors.total())),
        ("late", f"{measured.callers_late_p95_ms:.0f} ms"),
    ]


def table_of(measured: Measured) -> Table:
    """The same as a table."""
    names, values = zip(*row_of(measured), strict=True)
    table = Table(*names, title="calls, and answers as callers have them", title_justify="left", padding=(0, 0))
    table.add_row(*values)
    return table


def _write(path: Path, text: str) -> None:
    if path == STANDARD_OUTPUT:
        sys.stdout.write(text)
        return
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise InputError(f"--json {path}: it cannot be written: {error.strerror}") from error
