"""The server that is flooded, alone in a process of its own; scripted engines, so that nothing else takes time."""

import asyncio
import ssl
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Literal

import psutil
import uvicorn
from loguru import logger

from agent.server.calls.garbage import set_aside_what_stays
from agent.server.guard.certificates import certificate_files
from agent.server.http_server import HttpServer
from agent.settings.serving import ServerSettings
from processors.llm.options import LLMOptions
from tests.support import served
from tests.support.speech_callers import NotingEngine

Kind = Literal["uvicorn", "ours"]
# Nothing listens there; the flood asks no question that gets so far.
NO_MODEL = LLMOptions("http://127.0.0.1:9/v1", "none")


class Stock(uvicorn.Server):
    """uvicorn as it is, without signal handlers."""

    def __init__(self, config: uvicorn.Config, max_calls: int = 1) -> None:
        super().__init__(config)

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def serve(
    kind: Kind, n_descriptors: int, log_path: str, settings: dict[str, Any], is_https: bool, line: Connection
) -> None:
    """Serve until the other end of the line says so.

    Args:
        kind: Whose door.
        n_descriptors: Soft and hard limit of this process.
        log_path: Gets its standard error.
        settings: Of the section `server`.
        is_https: Whether connections are encrypted, with a certificate that is made beside the log.
        line: Gets the address, then memory in bytes and open descriptors.
    """
    import resource

    resource.setrlimit(resource.RLIMIT_NOFILE, (n_descriptors, n_descriptors))
    sys.stderr = open(log_path, "w", buffering=1)  # noqa: SIM115
    logger.remove()
    logger.add(sys.stderr, level="WARNING")
    served.HttpServer = HttpServer if kind == "ours" else Stock  # pyright: ignore[reportAttributeAccessIssue]
    if is_https:
        context = _https(Path(log_path).parent)
        served.UVICORN_OPTIONS = {**served.UVICORN_OPTIONS, "ssl_context_factory": lambda *_: context}  # pyright: ignore
    asyncio.run(_serve(kind, settings, line))


def _https(folder: Path) -> ssl.SSLContext:
    files = certificate_files(ServerSettings.model_validate({"https": True}), folder)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(files.certificate, files.private_key)
    return context


async def _serve(kind: Kind, settings: dict[str, Any], line: Connection) -> None:
    loop = asyncio.get_running_loop()
    async with served.serving_page(NotingEngine(), NO_MODEL, **settings) as running:
        process = psutil.Process()
        if kind == "ours":
            set_aside_what_stays()
        line.send(running.url)
        await loop.run_in_executor(None, line.recv)
        line.send((process.memory_info().rss, process.num_fds()))
