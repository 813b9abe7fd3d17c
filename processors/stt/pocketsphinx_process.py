"""One decoding process of PocketSphinx, restarted when it dies.

In:  requests of `pocketsphinx_worker.py`.   Out: their replies, one at a time whatever thread asks.
"""

import contextlib
import json
import queue
import subprocess
import sys
import threading
from pathlib import Path
from typing import IO, Any, cast

from processors.child_process import WorkWatch, start_child
from processors.errors import EngineError, EngineHungError, EngineUnavailableError
from processors.stt import pocketsphinx_worker as worker

START_TIMEOUT_SECS = 20.0
REPLY_TIMEOUT_SECS = 30.0
STOP_TIMEOUT_SECS = 1.0
# One that owes a reply and has used no CPU for so long hangs.
LOOK_SECS = 1.0
MAX_IDLE_LOOKS = 3


class PocketSphinxProcess:
    """The process and the pipes to it.

    Raises:
        EngineUnavailableError: The process does not start.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._replies: queue.SimpleQueue[dict[str, Any] | None] = queue.SimpleQueue()
        self._requests: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._generation = 0
        self._closed = False
        with self._lock:
            self._start()

    @property
    def pid(self) -> int | None:
        """The process, for memory accounts; None when it is not running."""
        return self._process.pid if self._process else None

    def close(self) -> None:
        """End the process; it has a second before it is killed."""
        with self._lock:
            self._closed = True
            self._stop()

    def request(self, op: int, stream: int, payload: bytes = b"") -> tuple[dict[str, Any], int]:
        """Send one request and wait for its reply.

        Returns:
            The reply, and the generation of the process that gave it: a new number means that all streams are lost.

        Raises:
            EngineError: The process died or hangs; it has been started anew.
        """
        with self._lock:
            if self._closed:
                raise EngineError("pocketsphinx: the engine is closed")
            if self._process is None:
                self._start()
            try:
                self._requests.put(worker.REQUEST.pack(op, stream, len(payload)) + payload)
                return self._reply(REPLY_TIMEOUT_SECS), self._generation
            except EngineError as error:
                self._stop(hangs=isinstance(error, EngineHungError))
                self._start()
                raise EngineError(f"pocketsphinx: the decoding process failed and was restarted: {error}") from error

    def _start(self) -> None:
        self._replies, self._requests = queue.SimpleQueue(), queue.SimpleQueue()
        self._generation += 1
        # -P: the worker's folder holds modules named like the libraries it imports.
        command = [sys.executable, "-P", str(Path(worker.__file__).resolve())]
        self._process = start_child(command)
        # A process that hangs does not read either: whoever writes to it may wait for ever.
        for target, transfers in ((_read_replies, self._replies), (_write_requests, self._requests)):
            threading.Thread(target=target, args=(self._process, transfers), name="pocketsphinx", daemon=True).start()
        try:
            self._reply(START_TIMEOUT_SECS)
        except EngineError as error:
            self._stop()
            raise EngineUnavailableError(f"pocketsphinx does not start: {error}", "uv sync") from error

    def _reply(self, timeout_secs: float) -> dict[str, Any]:
        watch = WorkWatch(cast("subprocess.Popen[bytes]", self._process))
        n_idle = 0
        for _ in range(round(timeout_secs / LOOK_SECS)):
            try:
                reply = self._replies.get(timeout=LOOK_SECS)
            except queue.Empty:
                n_idle = 0 if watch.has_worked() else n_idle + 1
                if n_idle == MAX_IDLE_LOOKS:
                    raise EngineHungError("it hung") from None
                continue
            if reply is None:
                raise EngineError("the process ended")
            return reply
        raise EngineHungError(f"no reply within {timeout_secs:.0f} s")

    def _stop(self, *, hangs: bool = False) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        self._requests.put(None)
        try:
            process.wait(0 if hangs else STOP_TIMEOUT_SECS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _write_requests(process: "subprocess.Popen[bytes]", requests: "queue.SimpleQueue[bytes | None]") -> None:
    """Move requests from the queue to the pipe until there is None, which ends the process."""
    # A process that is gone already leaves a broken pipe, and nothing to flush.
    with contextlib.suppress(OSError), cast(IO[bytes], process.stdin) as stdin:
        while (request := requests.get()) is not None:
            stdin.write(request)
            stdin.flush()


def _read_replies(process: "subprocess.Popen[bytes]", replies: "queue.SimpleQueue[dict[str, Any] | None]") -> None:
    """Move replies from the pipe to the queue until the pipe ends; then None."""
    with cast(IO[bytes], process.stdout) as stdout:
        while len(header := stdout.read(worker.REPLY_LENGTH.size)) == worker.REPLY_LENGTH.size:
            (length,) = worker.REPLY_LENGTH.unpack(header)
            body = stdout.read(length)
            if len(body) < length:
                break
            replies.put(json.loads(body))
    replies.put(None)
