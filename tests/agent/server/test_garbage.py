"""What a server has loaded is set aside, and what comes after it is still cleared away."""

import asyncio
import gc
from collections import deque
from collections.abc import Iterator
from typing import Any
from weakref import WeakSet

import pytest
from pipecat.processors.frame_processor import FrameProcessor

from agent.conversation.histories import Histories
from agent.server.calls.garbage import set_aside_what_stays
from agent.server.calls.sessions import LiveSessions
from agent.settings.load import Settings
from tests.support.house import hosting
from tests.support.llm_session import options
from tests.support.scripted_engines import ScriptedRecognizerEngine, ScriptedSynthesizer
from tests.support.scripted_llm import Reply, ScriptedLLM
from tests.support.virtual_time import in_virtual_time
from tests.support.websocket_caller import calling, serving_sessions

N_LOADED = 1_000_000
N_QUESTIONS = 600_000
# A while after which something is no longer needed: longer than the rounds over what is young.
N_IN_USE = 15_000
QUESTION = "What is the capital of France?"


class Question:
    """Something that only the garbage collector can clear away."""

    n_alive = 0

    def __init__(self) -> None:
        self.itself = self
        Question.n_alive += 1

    def __del__(self) -> None:
        Question.n_alive -= 1


@pytest.fixture
def set_aside() -> Iterator[None]:
    loaded = [[] for _ in range(N_LOADED)]
    set_aside_what_stays()
    yield
    gc.unfreeze()
    loaded.clear()


@pytest.mark.usefixtures("set_aside")
def test_garbage_does_not_pile_up_with_the_size_of_what_is_loaded() -> None:
    in_use: deque[Question] = deque(maxlen=N_IN_USE)
    most = 0
    for _ in range(N_QUESTIONS):
        in_use.append(Question())
        most = max(most, Question.n_alive)
    assert N_IN_USE < most < N_LOADED / 5


@in_virtual_time
async def test_a_call_that_has_ended_is_gone_before_the_collector_would_come_by() -> None:
    async with (
        ScriptedLLM(answers={QUESTION: Reply("Paris.")}) as llm,
        hosting(ScriptedRecognizerEngine(), options(llm), ScriptedSynthesizer()) as host,
    ):
        sessions = LiveSessions(host, Settings(), Histories())
        made: WeakSet[FrameProcessor] = WeakSet()
        begin = FrameProcessor.__init__

        def noted(self: FrameProcessor, *args: Any, **options: Any) -> None:
            begin(self, *args, **options)
            made.add(self)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(FrameProcessor, "__init__", noted)
            async with serving_sessions(sessions) as url:
                gc.disable()
                try:
                    async with calling(url) as caller:
                        await caller.join()
                        await caller.tell({"type": "text", "text": QUESTION})
                        await asyncio.sleep(5.0)
                        assert len(made) > 10
                    await asyncio.sleep(5.0)
                finally:
                    gc.enable()
                assert not made
        await sessions.close()
