"""Realtime sessions for tests: the whole application on scripted engines, and openai-python's client before it."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from agent.server.calls.sessions import LiveSessions
from agent.settings.load import Settings, load_settings
from tests.support.house import hosting
from tests.support.llm_session import options
from tests.support.realtime_caller import RealtimeCaller, calling_realtime, live_sessions, serving_realtime
from tests.support.scripted_engines import ScriptedRecognizerEngine, ScriptedSynthesizer
from tests.support.scripted_llm import Answer, Reply, ScriptedLLM

TRANSCRIBED = {"input": {"transcription": {"model": "whisper-1"}}}
MANUAL = {"input": {"turn_detection": None, "transcription": {"model": "whisper-1"}}}


@dataclass
class Stage:
    """What a test holds.

    Attributes:
        url: The base address of the API.
        live: The conversations.
        llm: The scripted language model.
        stt: The scripted ears.
    """

    url: str
    live: LiveSessions
    llm: ScriptedLLM
    stt: ScriptedRecognizerEngine

    def history(self) -> list[dict[str, Any]]:
        """The history of the one session that there is, as the language model gets it."""
        [session] = self.live._running
        return [dict(message) for message in session.conversation.context.messages if isinstance(message, dict)]

    def has_begun(self) -> bool:
        """Whether any session's conversation runs."""
        return bool(self.live._running)

    def n_active(self) -> int:
        return self.live.n_active


@asynccontextmanager
async def staged(*heard_as: str, replies: Sequence[str | Answer] = (), **settings: Any) -> AsyncIterator[Stage]:
    """The application; all of its conversations have ended in the end. Each turn takes one reply of the script."""
    stt = ScriptedRecognizerEngine(*heard_as)
    wanted: Settings = load_settings(
        {"server.max_sessions": 2, "tools.reflexes": False, "turn.speculate": False, **settings}
    )
    script = [Reply(reply) if isinstance(reply, str) else reply for reply in replies]
    async with ScriptedLLM(*script) as llm, hosting(stt, options(llm), ScriptedSynthesizer()) as host:
        live = live_sessions(host, wanted)
        async with serving_realtime(live, wanted) as url:
            yield Stage(url, live, llm, stt)
            await live.close()


@asynccontextmanager
async def talking(
    *heard_as: str, replies: Sequence[str | Answer] = (), query: dict[str, str] | None = None, **settings: Any
) -> AsyncIterator[tuple[RealtimeCaller, Stage]]:
    """One session on it."""
    async with (
        staged(*heard_as, replies=replies, **settings) as stage,
        calling_realtime(stage.url, query=query) as caller,
    ):
        yield caller, stage
