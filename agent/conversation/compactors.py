"""What keeps a conversation within its language model's context."""

from pipecat.adapters.llm.schemas.tools_schema import ToolsSchema
from pipecat.processors.aggregators.llm_context import LLMContext
from pipecat.processors.frame_processor import FrameProcessor

from agent.tools.placeholders import stands_for_a_result
from processors.llm.compaction import tokens_in
from processors.llm.compactor import Compactor
from processors.llm.options import LLMOptions
from processors.llm.service import LocalLLMService

# For the prompt, where a reply may be as long as the whole context.
MIN_ROOM_TOKENS = 512


def compactors(options: LLMOptions, llm: LocalLLMService, context: LLMContext) -> list[FrameProcessor]:
    """What keeps the history within the model's context, where that is known, or may come to be.

    Args:
        options: Of the language model.
        llm: Asks it.
        context: The history.
    """
    served_tokens = options.served_tokens
    if options.last_turn_only or (options.context_tokens is None and served_tokens is None):
        return []

    def beside_tokens() -> int:
        tools = context.tools
        told = [tool.to_default_dict() for tool in tools.standard_tools] if isinstance(tools, ToolsSchema) else []
        return tokens_in(options.system_prompt + str(told))

    def room_of(tokens: int | None) -> int | None:
        return max(MIN_ROOM_TOKENS, tokens - options.max_tokens) if tokens else None

    async def ask_room() -> int | None:
        return room_of(await served_tokens()) if served_tokens else None

    return [
        Compactor(
            context,
            llm.ask_once,
            room_tokens=room_of(options.context_tokens),
            ask_room=ask_room if served_tokens else None,
            beside_tokens=beside_tokens,
            answers_many=options.answers_many,
            is_placeholder=stands_for_a_result,
        )
    ]
