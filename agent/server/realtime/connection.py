"""One client of the Realtime protocol: its events are done, in their order, and it is told what happens.

In:  JSON events over a WebSocket, or over what behaves as one.   Out: the protocol's events; every event that cannot be
done gets one `error`.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from loguru import logger

from agent.errors import SottoError
from agent.server.calls.plan import SessionPlan
from agent.server.calls.sessions import LiveSessions
from agent.server.realtime.agent_side import AgentSide
from agent.server.realtime.apart import ResponsesApart
from agent.server.realtime.calls import ClientCalls
from agent.server.realtime.idle_timeout import IdleTimeout
from agent.server.realtime.input_buffer import InputBuffer
from agent.server.realtime.item_events import ItemEvents
from agent.server.realtime.items import Items
from agent.server.realtime.outgoing import new_id, sender
from agent.server.realtime.outlet import Deltas, Outlet
from agent.server.realtime.problems import RealtimeProblem, error_event
from agent.server.realtime.response_request import ResponseRequest, request_of
from agent.server.realtime.responses import Responses
from agent.server.realtime.session_config import SessionConfig, changed
from agent.server.realtime.turns import UserTurns
from processors.errors import EngineUnavailableError
from transports.event_line import EventLine
from transports.json_text import read_json
from transports.websocket_line import GOING_AWAY, Socket

MAX_EVENT_CHARS = 2 * 2**20
Message = Mapping[str, Any]


class RealtimeConnection:
    """Runs once.

    Args:
        socket: Accepted already.
        live: Holds conversations.
        plan: The place and the history of this one.
        config: The session that it begins with.
        outlet: Where the agent's sound goes; by default into the events.
    """

    def __init__(
        self,
        socket: Socket,
        live: LiveSessions,
        plan: SessionPlan,
        config: SessionConfig,
        outlet: Outlet | None = None,
    ) -> None:
        self._config = config
        deltas = Deltas(is_ahead=plan.settings.server.realtime_sound == "ahead")
        self._outlet = outlet or deltas
        self._line = EventLine(socket, self._take)
        deltas.has_room = self._line.has_room
        send = sender(self._line.send)
        self._send = self._outlet.following(send)
        self._items = Items(self._send)
        self._calls = ClientCalls()
        self._buffer = InputBuffer(config.audio.input.format)
        self._turns = UserTurns(self._send, self._items, lambda: self._buffer.heard_ms)
        self._idle = IdleTimeout(lambda: self._buffer.heard_ms, self._user_is_idle)
        self._responses = Responses(self._send, self._items, new_id("conv"), self._find_out_if_idle, self._outlet)
        self._agent = AgentSide(
            live,
            plan,
            responses=self._responses,
            calls=self._calls,
            on_event=self._follow,
            on_cut=self._cut,
            on_reply=self._reply_begins,
            on_end=self.end,
        )
        # Past the outlet: none of them is played there.
        self._apart = ResponsesApart(send, self._agent, self._items)
        self._item_events = ItemEvents(self._agent, self._items, self._calls, may_grow=self._outlet.is_ahead)
        self._apart.ready = self._line.has_room
        self._session_id = new_id("sess")
        self._request: ResponseRequest | None = None
        # The response that the client cancels, until the cut has come to where it leaves.
        self._cancelled: str | None = None
        self._working: set[asyncio.Task[Any]] = set()
        self._handlers: dict[str, Callable[[Message], Awaitable[None]]] = {
            "session.update": self._update,
            "input_audio_buffer.append": self._append,
            "input_audio_buffer.commit": self._commit,
            "input_audio_buffer.clear": self._clear,
            "conversation.item.create": self._item_events.create,
            "conversation.item.delete": self._item_events.delete,
            "conversation.item.retrieve": self._item_events.retrieve,
            "conversation.item.truncate": self._item_events.truncate,
            "response.create": self._create_response,
            "response.cancel": self._cancel_response,
        }

    async def run(self) -> str:
        """Hold the session until one side ends it; why it ended.

        Raises:
            RealtimeProblem: What the session begins with cannot be had.
        """
        await self.prepare()
        greeting = {"type": "session.created", "event_id": new_id("event"), "session": self._told()}
        hearing = asyncio.create_task(self._agent.hear(self._buffer), name="realtime-hearing")
        hearing.add_done_callback(self._hearing_ended)
        reason = "the connection failed"
        try:
            reason = (await self._line.run(greeting)).reason
            return reason
        finally:
            self._idle.stop()
            for task in (hearing, *self._working):
                task.cancel()
            await asyncio.gather(hearing, *self._working, return_exceptions=True)
            await self._apart.close()
            await self._agent.end(reason)

    async def prepare(self) -> None:
        """Find out whether what the session begins with can be had; `run` does, too.

        Raises:
            RealtimeProblem: It cannot.
        """
        await self._apply(self._config)

    def release(self) -> None:
        """Give back what was prepared for a session that is over, or that does not come."""
        self._agent.release()

    def end(self, reason: str) -> None:
        """End the session from this side.

        Args:
            reason: In words.
        """
        self._line.end(reason, GOING_AWAY)

    async def _take(self, text: str | None) -> None:
        event_id: object = None
        try:
            message = _read(text)
            event_id = message.get("event_id")
            handler = self._handlers.get(message["type"])
            if handler is None:
                raise RealtimeProblem(f"there is no event {message['type'][:60]!r}", param="type")
            await handler(message)
        except RealtimeProblem as problem:
            self._line.send({"event_id": new_id("event"), **error_event(problem, event_id)})
        except (SottoError, EngineUnavailableError) as error:
            self._line.send({"event_id": new_id("event"), **error_event(RealtimeProblem(str(error)), event_id)})
        except Exception as error:  # noqa: BLE001 - the edge of the door: one event's failure ends no session
            logger.error(f"a Realtime event failed: {' '.join(repr(error).split())}")
            self._line.send({"event_id": new_id("event"), **error_event(error, event_id)})

    async def _apply(self, config: SessionConfig) -> None:
        await self._agent.configure(config)
        self._config = self._responses.config = self._turns.config = config
        sound_in = config.audio.input
        self._buffer.configure(sound_in.format, detects_turns=sound_in.turn_detection is not None)
        self._idle.limit_ms = getattr(sound_in.turn_detection, "idle_timeout_ms", None)

    async def _update(self, message: Message) -> None:
        await self._apply(changed(self._config, message.get("session")))
        self._send("session.updated", session=self._told())
        self._look_for_quiet()

    def _told(self) -> dict[str, Any]:
        return {"object": "realtime.session", "id": self._session_id, **self._config.told()}

    async def _append(self, message: Message) -> None:
        self._buffer.append(message.get("audio"))

    async def _commit(self, _: Message) -> None:
        if self._config.audio.input.turn_detection is not None:
            raise RealtimeProblem(
                "turns are committed by the server; set turn_detection to null to commit them yourself",
                code="unsupported_value",
            )
        self._buffer.commit()
        self._turns.commit()

    async def _clear(self, _: Message) -> None:
        self._buffer.clear()
        self._send("input_audio_buffer.cleared")

    async def _create_response(self, message: Message) -> None:
        if self._config.type != "realtime":
            raise RealtimeProblem("a transcription session has no responses", code="unsupported_value")
        request = request_of(message.get("response"), self._config)
        if request.is_apart:
            self._apart.begin(request)
            return
        self._check_free()
        await self._agent.begin(is_quiet=self._is_quiet())
        # A turn may have ended, and its answer begun, meanwhile.
        self._check_free()
        self._responses.ask(request.metadata, request.config)
        self._request = request
        await self._ask_when_understood()

    def _check_free(self) -> None:
        if self._responses.is_open or self._turns.is_due:
            raise RealtimeProblem(
                "a response is under way; wait for it, or cancel it", code="conversation_already_has_active_response"
            )

    async def _ask_when_understood(self) -> None:
        """What was committed before a response was asked for is part of what it answers."""
        request = self._request
        if request is None or (self._turns.is_open and not self._detects_turns()):
            return
        self._request = None
        conversation = (await self._agent.begin(is_quiet=False)).conversation
        terms, lent = request.terms(self._calls.lent)
        conversation.lend(lent)
        if self._calls.asks:
            await conversation.expect_reply(terms)
        if not self._calls.hand_on():
            await conversation.answer(terms)

    async def _cancel_response(self, message: Message) -> None:
        wanted = message.get("response_id")
        if wanted is not None and wanted != self._responses.open_id:
            if not self._apart.cancel(wanted):
                raise RealtimeProblem(
                    f"there is no response {str(wanted)[:60]!r} to cancel",
                    code="response_cancel_not_active",
                    param="response_id",
                )
            return
        if self._responses.open_id is None or self._agent.session is None:
            raise RealtimeProblem("there is no response to cancel", code="response_cancel_not_active")
        self._cancelled, self._request = self._responses.open_id, None
        await self._agent.session.conversation.interrupt()

    def _follow(self, event: Mapping[str, Any]) -> None:
        vad = self._agent.plan.settings.vad
        held = not self._detects_turns()
        self._turns.take(event, 0.0 if held else vad.start_secs, 0.0 if held else vad.stop_secs)
        match event["event"]:
            case "user_started_speaking":
                self._idle.stop()
            case "user_stopped_speaking" if self._is_quiet():
                # It was no turn.
                self._idle.begin()
            case "tool_cancelled":
                self._calls.cut(str(event["id"]))
            case "turn_started":
                self._idle.stop()
                # What was done before the user spoke is known before he is answered; what one response alone could
                # call, the answer cannot.
                self._calls.hand_on()
                if self._agent.session:
                    self._agent.session.conversation.lend(self._calls.lent(()))
            case "turn_ended":
                answers = self._agent.session and self._agent.session.conversation.answers
                # What is told here may come behind the answer's beginning.
                self._turns.is_due &= bool(answers and answers.automatic) and not self._responses.is_open
                if self._request:
                    self._begin_task(self._ask_when_understood())
                self._find_out_if_idle()
            case _:
                pass

    def _reply_begins(self) -> None:
        self._turns.is_due = False
        self._idle.stop()

    def _find_out_if_idle(self) -> None:
        self._look_for_quiet()
        if self._is_quiet():
            self._idle.begin()

    def _user_is_idle(self, start_ms: int, end_ms: int) -> None:
        session, limit_ms = self._agent.session, self._idle.limit_ms
        answers = session and session.conversation.answers
        if session and limit_ms and answers and answers.automatic and self._is_quiet():
            self._turns.tell_silence(start_ms, end_ms)
            self._begin_task(session.conversation.speak_up(limit_ms / 1000))

    def _cut(self) -> None:
        self._outlet.clear()
        cancelled, self._cancelled = self._cancelled, None
        by_client = cancelled is not None and cancelled == self._responses.open_id
        if cancelled and not (by_client or self._responses.has_begun):
            # What was cancelled was over before the cut came; what has been asked for since stands behind it.
            return
        if self._request is None or by_client:
            untold = self._responses.cut("client_cancelled" if by_client else "turn_detected")
            self._calls.give_up([call.call_id for call in untold])

    def _detects_turns(self) -> bool:
        return self._config.audio.input.turn_detection is not None

    def _is_quiet(self) -> bool:
        return not (self._responses.is_open or self._turns.is_open or self._turns.is_due or self._calls.are_open)

    def _look_for_quiet(self) -> None:
        """A session that was changed while something was being said takes effect once nothing is."""
        if self._agent.session and self._agent.is_stale and self._is_quiet():
            self._begin_task(self._agent.begin())

    def _begin_task(self, work: Any) -> None:
        task = asyncio.create_task(work, name="realtime-work")
        self._working.add(task)
        task.add_done_callback(self._working.discard)

    def _hearing_ended(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()):
            logger.error(f"a Realtime session failed: {' '.join(repr(error).split())}")
            self._line.end("the session failed within the server", GOING_AWAY)


def _read(text: str | None) -> dict[str, Any]:
    if text is None:
        raise RealtimeProblem("events are text messages", code="invalid_event")
    if len(text) > MAX_EVENT_CHARS:
        raise RealtimeProblem(f"an event has at most {MAX_EVENT_CHARS} characters", code="invalid_event")
    try:
        message = read_json(text)
    except ValueError as error:
        raise RealtimeProblem("an event must be JSON", code="invalid_json") from error
    if not isinstance(message, dict) or not isinstance(message.get("type"), str):
        raise RealtimeProblem("an event must be a JSON object with a type", code="invalid_event", param="type")
    return message
