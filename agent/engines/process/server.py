"""The engine process: holds every engine, and answers whoever reaches its socket.

In:  settings and the path of a socket.   Out: answers; see `answers` for what can be asked.

It listens at once. The two models of a pause answer as soon as they are loaded, the rest waits until all engines are.
"""

import asyncio
import socket
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

from loguru import logger

from agent.engines.host import ModelHost, start_model_host
from agent.engines.llm import LlmAddress
from agent.engines.process.answers import Answers, while_told
from agent.engines.process.batches import SileroRuns, turn_probability
from agent.engines.process.held import Leases
from agent.engines.process.peer import GoneError, Peer
from agent.engines.process.wire import Head, WireError
from agent.engines.process.words import error_head
from agent.settings.load import Settings
from processors.ear.silero import load_silero
from processors.engine_threads import EngineThreads
from processors.errors import EngineError
from processors.turns.smart_turn import load_smart_turn

OWNER_ONLY = 0o600
# After a restart every conversation comes at once.
BACKLOG = 512

T = TypeVar("T")


class EngineServer:
    """Answers at one socket.

    Args:
        settings: Which engines.
        address: Where a language model of our own is to be served.
        host: Engines that are loaded already, which stay open; default: those of the settings, loaded by `load`.

    Attributes:
        n_peers: How many there are now.
    """

    def __init__(self, settings: Settings, address: LlmAddress | None = None, host: ModelHost | None = None) -> None:
        self._settings = settings
        self._address = address
        self._given = host
        self._peers: dict[Peer, asyncio.Task[None]] = {}
        self._answers: asyncio.Future[Answers] = asyncio.get_running_loop().create_future()
        self._leases: Leases | None = None
        self._vad_threads, self._turn_threads = EngineThreads(1, "vad"), EngineThreads(1, "turn")
        # Those of engines that are given are loaded already.
        self._shared = asyncio.create_task(_at_hand(host.silero) if host else asyncio.to_thread(load_silero))
        self._turn = asyncio.create_task(_at_hand(host.turn_session) if host else asyncio.to_thread(load_smart_turn))
        self._silero = asyncio.create_task(self._silero_runs())
        self._server: asyncio.Server | None = None

    @property
    def n_peers(self) -> int:
        """How many connections there are."""
        return len(self._peers)

    async def listen(self, path: Path) -> None:
        """Answer at a socket.

        Args:
            path: Nothing is there, or the socket of a process that has ended.

        Raises:
            OSError: It cannot be had.
        """
        loop = asyncio.get_running_loop()
        bound = await asyncio.to_thread(_bound, path)
        self._server = await loop.create_unix_server(lambda: _Door(self), sock=bound, backlog=BACKLOG)

    async def load(self) -> ModelHost:
        """Load the engines; whoever has asked for one meanwhile is answered then.

        Raises:
            EngineUnavailableError: One cannot be had.
        """
        try:
            host = self._given or await start_model_host(
                self._settings, silero=self._shared, turn_session=self._turn, address=self._address
            )
        except BaseException as error:
            if not self._answers.done():
                self._answers.set_exception(error if isinstance(error, EngineError) else EngineError(str(error)))
                # Whether anybody has asked or not.
                self._answers.exception()
            raise
        self._leases = Leases(host, self._settings)
        self._answers.set_result(Answers(host, self._leases, host.file_threads))
        return host

    async def close(self) -> None:
        """End every connection and every engine."""
        if self._server:
            self._server.close()
        for peer, task in list(self._peers.items()):
            peer.hang_up()
            task.cancel()
        await asyncio.gather(*self._peers.values(), return_exceptions=True)
        found = await asyncio.gather(self._silero, self._turn, return_exceptions=True)
        if isinstance(found[0], SileroRuns):
            await found[0].close()
        if self._leases:
            await self._leases.engines.close()
        for threads in (self._vad_threads, self._turn_threads):
            threads.shutdown(wait=False, cancel_futures=True)
        if not self._answers.done():
            self._answers.cancel()

    def came(self, peer: Peer) -> None:
        """A peer has connected."""
        self._peers[peer] = asyncio.create_task(self._serve(peer), name="engine-peer")
        self._peers[peer].add_done_callback(lambda _: self._peers.pop(peer, None))

    def went(self, peer: Peer) -> None:
        """A peer is gone: what is done for it is given up."""
        if task := self._peers.get(peer):
            task.cancel()

    async def _serve(self, peer: Peer) -> None:
        try:
            head, _ = await peer.receive()
            await self._answer(peer, head)
        except GoneError:
            return
        except WireError as error:
            logger.warning(f"engines: {error}; that connection is ended")
        # Whatever it is, it is told to whoever has asked, and the others are answered.
        except Exception as error:  # noqa: BLE001
            peer.send(error_head(error))
        peer.close()

    async def _answer(self, peer: Peer, head: Head) -> None:
        kind = head.get("kind")
        if kind == "ping":
            peer.send({"ready": self._answers.done() and not self._answers.exception()})
        elif kind == "vad":
            runs = await asyncio.shield(self._silero)
            await _run_all(peer, runs.run)
        elif kind == "turn":
            session = await asyncio.shield(self._turn)
            await _run_all(peer, lambda body: turn_probability(session, self._turn_threads, body))
        else:
            answers = await while_told(peer, _wait_for(self._answers))
            if kind not in answers.kinds:
                raise WireError("a connection asks for nothing that there is")
            await answers.kinds[str(kind)](peer, head)

    async def _silero_runs(self) -> SileroRuns:
        return SileroRuns((await self._shared).session, self._vad_threads)


class _Door(Peer):
    """A peer that the server knows."""

    def __init__(self, server: EngineServer) -> None:
        super().__init__()
        self._engines = server

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._engines.came(self)

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._engines.went(self)


async def _run_all(peer: Peer, run: Any) -> None:
    """Answer one run after the other."""
    while True:
        _, body = await peer.receive()
        try:
            found: bytes = await run(body)
        # What the model raises is told; the next run may work.
        except Exception as error:  # noqa: BLE001
            peer.send(error_head(error))
            continue
        peer.send({}, found)


def _bound(path: Path) -> socket.socket:
    with suppress(FileNotFoundError):
        path.unlink()
    bound = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        bound.bind(str(path))
        path.chmod(OWNER_ONLY)
    except BaseException:
        bound.close()
        raise
    return bound


async def _at_hand(loaded: T) -> T:
    return loaded


async def _wait_for(answers: "asyncio.Future[Answers]") -> Answers:
    return await asyncio.shield(answers)
