"""Ports on which Asterisk's AudioSocket connects, one a line that has one.

In:  TCP connections, a call each.   Out: the same calls as on a WebSocket; who shows the wrong UUID is hung up on.
"""

import asyncio
import hmac
import itertools
from collections.abc import Callable
from contextlib import suppress

from starlette.websockets import WebSocketDisconnect

from agent.errors import InputError, SottoError
from agent.server.calls.sessions import LiveSessions
from agent.server.calls.websocket import told
from agent.server.guard.places import Place, Places
from agent.server.telephony.calls import Tell, hold_call
from agent.server.telephony.newcomers import MAX_NEWCOMERS, Newcomers
from agent.server.telephony.refusals import Refusals
from agent.server.telephony.wrong_secrets import MOST_WAITING, TOO_MANY, WrongSecrets
from agent.server.wire.networks import network_of
from agent.settings.load import Settings
from agent.settings.telephony import TelephoneLine
from processors.errors import EngineUnavailableError
from transports.audio_socket import HANG_UP, AudioSocketConnection, AudioSocketStream, audio_socket_stream, packet
from transports.telephone_protocol import ProtocolError, Start

START_TIMEOUT_SECS = 10.0
# Calls that are being refused or ended, beside all others.
MAX_ENDING = 16


class RefusedCallError(SottoError):
    """A call may not begin."""


class AudioSockets:
    """The ports of all lines.

    Args:
        settings: The lines.
        sessions: Gives what holds conversations.
        places: For connections, shared with every other port of the server.
        tell: Told of each call what a page would be told.
    """

    def __init__(
        self,
        settings: Settings,
        sessions: Callable[[], LiveSessions],
        places: Places,
        tell: Tell = lambda _: None,
    ) -> None:
        self._places = places
        self._lines = settings.telephony.lines
        self._most = settings.server.max_sessions + MAX_NEWCOMERS + MOST_WAITING + MAX_ENDING
        self._sessions = sessions
        self._tell = tell
        self._refusals = Refusals()
        self._newcomers = Newcomers()
        self._wrong = WrongSecrets()
        self._servers: list[asyncio.Server] = []
        self._calls: set[asyncio.Task[None]] = set()
        self._numbers = itertools.count(1)

    async def open(self) -> dict[str, int]:
        """Listen; each line's port.

        Raises:
            InputError: A port cannot be had.
        """
        ports: dict[str, int] = {}
        for name, line in self._lines.items():
            if line.audiosocket_port is not None:
                ports[name] = await self._listen(name, line, line.audiosocket_port)
        return ports

    async def close(self) -> None:
        """Accept nothing more, and end what has not become a conversation; conversations end by themselves."""
        for server in self._servers:
            server.close()
        for call in self._calls:
            call.cancel()
        await asyncio.gather(*self._calls, return_exceptions=True)

    async def _listen(self, name: str, line: TelephoneLine, port: int) -> int:
        def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            if len(self._calls) >= self._most:
                writer.close()
                return
            peer = writer.get_extra_info("peername")
            network = network_of(str(peer[0]) if peer else "")
            place = self._places.enter(network, asyncio.get_running_loop().time(), writer.transport.abort)
            if place is None:
                writer.close()
                return
            call = asyncio.create_task(self._hold(reader, writer, place, name, line), name="audio-socket")
            self._calls.add(call)
            call.add_done_callback(lambda ended: self._leave(ended, place))

        try:
            server = await asyncio.start_server(serve, line.audiosocket_host, port)
        except OSError as error:
            where = f"telephony.lines.{name}.audiosocket_port = {port} on {line.audiosocket_host}"
            raise InputError(f"{where} cannot be had ({error.strerror}): 0 takes a free port") from error
        self._servers.append(server)
        return server.sockets[0].getsockname()[1]

    def _leave(self, call: asyncio.Task[None], place: Place) -> None:
        self._calls.discard(call)
        self._places.leave(place)

    async def _hold(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, place: Place, name: str, line: TelephoneLine
    ) -> None:
        connection = AudioSocketConnection(reader, writer)
        try:
            with self._newcomers.waiting(place.network, writer.transport.abort):
                async with asyncio.timeout(START_TIMEOUT_SECS):
                    event = await connection.receive()
            if "bytes" in event:
                stream = await self._begun(audio_socket_stream(event["bytes"]), place.network, name, line)
                self._places.work(place)
                await hold_call(connection, stream, line, self._sessions(), self._tell)
        except TimeoutError:
            await self._refuse(connection, name, f"no UUID came within {START_TIMEOUT_SECS:.0f} s")
        except (ProtocolError, SottoError, EngineUnavailableError) as error:
            await self._refuse(connection, name, told(error))
        finally:
            await connection.close()

    async def _begun(
        self, stream: AudioSocketStream, network: str, name: str, line: TelephoneLine
    ) -> AudioSocketStream:
        if line.secret is None:
            return stream
        if self._wrong.are_unread(network):
            raise RefusedCallError(TOO_MANY)
        if not hmac.compare_digest(stream.start.stream, line.secret.get_secret_value().lower()):
            await self._wrong.wait(network)
            raise RefusedCallError(f"the UUID is not telephony.lines.{name}.secret")
        # All calls show the same one.
        return AudioSocketStream(Start(f"{name} {next(self._numbers)}"))

    async def _refuse(self, connection: AudioSocketConnection, name: str, reason: str) -> None:
        self._refusals.tell(f"telephone line {name}: a call was refused", reason)
        # Whoever is gone needs no answer.
        with suppress(WebSocketDisconnect, TimeoutError):
            await asyncio.wait_for(connection.send_bytes(packet(HANG_UP)), 1.0)
