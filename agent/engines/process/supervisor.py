"""Starts the engine process, sees whether it works, and starts it anew where it does not.

In:  settings and the path of a socket.   Out: engines that answer there; after a crash again, with nothing to be done.
"""

import asyncio
import json
import subprocess
import sys
import threading
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import IO, Protocol, cast

from loguru import logger

from agent.engines.process.peer import GoneError, Peer
from agent.engines.process.sockets import MAX_ADDRESS_BYTES
from agent.engines.process.wire import Head, WireError, head_of
from agent.engines.process.words import raise_error
from agent.settings.line import settings_line
from agent.settings.load import Settings
from processors.child_process import WorkWatch, is_ending, kill_with_its_own, start_child
from processors.errors import EngineError, EngineUnavailableError, one_line

# One that answers nothing for so long, and does not work meanwhile, hangs; so does one that works for two minutes
# without an answer, which at its start may be the time that the models take on a busy machine.
LOOK_SECS, ANSWER_SECS, MOST_SILENT_SECS = 3.0, 5.0, 120.0
# A process that dies again and again is started at ever longer intervals.
LONG_LIFE_SECS, FIRST_WAIT_SECS, MOST_WAIT_SECS = 10.0, 0.5, 30.0
END_SECS = 2.0
MEND = "sotto serve --set server.workers=1"


class Started(Protocol):
    """A process with pipes to its standard input and output, as `subprocess.Popen` has it; threads wait for it."""

    pid: int
    returncode: int | None
    stdin: IO[bytes] | None
    stdout: IO[bytes] | None

    def poll(self) -> int | None: ...

    def wait(self, timeout: float | None = None) -> int: ...

    def kill(self) -> None: ...


async def started_alone(socket_path: Path) -> Started:
    """An engine process from nothing.

    Args:
        socket_path: Where it is to answer.

    Raises:
        EngineUnavailableError: The program is ending.
        OSError: It cannot be started.
    """
    return start_child([sys.executable, "-m", "agent.engines.process", "--socket", str(socket_path)], logs=True)


