"""Names of tool calls are one call's in the whole conversation."""

from typing import Any

from pipecat.frames.frames import FunctionCallFromLLM, FunctionCallsStartedFrame
from pipecat.processors.aggregators.llm_context import LLMContext, LLMContextMessage

from processors.llm.call_ids import MAX_BEGUN, CallIds
from processors.llm.history import without_calls
from tests.support.kept import n_kept


def test_a_name_that_a_server_gives_again_is_another_one() -> None:
    ids = CallIds()
    assert [ids.unused(given, []) for given in ("call_1", "call_2", "call_1", "call_1", "")] == [
        *("call_1", "call_2", "call_1_2", "call_1_3", "_2"),
    ]


def test_what_was_thrown_away_leaves_its_name_and_what_was_begun_keeps_it() -> None:
    ids = CallIds()
    assert ids.unused("call_1", []) == "call_1"
    ids.begin_reply()
    assert ids.unused("call_1", []) == "call_1"
    begun = FunctionCallFromLLM("save", "call_1", {}, LLMContext())
    ids.note(FunctionCallsStartedFrame([begun]))
    ids.begin_reply()
    assert ids.unused("call_1", []) == "call_1_2"


def test_of_all_that_were_begun_the_latest_names_are_remembered() -> None:
    ids = CallIds()
    for n in range(2 * MAX_BEGUN):
        ids.begin_reply()
        begun = FunctionCallFromLLM("save", ids.unused(f"call_{n}", []), {}, LLMContext())
        ids.note(FunctionCallsStartedFrame([begun]))
    ids.begin_reply()
    assert n_kept(ids) == MAX_BEGUN
    assert ids.unused(f"call_{MAX_BEGUN}", []) == f"call_{MAX_BEGUN}_2"


def test_a_name_of_an_older_history_is_not_given_again() -> None:
    answered: Any = {"role": "tool", "tool_call_id": "call_1", "content": "x"}
    assert CallIds().unused("call_1", [answered]) == "call_1_2"


def test_a_history_without_calls_keeps_what_was_said() -> None:
    history: list[Any] = [
        {"role": "user", "content": "save it"},
        {"role": "assistant", "tool_calls": [{"id": "a", "type": "function", "function": {}}]},
        {"role": "tool", "tool_call_id": "a", "content": "x"},
        {"role": "assistant", "content": "Done."},
    ]
    left: list[LLMContextMessage] = without_calls(history)
    assert left == [history[0], history[3]]
