"""A worker's process: serves as one process does, but for the way in; started by the front.

In:  two descriptors as arguments, the order on standard input.   Out: served calls; a line on what went wrong.
"""

import asyncio
import os
import pickle
import socket
import sys

from loguru import logger

from agent import own_names
from agent.errors import SottoError, crash
from agent.logs import configure_logs
from agent.server.workers.control import control_of
from agent.server.workers.seat import Seat, with_signals_ignored
from agent.server.workers.worker import Order
from processors.child_process import kill_children
from processors.engine_threads import any_hangs
from processors.errors import EngineError, EngineUnavailableError

FAILED_STATUS = 1


def main() -> int:
    """Serve until the front says that it is over, or has ended; the exit status."""
    control, line = (_taken(int(text)) for text in sys.argv[1:3])
    # It comes by a pipe of the front's alone.
    order: Order = pickle.load(sys.stdin.buffer)  # noqa: S301
    configure_logs(order.settings.log_level)
    own_names.settle(order.number, order.of)
    return asyncio.run(_serve(order, control, line))


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
    taken = socket.socket(fileno=descriptor)
    taken.setblocking(False)
    return taken


if __name__ == "__main__":
    status = main()
    if any_hangs():
        # The interpreter would wait for a thread that does not come back.
        kill_children()
        os._exit(status)
    sys.exit(status)
