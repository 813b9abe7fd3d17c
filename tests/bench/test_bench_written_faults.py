"""The fault table's written conversations, held: the user reads of the fault once, and the next typed turn works."""

import asyncio
import re
from contextlib import suppress
from dataclasses import replace
from typing import Any, cast

import httpx
import pytest

from agent.conversation.histories import Histories
from agent.server.calls.sessions import LiveSessions
from agent.settings.load import Settings
from processors.ear.silero import SharedSilero
from processors.llm.asked_model import WRITTEN_HINT
from tests.agent.server.test_chat import Chat
from tests.bench.test_bench_faults import FIRST, LLM_FAULTS, SECOND
from tests.support.fault_table import written_cells
from tests.support.faulty_engines import Fault, FaultySession, FaultySynthesizer, ReadyStandby
from tests.support.house import hosting, silero_session
from tests.support.left_over import leaving_nothing
from tests.support.llm_session import APOLOGY, options
from tests.support.scripted_engines import ScriptedRecognizerEngine, ScriptedSynthesizer
from tests.support.scripted_llm import Answer, Reply, ScriptedLLM
from tests.support.served import serving_page
from tests.support.speech_callers import NotingEngine
from tests.support.virtual_time import in_virtual_time
from tests.support.websocket_caller import Caller, calling, serving_sessions

LOST = "Sorry, I lost my train of thought."
# An engine that hangs is given up after ten seconds or so.
MOST_SECS, QUIET_SECS = 30.0, 4.0


async def ask(caller: Caller, text: str, *, spoken: bool) -> tuple[str, str]:
    """Type a turn; what of the answer is read and what is heard, until nothing more comes."""
    n_before, ends = len(caller.events), "bot_stopped_speaking" if spoken else "llm_done"
    await caller.tell({"type": "text", "text": text, "spoken": spoken})
    with suppress(TimeoutError):
        async with asyncio.timeout(MOST_SECS):
            while ends not in [event["event"] for event in caller.events[n_before:]]:
                await asyncio.sleep(0.5)
    await asyncio.sleep(QUIET_SECS)
    told = caller.events[n_before:]
    read = "".join(event["text"] for event in told if event["event"] == "reply_text")
    return read, " ".join(event["text"] for event in told if event["event"] == "bot_word")


@pytest.mark.long
@pytest.mark.parametrize(("stage", "name", "spoken"), written_cells())
@in_virtual_time
async def test_fault_in_a_typed_conversation_is_read_once_and_the_next_turn_works(
    stage: str, name: str, spoken: bool
) -> None:
    fault = Fault(name)
    replies: list[Answer] = [*LLM_FAULTS[name], Reply("Second.")] if stage == "llm" else []
    answers: dict[str, Answer] = {} if stage == "llm" else {FIRST: Reply("First."), SECOND: Reply("Second.")}
    answers |= {f"{asked}\n\n{WRITTEN_HINT}": reply for asked, reply in answers.items()}
    tts = FaultySynthesizer(fault) if stage == "tts" else ScriptedSynthesizer()
    standby = ReadyStandby(ScriptedSynthesizer())
    async with (
        leaving_nothing(),
        ScriptedLLM(*replies, answers=answers) as llm,
        hosting(ScriptedRecognizerEngine(), options(llm, max_tokens=16), tts) as host,
    ):
        host = replace(host, tts_standby=standby)
        if stage == "vad":
            host.silero = SharedSilero(cast(Any, FaultySession(silero_session(), fault, after_runs=20)))
        sessions = LiveSessions(host, Settings(), Histories())
        async with serving_sessions(sessions) as url, calling(url) as caller:
            conversation = (await caller.join())["conversation"]
            caller.begin_to_speak()
            await asyncio.sleep(2.0)
            first = await ask(caller, FIRST, spoken=spoken)
            second = await ask(caller, SECOND, spoken=spoken)
            history = sessions.histories.find(conversation)
            assert history is not None
            turns = history.turns()
            errors = caller.named("error")
        await sessions.close()
        fault.released.set()
        standby.shutdown()
        await asyncio.sleep(3.0)
    # What is slow is no error; all else is read of, once, in words that say what it was.
    assert [event["stage"] for event in errors] == ([] if name == "slow" else [stage])
    assert all(re.search(r"\w+: *\w|\w+ \w+", event["message"]) and ": ;" not in event["message"] for event in errors)
    assert second == (("", "Second.") if spoken else ("Second.", ""))
    if stage != "llm" or name == "slow":
        assert first == (("", "First.") if spoken else ("First.", "")) or (spoken and not first[0])
    elif spoken:
        assert first[1].endswith((APOLOGY, LOST))
    heard = first[1].removesuffix(APOLOGY).removesuffix(LOST).strip() or first[0]
    said = [(turn["role"], turn["text"]) for turn in turns]
    answered = [("assistant", heard)] if heard else []
    assert said == [("user", FIRST), *answered, ("user", SECOND), ("assistant", "Second.")]


@pytest.mark.parametrize("name", sorted(LLM_FAULTS))
@in_virtual_time
async def test_fault_of_the_language_model_is_read_in_a_chat_and_the_next_question_is_answered(name: str) -> None:
    async with (
        leaving_nothing(),
        ScriptedLLM(*LLM_FAULTS[name], Reply("Second.")) as llm,
        serving_page(NotingEngine(), options(llm, max_tokens=16)) as served,
        httpx.AsyncClient(base_url=served.url, timeout=60) as client,
    ):
        chat = Chat(served, llm, client)
        (_, opened), *first = await chat.ask(FIRST)
        (_, _), *second = await chat.ask(SECOND, opened["conversation"])
        messages = [(one["role"], one["content"]) for one in chat.messages(opened["conversation"])]
    read = "".join(event["text"] for kind, event in first if kind == "delta")
    kind, last = first[-1]
    assert (kind, last.get("stage")) == (("done", None) if name == "slow" else ("error", "llm"))
    assert second == [("delta", {"text": "Second."}), ("done", {"text": "Second."})]
    # A question without a word of an answer leaves no trace, so that it can be asked again.
    answered = [("user", FIRST), ("assistant", read)] if read else []
    assert messages == [*answered, ("user", SECOND), ("assistant", "Second.")]
