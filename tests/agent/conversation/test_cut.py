"""Nothing of a cut reply follows its interruption: not a word, not a sample, not an event; and the talk goes on."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from pipecat.adapters.llm.schemas.function_schema import FunctionSchema
from pipecat.adapters.llm.schemas.tools_schema import ToolsSchema
from pipecat.services.llm_service import FunctionCallParams

from agent.conversation.activity import Activity
from agent.conversation.conversation import Conversation
from agent.conversation.event_log import Event
from agent.settings.load import Settings
from processors.llm.asked_model import WRITTEN_HINT
from tests.support.cuts import cut_index, of_the_cut_reply, slow_reply
from tests.support.house import SPEECH, hosting
from tests.support.llm_session import options
from tests.support.scripted_engines import RATE_HZ, ScriptedRecognizerEngine, ScriptedSynthesizer
from tests.support.scripted_llm import Answer, Reply, ScriptedLLM, ToolCall
from tests.support.virtual_time import run_in_virtual_time
from transports.recorded import RecordedTransport
from transports.recording import load_recording

ASK, AGAIN = "tell me all", "are you there"
SPOKEN = "stop that please"
PATIENCE_SECS = 30.0
# The virtual card has started to play 20 ms when they are taken from it.
CARD_SECS = 0.021


@dataclass
class Talk:
    """A conversation that a test holds by hand.

    Attributes:
        events: In the order in which they were told.
    """

    conversation: Conversation
    transport: RecordedTransport
    events: list[Event] = field(default_factory=list)
    silent_from_secs: float = 0.0

    def named(self, name: str) -> list[Event]:
        return [event for event in self.events if event["event"] == name]

    async def until(self, name: str, count: int = 1) -> None:
        async with asyncio.timeout(PATIENCE_SECS):
            while len(self.named(name)) < count:
                await self.transport.card.next_tick()

    @property
    def last_sound_secs(self) -> float:
        heard_s16 = self.transport.card.sides()[1]
        loud = np.flatnonzero(np.abs(heard_s16.astype(int)) > 200)
        return float(loud[-1]) / RATE_HZ if loud.size else 0.0


@dataclass(frozen=True)
class Phase:
    """What the agent does when it is cut: `secs` after the event `after`."""

    answer: Callable[[], Answer]
    after: str
    secs: float
    spoken: bool = True


def slow_tool() -> ToolsSchema:
    async def look(params: FunctionCallParams) -> None:
        await asyncio.sleep(1.0)
        await params.result_callback({"time": "noon"})

    return ToolsSchema([FunctionSchema("clock", "Look at the clock.", {}, [], handler=look)])


def calling_reply() -> Answer:
    return slow_reply(n_words=5, tool_calls=(ToolCall("clock"),))


PHASES = {
    "before the first token": Phase(lambda: slow_reply(first_secs=3.0), "turn_ended", 1.0),
    "between tokens, nothing heard": Phase(lambda: slow_reply(token_secs=0.4), "llm_first_token", 0.5),
    "between tokens, while it speaks": Phase(slow_reply, "bot_started_speaking", 1.5),
    "while a tool works": Phase(calling_reply, "tool_call", 0.5),
    "as the tool answers": Phase(calling_reply, "tool_result", 0.0),
    "when all is written": Phase(lambda: slow_reply(token_secs=0.0), "llm_done", 1.0),
    "in the tail of the sound": Phase(lambda: slow_reply(n_words=10), "bot_word", 1.5),
    "while it writes": Phase(slow_reply, "reply_text", 0.7, spoken=False),
}


async def _key(talk: Talk) -> None:
    await talk.conversation.interrupt()


async def _start_over(talk: Talk) -> None:
    await talk.conversation.start_over()


async def _type(talk: Talk) -> None:
    await talk.conversation.type(SPOKEN, spoken=True)


async def _voice(talk: Talk) -> None:
    talk.transport.card.say(load_recording(SPEECH / "stop.wav"))


SOURCES = {"a key": _key, "start over": _start_over, "a typed turn": _type, "a voice": _voice}


async def _cut(phase: Phase, source: str, early_secs: float) -> Talk:
    answers = {text: phase.answer() for text in (ASK, f"{ASK}\n\n{WRITTEN_HINT}")}
    activity = Activity()
    async with ScriptedLLM(answers=answers) as server:
        server.otherwise = Reply("Yes ", "I ", "am.", delay_secs=0.1)
        patient = options(server, first_token_timeout_secs=9.0, token_stall_timeout_secs=9.0)
        ears, mouth = ScriptedRecognizerEngine(SPOKEN), ScriptedSynthesizer(first_secs=0.05)
        async with hosting(ears, patient, mouth) as host:
            transport, events = RecordedTransport(), []
            conversation = Conversation(host, Settings(), transport, [activity, events.append])
            conversation.context.set_tools(slow_tool())
            talk = Talk(conversation, transport, events)
            conversation.start()
            await talk.until("session_started")
            await conversation.type(ASK, spoken=phase.spoken)
            await talk.until(phase.after)
            await asyncio.sleep(max(0.0, phase.secs - early_secs))
            await SOURCES[source](talk)
            await asyncio.sleep(4.0)
            talk.silent_from_secs = talk.last_sound_secs
            n_done = len(talk.named("llm_done"))
            await conversation.type(AGAIN, spoken=True)
            await talk.until("llm_done", n_done + 1)
            await asyncio.sleep(2.0)
            assert activity.idle
            await conversation.stop("the test ended")
    return talk


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("phase", PHASES)
def test_nothing_of_a_cut_reply_follows_its_interruption(phase: str, source: str) -> None:
    # Each source and phase has a moment of its own, so that all kinds of work are cut.
    early_secs = (len(phase) * 7 + len(source) * 13) % 50 / 1000
    talk: Any = run_in_virtual_time(lambda: _cut(PHASES[phase], source, early_secs))
    # A voice before the first token adds to the question.
    cut_by = "turn_started" if (phase, source) == ("before the first token", "a voice") else "interruption"
    assert len(talk.named("interruption")) == (cut_by == "interruption")
    index = cut_index(talk.events, cut_by)
    assert of_the_cut_reply(talk.events[index + 1 :]) == []
    if source in ("a key", "start over"):
        assert talk.silent_from_secs <= talk.events[index]["t"] + CARD_SECS
    assert talk.named("llm_done")[-1]["text"] == "Yes I am."
    last = talk.conversation.context.messages[-1]
    assert last == {"role": "assistant", "content": "Yes I am."}
