"""How long there are no engines after the engine process was killed: forked from the workers' mould, and from nothing.

Both ways take turns in one run; a time is from SIGKILL until all engines answer again.

    python -m tests.bench.engine_restart [--runs 5]
"""

import argparse
import asyncio
import os
import signal
import time
from functools import partial

from loguru import logger

from agent.engines.process.sockets import socket_folder
from agent.engines.process.supervisor import EngineProcess, started_alone
from agent.server.workers.forked import forked_engines
from agent.server.workers.mould import Mould
from agent.settings.load import Settings
from tests.bench.table import median, show

# The bundled engines; nobody is asked anything, so that the language model is only named.
SETTINGS = {
    "llm": {"engine": "endpoint", "base_url": "http://127.0.0.1:9/v1", "model": "none"},
    "tools": {"choice": "off"},
    "log_level": "ERROR",
}
LOOK_SECS = 0.02


async def restart_secs(engines: EngineProcess) -> float:
    """Kill it, and wait until the next one has loaded its engines."""
    pid = engines.pid
    assert pid is not None
    began_secs = time.monotonic()
    os.kill(pid, signal.SIGKILL)
    while engines.pid in (None, pid) or not await engines.is_ready():
        await asyncio.sleep(LOOK_SECS)
    return time.monotonic() - began_secs


async def measure(n_runs: int) -> None:
    """Measure and print."""
    mould = Mould()
    ways = {"from nothing": started_alone, "forked": partial(forked_engines, mould)}
    found: dict[str, list[float]] = {name: [] for name in ways}
    with socket_folder() as folder:
        for _ in range(n_runs):
            for name, start in ways.items():
                engines = EngineProcess(
                    Settings.model_validate(SETTINGS), folder / name.partition(" ")[0], start_process=start
                )
                await engines.start()
                found[name].append(await restart_secs(engines))
                await engines.close()
        await mould.close()
    alone = median(found["from nothing"])
    rows = [(name, f"{median(secs):.2f} s", f"{median(secs) / alone:.2f}") for name, secs in found.items()]
    show(f"engines back after SIGKILL, medians of {n_runs} by turns", rows, ("engine process", "back after", "ratio"))


def main() -> None:
    """Read the arguments and measure."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--runs", type=int, default=5, help="of each way")
    logger.remove()
    asyncio.run(measure(arguments.parse_args().runs))


if __name__ == "__main__":
    main()
