"""Telephone lines on scripted engines, for tests: the routes, and the events of all calls on them."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from agent.conversation.histories import Histories
from agent.server.calls.sessions import LiveSessions
from agent.server.guard.places import Places
from agent.server.telephony.audio_socket import AudioSockets
from agent.settings.load import load_settings
from tests.support.house import hosting
from tests.support.llm_session import options
from tests.support.scripted_engines import ScriptedRecognizerEngine, ScriptedSynthesizer
from tests.support.scripted_llm import Reply, ScriptedLLM
from tests.support.telephone_callers import WAIT_SECS, serving_lines


@dataclass
class Lines:
    """What a test looks at.

    Attributes:
        port: Where the routes are served.
        sessions: What holds the conversations.
        events: Of all calls, in the order in which they came.
        audio_ports: Where AudioSocket connects to, by line.
        llm: What answers.
        places: For connections, of AudioSocket's.
    """

    port: int
    sessions: LiveSessions
    llm: ScriptedLLM
    events: list[dict[str, Any]] = field(default_factory=list)
    audio_ports: dict[str, int] = field(default_factory=dict)
    places: Places = field(default_factory=lambda: Places(64, 64))
    _changed: asyncio.Event = field(default_factory=asyncio.Event)

    def take(self, message: dict[str, Any]) -> None:
        """Take what a page would be told."""
        if message["type"] == "event":
            self.events.append(message["event"])
            self._changed.set()

    def named(self, name: str) -> list[dict[str, Any]]:
        """The events of that name."""
        return [event for event in self.events if event["event"] == name]

    async def until_event(self, name: str, count: int = 1) -> dict[str, Any]:
        """Wait for an event of that name; the last one."""
        async with asyncio.timeout(WAIT_SECS):
            while len(self.named(name)) < count:
                self._changed.clear()
                await self._changed.wait()
        return self.named(name)[-1]

    def history(self, call: int = 0) -> list[dict[str, str]]:
        """What was said in a call, as the agent knows it."""
        found = self.sessions.histories.find(self.named("session_started")[call]["conversation"])
        assert found is not None
        return found.turns()


@asynccontextmanager
async def holding_lines(
    lines: dict[str, dict[str, Any]],
    *heard_as: str,
    replies: tuple[str | Reply, ...] = (),
    answers: Mapping[str, Reply] | None = None,
    max_sessions: int = 2,
    settings: Mapping[str, Any] | None = None,
    **how: Any,
) -> AsyncIterator[Lines]:
    """The routes with these lines; all calls have ended in the end."""
    wanted = load_settings(
        {"server.max_sessions": max_sessions, "telephony.lines": lines, **(settings or {})}, alone=True
    )
    async with (
        ScriptedLLM(*map(_reply, replies), answers=answers) as llm,
        hosting(ScriptedRecognizerEngine(*heard_as), options(llm, **how), ScriptedSynthesizer()) as host,
    ):
        sessions = LiveSessions(host, wanted, Histories())
        held = Lines(0, sessions, llm)
        sockets = AudioSockets(wanted, lambda: sessions, held.places, held.take)
        held.audio_ports = await sockets.open()
        async with serving_lines(sessions, wanted, held.take) as held.port:
            yield held
            await sessions.close()
            await sockets.close()
            await until_active(sessions, 0)


def _reply(reply: str | Reply) -> Reply:
    return Reply(reply) if isinstance(reply, str) else reply


async def until_active(sessions: LiveSessions, n_active: int) -> None:
    """Wait until so many calls are held."""
    async with asyncio.timeout(WAIT_SECS):
        while sessions.n_active != n_active:
            await asyncio.sleep(0.05)
