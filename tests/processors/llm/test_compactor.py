"""When a summary is asked for, and what ends it: never in a reply's way, later and later where it is in vain."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest
from pipecat.frames.frames import LLMFullResponseEndFrame
from pipecat.processors.aggregators.llm_context import LLMContext

from processors.frames import NotesMadeFrame, ReplyBegunFrame
from processors.llm.compactor import LIMIT_SECS, Compactor
from processors.llm.service import LocalLLMService
from tests.support.llm_session import options, session
from tests.support.scripted_llm import Answer, Failure, ScriptedLLM
from tests.support.virtual_time import in_virtual_time

ROOM = 1_000
NEVER = RuntimeError("works on")


def long_history(n_turns: int = 12) -> LLMContext:
    messages: list[Any] = []
    for number in range(n_turns):
        messages += [{"role": "user", "content": f"question {number} " + "x" * 250}]
        messages += [{"role": "assistant", "content": f"answer {number}"}]
    return LLMContext(messages)


class Model:
    """Writes summaries as a test says.

    Args:
        answers: One a request, the last one for all further ones; NEVER: it works on.

    Attributes:
        asked_at: After which reply it was asked, from 1.
        n_cut: How often it was cut.
    """

    def __init__(self, *answers: str | Exception | None) -> None:
        self._answers = list(answers)
        self.n_replies = 0
        self.asked_at: list[int] = []
        self.n_cut = 0

    async def __call__(self, request: LLMContext, instruction: str, max_tokens: int) -> str | None:
        self.asked_at.append(self.n_replies)
        answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        if answer is NEVER:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                self.n_cut += 1
                raise
        if isinstance(answer, Exception):
            raise answer
        return answer


async def reply(
    model: Model, context: LLMContext, n_replies: int, *, gap_secs: float = 2.0, **options: Any
) -> list[str]:
    """So many replies, and the notes that were told downstream."""
    async with session(Compactor(context, model, **{"room_tokens": ROOM, **options})) as running:
        for _ in range(n_replies):
            model.n_replies += 1
            await running.send(ReplyBegunFrame(), LLMFullResponseEndFrame())
            await asyncio.sleep(gap_secs)
        frames, _ = await running.settle()
    return [frame.text for frame in frames if isinstance(frame, NotesMadeFrame)]


@pytest.mark.parametrize("useless", [None, "", "  ", "blah " * 5_000, ValueError("out of memory")])
@in_virtual_time
async def test_a_summary_of_no_use_changes_nothing_and_is_tried_later_and_later(
    useless: str | Exception | None,
) -> None:
    model, context = Model(useless), long_history()
    before = list(context.messages)
    assert await reply(model, context, 76) == []
    # 3, 6, 12, 24 and again 24 replies are let pass.
    assert model.asked_at == [1, 5, 12, 25, 50, 75]
    assert context.messages == before


@in_virtual_time
async def test_one_that_gave_way_is_not_tried_again_at_every_reply() -> None:
    model, context = Model(NEVER), long_history()
    await reply(model, context, 30)
    # 1, 2, 4, 8 and again 8 are let pass.
    assert model.asked_at == [1, 3, 6, 11, 20, 29]
    assert model.n_cut == 6


@in_virtual_time
async def test_one_that_takes_too_long_is_given_up() -> None:
    model, context = Model(NEVER, "Notes."), long_history()
    assert await reply(model, context, 5, gap_secs=LIMIT_SECS + 1) == ["Notes."]
    assert (model.asked_at, model.n_cut) == ([1, 5], 1)


@in_virtual_time
async def test_after_a_good_one_the_next_is_tried_at_once() -> None:
    model, context = Model(None, "Good notes.", None, "More notes."), long_history(48)
    # What is too much for one request is summarised in several, one a reply.
    assert await reply(model, context, 10) == ["Good notes.", "More notes."]
    assert model.asked_at[:4] == [1, 5, 6, 10]


@in_virtual_time
async def test_the_room_is_asked_for_once_the_model_runs_and_before_each_summary() -> None:
    told = iter((8_000, 900, 900, None))
    model, context = Model("Notes."), long_history(8)

    async def ask_room() -> int | None:
        asked.append(model.n_replies)
        return next(told)

    asked: list[int] = []
    assert await reply(model, context, 3, room_tokens=2_000, ask_room=ask_room) == []
    assert asked == [1]
    # At the next call the server has given it less.
    assert await reply(model, context, 3, room_tokens=2_000, ask_room=ask_room) == ["Notes."]
    assert asked == [1, 4]
    # Whoever does not answer has changed nothing.
    context.add_messages(list(long_history(8).messages))
    assert await reply(model, context, 1, room_tokens=2_000, ask_room=ask_room) == ["Notes."]
    context.add_messages(list(long_history(8).messages))
    assert await reply(model, context, 1, room_tokens=1_000, ask_room=ask_room) == ["Notes."]
    assert asked == [1, 4, 7, 8]


@in_virtual_time
async def test_a_room_that_is_not_known_is_asked_for_later_and_later() -> None:
    told = iter((None, None, None, 1_000))
    model, asked = Model("Notes."), []

    async def ask_room() -> int | None:
        asked.append(model.n_replies)
        return next(told)

    assert await reply(model, long_history(), 25, room_tokens=None, ask_room=ask_room) == ["Notes."]
    assert (asked, model.asked_at) == ([1, 5, 12, 25], [25])
    model = Model("Notes.")
    assert await reply(model, long_history(), 5, room_tokens=None) == []
    assert model.asked_at == []


@in_virtual_time
async def test_it_ends_with_its_conversation() -> None:
    model, context = Model(NEVER), long_history()
    async with session(Compactor(context, model, room_tokens=ROOM)) as running:
        await running.send(LLMFullResponseEndFrame())
        await asyncio.sleep(2)
        # Pipecat knows the task, and says so where one is left behind.
        assert [name for name in names() if name.endswith("::compaction")]
    assert model.n_cut == 1
    assert [name for name in names() if "compaction" in name] == []


def names() -> Sequence[str]:
    return [task.get_name() for task in asyncio.all_tasks()]


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        ({"content": "Anna has 3 cats."}, "Anna has 3 cats."),
        ({"content": "<think>Hm.</think>Anna has 3 cats."}, "Anna has 3 cats."),
        ({"content": None}, None),
        # Cut at the limit of tokens: what stood at its end is lost.
        ({"content": "Anna has 3 cats. She lives at 12 Elm Str", "finish_reason": "length"}, None),
    ],
)
@in_virtual_time
async def test_an_answer_counts_only_as_a_whole(answer: dict[str, Any], text: str | None) -> None:
    finish_reason = answer.get("finish_reason", "stop")
    choice = {
        "index": 0,
        "finish_reason": finish_reason,
        "message": {"role": "assistant", "content": answer["content"]},
    }
    whole: Answer = Failure(
        200, {"id": "1", "object": "chat.completion", "created": 0, "model": "m", "choices": [choice]}
    )
    async with ScriptedLLM(whole) as server:
        service = LocalLLMService(options(server))
        request = LLMContext([{"role": "user", "content": "hello"}])
        assert await service.ask_once(request, "Write notes.", 100) == text
        await service.cleanup()
    (asked,) = server.requests
    assert asked.messages == [{"role": "system", "content": "Write notes."}, {"role": "user", "content": "hello"}]
