"""One caller's connection, whatever carries it: says, and notes what came of it.

In:  questions.   Out: when the agent began to answer and fell silent, what it heard, what failed.
"""

import asyncio
import time
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import httpx

from agent.errors import SottoError
from agent.load.questions import Question
from agent.load.tape import Mouth

JOIN_SECS = 60.0
# What refuses, as the server's own words tell.
MAX_SESSIONS, PLACES, DRAINING = "server.max_sessions", "places for connections", "the server is draining"
SIGNS = (
    ("is busy with", MAX_SESSIONS),
    ("about to stop", DRAINING),
    ("too many connections", PLACES),
    ("still loading", "the models are being loaded"),
)
UNAUTHORIZED = 401


@dataclass(frozen=True)
class Server:
    """Where callers call.

    Attributes:
        url: `http://HOST:PORT`, without a path.
        token: What opens it, if anything has to.
        is_here: Whether it is this very machine, whose certificate nobody has to vouch for.
    """

    url: str
    token: str | None = None
    is_here: bool = True

    def headers(self) -> dict[str, str]:
        """What a request shows."""
        return {"Authorization": f"Bearer {self.token}"} if self.token else {}

    def client(self, timeout_secs: float = JOIN_SECS) -> httpx.AsyncClient:
        """For requests to it, through no proxy."""
        return httpx.AsyncClient(
            base_url=self.url, headers=self.headers(), timeout=timeout_secs, trust_env=False, verify=not self.is_here
        )

    @property
    def socket_url(self) -> str:
        """The same for WebSockets."""
        return "ws" + self.url.removeprefix("http")


class RefusedError(SottoError):
    """The server let a caller not in.

    Attributes:
        limit: What of the server said no; its own words where that is unknown.
    """

    def __init__(self, told: str) -> None:
        super().__init__(told)
        self.limit = next((limit for sign, limit in SIGNS if sign in told), " ".join(told.split())[:120])


class CallLine(ABC):
    """A call.

    Args:
        mouth: Gives what is sent.

    Attributes:
        mouth: As given.
        conversation: Its id, by the server.
        started_secs: When each answer began to be heard, on the monotonic clock.
        n_stopped: How many answers have ended.
        heard: The turns, as the agent understood them.
        errors: How many there were, by stage.
        lost: Why the call ended without the caller's wish; None while it goes on.
    """

    def __init__(self, mouth: Mouth) -> None:
        self.mouth = mouth
        self.conversation = ""
        self.started_secs: list[float] = []
        self.n_stopped = 0
        self.heard: list[str] = []
        self.errors: Counter[str] = Counter()
        self.lost: str | None = None
        self._changed = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._is_leaving = False

    @abstractmethod
    async def join(self) -> None:
        """Call.

        Raises:
            RefusedError: The server did not take it.
        """

    @abstractmethod
    async def say(self, question: Question) -> float:
        """Say it at the pace of real time; when its last sample was spoken, on the monotonic clock."""

    @abstractmethod
    async def hang_up(self) -> None:
        """Close the connection."""

    async def leave(self) -> None:
        """End the call."""
        self._is_leaving = True
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        with suppress(Exception):
            await asyncio.wait_for(self.hang_up(), 5)

    @property
    def is_spoken_to(self) -> bool:
        """Whether the agent speaks now."""
        return len(self.started_secs) > self.n_stopped

    async def until(self, condition: Callable[[], bool], within_secs: float) -> bool:
        """Wait until something that came makes it true; False if that does not come, or the call is lost."""
        with suppress(TimeoutError):
            async with asyncio.timeout(within_secs):
                while not condition() and self.lost is None:
                    self._changed.clear()
                    await self._changed.wait()
        return condition()

    def begins(self, work: Any) -> None:
        """Have something done as long as the call goes on."""
        self._tasks.append(asyncio.create_task(work))

    def lose(self, why: str) -> None:
        """The call is over, and nobody wished it."""
        if not self._is_leaving and self.lost is None:
            self.lost = why
        self.mouth.stop()
        self._changed.set()

    def note(self, event: Mapping[str, Any]) -> None:
        """Take a line of the event log."""
        match event["event"]:
            case "bot_started_speaking":
                self.answer_begins()
            case "bot_stopped_speaking":
                self.answer_ends()
            case "turn_ended":
                self.heard.append(event["text"])
            case "error":
                self.errors[event["stage"]] += 1
            case "session_ended":
                self.lose(event["reason"])
        self._changed.set()

    def answer_begins(self) -> None:
        """The agent is heard."""
        if not self.is_spoken_to:
            self.started_secs.append(time.monotonic())
        self._changed.set()

    def answer_ends(self) -> None:
        """The agent is heard no more."""
        self.n_stopped = len(self.started_secs)
        self._changed.set()