class EngineProcess:
    """The engine process that runs at the moment; used on one event loop.

    Args:
        settings: Which engines.
        socket_path: Where it answers: in a folder of this user alone, see `socket_folder`.
        on_trouble: Told in one line of each end that nobody asked for.
        start_process: Starts one that answers at a path; default: from nothing, with seconds of imports.

    Attributes:
        n_restarts: How often it was started anew.
    """

    def __init__(
        self,
        settings: Settings,
        socket_path: Path,
        on_trouble: Callable[[str], object] = lambda line: None,
        start_process: Callable[[Path], Awaitable[Started]] = started_alone,
    ) -> None:
        self._start_process = start_process
        self.n_restarts = 0
        self._settings = settings
        self._path = socket_path
        self._on_trouble = on_trouble
        self._process: Started | None = None
        self._left: Head = {}
        self._watching: asyncio.Task[None] | None = None

    @property
    def pid(self) -> int | None:
        """Of the process that runs now; None while none does."""
        process = self._process
        return process.pid if process and process.poll() is None else None

    async def start(self) -> None:
        """Start it, and wait until it has loaded its engines.

        Raises:
            EngineUnavailableError: A stage has no usable engine, or the process ended.
        """
        if len(str(self._path).encode()) > MAX_ADDRESS_BYTES:
            raise EngineUnavailableError(f"the path of a socket is too long: {self._path}", "set TMPDIR=/tmp")
        ended = await self._spawn()
        try:
            await self._ready()
        except BaseException:
            await self._end()
            raise
        self._watching = asyncio.create_task(self._watch(ended), name="engine-process")

    async def close(self) -> None:
        """End it; whoever still asks it is told that it is gone."""
        if self._watching:
            self._watching.cancel()
            await asyncio.wait([self._watching])
        await self._end()

    async def _spawn(self) -> asyncio.Event:
        """Start a process; the event is set when it has ended."""
        process = self._process = await self._start_process(self._path)
        ended, loop = asyncio.Event(), asyncio.get_running_loop()

        def wait() -> None:
            process.wait()
            # The program may have ended first.
            with suppress(RuntimeError):
                loop.call_soon_threadsafe(ended.set)

        threading.Thread(target=wait, name="engine-process-end", daemon=True).start()
        return ended

    async def _ready(self) -> None:
        process = self._process
        assert process  # noqa: S101 - it has just been started
        head = await asyncio.to_thread(self._told_by, process)
        raise_error(head)
        self._left = head["left"]

    def _told_by(self, process: Started) -> Head:
        told = settings_line(self._settings) + json.dumps(self._left).encode() + b"\n"
        stdin, stdout = cast(IO[bytes], process.stdin), cast(IO[bytes], process.stdout)
        try:
            stdin.write(told)
            stdin.flush()
            line = stdout.readline()
        except OSError:
            line = b""
        if not line:
            raise EngineUnavailableError(f"the engine process ended at its start ({process.wait()})", MEND)
        return head_of(line)

    async def _watch(self, ended: asyncio.Event) -> None:
        wait_secs, began_secs = 0.0, time.monotonic()
        while True:
            await self._until(ended)
            if is_ending():
                return
            status = self._process.returncode if self._process else None
            self._tell(f"the engine process ended ({status}) and is started anew; turns under way are asked again")
            await self._end()
            lived_long = time.monotonic() - began_secs > LONG_LIFE_SECS
            wait_secs = 0.0 if lived_long else min(MOST_WAIT_SECS, max(FIRST_WAIT_SECS, wait_secs * 2))
            # The first time at once.
            await asyncio.sleep(wait_secs if self.n_restarts else 0.0)
            self.n_restarts += 1
            began_secs = time.monotonic()
            try:
                ended = await self._spawn()
            except (OSError, EngineUnavailableError) as error:
                if is_ending():
                    return
                self._tell(f"the engine process cannot be started anew: {one_line(error)}")
                continue
            getting_ready = asyncio.create_task(self._get_ready())
            try:
                await self._until(ended, getting_ready)
            finally:
                getting_ready.cancel()
                await asyncio.gather(getting_ready, return_exceptions=True)

    async def _get_ready(self) -> None:
        try:
            await self._ready()
        except (EngineError, WireError, KeyError) as error:
            self._tell(f"the engine process cannot be started anew: {one_line(error)}")
            if self._process:
                kill_with_its_own(self._process)

    async def _until(self, ended: asyncio.Event, *beside: asyncio.Task[None]) -> None:
        """Look after it until it has ended, or has done what is to be done beside."""
        looking = asyncio.create_task(self._look())
        waiting = asyncio.create_task(ended.wait())
        try:
            await asyncio.wait([waiting, *beside], return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (looking, waiting):
                task.cancel()
            await asyncio.gather(looking, waiting, return_exceptions=True)

    async def _look(self) -> None:
        """Kill it if it answers nothing: then another takes its place."""
        answered_secs = time.monotonic()
        while process := self._process:
            watch = WorkWatch(process)
            await asyncio.sleep(LOOK_SECS)
            if answers := await self._answers():
                answered_secs = time.monotonic()
                continue
            silent_secs = time.monotonic() - answered_secs
            # What is only slow to answer, on a busy machine, works meanwhile; at its start it may wait for a disk.
            may_wait = silent_secs < MOST_SILENT_SECS and (answers is None or watch.has_worked())
            if self.pid is None or may_wait:
                continue
            self._tell("the engine process does not answer and is killed")
            kill_with_its_own(process)
            return

    async def is_ready(self) -> bool:
        """Whether it answers and has loaded all its engines."""
        head = await self._ping()
        return bool(head and head.get("ready"))

    async def _answers(self) -> bool | None:
        """Whether it answers; None where it does not listen yet."""
        head = await self._ping()
        return None if head is None else bool(head)

    async def _ping(self) -> Head | None:
        """What it says of itself; empty where it says nothing, None where it does not listen yet."""
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(ANSWER_SECS):
                _, peer = await loop.create_unix_connection(Peer, str(self._path))
                try:
                    peer.send({"kind": "ping"})
                    return (await peer.receive())[0]
                finally:
                    peer.hang_up()
        except (ConnectionRefusedError, FileNotFoundError):
            return None
        except (OSError, TimeoutError, GoneError, WireError):
            return {}

    def _tell(self, line: str) -> None:
        logger.warning(line)
        self._on_trouble(line)

    async def _end(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            await asyncio.to_thread(_end_process, process)


def _end_process(process: Started) -> None:
    # The end of its input ends it.
    with suppress(OSError):
        cast(IO[bytes], process.stdin).close()
    try:
        process.wait(END_SECS)
    except subprocess.TimeoutExpired:
        kill_with_its_own(process)
        process.wait()
    cast(IO[bytes], process.stdout).close()
