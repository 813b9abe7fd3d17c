"""What keeps a conversation within its language model's context."""

from collections.abc import Sequence
from typing import Any

from pipecat.adapters.llm.schemas.tools_schema import ToolsSchema
from pipecat.processors.aggregators.llm_context import LLMContext

from agent.tools.placeholders import stands_for_a_result
from processors.llm.compaction import tokens_in
from processors.llm.compactor import Compactor
from processors.llm.options import LLMOptions
from processors.llm.service import LocalLLMService

# For the prompt, where a reply may be as long as the whole context.
MIN_ROOM_TOKENS = 512


def compactor(options: LLMOptions, llm: LocalLLMService, context: LLMContext) -> Compactor:
    """What keeps the history within the context of each model, where that is known, or may come to be.

    The smallest context counts, so that whichever model answers knows the notes; one that takes no history has none.

    Args:
        options: Of the language model, and of a large one beside it.
        llm: Asks it.
        context: The history.
    """
    return Compactor(context, llm.ask_once, **context_bounds(options, context), is_placeholder=stands_for_a_result)


def context_bounds(options: LLMOptions, context: LLMContext) -> dict[str, Any]:
    """Within what the history is to be kept, as `Compactor` takes it; without bounds where no context is known.

    Args:
        options: Of the language model, and of a large one beside it.
        context: The history.
    """
    models = [one for one in options.models if not one.last_turn_only]

    def beside_tokens() -> int:
        tools = context.tools
        told = [tool.to_default_dict() for tool in tools.standard_tools] if isinstance(tools, ToolsSchema) else []
        return tokens_in(options.system_prompt + str(told))

    def least(tokens: Sequence[int | None]) -> int | None:
        told = zip(models, tokens, strict=True)
        return min((max(MIN_ROOM_TOKENS, room - one.max_tokens) for one, room in told if room), default=None)

    async def ask_room() -> int | None:
        return least([await one.served_tokens() if one.served_tokens else one.context_tokens for one in models])

    return {
        "room_tokens": least([one.context_tokens for one in models]),
        "ask_room": ask_room if any(one.served_tokens for one in models) else None,
        "beside_tokens": beside_tokens,
        "answers_many": all(one.answers_many for one in models),
    }
