"""The fault table, held: one fault in a live conversation; the user hears or reads of it, and the next turn works."""

import asyncio
from dataclasses import replace
from typing import Any, cast

import pytest

from processors.ear.silero import SharedSilero
from processors.stt.service import APOLOGY as NOT_CAUGHT
from tests.conftest import REPOSITORY
from tests.support import fault_table
from tests.support.fault_table import FAULTS, Cannot, HeldBy, live_cells, rows
from tests.support.faulty_engines import (
    Fault,
    FaultyRecognizerEngine,
    FaultySession,
    FaultySynthesizer,
    ReadyStandby,
    abandoned,
)
from tests.support.house import Held, hold, hosting, say, silero_session, smart_turn_session
from tests.support.left_over import leaving_nothing
from tests.support.llm_session import APOLOGY, options
from tests.support.scripted_engines import ScriptedRecognizerEngine, ScriptedSynthesizer
from tests.support.scripted_llm import Answer, Drop, Failure, Hang, Reply, ScriptedLLM
from tests.support.virtual_time import in_virtual_time

FIRST, SECOND = "hello there", "hello again"
ENDLESS = ["one two three four. "] * 800

LLM_FAULTS: dict[str, list[Answer]] = {
    "error": [Failure(500)],
    "hang": [Hang()],
    "crash": [Drop()],
    "garbage": [Failure(200, "<html>", "text/html")] * 2,
    "slow": [Reply("First.", first_delay_secs=1.5)],
    "endless": [Reply(*ENDLESS)],
    "none": [Reply(), Reply()],
    "disk full": [Failure(500, {"error": {"message": "No space left on device"}})],
    "out of memory": [Reply(error_after=0, error={"message": "CUDA out of memory"})],
}


def test_fault_table_has_a_cell_for_every_engine_and_every_fault() -> None:
    missing = [engine for engine in fault_table.engines() if engine not in fault_table.ENGINE_KINDS]
    assert missing == [], "give each a kind in tests/support/fault_table.py"
    for row, cells in rows().items():
        assert set(cells) == set(FAULTS), row
        for cell in cells.values():
            if isinstance(cell, HeldBy):
                path, _, name = cell.test.partition("::")
                assert f"def {name}" in (REPOSITORY / path).read_text(), cell.test
            elif isinstance(cell, Cannot):
                assert cell.why


async def _hold(stage: str, name: str, second: Any) -> tuple[Held, Any, Any]:
    """A question that meets the fault, and another one after it."""
    fault = Fault(name)
    replies: list[Answer] = []
    stt: ScriptedRecognizerEngine = ScriptedRecognizerEngine(FIRST, SECOND)
    tts: ScriptedSynthesizer = ScriptedSynthesizer()
    standbys: dict[str, ReadyStandby] = {}
    answers: dict[str, Answer] = {SECOND: Reply("Second.")}
    if stage != "llm":
        answers[FIRST] = Reply("First.")
    if stage == "stt":
        stt = FaultyRecognizerEngine(fault, FIRST, SECOND)
        standbys["stt_standby"] = ReadyStandby(ScriptedRecognizerEngine(FIRST, SECOND))
    elif stage == "tts":
        tts = FaultySynthesizer(fault)
        standbys["tts_standby"] = ReadyStandby(ScriptedSynthesizer())
    elif stage == "llm":
        # Where the first turn got no answer, the second one's words join it.
        replies = [*LLM_FAULTS[name], Reply("Second.")]
    async with (
        ScriptedLLM(*replies, answers=answers) as server,
        hosting(stt, options(server, max_tokens=16), tts) as host,
    ):
        host = replace(host, **standbys)
        if stage == "vad":
            host.silero = SharedSilero(cast(Any, FaultySession(silero_session(), fault, after_runs=20)))
        elif stage == "turn":
            host.turn_session = cast(Any, FaultySession(smart_turn_session(), fault, after_runs=0))
        held = await hold(host, [say("days_in_a_week.wav"), second])
        threads = (host.stt_threads, host.tts_threads, host.vad_threads, host.turn_threads)
        n_hung = sum(abandoned(pool) for pool in threads)
        # What hangs comes back, so that the test's own threads end.
        fault.released.set()
        await asyncio.sleep(3.0)
    for standby in standbys.values():
        standby.shutdown()
    return held, (n_hung, standbys), server


@pytest.mark.long
@pytest.mark.parametrize(("stage", "name"), live_cells())
@in_virtual_time
async def test_fault_in_a_live_conversation_costs_no_later_turn(stage: str, name: str) -> None:
    async with leaving_nothing():
        held, (n_hung, _), _ = await _hold(stage, name, say("what_time_is_it.wav"))
    errors = held.named("error")
    assert {event["stage"] for event in errors} <= {stage}
    assert len(errors) == (0 if name == "slow" or (stage, name) in QUIET else 1), errors
    heard = held.texts("bot_word")
    # The first turn is answered or apologised for, and the second is answered.
    assert heard[-1] == "Second."
    assert len(heard) > 1 or (stage, name) == ("stt", "none")
    assert n_hung == (1 if name == "hang" and stage != "llm" else 0)
    # History is what was heard of the answers; apologies are none.
    said = " ".join(message["content"] for message in held.history if message["role"] == "assistant")
    apologies = {*APOLOGY.split(), *NOT_CAUGHT.split(), *"Sorry, I lost my train of thought.".split()}
    assert said.split() == [word for word in heard if word not in apologies]


# A recognizer that hears nothing or too much is no failing one.
QUIET = {("stt", "none"), ("stt", "endless")}


@pytest.mark.parametrize("name", sorted(LLM_FAULTS))
@in_virtual_time
async def test_fault_of_the_language_model_in_a_written_turn_is_read_as_an_error(name: str) -> None:
    from agent.conversation.typed_question import AnswerError, write_answer
    from tests.support.llm_session import question

    async with leaving_nothing(), ScriptedLLM(*LLM_FAULTS[name], Reply("Second.")) as server:
        asked = options(server, max_tokens=16)
        if name == "slow":
            assert "".join([piece async for piece in write_answer(asked, question())]) == "First."
        else:
            with pytest.raises(AnswerError):
                _ = [piece async for piece in write_answer(asked, question())]
        assert "".join([piece async for piece in write_answer(asked, question())]) == "Second."
