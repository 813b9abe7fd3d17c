"""Questions to a conversation's language models that are no part of it: a summary, a choice.

In:  messages and an instruction.   Out: the whole answer, at once.
"""

from typing import Any

from loguru import logger
from pipecat.processors.aggregators.llm_context import LLMContext
from pipecat.services.openai.llm import OpenAILLMService

from processors.llm.asked_model import AskedModel
from processors.llm.model_choice import ModelChoice


class AsksBeside(OpenAILLMService):
    """Pipecat's service, which asks models of ours."""

    _models: ModelChoice

    async def ask_once(self, request: LLMContext, instruction: str, max_tokens: int) -> str | None:
        """Ask once outside of the conversation; thoughts are taken out.

        Args:
            request: What.
            instruction: In place of the system prompt.
            max_tokens: Of the answer.

        Returns:
            The whole answer; None where there is none, or it was cut at so many tokens.
        """
        # The small model first; one that takes no history is of no use here.
        models = [model for model in self._models.models if not model.options.last_turn_only]
        models.sort(key=lambda model: model.options.rest.is_on)
        for model in models[:-1]:
            try:
                return await self.ask_model(model, request, instruction, max_tokens)
            except Exception as error:  # noqa: BLE001 - whatever it is, the other model is asked
                logger.info(f"{model.options.model} does not answer beside the conversation: {error!r}"[:300])
        return await self.ask_model((models or self._models.models)[-1], request, instruction, max_tokens)

    async def ask_model(
        self,
        model: AskedModel,
        request: LLMContext,
        instruction: str,
        max_tokens: int,
        plain: bool = False,
        **more: Any,
    ) -> str | None:
        """Ask one model once; where it is `plain`, nothing is taken out; `more` are further fields of the request."""
        wanted = {**await self._fields(model, request, instruction), "stream": False, **more}
        wanted.pop("stream_options", None)
        wanted["max_completion_tokens" if "max_completion_tokens" in wanted else "max_tokens"] = max_tokens
        answer = (await model.client.chat.completions.create(**wanted)).choices[0]
        text = answer.message.content
        if text is None or answer.finish_reason == "length":
            return None
        return text if plain else model.without_thoughts(text)

    async def _fields(self, model: AskedModel, context: LLMContext, instruction: str) -> dict[str, Any]:
        """The fields of a request."""
        asked = await self.get_llm_adapter().get_llm_invocation_params(
            context, system_instruction=instruction or None, convert_developer_to_user=True
        )
        return {**self.build_chat_completion_params(asked), **model.fields}
