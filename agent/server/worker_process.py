"""A worker's process: serves as one process does, but for the way in; started by the front.

In:  two descriptors as arguments, or one by which such pairs come: then it forks for each, a worker or the engine
     process (see workers/mould.py).
Out: served calls; a line on what went wrong.
"""

import asyncio
import gc
import json
import os
import selectors
import signal
import socket
import sys
from contextlib import suppress
from pathlib import Path

from loguru import logger

from agent import own_names
from agent.errors import SottoError, crash
from agent.logs import configure_logs
from agent.server.workers.control import control_of
from agent.server.workers.mould import ENGINES, MAX_MESSAGE_BYTES
from agent.server.workers.seat import Seat, with_signals_ignored
from agent.server.workers.worker import Order, read_order
from processors.child_process import kill_children
from processors.engine_threads import any_hangs
from processors.errors import EngineError, EngineUnavailableError

FAILED_STATUS = 1
# At most 15 bytes.
ENGINES_NAME = "sotto-engines"


def work(control: int, line: int) -> int:
    """Serve until the front says that it is over, or has ended; the exit status.

    Args:
        control: Descriptor of what front and worker say to each other.
        line: Descriptor of what connections are handed by.
    """
    front = _taken(control)
    connections = _taken(line)
    try:
        order = read_order(front)
    except (EOFError, OSError):
        # The front has ended meanwhile.
        return FAILED_STATUS
    front.setblocking(False)
    connections.setblocking(False)
    configure_logs(order.settings.log_level)
    own_names.settle(order.number, order.of)
    status = asyncio.run(_serve(order, front, connections))
    if any_hangs():
        # The interpreter would wait for a thread that does not come back.
        kill_children()
        os._exit(status)
    return status


async def _serve(order: Order, line: socket.socket, connections: socket.socket) -> int:
    with_signals_ignored()
    control = await control_of(line)
    seat = Seat(order.number, order.address, control, connections, order.engines_at)
    try:
        from agent.server.run import serve_by

        return await serve_by(seat, order.settings, api_only=order.api_only)
    except (SottoError, EngineUnavailableError, EngineError) as error:
        status = error.exit_status if isinstance(error, SottoError) else FAILED_STATUS
        control.tell(failed=str(error), status=status)
    except Exception as error:  # noqa: BLE001 - the front says it, and starts another
        logger.opt(exception=error).error("a worker has failed")
        control.tell(failed=crash(error), status=FAILED_STATUS)
    await control.flushed()
    control.close()
    return FAILED_STATUS


def _taken(descriptor: int) -> socket.socket:
    os.set_inheritable(descriptor, False)
    return socket.socket(fileno=descriptor)


def cast_workers(descriptor: int) -> int:
    """Fork a worker for each pair of descriptors that comes, until the front ends.

    Args:
        descriptor: They come by it.
    """
    # Libraries greet at their import; what workers are to log is told to each of them.
    configure_logs("WARNING")
    # All that a worker and the engines need. It starts no thread: none would go on in a child.
    import agent.engines.process.run
    import agent.server.run

    assert agent.engines.process.run and agent.server.run  # noqa: S101, PT018 - imported for what they bring along
    gc.collect()
    # What is there now is looked at by no collection: pages stay those of all.
    gc.freeze()
    front = _taken(descriptor)
    front.setblocking(True)
    woken, wake = socket.socketpair()
    wake.setblocking(False)
    woken.setblocking(False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(wake.fileno(), warn_on_full_buffer=False)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    with selectors.DefaultSelector() as selector:
        for one in (front, woken):
            selector.register(one, selectors.EVENT_READ)
        while True:
            for key, _ in selector.select():
                if key.fileobj is woken:
                    with suppress(BlockingIOError):
                        woken.recv(4096)
                    _tell_ended(front)
                elif not _cast(front, (wake, woken)):
                    return 0


def _tell_ended(front: socket.socket) -> None:
    with suppress(ChildProcessError):
        while (ended := os.waitpid(-1, os.WNOHANG))[0]:
            pid, status = ended
            _say(front, {"ended": pid, "status": os.waitstatus_to_exitcode(status)})


def _cast(front: socket.socket, own: tuple[socket.socket, ...]) -> bool:
    """Fork one; False once the front has ended."""
    try:
        data, descriptors, _, _ = socket.recv_fds(front, MAX_MESSAGE_BYTES, 2)
    except OSError:
        return False
    if not data:
        return False
    pid = os.fork()
    if pid == 0:
        _become(front, own, data, descriptors)
    for one in descriptors:
        os.close(one)
    _say(front, {"started": pid})
    return True


def _become(front: socket.socket, own: tuple[socket.socket, ...], what: bytes, descriptors: list[int]) -> None:
    """In the child: be a worker or the engine process, and end; never comes back."""
    status = FAILED_STATUS
    try:
        os.setsid()
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        for one in (front, *own):
            one.close()
        if what.startswith(ENGINES):
            _hold_engines(os.fsdecode(what.removeprefix(ENGINES)), descriptors)
        status = work(descriptors[0], descriptors[1])
    except BaseException as error:  # noqa: BLE001 - nobody else would tell it
        logger.opt(exception=error).error("a worker has failed")
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def _hold_engines(path: str, descriptors: list[int]) -> None:
    """Be the engine process, as `python -m agent.engines.process` is; never comes back."""
    from agent.engines.process.run import run_engine_process

    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    # Whoever looks at processes is to know it from a worker.
    with suppress(OSError):
        Path("/proc/self/comm").write_text(ENGINES_NAME)
    for number, descriptor in enumerate(descriptors):
        os.dup2(descriptor, number)
        os.close(descriptor)
    run_engine_process(Path(path))


def _say(front: socket.socket, message: dict[str, int]) -> None:
    with suppress(OSError):
        front.send(json.dumps(message).encode())


if __name__ == "__main__":
    given = [int(text) for text in sys.argv[1:]]
    sys.exit(work(*given) if len(given) > 1 else cast_workers(*given))
