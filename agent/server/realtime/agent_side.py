"""The conversation behind one client: begun when it is first needed, and anew when the session asks for another agent.

In:  a SessionConfig; the client's sound.   Out: one conversation after another in one history, in quiet moments only.
"""

import asyncio
import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

from pipecat.processors.aggregators.llm_context import LLMContext

from agent.conversation.events import EndCode
from agent.server.calls.plan import SessionPlan
from agent.server.calls.session import LiveSession
from agent.server.calls.sessions import LiveSessions
from agent.server.realtime.agent_plan import plan_of
from agent.server.realtime.calls import ClientCalls
from agent.server.realtime.input_buffer import InputBuffer
from agent.server.realtime.responses import Responses
from agent.server.realtime.session_config import SessionConfig
from agent.server.realtime.spoken_side import SpokenSide
from transports.door import DoorTransport

ANEW = "the client changed its session"


class AgentSide:
    """Holds the conversation of one connection.

    Args:
        live: Starts it.
        plan: Of the connection: its place, its history, the server's engines.
        responses: Told of what the agent says.
        calls: Of the client's functions.
        on_event: Told each line of the event log.
        on_cut: Told that the agent was cut.
        on_reply: Told that a reply begins.
        on_end: Told why the conversation has ended, where it was not this that ended it.
    """

    def __init__(
        self,
        live: LiveSessions,
        plan: SessionPlan,
        *,
        responses: Responses,
        calls: ClientCalls,
        on_event: Callable[[Mapping[str, Any]], None],
        on_cut: Callable[[], None],
        on_reply: Callable[[], None],
        on_end: Callable[[str], None],
    ) -> None:
        self._live = live
        self._base = plan
        self._wanted: SessionPlan | None = None
        self._config = SessionConfig()
        self._responses = responses
        self._calls = calls
        self._tell = (on_cut, on_reply)
        self._on_event = on_event
        self._on_end = on_end
        self._building = asyncio.Lock()
        self._session: LiveSession | None = None
        self._transport: DoorTransport | None = None
        self._spoken: SpokenSide | None = None
        self._is_stale = False
        self._give_back = _keep_nothing

    @property
    def session(self) -> LiveSession | None:
        """The conversation, once it has begun."""
        return self._session

    @property
    def plan(self) -> SessionPlan:
        """What it is, or will be, begun with."""
        return self._wanted or self._base

    @property
    def context(self) -> LLMContext:
        """The history."""
        return self._session.conversation.context if self._session else self.plan.history.context

    @property
    def is_stale(self) -> bool:
        """Whether it goes on with what the session was."""
        return self._is_stale

    async def configure(self, config: SessionConfig) -> None:
        """What is wanted from now on.

        Args:
            config: The session.

        Raises:
            RealtimeProblem: It cannot be had; nothing has changed.
        """
        wanted = await plan_of(config, self._base, self._live, lambda: self._calls.tools(config.tools))
        if self._session and not _is_same(wanted, self.plan, config, self._config):
            self._is_stale = True
        self._wanted, self._config = wanted, config
        # It may be a while until a conversation begins that keeps them itself.
        earlier, self._give_back = self._give_back, self._live.engines.lend(wanted.host)
        earlier()
        self._set_answers()

    async def begin(self, *, is_quiet: bool = True) -> LiveSession:
        """The conversation as it is wanted.

        Args:
            is_quiet: Whether nothing is being said or worked out: then it may begin anew.
        """
        async with self._building:
            if self._session and self._is_stale and is_quiet:
                await self._stop(ANEW, EndCode.REPLACED)
            if self._session is None:
                await self._start()
            assert self._session is not None  # noqa: S101 - just started
            return self._session

    async def hear(self, buffer: InputBuffer) -> None:
        """Have the conversation hear what comes, for ever."""
        while True:
            heard = await buffer.next()
            await self.begin(is_quiet=False)
            async with self._building:
                if self._transport:
                    await self._transport.hear(heard)

    async def end(self, reason: str) -> None:
        """The client is gone."""
        try:
            async with self._building:
                await self._stop(reason, EndCode.PEER_LEFT)
        finally:
            self.release()

    def release(self) -> None:
        """No conversation begins any more: the engines that were wanted are given back."""
        give_back, self._give_back = self._give_back, _keep_nothing
        give_back()

    async def _start(self) -> None:
        self._is_stale = False
        plan = self.plan
        rate_hz = plan.host.tts.loaded.sample_rate_hz
        self._responses.out_rate_hz = rate_hz
        spoken = SpokenSide(self._responses, self._calls, *self._tell)
        transport = DoorTransport(spoken, rate_hz)

        def tell(message: Mapping[str, Any]) -> None:
            if not spoken.is_over:
                self._on_event(message["event"])

        session = self._live.start(plan, transport, tell, _Nothing(), way="realtime")
        session.on_end(lambda: self._has_ended(session, spoken))
        self._session, self._transport, self._spoken = session, transport, spoken
        self._set_answers()
        await transport.ready()

    async def _stop(self, reason: str, code: EndCode) -> None:
        session, self._session = self._session, None
        if session is None:
            return
        if self._spoken:
            self._spoken.is_over = True
        self._transport = None
        await session.conversation.stop(reason, code)
        self._calls.close()

    def _set_answers(self) -> None:
        answers = self._session.conversation.answers if self._session else None
        if answers:
            detection = self._config.audio.input.turn_detection
            answers.automatic = bool(detection and detection.create_response) and self._config.type == "realtime"
            answers.written = self._config.is_written

    def _has_ended(self, session: LiveSession, spoken: SpokenSide) -> None:
        if session is self._session:
            spoken.is_over = True
            self._on_end(session.conversation.end_reason)


class _Nothing:
    """The door holds its line itself; it outlives a conversation."""

    def gone(self) -> str | None:
        return None

    async def hang_up(self) -> None:
        return None


def _keep_nothing() -> None:
    """Nothing is to be given back."""


def _is_same(wanted: SessionPlan, plan: SessionPlan, config: SessionConfig, earlier: SessionConfig) -> bool:
    """Whether the conversation that goes on is the one that is wanted."""
    tools = [function.model_dump() for function in config.tools], config.tool_choice
    before = [function.model_dump() for function in earlier.tools], earlier.tool_choice
    return (
        tools == before
        and wanted.settings == plan.settings
        and config.max_output_tokens == earlier.max_output_tokens
        and dataclasses.replace(wanted.host) == dataclasses.replace(plan.host)
    )
