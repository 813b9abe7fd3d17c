"""One language model as one conversation asks it: its client, what it is sent, and what has been learnt of it.

In:  the history.   Out: what of it is sent to this model, and in which form.
"""

import functools
import re
from collections.abc import AsyncGenerator, Sequence
from typing import Any

import openai
from loguru import logger
from openai import AsyncOpenAI
from openai.types.chat import ChatCompletionChunk
from pipecat.adapters.llm.schemas.tools_schema import ToolsSchema
from pipecat.processors.aggregators.llm_context import LLMContext, LLMContextMessage

from processors.llm.budget import ReplyBudget
from processors.llm.call_ids import tool_names
from processors.llm.client import quiet_client
from processors.llm.compaction import tokens_in, within_tokens
from processors.llm.failure import lacks_version, refuses_tools
from processors.llm.history import as_sent, instruction_of, last_user_words, with_examples, with_hint
from processors.llm.options import LLMOptions
from processors.llm.pictures import with_pictures
from processors.llm.reply_bound import ReplyBound, bounded
from processors.llm.routing import without_images
from processors.llm.stream import Patience
from processors.llm.thinking import ThinkFilter
from processors.llm.told_calls import calls_told

# Beside a question whose answer is read; the persona asks for plain speech.
WRITTEN_HINT = "(I typed this and will read the answer: Markdown, lists and code are welcome.)"

# Of what tools gave, for a model that is only sent the last turn.
SMALL_RESULT_CHARS = 1_200

# Models whose chat template ends the prompt with the opening tag of a thought.
_STARTS_INSIDE_THOUGHT = re.compile(r"deepseek-?r1|qwq|thinking", re.IGNORECASE)


class AskedModel:
    """One of a conversation's models.

    Args:
        options: Which one, where and how.
        calls_tools: Whether it is told of the history's tools.
        size: `small` or `large`; empty where it is the only one.
        sees: Whether it is sent images.

    Attributes:
        starts_inside_thought: Whether its next reply is best read as starting inside a thought.
        without_tools: It is not told of tools; also where its server says that it takes none.
    """

    def __init__(self, options: LLMOptions, *, calls_tools: bool, size: str = "", sees: bool = True) -> None:
        self.options = options
        self.size = size
        self.without_tools = not calls_tools or options.calls_tools is False
        inside = options.template.starts_inside
        self.starts_inside_thought = bool(_STARTS_INSIDE_THOUGHT.search(options.model)) if inside is None else inside
        self._sees = sees

    @functools.cached_property
    def client(self) -> AsyncOpenAI:
        """Asks its server, and tells it nothing but the request."""
        options = self.options
        return quiet_client(
            options.base_url,
            options.api_key,
            silence_secs=max(options.first_token_timeout_secs, options.reasoning_timeout_secs),
            connect_secs=options.connect_timeout_secs,
            max_event_bytes=ReplyBudget(options.max_tokens).max_event_bytes,
            addresses=options.addresses,
        )

    async def close(self) -> None:
        """Close the connections, if there are any."""
        if "client" in vars(self):
            await self.client.close()

    @property
    def takes_tools(self) -> bool:
        """Whether it can call tools, as far as is known."""
        return not (self.without_tools or self.options.last_turn_only)

    @property
    def patience(self) -> Patience:
        """How long its replies may keep silent."""
        options = self.options
        return Patience(
            first_token_secs=options.first_token_timeout_secs,
            stall_secs=options.token_stall_timeout_secs,
            reasoning_secs=options.reasoning_timeout_secs,
        )

    @property
    def fields(self) -> dict[str, Any]:
        """The fields of a request that are this model's."""
        options = self.options
        return {
            "model": options.model,
            "temperature": options.temperature,
            "top_p": options.top_p,
            "max_tokens": options.max_tokens,
            "extra_body": dict(options.extra_body) or None,
        }

    def instruction(self, messages: Sequence[LLMContextMessage]) -> str:
        """What stands above a request: what a sentence brings along, else what stands above all.

        Args:
            messages: The history.
        """
        own = instruction_of(messages) if self.options.last_turn_only else ""
        return own or self.options.system_prompt

    def view(
        self, messages: Sequence[LLMContextMessage], context: LLMContext, *, written: bool, shown: Sequence[str] = ()
    ) -> LLMContext:
        """What it is sent of a history; one of two models is sent no more than its context holds.

        Args:
            messages: The history, or what is left of it.
            context: Its tools.
            written: Whether the reply is read, not heard.
            shown: Pictures of this turn, as data URLs.
        """
        if self.options.last_turn_only:
            words = last_user_words(calls_told(messages, SMALL_RESULT_CHARS))
            return LLMContext(with_examples(self.options.examples, words))
        sent = as_sent(calls_told(messages) if self.without_tools else messages)
        sent = with_pictures(sent, shown)
        sent = sent if self._sees else without_images(sent)
        if self.size and self.options.context_tokens:
            sent = within_tokens(sent, self._room_tokens(self.options.context_tokens, context))
        return LLMContext(
            with_hint(sent, WRITTEN_HINT) if written else sent,
            **({} if self.without_tools else {"tools": context.tools, "tool_choice": context.tool_choice}),
        )

    def bounded(
        self, chunks: AsyncGenerator[ChatCompletionChunk, None], context: LLMContext, *, written: bool
    ) -> AsyncGenerator[ChatCompletionChunk, None]:
        """The chunks of its reply, up to where that is as long as suits what was asked, if that is wanted.

        Args:
            chunks: All that it says.
            context: The history.
            written: Whether the reply is read, not heard.
        """
        if not self.options.by_question:
            return chunks
        bound = ReplyBound(last_user_words(context.messages), self.options.max_tokens, written=written)
        return bounded(chunks, bound, reads_on=self.takes_tools and bool(tool_names(context)))

    def without_thoughts(self, text: str) -> str:
        """What a whole answer says aloud.

        Args:
            text: It.
        """
        think = ThinkFilter(starts_inside=self.starts_inside_thought, again=self.options.template.again)
        return (think.feed(text) + think.flush()).strip()

    def tries_version(self, error: Exception) -> bool:
        """Whether the address lacks its /v1 and is asked again with it; it is left out again if that fails, too."""
        if not isinstance(error, openai.NotFoundError) or not lacks_version(self.options.base_url):
            return False
        if self.options.addresses is not None:
            return False
        plain = self.options.base_url.rstrip("/")
        tried = lacks_version(str(self.client.base_url))
        self.client.base_url = f"{plain}/v1" if tried else plain
        return tried

    def goes_without_tools(self, error: Exception, context: LLMContext) -> bool:
        """Whether the request was refused for its tools, and may be sent again without them."""
        if self.without_tools or not tool_names(context) or not refuses_tools(error):
            return False
        self.without_tools = True
        logger.warning(f"{self.options.model} is asked without tools: {error}")
        return True

    def _room_tokens(self, context_tokens: int, context: LLMContext) -> int:
        tools = context.tools if isinstance(context.tools, ToolsSchema) and not self.without_tools else None
        told = [tool.to_default_dict() for tool in tools.standard_tools] if tools else []
        return context_tokens - self.options.max_tokens - tokens_in(self.options.system_prompt + str(told))
