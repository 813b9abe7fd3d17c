"""Typed questions that come at once begin one after the other, so that calls have their turns between them."""

import asyncio
import time
from contextlib import aclosing

import pytest

from agent.conversation.written_answers import BETWEEN_SECS
from tests.agent.server.test_chat import Chat, chatting
from tests.support.virtual_time import in_virtual_time


async def _begun_secs(chat: Chat, text: str) -> float:
    """When the first event of an answer came; all of them are read."""
    async with aclosing(chat.events({"text": text})) as events:
        await anext(events)
        begun_secs = time.monotonic()
        assert [name async for name, _ in events][-1] == "done"
    return begun_secs


@in_virtual_time
async def test_questions_at_once_begin_with_a_moment_between_and_all_are_answered() -> None:
    async with chatting(max_chats=4) as chat:
        asked_secs = time.monotonic()
        begun_secs = sorted(await asyncio.gather(*(_begun_secs(chat, f"question {n}") for n in range(4))))
        waited_secs = [begun - asked_secs for begun in begun_secs]
        assert waited_secs == pytest.approx([n * BETWEEN_SECS for n in range(4)], abs=0.02)


@in_virtual_time
async def test_a_question_on_its_own_waits_for_nothing() -> None:
    async with chatting() as chat:
        for text in ("one", "two"):
            asked_secs = time.monotonic()
            assert await _begun_secs(chat, text) - asked_secs == pytest.approx(0.0, abs=0.02)
            await asyncio.sleep(1.0)
