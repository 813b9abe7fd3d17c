"""The engine process: `python -m agent.engines.process --socket PATH`, started by `EngineProcess`."""

import argparse
from pathlib import Path

from agent.engines.process.run import run_engine_process

if __name__ == "__main__":
    arguments = argparse.ArgumentParser(prog="agent.engines.process", description=__doc__)
    arguments.add_argument("--socket", type=Path, required=True, help="where to answer")
    run_engine_process(arguments.parse_args().socket)
