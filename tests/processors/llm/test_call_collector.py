"""Calls of tools in pieces: which of them can be made."""

import pytest

from processors.llm.chunks import CallCollector, CallPiece


@pytest.mark.parametrize("arguments", ['{"n": NaN}', '{"n": 1e999}', '{"n": [-Infinity]}', "[1]", "{", "null"])
def test_a_call_whose_arguments_are_no_object_of_json_is_not_made(arguments: str) -> None:
    calls = CallCollector()
    calls.add(CallPiece(0, "one", "sum", '{"n": 1}'))
    calls.add(CallPiece(1, "two", "sum", arguments))
    assert [(call.id, call.function and call.function.arguments) for call in calls.calls()] == [("one", '{"n": 1}')]
    assert calls.n_unreadable == 1
