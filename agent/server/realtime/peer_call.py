"""One call by WebRTC of the Realtime protocol: the peer's connection, its microphone and its channel, under watch.

In:  a connection that has been answered.   Out: a session for as long as the peer is there; nothing is left of it then.
"""

import asyncio

from aiortc.mediastreams import MediaStreamError
from loguru import logger
from pipecat.transports.smallwebrtc.connection import SmallWebRTCConnection, SmallWebRTCTrack

from agent.own_names import own_name
from agent.server.calls.plan import SessionPlan
from agent.server.calls.sessions import LiveSessions
from agent.server.realtime.outgoing import new_id
from agent.server.realtime.peer_session import PeerSession
from agent.server.realtime.peer_voice import PeerVoice
from agent.server.realtime.problems import RealtimeProblem
from agent.server.realtime.session_config import SessionConfig
from transports.channel_socket import ChannelSocket
from transports.webrtc import CONNECT_TIMEOUT_SECS, PacketWatch, PeerWatch
from transports.webrtc_messages import ReadWatch
from transports.webrtc_microphone import Ear, PeerMicrophone
from transports.webrtc_peer import audio_transceiver, speaks_opus

WATCH_SECS = 1.0
NEVER_OPENED = "the peer never opened its data channel"


class PeerCall:
    """Runs once.

    Args:
        live: Holds conversations.
        plan: The place and the history of this one.
        config: The session that it begins with.

    Attributes:
        id: Of the call.
    """

    def __init__(self, live: LiveSessions, plan: SessionPlan, config: SessionConfig) -> None:
        self.id = own_name(lambda: new_id("rtc"))
        self._socket = ChannelSocket()
        self._voice = PeerVoice(plan.host.tts.loaded.sample_rate_hz)
        self._session = PeerSession(self._socket, live, plan, config, self._voice)
        self._microphone = PeerMicrophone()
        self._peer: SmallWebRTCConnection | None = None

    @property
    def pc_id(self) -> str | None:
        """Of the peer; None before it is known."""
        return self._peer.pc_id if self._peer else None

    @property
    def speaks_opus(self) -> bool:
        """Whether the peer takes the voice as it is sent."""
        transceiver = audio_transceiver(self._peer.pc) if self._peer else None
        return transceiver is not None and speaks_opus(transceiver)

    async def prepare(self) -> None:
        """Find out whether what the session begins with can be had.

        Raises:
            RealtimeProblem: It cannot.
        """
        await self._session.prepare()

    def begin(self, peer: SmallWebRTCConnection) -> None:
        """Take the peer's connection, which has been answered and is not open yet."""
        self._peer = peer
        self._socket.attach(peer.pc)
        for one in peer.pc.getTransceivers():
            # What nobody takes would be decoded all the same, and kept; who asks for the microphone's sound enables it.
            one.receiver._enabled = False
        transceiver = audio_transceiver(peer.pc)
        if transceiver and transceiver.currentDirection in ("sendrecv", "sendonly"):
            transceiver.sender.replaceTrack(self._voice.track)
        else:
            # Nobody would take the voice.
            self._voice.close()
        for state in ("closed", "failed", "disconnected"):
            peer.add_event_handler(state, self._lose)

    async def run(self) -> str:
        """Hold the call until one side ends it; why it ended."""
        peer = self._peer
        assert peer is not None  # noqa: S101 - it has begun
        tasks: list[asyncio.Task[None]] = []
        try:
            await peer.connect()
            async with asyncio.timeout(CONNECT_TIMEOUT_SECS):
                if not await self._socket.opened():
                    return "the peer left before it had opened its data channel"
            tasks = [
                asyncio.create_task(self._watch(peer), name="realtime-peer"),
                asyncio.create_task(self._hear(peer), name="realtime-microphone"),
            ]
            return await self._session.run()
        except TimeoutError:
            return NEVER_OPENED
        except RealtimeProblem as problem:
            # What could be had when the call was answered is gone by now.
            return str(problem)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await self.let_go()

    def hang_up(self, reason: str) -> None:
        """End the call.

        Args:
            reason: In words.
        """
        self._session.end(reason)
        self._voice.close()
        self._socket.give_up()

    async def let_go(self) -> None:
        """Close the connection; nothing happens where there is none, or none any more."""
        self._voice.close()
        self._session.release()
        # Before Pipecat says goodbye over the channel in words of its own.
        await self._socket.close()
        if self._peer:
            await self._peer.disconnect()

    async def _lose(self, _: SmallWebRTCConnection) -> None:
        self._voice.close()
        self._socket.lose()

    async def _watch(self, peer: SmallWebRTCConnection) -> None:
        watches = (
            PeerWatch(peer).gone,
            PacketWatch(peer).gone,
            ReadWatch(peer.pc).trouble,
            self._socket.trouble,
            self._microphone.trouble,
        )
        while True:
            await asyncio.sleep(WATCH_SECS)
            if trouble := next((trouble for ask in watches if (trouble := ask())), None):
                self.hang_up(f"the peer {trouble}")
                return

    async def _hear(self, peer: SmallWebRTCConnection) -> None:
        """Hear the microphone until it ends; the call goes on in writing then."""
        transceiver = audio_transceiver(peer.pc)
        if transceiver is None:
            return
        track = SmallWebRTCTrack(transceiver.receiver)
        is_failing = False
        try:
            while True:
                decoded = await self._microphone.next(track)
                if problem := self._microphone.late.told():
                    self._session.tell(RealtimeProblem(problem, code="sound_lost"))
                try:
                    for frame in self._microphone.ear.hear(decoded) if decoded else ():
                        self._session.hear(frame.audio)
                    is_failing = False
                except Exception as error:  # noqa: BLE001 - whatever is wrong with a frame costs that frame
                    self._microphone.ear = Ear()
                    if not is_failing:
                        logger.error(f"a Realtime call's microphone: {' '.join(repr(error).split())}")
                    is_failing = True
        except MediaStreamError:
            logger.debug("a Realtime call's microphone has ended")
        finally:
            track.stop()
