"""Histories of conversations: who gets which, how long they are kept, and that one user at a time writes to one."""

import pytest
from pipecat.adapters.llm.schemas.function_schema import FunctionSchema
from pipecat.processors.aggregators.llm_context import NOT_GIVEN

from agent.conversation.histories import MAX_CHARS, Histories, History, HistoryInUseError
from processors.llm.history import mark_interrupted


class Clock:
    """Seconds that the test owns."""

    def __init__(self) -> None:
        self.secs = 100.0

    def __call__(self) -> float:
        return self.secs


def say(history: History, *texts: str) -> None:
    for index, text in enumerate(texts):
        role = ("user", "assistant")[index % 2]
        history.context.add_message({"role": role, "content": text})  # pyright: ignore[reportArgumentType]


def test_a_conversation_goes_on_under_its_id() -> None:
    histories = Histories()
    first = histories.open()
    say(first, "hi", "hello")
    assert histories.open(first.id) is first
    assert histories.open(None) is not first
    assert len(histories) == 2


def test_a_client_may_name_its_conversations_and_anothers_of_that_name_is_another() -> None:
    histories = Histories()
    mine, yours = (histories.named("kitchen", (address, "wyoming")) for address in ("192.0.2.1", "192.0.2.2"))
    assert mine is not yours
    assert histories.named("kitchen", ("192.0.2.1", "wyoming")) is mine
    assert histories.named("hall", ("192.0.2.1", "wyoming")) is not mine
    # What others would have to guess is the id, not the name.
    assert histories.find("kitchen") is None
    assert histories.forget(mine.id)
    assert histories.named("kitchen", ("192.0.2.1", "wyoming")) is not mine


def test_an_idle_history_holds_words_and_no_tools() -> None:
    histories = Histories()
    history = histories.open()
    with histories.held(history, "call"):
        say(history, "what time is it")
        history.context.set_tools([FunctionSchema("get_time", "The time.", {}, [])])
    assert history.context.tools is NOT_GIVEN
    assert history.context.messages == [{"role": "user", "content": "what time is it"}]


@pytest.mark.parametrize("id_", [None, "", "nobody", 7, 1.5, True, [], ["x"], {"id": "x"}, "x" * 100_000, "\ud800"])
def test_an_id_of_any_shape_that_nobody_was_given_begins_a_new_conversation(id_: object) -> None:
    histories = Histories()
    known = histories.open()
    opened = histories.open(id_)
    assert opened is not known
    assert opened.id != id_
    assert opened.context.messages == []


def test_ids_are_long_and_all_different() -> None:
    histories = Histories(max_histories=1000)
    ids = {histories.open().id for _ in range(1000)}
    assert len(ids) == 1000
    # 24 random bytes are 32 characters of base 64.
    assert {len(id_) for id_ in ids} == {32}


def test_what_is_not_used_for_half_an_hour_is_forgotten_but_a_call_is_not() -> None:
    clock = Clock()
    histories = Histories(max_age_secs=1800, clock=clock)
    idle, calling = histories.open(), histories.open()
    histories.hold(calling, "call")
    clock.secs += 1800
    assert histories.find(idle.id) is idle
    clock.secs += 1
    assert histories.find(idle.id) is None
    assert histories.open(calling.id) is calling
    histories.release(calling)
    clock.secs += 1800
    assert histories.find(calling.id) is calling, "its time starts when the call ends"
    clock.secs += 1
    assert len(histories) == 0


def test_for_one_more_the_one_that_was_used_longest_ago_goes() -> None:
    clock = Clock()
    histories = Histories(max_histories=3, clock=clock)
    first, second, third = (_later(histories, clock) for _ in range(3))
    histories.hold(first, "call")
    clock.secs += 1
    histories.open(second.id)
    fourth = _later(histories, clock)
    assert [histories.find(history.id) is history for history in (first, second, third, fourth)] == [
        True,
        True,
        False,
        True,
    ]


def test_those_in_use_are_never_forgotten_for_others() -> None:
    histories = Histories(max_histories=2)
    held = [histories.open() for _ in range(2)]
    for history in held:
        histories.hold(history, "question")
    held.append(histories.open())
    assert all(histories.find(history.id) is history for history in held)
    for history in held[:2]:
        histories.release(history)
    histories.open()
    assert len(histories) == 2


def _later(histories: Histories, clock: Clock) -> History:
    clock.secs += 1
    return histories.open()


def test_one_at_a_time_may_use_it() -> None:
    histories = Histories()
    history = histories.open()
    with histories.held(history, "call"):
        assert history.in_call
        with pytest.raises(HistoryInUseError, match=r"^this conversation is in a call; end that first, or begin"):
            histories.hold(history, "question")
        with pytest.raises(HistoryInUseError, match=r"^this conversation is in a call; end that first$"):
            histories.forget(history.id)
    assert not history.in_call
    with histories.held(history, "question"):
        assert not history.in_call
        with pytest.raises(HistoryInUseError, match=r"^a typed question of this conversation is unanswered"):
            histories.hold(history, "call")
    assert histories.forget(history.id)
    assert not histories.forget(history.id)
    assert histories.find(history.id) is None


def test_its_turns_are_what_both_said() -> None:
    history = Histories().open()
    history.context.add_message({"role": "system", "content": "Be kind."})
    say(history, "hi", "hello, how")
    history.context.set_messages(mark_interrupted(history.context.messages, "hello, how"))
    call = {"id": "1", "type": "function", "function": {"name": "clock", "arguments": "{}"}}
    history.context.add_message({"role": "assistant", "tool_calls": [call]})  # pyright: ignore
    history.context.add_message({"role": "tool", "content": "noon", "tool_call_id": "1"})
    history.context.add_message({"role": "user", "content": [{"type": "text", "text": "what time is it"}]})
    assert history.turns() == [
        {"role": "user", "text": "hi"},
        {"role": "assistant", "text": "hello, how"},
        {"role": "user", "text": "what time is it"},
    ]


def test_a_very_long_history_loses_its_oldest_turns() -> None:
    histories = Histories()
    history = histories.open()
    long = "x" * (MAX_CHARS // 8)
    with histories.held(history, "call"):
        for turn in range(8):
            say(history, f"q{turn}", long)
    # Eight turns are a little more than may be: half of the seven older ones go, rounded up.
    assert [turn["text"] for turn in history.turns() if turn["role"] == "user"] == ["q4", "q5", "q6", "q7"]


def test_who_opens_many_loses_his_own_and_nobody_elses() -> None:
    clock = Clock()
    histories = Histories(max_histories=3, clock=clock)
    other = histories.open(owner=("192.0.2.7", "page"))
    last = other
    for _ in range(70):
        clock.secs += 1
        last = histories.open(owner=("192.0.2.8", ""))
    assert histories.find(other.id) is other
    assert histories.find(last.id) is last
    assert len(histories) == 1 + 3


def test_where_all_together_have_too_many_it_is_those_who_have_most() -> None:
    clock = Clock()
    histories = Histories(max_in_all=10, clock=clock)
    quiet = histories.open(owner=("192.0.2.7", "page"))
    for n in range(50):
        clock.secs += 1
        # Another name each time, from one address.
        histories.open(owner=("192.0.2.8", f"page {n}"))
    assert histories.find(quiet.id) is quiet
    assert len(histories) == 10


def test_text_is_counted_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agent.conversation.histories.MAX_CHARS_IN_ALL", 1000)
    histories = Histories()
    for _ in range(5):
        with histories.held(histories.open(), "question") as history:
            history.context.add_message({"role": "user", "content": "x" * 300})
    histories.open()
    assert len(histories) == 4
