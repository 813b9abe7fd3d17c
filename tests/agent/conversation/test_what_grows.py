"""A long conversation keeps its history, and nothing else that becomes more with every turn."""

from collections import Counter
from itertools import pairwise

from agent.commands.script import Step, Typed
from agent.conversation.conversation import Conversation
from agent.conversation.event_log import Event
from tests.support.house import hold, hosting, say
from tests.support.kept import kept_within
from tests.support.llm_session import options
from tests.support.scripted_engines import ScriptedRecognizerEngine, ScriptedSynthesizer
from tests.support.scripted_llm import Failure, Reply, ScriptedLLM
from tests.support.virtual_time import in_virtual_time

N_ROUNDS = 4
# Bounded by `processors.llm.history` and by the notes that are made of it.
HISTORY = "LLMContext._messages"
# What this test's side of the conversation keeps: all events, all sound.
OF_THE_TEST = {
    *("ConversationObserver._sinks", "Activity.errors", "Activity.latencies_ms"),
    *("SoundCard._said", "SoundCard._heard"),
}
LAST_OF_A_ROUND = "And of Spain?"


@in_virtual_time
async def test_nothing_but_the_history_becomes_more_with_every_turn() -> None:
    found: list[Counter[str]] = []
    talking: list[Conversation] = []

    def look(event: Event) -> None:
        # At the same moment of each round: what is under way then is so in all of them.
        if event["event"] == "turn_ended" and event["text"] == LAST_OF_A_ROUND:
            found.append(kept_within(talking[0]._worker))

    one_round = [
        say("how_are_you_today.wav"),
        # Spoken over the answer, which is cut.
        say("how_are_you_today.wav", after="bot_word"),
        Step(Typed("And of France?")),
        Step(Typed("And of Italy?", spoken=False)),
        Step(Typed(LAST_OF_A_ROUND)),
    ]
    answers = {LAST_OF_A_ROUND: Failure(503)}
    ears = ScriptedRecognizerEngine(*["How are you today?"] * (2 * N_ROUNDS))
    async with ScriptedLLM(answers=answers) as llm, hosting(ears, options(llm), ScriptedSynthesizer()) as host:
        llm.otherwise = Reply("Berlin is ", "the capital of Germany. ", "Shall I go on, or stop?")
        held = await hold(
            host, one_round * N_ROUNDS, sinks=[look], prepare=lambda conversation, _: talking.append(conversation)
        )
    assert len(found) == N_ROUNDS
    # The first time fills what is filled once.
    settled = found[1:]
    grows = {name for name in settled[-1] if all(now[name] > before[name] for before, now in pairwise(settled))}
    assert grows - OF_THE_TEST == {HISTORY}
    assert len(held.history) > 8 * N_ROUNDS
