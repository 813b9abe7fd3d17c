"""What the engine process does from its start to its end.

In:  on standard input one line of settings, and a line that tells what the process before it has left; then nothing,
     until the end of input ends it.
Out: on standard output one line of JSON: `{"ready": true, ...}`, or `{"error": ...}`; answers at the socket.
"""

import asyncio
import json
import os
import signal
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from agent.engines.host import ModelHost
from agent.engines.llm import LlmAddress
from agent.engines.process.server import EngineServer
from agent.engines.process.wire import Head
from agent.engines.process.words import error_head
from agent.logs import configure_logs
from agent.settings.line import settings_of
from agent.settings.load import Settings
from processors.child_process import kill_children
from processors.errors import EngineError

# Of the seconds in which a signal ends everything.
END_SECS = 1.0


def run_engine_process(socket_path: Path) -> None:
    """Hold the engines until the end of standard input, then end this process.

    Args:
        socket_path: Where to answer.
    """
    # Ctrl-C reaches every process of the terminal; the parent decides when this one ends.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # What a library prints must not be taken for an answer.
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    settings = settings_of(sys.stdin.buffer.readline())
    left = json.loads(sys.stdin.buffer.readline())
    configure_logs(settings.log_level)

    def tell(head: Head) -> None:
        answers.write(json.dumps(head).encode() + b"\n")
        answers.flush()

    status = 1
    try:
        status = asyncio.run(_hold(settings, socket_path, _address_of(left), tell))
    finally:
        # A thread within an engine cannot be interrupted.
        kill_children()
        os._exit(status)


async def _hold(settings: Settings, socket_path: Path, address: LlmAddress | None, tell: Callable[[Head], None]) -> int:
    over = asyncio.Event()
    loop = asyncio.get_running_loop()

    def watch_input() -> None:
        sys.stdin.buffer.read()
        # The loop may have ended first, as where no engine could be loaded.
        with suppress(RuntimeError):
            loop.call_soon_threadsafe(over.set)

    threading.Thread(target=watch_input, name="end-of-input", daemon=True).start()
    server = EngineServer(settings, address)
    await server.listen(socket_path)
    loading, ended = asyncio.create_task(server.load()), asyncio.create_task(over.wait())
    await asyncio.wait([loading, ended], return_when=asyncio.FIRST_COMPLETED)
    if not loading.done():
        return 0
    if error := loading.exception():
        tell(error_head(error))
        if not isinstance(error, EngineError):
            raise error
        return 1
    host = loading.result()
    tell({"ready": True, "left": left_of(host)})
    await ended
    await asyncio.wait([asyncio.create_task(_close(server, host))], timeout=END_SECS)
    return 0


async def _close(server: EngineServer, host: ModelHost) -> None:
    await server.close()
    await host.close()


def left_of(host: ModelHost) -> Head:
    """What the next engine process is to be told of this one."""
    embedded = host.llm.loaded.embedded
    return {"llm": [embedded.port, embedded.api_key]} if embedded else {}


def _address_of(left: Head) -> LlmAddress | None:
    return LlmAddress(int(left["llm"][0]), str(left["llm"][1])) if "llm" in left else None
