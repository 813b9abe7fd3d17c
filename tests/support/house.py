"""Builds conversations for tests: the real pipeline on scripted or real engines, joined by recorded frames."""

import asyncio
import functools
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from agent.commands.replay import Replay, level_dbfs
from agent.commands.script import ConversationScript, Step
from agent.conversation.conversation import Conversation
from agent.conversation.event_log import Event
from agent.engines.candidates import Choice
from agent.engines.host import ModelHost
from agent.engines.llm import LlmBackend
from agent.memory.user_memory import UserMemory
from agent.settings.load import Settings
from agent.tools.mcp_servers import McpServers
from agent.tools.timers import TimerBook
from agent.tools.tool import Tool
from processors.ear.silero import SharedSilero, load_silero
from processors.engine_threads import EngineThreads
from processors.llm.options import LLMOptions
from processors.stt.recognizer import RecognizerEngine
from processors.tts.synthesizer import Synthesizer
from processors.turns.smart_turn import load_smart_turn
from tests.conftest import REPOSITORY
from transports.recording import load_recording
from transports.room import RoomSpec

FIXTURES = REPOSITORY / "tests" / "fixtures"
SPEECH = FIXTURES / "speech"


# What is said is answered by the scripted model, whatever it is.
WITHOUT_REFLEXES = Settings.model_validate({"tools": {"reflexes": False}})


@dataclass
class Held:
    """What a conversation left behind."""

    status: int
    events: list[Event]
    said_s16: np.ndarray[Any, np.dtype[np.int16]]
    heard_s16: np.ndarray[Any, np.dtype[np.int16]]
    history: list[dict[str, Any]] = field(default_factory=list)

    def named(self, name: str) -> list[Event]:
        """All events of that name."""
        return [event for event in self.events if event["event"] == name]

    def texts(self, name: str) -> list[str]:
        """The texts of all events of that name."""
        return [event["text"] for event in self.named(name)]


# Models that do not remember, loaded once for all tests of a worker.
silero_session = functools.cache(lambda: load_silero().session)
smart_turn_session = functools.cache(load_smart_turn)


def scripted_host(stt: RecognizerEngine, options: LLMOptions, tts: Synthesizer) -> ModelHost:
    """A model host on engines that a test made."""
    return ModelHost(
        Choice("stt", stt.name, stt.model, stt),
        Choice("llm", "endpoint", options.model, LlmBackend(options)),
        Choice("tts", tts.name, tts.model, tts),
        SharedSilero(silero_session()),
        smart_turn_session(),
        EngineThreads(stt.max_threads, "stt"),
        EngineThreads(tts.max_threads, "tts"),
        EngineThreads(1, "vad"),
        EngineThreads(1, "turn"),
        EngineThreads(2, "files"),
    )


@asynccontextmanager
async def hosting(stt: RecognizerEngine, options: LLMOptions, tts: Synthesizer) -> AsyncIterator[ModelHost]:
    """A scripted host that is closed at the end."""
    host = scripted_host(stt, options, tts)
    try:
        yield host
    finally:
        await host.close()


async def hold(
    host: ModelHost,
    steps: Sequence[Step],
    *,
    end_secs: float = 0.3,
    settings: Settings | None = None,
    sinks: Sequence[Callable[[Event], None]] = (),
    prepare: Callable[[Conversation, Replay], None] = lambda _, __: None,
    room: str | None = None,
    limit_secs: float = 100,
    reflexes: bool = False,
    tools: Sequence[Tool] = (),
    timers: TimerBook | None = None,
    memory: UserMemory | None = None,
    servers: McpServers | None = None,
    has_camera: bool = False,
) -> Held:
    """Hold one conversation with recorded speech to its end.

    Args:
        host: The engines.
        steps: What is said and when.
        end_secs: Silence after the last answer.
        settings: Thresholds; the defaults if left out.
        sinks: Told of every event as it happens.
        room: Where it is held, with an open loudspeaker, such as `rt60=0.4,echo_db=0`.
        limit_secs: Until it must be over.
        reflexes: Whether what needs no language model is answered without the scripted one.
        tools: What the agent can do beside what it always can.
        timers: The user's; new ones if left out.
        memory: The user's; none if left out.
        servers: Of tools.
        has_camera: Whether a page is there that can be asked for a picture.
        prepare: Called with both before they start, to give the conversation tools, say.
    """
    script = ConversationScript(tuple(steps), end_secs)
    wanted = settings or Settings()
    wanted = wanted.model_copy(update={"tools": wanted.tools.model_copy(update={"reflexes": reflexes})})
    run = Replay(script, RoomSpec.parse(room), level_dbfs(host.tts.loaded)) if room else Replay(script)
    events: list[Event] = []
    card = run.transport.card
    conversation = Conversation(
        host,
        wanted,
        run.transport,
        [*run.sinks, events.append, *sinks],
        speech_end_secs=lambda: card.speech_end_secs,
        tools=tools,
        timers=timers,
        memory=memory,
        servers=servers,
        has_camera=has_camera,
    )
    prepare(conversation, run)
    status = await asyncio.wait_for(run.run(conversation, asyncio.Event()), limit_secs)
    said_s16, heard_s16 = card.sides()
    history: list[Any] = [message for message in conversation.context.messages if isinstance(message, dict)]
    return Held(status, sorted(events, key=lambda event: event["t"]), said_s16, heard_s16, history)


def say(name: str, **when: Any) -> Step:
    """A step that says one of the project's own recordings."""
    return Step(load_recording(SPEECH / name), **when)
