"""Holds the conversations: items are said, each at its time, and what becomes of them is gathered.

In:  a wiring and items.   Out: one Scene an item.
Whoever talks over the agent does so a given time after its first sample. A scene ends when all has been quiet for a
while; the items of one kind follow each other in one conversation, after a first question that is not measured.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from itertools import cycle
from typing import Any, Literal, Protocol

from pipecat.processors.aggregators.llm_context import LLMContext
from pipecat.services.openai.llm import OpenAILLMService

from agent.conversation.activity import Activity
from agent.conversation.conversation import Conversation
from agent.conversation.event_log import Event
from agent.engines.host import ModelHost
from agent.settings.load import Settings
from processors.llm.service import LocalLLMService
from tests.bench.dynamics.engines import NEXT_REPLY, SHORT_REPLY, STORY, TALE, Profile, reply
from tests.bench.dynamics.items import Item, opening
from tests.bench.dynamics.scene import Scene
from tests.bench.dynamics.stage import BYTES_PER_SEC, Stage, StagedRecognizerEngine
from tests.bench.dynamics.stock import StockConversation, Transcriber
from tests.support.scripted_llm import ScriptedLLM
from transports.recorded import RecordedTransport

Wiring = Literal["stock", "ours"]

# Voice activity is told up to 0.4 s late.
SETTLE_SECS = 0.8
# Nothing has happened for so long: an answer does not come any more.
GIVE_UP_SECS = 9.0
LAG_TICK_SECS = 0.005
SCENE_TIMEOUT_SECS = 60.0
# How long the agent has been speaking when it is talked over.
OVER_AFTER_SECS = (1.0, 0.6, 1.3)


class ConversationLike(Protocol):
    """What both wirings offer."""

    context: LLMContext

    def start(self) -> asyncio.Task[None]: ...

    async def stop(self, reason: str) -> None: ...


@dataclass
class House:
    """The engines of a profile.

    Attributes:
        profile: None where the engines are real.
        server: The scripted language model, where it is scripted.
    """

    host: ModelHost
    settings: Settings
    profile: Profile | None = None
    server: ScriptedLLM | None = None

    def conversation(
        self, wiring: Wiring, transport: RecordedTransport, stage: Stage, sinks: Sequence[Callable[[Event], None]]
    ) -> ConversationLike:
        """A conversation on these engines, not started yet."""
        engine = self.host.stt.loaded
        if isinstance(engine, StagedRecognizerEngine):
            engine.stage = stage
        if wiring == "ours":
            card = transport.card
            return Conversation(
                self.host, self.settings, transport, sinks, speech_end_secs=lambda: card.speech_end_secs
            )
        return StockConversation(self.host, transport, sinks, self._transcriber(stage), self._llm())

    def _transcriber(self, stage: Stage) -> Transcriber:
        engine = self.host.stt.loaded

        def hear(pcm16: bytes, end_secs: float) -> str:
            recognizer = engine.recognizer()
            recognizer.accept(pcm16)
            return recognizer.finish().text

        if not isinstance(engine, StagedRecognizerEngine):
            return hear
        delay_secs = engine.delay_secs

        def know(pcm16: bytes, end_secs: float) -> str:
            time.sleep(delay_secs)
            return stage.words([(end_secs - len(pcm16) / BYTES_PER_SEC, end_secs)])

        return know

    def _llm(self) -> Any:
        options = self.host.llm_options
        if self.server is None:
            return LocalLLMService(options)
        return OpenAILLMService(
            api_key="none", base_url=options.base_url, settings=OpenAILLMService.Settings(model=options.model)
        )


class _Director:
    """Lets the scenes of one conversation happen."""

    def __init__(self, house: House, wiring: Wiring) -> None:
        self._house = house
        self._transport = RecordedTransport()
        self._card = self._transport.card
        self._stage = Stage(self._card)
        self._activity = Activity()
        self._events: list[Event] = []
        self._opening = opening()
        self._lag_secs = 0.0
        self.conversation = house.conversation(
            wiring, self._transport, self._stage, [self._activity, self._events.append]
        )

    async def scenes(self, items: Sequence[Item]) -> list[Scene]:
        """One for each item."""
        await self._ask(self._opening, SHORT_REPLY)
        await self._settle()
        marks = []
        for item, after_secs in zip(items, cycle(OVER_AFTER_SECS), strict=False):
            marks.append(await asyncio.wait_for(self._scene(item, after_secs), SCENE_TIMEOUT_SECS))
        _, heard_s16 = self._card.sides()
        return [Scene(heard_s16=heard_s16, **mark) for mark in marks]

    async def watch_lag(self) -> None:
        """Note how late the event loop is."""
        while True:
            before_secs = time.perf_counter()
            await asyncio.sleep(LAG_TICK_SECS)
            self._lag_secs = max(self._lag_secs, time.perf_counter() - before_secs - LAG_TICK_SECS)

    async def _scene(self, item: Item, after_secs: float) -> dict[str, Any]:
        n_events, n_requests = len(self._events), self._n_requests()
        n_messages = len(self.conversation.context.messages)
        replies: dict[str, str] = {}
        self._lag_secs = 0.0
        if item.kind in ("question", "hesitating"):
            said_secs = await self._ask(item, SHORT_REPLY)
            replies = {"reply": SHORT_REPLY}
        else:
            story = STORY if item.kind == "barge_in" else TALE
            await self._ask(self._opening, story)
            started_secs = await self._agent_starts(n_events)
            await self._until(lambda: self._card.now_secs >= started_secs + after_secs and not self._card.is_saying)
            said_secs = await self._ask(item, NEXT_REPLY)
            replies = {"reply": story, "next_reply": NEXT_REPLY}
        await self._settle()
        return {
            "item": item,
            "said_secs": said_secs,
            "until_secs": self._card.now_secs,
            "events": tuple(self._events[n_events:]),
            "messages": tuple(m for m in self.conversation.context.messages[n_messages:] if isinstance(m, dict)),
            "n_requests": self._n_requests() - n_requests,
            "lag_secs": self._lag_secs,
            "delays_secs": self._house.profile.delays_secs if self._house.profile else None,
            **(replies if self._house.server else {}),
        }

    async def _ask(self, item: Item, answer: str) -> float:
        """Say an item; whatever the language model is asked from now on, it gives this answer."""
        if self._house.server and self._house.profile:
            self._house.server.otherwise = reply(answer, self._house.profile)
        return self._stage.say(item)

    async def _agent_starts(self, n_events: int) -> float:
        """The second at which the agent starts to speak; now, if it does not."""

        def starts() -> list[float]:
            return [event["t"] for event in self._events[n_events:] if event["event"] == "bot_started_speaking"]

        await self._until(lambda: bool(starts()))
        return starts()[-1] if starts() else self._card.now_secs

    async def _settle(self) -> None:
        quiet_since_secs = self._card.now_secs

        def quiet() -> bool:
            nonlocal quiet_since_secs
            if self._card.is_saying or not self._activity.idle:
                quiet_since_secs = self._card.now_secs
            return self._card.now_secs - max(quiet_since_secs, self._activity.last_event_secs) >= SETTLE_SECS

        if not await self._until(quiet):
            self._activity.give_up()

    async def _until(self, condition: Callable[[], bool]) -> bool:
        """Wait for a condition, checked every 20 ms; False when nothing happens any more."""
        started_secs = self._card.now_secs
        while not condition():
            since_secs = max(started_secs, self._activity.last_event_secs)
            if self._card.now_secs - since_secs > GIVE_UP_SECS and not self._card.is_saying:
                return False
            await self._card.next_tick()
        return True

    def _n_requests(self) -> int:
        if self._house.server:
            return len(self._house.server.requests)
        return sum(event["event"] == "llm_first_token" for event in self._events)


async def hold(house: House, wiring: Wiring, items: Sequence[Item]) -> list[Scene]:
    """Hold one conversation.

    Args:
        house: The engines.
        wiring: Who connects them.
        items: What is said, one scene each.

    Raises:
        RuntimeError: The conversation ended before its scenes did.
        TimeoutError: A scene did not come to its end.
    """
    director = _Director(house, wiring)
    running = director.conversation.start()
    scenes = asyncio.create_task(director.scenes(items))
    watching = asyncio.create_task(director.watch_lag())
    waiting: list[Awaitable[Any]] = [running, scenes]
    try:
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)  # pyright: ignore[reportArgumentType]
        if not scenes.done():
            raise RuntimeError(f"the {wiring} conversation ended by itself")
        return scenes.result()
    finally:
        scenes.cancel()
        watching.cancel()
        await director.conversation.stop("the scenes are over")
