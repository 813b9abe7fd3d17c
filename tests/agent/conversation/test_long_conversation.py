"""A long conversation stays within the model's context: older turns become a summary, and no turn waits for it."""

import asyncio
import dataclasses
import json
from collections.abc import Mapping, Sequence
from typing import Any

from agent.commands.script import Step, Typed
from agent.settings.load import Settings
from processors.llm.compaction import INSTRUCTION
from processors.llm.history import SUMMARY_MARK
from tests.support.house import Held, hold, hosting, say
from tests.support.llm_session import options
from tests.support.scripted_engines import ScriptedRecognizerEngine, ScriptedSynthesizer
from tests.support.scripted_llm import Answer, Failure, Reply, Request, ScriptedLLM
from tests.support.virtual_time import in_virtual_time

NOTES = "The user is Anna, has 3 cats, lives at 12 Elm Street; still open: book the vet for Tuesday."
MARK = SUMMARY_MARK
# Four of the turns are too many for it.
SMALL_TOKENS = 700


def completion(text: str | None, finish_reason: str = "stop") -> Failure:
    """A whole answer of a server that was not asked to stream."""
    choice = {"index": 0, "finish_reason": finish_reason, "message": {"role": "assistant", "content": text}}
    return Failure(200, {"id": "1", "object": "chat.completion", "created": 0, "model": "m", "choices": [choice]})


class NotingLLM(ScriptedLLM):
    """Answers turns by number, and requests for a summary as a test says.

    Args:
        notes: The answer to each request for a summary.
        delay_secs: How long it works on that; it stops at once when the client hangs up.
        one_by_one: Whether it answers one request after the other.
    """

    def __init__(self, notes: Answer, delay_secs: float = 0.0, *, one_by_one: bool = False) -> None:
        super().__init__()
        self.notes = notes
        self.delay_secs = delay_secs
        self._at_once = asyncio.Semaphore(1 if one_by_one else 100)

    def chosen(self, request: Request) -> Answer:
        if is_for_notes(request.body):
            return self.notes
        return Reply(f"Answer {len(self.turns())}.")

    def turns(self) -> list[dict[str, Any]]:
        """Bodies of the requests of turns."""
        return [request.body for request in self.requests if not is_for_notes(request.body)]

    def for_notes(self) -> list[Request]:
        """Requests for a summary."""
        return [request for request in self.requests if is_for_notes(request.body)]

    async def _answer(self, request: Request, writer: asyncio.StreamWriter) -> None:
        async with self._at_once:
            if is_for_notes(request.body):
                await asyncio.sleep(self.delay_secs)
            await super()._answer(request, writer)


def is_for_notes(body: Mapping[str, Any]) -> bool:
    return body["messages"][0].get("content") == INSTRUCTION


async def talk(
    llm: NotingLLM,
    n_turns: int = 14,
    *,
    pause_secs: float = 1.0,
    last: Sequence[Step] = (say("days_in_a_week.wav"),),
    interpreter: Mapping[str, str] | None = None,
    **changes: Any,
) -> Held:
    """So many long typed turns with names and numbers; a spoken one at the end.

    Of the room of 1,500 tokens each takes 130: eight of them are too many.
    """
    words = [
        f"turn {number}: cat number {number} is called Tom{number}, " + "and so on " * 36 for number in range(n_turns)
    ]
    steps = [Step(Typed(text, spoken=False), delay_secs=pause_secs) for text in words]
    async with llm:
        wanted = dataclasses.replace(options(llm), **{"context_tokens": 1_600, "max_tokens": 100, **changes})
        async with hosting(ScriptedRecognizerEngine("goodbye"), wanted, ScriptedSynthesizer()) as host:
            settings = Settings.model_validate(
                {
                    "turn": {"speculate": False},
                    "tools": {"timers": "off", "sums": "off"},
                    "interpreter": interpreter or {},
                }
            )
            return await hold(host, [*steps, *last], settings=settings, limit_secs=600)


def told_notes(body: Mapping[str, Any]) -> list[str]:
    """Messages of a request that tell of a summary."""
    return [one["content"] for one in body["messages"] if MARK in str(one["content"])]


def texts(body: Mapping[str, Any]) -> str:
    return "\n".join(str(message["content"]) for message in body["messages"])


