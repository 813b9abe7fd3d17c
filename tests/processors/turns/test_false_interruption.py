"""Speech over the agent that asks for nothing: what the recognizer is not sure of, and what the log tells of it."""

from tests.processors.turns.test_interruption import assert_all_was_said, over, talk
from tests.support.scripted_llm import Reply
from tests.support.sounds import voice
from tests.support.virtual_time import in_virtual_time


@in_virtual_time
async def test_a_word_that_the_recognizer_does_not_believe_is_a_noise_unless_it_may_have_been_a_command() -> None:
    held, _ = await talk(over(voice("hah hah hah")), "her", unsure=["her"])
    assert [event["cause"] for event in held.named("false_interruption")] == ["noise"]
    assert_all_was_said(held)
    held, _ = await talk(over(voice("stop")), "top", unsure=["top"], replies={"top": Reply("Okay.")})
    assert held.named("false_interruption") == []
    assert len(held.named("interruption")) == 1


@in_virtual_time
async def test_the_log_tells_when_an_agent_that_was_paused_is_back_at_full_level() -> None:
    held, _ = await talk(over(voice("mm hmm")), "mm-hm")
    levels = held.named("playout")
    assert [event["level"] for event in levels][-1] == "full"
    assert levels[-1]["t"] == held.named("false_interruption")[0]["t"]
