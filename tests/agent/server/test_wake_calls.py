"""Wake words in the page's calls: the server tells the page when the agent sleeps and wakes, and what it is woken by.

The route, the line and the pipeline are real; a scripted detector hears the word where the test says so.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import numpy as np
import pytest

from agent.conversation.histories import Histories
from agent.engines.wake import WakeHost
from agent.server.calls.sessions import LiveSessions
from agent.settings.load import load_settings
from processors.engine_threads import EngineThreads
from processors.wake.detector import HeardWake
from tests.support.house import hosting
from tests.support.llm_session import options
from tests.support.scripted_engines import ScriptedRecognizerEngine, ScriptedSynthesizer
from tests.support.scripted_llm import Reply, ScriptedLLM
from tests.support.virtual_time import in_virtual_time
from tests.support.waking import WORD, ScriptedWake
from tests.support.websocket_caller import Caller, calling, serving_sessions


def told(caller: Caller) -> list[tuple[str, str | None]]:
    """Every event of waking and sleeping that the page was sent, with its cause."""
    return [(event["event"], event.get("cause")) for event in caller.events if event["event"] in ("awake", "asleep")]


@asynccontextmanager
async def calling_asleep() -> AsyncIterator[Caller]:
    """A call whose agent hears its word in the first loud sound."""

    words = [HeardWake(WORD, 0.98)]

    def hear(_: int, pcm16: bytes) -> list[HeardWake]:
        return [words.pop()] if words and np.frombuffer(pcm16, "<i2").max(initial=0) > 20_000 else []

    settings = load_settings({"wake.words": [WORD.name], "wake.awake_secs": 2.0})
    async with (
        ScriptedLLM(Reply("Hm.")) as llm,
        hosting(ScriptedRecognizerEngine(), options(llm), ScriptedSynthesizer()) as host,
    ):
        host.wake = WakeHost(ScriptedWake(hear), EngineThreads(1, "wake"))
        sessions = LiveSessions(host, settings, Histories())
        async with serving_sessions(sessions) as url:
            try:
                async with calling(url) as caller:
                    await caller.join()
                    caller.begin_to_speak()
                    yield caller
            finally:
                await sessions.close()


@in_virtual_time
async def test_the_page_is_told_when_the_agent_sleeps_wakes_by_the_word_and_sleeps_again() -> None:
    async with calling_asleep() as caller:
        assert (await caller.until_event("asleep"))["phrases"] == ["Hey Sotto"]
        caller.say(np.full(640, 30_000, np.int16))
        awake = await caller.until_event("awake")
        assert (awake["word"], awake["phrase"], awake["probability"]) == ("hey_sotto", "Hey Sotto", 0.98)
        asleep = await caller.until_event("asleep", 2)
        # The frame of 20 ms with which it woke counts, and the one after which it sleeps does not.
        assert asleep["t"] - awake["t"] == pytest.approx(2.0, abs=0.041)
        assert told(caller) == [("asleep", None), ("awake", "word"), ("asleep", None)]
        # The short sound that says that it listens.
        assert np.abs(caller.heard_s16.astype(int)).max() > 300


@in_virtual_time
async def test_the_page_wakes_the_agent_by_its_key_and_is_told_so() -> None:
    async with calling_asleep() as caller:
        await caller.until_event("asleep")
        for active in (True, False):
            await caller.tell({"type": "push_to_talk", "active": active})
        await caller.until_event("asleep", 2)
        assert told(caller) == [("asleep", None), ("awake", "key"), ("asleep", None)]
