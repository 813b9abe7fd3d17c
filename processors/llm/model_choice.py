"""The models of one conversation: which is asked first, and which then.

In:  the history of a turn.   Out: the models in order, each with why it would be the one that answers.
"""

from dataclasses import dataclass, replace

from openai.types.chat import ChatCompletionChunk
from pipecat.processors.aggregators.llm_context import LLMContext

from processors.llm.asked_model import AskedModel
from processors.llm.options import LLMOptions
from processors.llm.routing import Answering, Why


@dataclass(frozen=True)
class Step:
    """A model that may be asked.

    Attributes:
        model: Is asked.
        why: Why it is the one.
    """

    model: AskedModel
    why: Why

    @property
    def answering(self) -> Answering:
        """What events say when it answers."""
        return Answering(self.model.options.model, self.model.size, self.why)

    @property
    def is_chosen(self) -> bool:
        """Whether the rules want it, and it does not stand in for another."""
        return self.why not in (Why.FAILOVER, Why.RESTING)


class ModelChoice:
    """Chooses.

    Args:
        options: Of the model, and of a large one beside it.
        calls_tools: Whether models are told of the history's tools.

    Attributes:
        first: The model, or the small one of two.
        large: The large one, if there is one.
    """

    def __init__(self, options: LLMOptions, *, calls_tools: bool) -> None:
        large = options.large
        # The one that sees looks at pictures.
        sees = large is not None and (large.options.takes_images or not options.takes_images)
        looks = large is not None and large.rules.images and sees
        by_first = large is None or options.takes_images or not (looks or large.options.takes_images)
        self._rules = replace(large.rules, images=looks) if large else None
        self._offers_tools = calls_tools
        self._calling: AskedModel | None = None
        self.first = AskedModel(options, calls_tools=calls_tools, size="small" if large else "", sees=by_first)
        self.large = AskedModel(large.options, calls_tools=calls_tools, size="large", sees=sees) if large else None

    @property
    def models(self) -> tuple[AskedModel, ...]:
        """All of them."""
        return (self.first, self.large) if self.large else (self.first,)

    def steps(self, context: LLMContext, *, shown: bool = False) -> tuple[Step, ...]:
        """Whom to ask, in order; one that failed lately comes last.

        Args:
            context: The history; the user's words, or what a tool has answered, stand last.
            shown: Whether a picture is shown with the turn.
        """
        if self.large is None:
            return (Step(self.first, Why.PLAIN),)
        chosen, why = self._chosen(context, shown=shown)
        other = self.first if chosen is self.large else self.large
        if chosen.options.rest.is_on and not other.options.rest.is_on:
            return Step(other, Why.RESTING), Step(chosen, why)
        return Step(chosen, why), Step(other, Why.FAILOVER)

    def needs_other(self, model: AskedModel, context: LLMContext) -> bool:
        """Whether a turn is the large model's after all, as this one has just turned out to call no tools.

        Args:
            model: Was asked.
            context: The history.
        """
        other_can = self.large is not None and model is not self.large and self.large.takes_tools
        return other_can and self._why(context) is Why.TOOL

    def note_calls(self, model: AskedModel) -> None:
        """A model has called tools: it is the one that is told what they answer."""
        self._calling = model

    async def close(self) -> None:
        """Close the connections."""
        for model in self.models:
            await model.close()

    def _chosen(self, context: LLMContext, *, shown: bool) -> tuple[AskedModel, Why]:
        assert self.large  # noqa: S101 - else there is nothing to choose
        last = context.messages[-1] if context.messages else None
        if shown and self._rules and self._rules.images:
            return self.large, Why.IMAGE
        if self._calling and isinstance(last, dict) and last.get("role") == "tool":
            return self._calling, Why.SAME
        why = self._why(context)
        return (self.first if why is Why.PLAIN else self.large), why

    def _why(self, context: LLMContext) -> Why:
        # What is asked without tools needs none.
        calls_tools = self.first.takes_tools or not self._offers_tools
        return self._rules.why(context, calls_tools=calls_tools) if self._rules else Why.PLAIN


def says_or_calls(chunk: ChatCompletionChunk) -> bool:
    """Whether an answer begins with a chunk.

    Args:
        chunk: Of a model's stream.
    """
    return any(choice.delta.content or choice.delta.tool_calls for choice in chunk.choices)
