"""The conversations of `sotto serve`, whatever carries their sound: capped, watched, and ended cleanly.

In:  what a page asks for.   Out: one Conversation a page on a transport of its own, its events sent to the page; its
history kept for a while, so that the page can come back.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from typing import Any

from loguru import logger
from pipecat.transports.base_transport import BaseTransport

from agent.conversation.conversation import Conversation
from agent.conversation.event_log import Event
from agent.conversation.events import EndCode
from agent.conversation.histories import Histories, History
from agent.conversation.live_recording import LiveRecording
from agent.conversation.observer import Sink
from agent.conversation.recordings import Recordings, kept_recording, prepare_folder
from agent.conversation.waiting_pictures import WaitingPictures
from agent.conversation.waking import wakes
from agent.engines.host import ModelHost
from agent.engines.process.session import engines_for
from agent.errors import InputError, SottoError
from agent.logs import TurnLogger
from agent.memory.memory import memory_of
from agent.memory.user_memory import UserMemory
from agent.server.calls.changes import SettingChanges
from agent.server.calls.garbage import clear_away
from agent.server.calls.kept import recall
from agent.server.calls.places import CallPlaces
from agent.server.calls.plan import SessionPlan, SessionRequest
from agent.server.calls.recorded import RecordedCall
from agent.server.calls.session import Carrier, LiveSession, Metered, Send
from agent.settings.load import Settings, data_folder
from agent.settings.session import session_settings
from agent.tools.camera import Camera, UnaskedError
from agent.tools.hang_up import HangUp
from agent.tools.mcp_servers import McpServers
from agent.tools.timer_books import TimerBooks

WATCH_SECS = 1.0
# A page that comes back waits so long for its earlier call to end.
TAKE_OVER_SECS = 5.0
TELL_SECS = 0.2
# The page knows it by these words.
TAKEN_OVER = "the page joined again"
SERVER_STOPS = "the server stops"
STOPPING = "the agent is about to stop and takes no more calls; try again in a moment"


class BusyError(SottoError):
    """The agent already holds as many conversations as it may."""


class LiveSessions:
    """All conversations of the pages.

    Args:
        host: The loaded engines.
        settings: Caps and thresholds.
        histories: Of these conversations and of those that ended a while ago.
        metered: Gives what counts for a conversation that came in this way; None: nothing does.
        places: Shared with other processes of the server; None: all places are these conversations'.

    Raises:
        InputError: Nothing can be recorded in the folder that is set.

    Attributes:
        n_refused: How many came when all places were taken.
        is_draining: Whether those that are held may end, and no other begins.
        engines: Gives each its engines.
        recordings: Of those that asked for one, while they go on and for a while after.
        pictures: Those that wait for their messages.
        memory: What is remembered, if anything is.
        servers: Of tools.
    """

    def __init__(
        self,
        host: ModelHost,
        settings: Settings,
        histories: Histories,
        metered: Callable[[str], Metered] | None = None,
        places: CallPlaces | None = None,
    ) -> None:
        self.histories = histories
        self._places = places
        self.n_refused = 0
        self.is_draining = False
        self._metered = metered
        self.engines = engines_for(host, settings)
        self.recordings = Recordings()
        self.pictures = WaitingPictures()
        if settings.server.recordings:
            prepare_folder(settings.server.recordings)
        self.memory = memory_of(settings)
        self.servers = McpServers(settings.mcp.servers if settings.tools.servers != "off" else {})
        self.servers.start()
        self._timers = TimerBooks(data_folder() / "timers" if settings.timers.keep else None)
        self._finishing: set[asyncio.Task[None]] = set()
        self._settings = settings
        self._running: dict[LiveSession, asyncio.Task[None]] = {}
        # Those of plans: each has its place, whether or not a session goes on in it.
        self._planned: set[History] = set()
        # Those that keep a place from other processes, too.
        self._placed: set[History] = set()
        self._has_ended = False
        self._watching = asyncio.create_task(self._watch(), name="live-sessions")

    @property
    def n_active(self) -> int:
        """How many conversations are being held or joined."""
        return len(self._planned | {session.plan.history for session in self._running})

    @property
    def is_full(self) -> bool:
        """Whether no other conversation may begin now."""
        n_elsewhere = self._places.n_elsewhere if self._places else 0
        return self.is_draining or self.n_active + n_elsewhere >= self._settings.server.max_sessions

    def ways(self) -> Counter[str]:
        """How many conversations are being held, by the way that they came in."""
        return Counter(session.way for session in self._running)

    @asynccontextmanager
    async def planned(self, request: SessionRequest) -> AsyncIterator[SessionPlan]:
        """A plan that holds a place and a history while a page joins; a session started with it keeps both.

        A door may start one session after another within it, in one history: with other engines, or other tools.

        Args:
            request: What the page asks for.

        Raises:
            BusyError: There are as many conversations as may be, or the server is about to stop.
            OptionError: An option is unknown or invalid.
            EngineUnavailableError: An engine that the options name cannot be used.
            HistoryInUseError: The conversation is being answered in writing.
        """
        self._check_draining()
        settings = session_settings(self._settings, request.options)
        # What cannot be had costs the page neither its place nor the call that it holds.
        host = await self.engines.host_for(settings)
        with self.engines.lent(host):
            async with self._place_for(request, settings, host) as plan:
                yield plan

    @asynccontextmanager
    async def _place_for(
        self, request: SessionRequest, settings: Settings, host: ModelHost
    ) -> AsyncIterator[SessionPlan]:
        # The engines may have taken their time: who would find no place keeps the call that it has.
        self._check_draining()
        await self._take_over(request.conversation)
        await recall(self.histories, self.memory, request)
        self._check_draining()
        most = self._settings.server.max_sessions
        if self.is_full or not (self._places is None or await self._places.take()):
            self.n_refused += 1
            raise BusyError(f"the agent is busy with {most} conversation{'s' if most > 1 else ''}; try again later")
        try:
            history = self.histories.open(request.conversation, request.owner)
            self.histories.hold(history, "call")
        except BaseException:
            if self._places:
                self._places.give()
            raise
        self._planned.add(history)
        self._placed.add(history)
        try:
            record = request.record is True
            await self.recordings.settled(history.id)
            rate_hz = self.recordings.rate_hz_of(history.id) if record else None
            yield SessionPlan(
                settings, host, history, record, request.memory, request.places, self.pictures, recorded_hz=rate_hz
            )
        finally:
            self._planned.discard(history)
            if not any(session.plan.history is history for session in self._running):
                self._release(history)

    def start(
        self,
        plan: SessionPlan,
        transport: BaseTransport,
        send: Send,
        carrier: Carrier,
        *,
        has_camera: bool = True,
        hang_up: HangUp | None = None,
        way: str = "webrtc",
    ) -> LiveSession:
        """Start a conversation; within `planned`.

        Args:
            plan: What it is.
            transport: Where its sound comes from and goes to.
            send: Sends a message to the page; does not block.
            carrier: Its connection.
            has_camera: Whether a page is there that can be asked for a picture.
            hang_up: Ends the call, where it is a telephone's and the agent may do that.
            way: How it came in, for what counts.
        """
        troubles: list[str] = []
        started = False

        def warn(trouble: str) -> None:
            if started:
                conversation.report("recording", trouble)
            else:
                troubles.append(trouble)

        door = plan.door
        # Who has no page cannot ask for a recording, nor fetch it; the owner does, by a folder.
        kept_as = ("realtime" if door else "telephone") if door or not has_camera else ""
        recorded = RecordedCall(
            partial(self._record, plan, transport, warn, kept_as),
            *(self._finish, plan.history.id),
            asleep=wakes(plan.host, plan.settings) is not None,
        )
        about = {
            "conversation": plan.history.id,
            "history": plan.history.turns(),
            "noted": plan.history.has_notes,
            "recording": recorded.live is not None,
            "recorded_secs": round(recorded.live.start_secs, 3) if recorded.live else 0.0,
            "sees": plan.host.llm_options.sees,
        }
        if not door and not plan.host.llm_options.sees:
            plan.history.hide_pictures()
        meter = self._metered(way) if self._metered else None
        sinks = [_page_sink(send), TurnLogger(), recorded, *([meter] if meter else [])]
        conversation = Conversation(
            plan.host,
            plan.settings,
            transport,
            sinks,
            context=plan.history.context,
            about=about,
            timers=self._timers.of(plan.history.owner),
            memory=UserMemory(self.memory, plan.memory, plan.history.id) if self.memory and plan.memory else None,
            servers=None if door and not door.own_tools else self.servers,
            tools=door.tools if door else (),
            has_camera=has_camera and door is None,
            has_requests=door is not None,
            hang_up=hang_up,
            rate_hz=plan.rate_hz,
            heard=meter.heard if meter else None,
        )
        changes = SettingChanges(self.engines, self._settings, plan, conversation)
        session = LiveSession(plan, conversation, carrier, send, changes, way, self._begin_anew)
        ended = conversation.start()
        started = True
        self._running[session] = ended
        for trouble in troubles:
            conversation.report("recording", trouble)
        ended.add_done_callback(lambda task: self._ended(session, task))
        ended.add_done_callback(lambda _: recorded.end())
        logger.info(f"conversation started, {len(self._running)} active")
        return session

    def camera_of(self, mark: str) -> Camera:
        """The camera that a picture of this mark was asked of.

        Args:
            mark: As the page was told it, and nobody else.

        Raises:
            UnaskedError: Nobody waits for one.
        """
        for session in self._running:
            if session.conversation.camera.awaits(mark):
                return session.conversation.camera
        raise UnaskedError("no picture is asked for by this mark")

    async def close(self) -> None:
        """End every conversation."""
        self._watching.cancel()
        await asyncio.gather(
            *(session.conversation.stop(SERVER_STOPS, EndCode.SERVER_STOPS) for session in self._running)
        )
        await asyncio.gather(*self._finishing)
        self.recordings.close()
        await self._timers.close()
        if self.memory:
            await self.memory.close()
        await self.servers.close()
        await self.engines.close()

    def _begin_anew(self, session: LiveSession) -> str:
        """A page starts over: its call goes on in a new history. The old one stays if such are kept, else it goes."""
        old, plan = session.plan.history, session.plan
        new = self.histories.begin_anew(old)
        session.plan = replace(plan, history=new)
        if old in self._placed:
            self._placed.discard(old)
            self._placed.add(new)
        is_kept = self.memory and self.memory.keeps_turns and plan.memory and plan.settings.tools.memory != "off"
        if new is not old and not is_kept:
            self.histories.forget(old.id)
            self.recordings.let_go(old.id)
        return new.id

    def _record(
        self,
        plan: SessionPlan,
        transport: BaseTransport,
        warn: Callable[[str], None],
        kept_as: str,
        conversation: str,
        **begins: Any,
    ) -> LiveRecording | None:
        """A recording, if it is wanted; None, and a warning, if there can be none: the call goes on."""
        folder, rate_hz = self._settings.server.recordings, plan.rate_hz
        try:
            if kept_as:
                return kept_recording(folder, kept_as, transport, rate_hz, warn) if folder else None
            if not plan.record:
                return None
            return self.recordings.begin(conversation, transport, rate_hz, warn, call=plan.history.id, **begins)
        except InputError as error:
            logger.error(str(error))
            warn(str(error))
            return None

    def _finish(self, recording: LiveRecording) -> None:
        finishing = asyncio.create_task(recording.end(), name="recording")
        self._finishing.add(finishing)
        finishing.add_done_callback(self._finishing.discard)

    def _release(self, history: History) -> None:
        # One that a page has left by starting over is let go of already.
        if history in self._placed:
            self.histories.release(history)
            self._placed.discard(history)
            if self._places:
                self._places.give()

    def _check_draining(self) -> None:
        if self.is_draining:
            raise BusyError(STOPPING)

    async def _take_over(self, conversation: object) -> None:
        """A page that comes back (a reload, another network) ends the call that it had."""
        history = self.histories.find(conversation)
        earlier = [session for session in self._running if session.plan.history is history]
        if earlier:
            ended = [self._running[session] for session in earlier]
            for session in earlier:
                session.send(_TAKEN_OVER_EVENT)
            # It goes out before the connection is closed: a page that is not told comes back, and takes over in turn.
            await asyncio.sleep(TELL_SECS)
            await asyncio.gather(*(session.end(TAKEN_OVER, EndCode.TAKEN_OVER) for session in earlier))
            await asyncio.wait(ended, timeout=TAKE_OVER_SECS)

    def _ended(self, session: LiveSession, task: asyncio.Task[None]) -> None:
        del self._running[session]
        if session.plan.history not in self._planned:
            self._release(session.plan.history)
        session.ended()
        self._has_ended = True
        if not task.cancelled() and (error := task.exception()):
            logger.error(f"conversation failed: {error}")
        logger.info(f"conversation ended ({session.conversation.end_reason}), {len(self._running)} active")

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(WATCH_SECS)
            if self._has_ended:
                self._has_ended = False
                clear_away()
            gone = [(session, reason) for session in self._running if (reason := session.carrier.gone())]
            ends = await asyncio.gather(
                *(session.end(f"the peer {reason}") for session, reason in gone), return_exceptions=True
            )
            for error in ends:
                # The watch goes on: a peer that cannot be ended must not keep the others' places.
                if isinstance(error, Exception):
                    logger.error(f"a conversation could not be ended: {error!r}")


def _page_sink(send: Send) -> Sink:
    def tell(event: Event) -> None:
        # The page shows engines; settings are the owner's, and the page may be open to others.
        send({"type": "event", "event": {key: value for key, value in event.items() if key != "settings"}})

    return tell


_TAKEN_OVER_EVENT = {
    "type": "event",
    "event": {"t": 0.0, "event": "session_ended", "code": EndCode.TAKEN_OVER.value, "reason": TAKEN_OVER},
}