@in_virtual_time
async def test_over_many_turns_nothing_is_lost_that_is_not_in_the_notes() -> None:
    llm = NotingLLM(completion(NOTES))
    held = await talk(llm)
    asked, bodies = llm.for_notes(), llm.turns()
    assert 2 <= len(asked) <= 4
    # Each name and number was sent to be noted, or is still there.
    everything = "\n".join([*(texts(request.body) for request in asked), texts(bodies[-1])])
    assert [number for number in range(14) if f"called Tom{number}," not in everything] == []
    # Later requests for notes build on the earlier ones.
    assert all(f"Earlier notes: {NOTES}" in texts(request.body) for request in asked[1:])
    assert all("tools" not in request.body for request in asked)
    last = bodies[-1]
    assert [len(told_notes(body)) for body in (bodies[0], last)] == [0, 1]
    assert NOTES in told_notes(last)[0]
    # The latest turns are whole, and roles take turns.
    assert "turn 13: cat number 13 is called Tom13, " + "and so on " * 35 in texts(last)
    assert "turn 12: cat number 12" in texts(last)
    roles = [message["role"] for message in last["messages"]]
    assert roles == ["system", *["user", "assistant"] * ((len(roles) - 2) // 2), "user"]
    # It never grew beyond the context: 1600 tokens of 3.5 bytes.
    assert max(len(texts(body).encode()) for body in bodies) < 1_500 * 3.5
    heard = " ".join(held.texts("bot_word") + held.texts("reply_text"))
    assert "Elm Street" not in heard
    assert not any(mark in heard.lower() for mark in ("notes of", "earlier turns"))
    # Whoever watches is told each time.
    assert held.texts("notes_made") == [NOTES] * len(asked)
    assert held.named("error") == []


@in_virtual_time
async def test_no_turn_waits_for_a_summary_and_it_gives_way_to_the_next() -> None:
    # Of a server that answers one request after the other, too: it is free again at once.
    slow = NotingLLM(completion(NOTES), delay_secs=30.0, one_by_one=True)
    held = await talk(slow)
    asked = slow.for_notes()
    # Hung up on, every time; and not tried again at every turn.
    assert len(asked) == 3
    assert [request.closed_by_client.is_set() for request in asked] == [True] * len(asked)
    assert held.named("notes_made") == []
    plain = await talk(NotingLLM(completion(NOTES)), context_tokens=None)
    assert [event["t"] for event in held.named("llm_done")] == [event["t"] for event in plain.named("llm_done")]
    assert [event["voice_to_voice_ms"] for event in held.named("latency")] == [
        event["voice_to_voice_ms"] for event in plain.named("latency")
    ]
    assert len(slow.turns()) == 15


@in_virtual_time
async def test_a_server_that_answers_many_is_left_to_finish_and_what_was_said_meanwhile_stays() -> None:
    llm = NotingLLM(completion(NOTES), delay_secs=4.0)
    await talk(llm, answers_many=True)
    assert all(request.answered.is_set() for request in llm.for_notes()[:-1])
    last = llm.turns()[-1]
    assert len(told_notes(last)) == 1
    for number in (11, 12, 13):
        assert f"turn {number}: cat" in texts(last)


@in_virtual_time
async def test_a_summary_that_fails_changes_nothing_and_is_no_error_of_the_conversation() -> None:
    llm = NotingLLM(Failure(500, {"error": {"message": "out of memory"}}))
    held = await talk(llm, 5, context_tokens=SMALL_TOKENS)
    assert llm.for_notes()
    last = llm.turns()[-1]
    assert told_notes(last) == []
    assert "called Tom0," in texts(last)
    assert held.named("error") == []


@in_virtual_time
async def test_where_the_context_is_not_known_nothing_is_summarised() -> None:
    llm = NotingLLM(completion(NOTES))
    await talk(llm, 5, context_tokens=None)
    assert llm.for_notes() == []
    assert json.dumps(llm.turns()[-1]).count("turn ") == 5


@in_virtual_time
async def test_a_server_that_gives_its_model_less_than_it_said_at_first_is_believed() -> None:
    async def served_tokens() -> int:
        return SMALL_TOKENS

    llm = NotingLLM(completion(NOTES))
    await talk(llm, 5, context_tokens=100_000, served_tokens=served_tokens)
    assert llm.for_notes()


@in_virtual_time
async def test_an_interpreters_history_is_no_ones_to_note() -> None:
    llm = NotingLLM(completion(NOTES))
    await talk(llm, 5, last=(), interpreter={"into": "en"}, context_tokens=SMALL_TOKENS)
    assert llm.for_notes() == []
    assert len(llm.turns()) >= 5
