"""The server of another revision, in a process that imports nothing of this one's.

It is loaded before anything else in that process, and must itself import nothing of the house.
"""

import subprocess
import sys
from importlib import import_module
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

ROOMS = ("agent", "processors", "transports", "tests")
SERVER = "tests.bench.sessions.server"


def unpacked(repository: Path, revision: str, folder: Path) -> Path:
    """A revision's files, put into a folder.

    Args:
        repository: Has it.
        revision: As git knows it.
        folder: Empty.

    Raises:
        subprocess.CalledProcessError: There is no such revision; git has said so.
    """
    packed = subprocess.run(
        ["git", "archive", revision, *ROOMS, "web"],  # noqa: S607 - git as it is on the path
        cwd=repository,
        check=True,
        stdout=subprocess.PIPE,
        timeout=120,
    )
    subprocess.run(["tar", "-x", "-C", str(folder)], input=packed.stdout, check=True, timeout=120)  # noqa: S607
    return folder


def serve_of(folder: str, wiring: str, llm_url: str, line: Connection) -> None:
    """What `server.serve` of the files in a folder does."""
    for name in [name for name in sys.modules if name.partition(".")[0] in ROOMS]:
        del sys.modules[name]
    sys.path.insert(0, folder)
    server: Any = import_module(SERVER)
    if not Path(server.__file__).is_relative_to(folder):
        raise ImportError(f"{SERVER} comes from {server.__file__} and not from {folder}")
    server.serve(wiring, llm_url, line)
