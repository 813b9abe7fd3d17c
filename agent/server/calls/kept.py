"""Conversations that the memory keeps and the server has let go of, by a restart say: a call goes on in them.

In:  what a page asks for.   Out: the history of its conversation stands again, if it is this caller's.
"""

from collections.abc import Sequence
from typing import cast

from loguru import logger
from pipecat.processors.aggregators.llm_context import LLMContextMessage

from agent.conversation.histories import Histories
from agent.memory.database import MemoryFailure
from agent.memory.item import Item
from agent.memory.memory import Memory
from agent.server.calls.plan import SessionRequest

ROLES = {"user": "user", "agent": "assistant"}


async def recall(histories: Histories, memory: Memory | None, request: SessionRequest) -> None:
    """Make the history anew out of what was kept, where there is none and the caller has kept it.

    Args:
        histories: Of the server.
        memory: Of the server.
        request: Names the conversation, and whose memory is meant.
    """
    conversation, owner = request.conversation, request.memory
    if not (memory and memory.keeps_turns and owner and isinstance(conversation, str)) or histories.find(conversation):
        return
    try:
        turns = await memory.ask(lambda store: store.conversations.turns(owner, conversation))
    except MemoryFailure as error:
        # The call begins all the same, as a new conversation, and the page says so.
        logger.error(str(error))
        return
    if turns:
        histories.restore(conversation, request.owner, as_messages(turns))


def as_messages(turns: Sequence[Item]) -> list[LLMContextMessage]:
    """What was kept, as the language model gets it.

    Args:
        turns: Of one conversation, in order.
    """
    return [cast(LLMContextMessage, {"role": ROLES[one.kind], "content": one.text}) for one in turns]
