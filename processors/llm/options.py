"""How a language model is asked: which, where, and with how much patience."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Self

from processors.addresses import AddressGroup
from processors.llm.keeper import ServerKeeper
from processors.llm.routing import Rest, Rules
from processors.llm.templates import UNKNOWN_TEMPLATE, TemplateMarks
from processors.shown_url import shown_url


@dataclass(frozen=True)
class LLMOptions:
    """How to ask one model at one endpoint.

    Attributes:
        base_url: The OpenAI-compatible endpoint, ending in /v1.
        model: A name that the endpoint lists.
        api_key: Sent as bearer token.
        system_prompt: What the agent is told about itself.
        temperature: Sampling temperature.
        top_p: Nucleus sampling.
        max_tokens: Upper limit of one reply.
        by_question: A reply that is as long as suits what was asked ends with its sentence; see ReplyBound.
        first_token_timeout_secs: From the request to the first text, thought or tool call.
        token_stall_timeout_secs: Between two of them.
        reasoning_timeout_secs: From the first thought to the first text or tool call.
        connect_timeout_secs: To open the connection.
        empty_retries: How often an empty reply is asked for again.
        last_turn_only: Send the system prompt, `examples` and the user's last words; for the smallest models.
        examples: Pairs of user words and reply that show the tone; sent with `last_turn_only`.
        apology: Said when no reply came.
        extra_body: Further fields of the request, such as `{"chat_template_kwargs": {"enable_thinking": False}}`.
        context_tokens: Of prompt and reply together, where the server tells it; `served_tokens` asks anew.
        calls_tools: Whether the model calls tools; None where its server does not tell: then it is tried.
        answers_many: Whether the server answers several requests at once, at hardly any cost to each.
        takes_images: Whether the model takes pictures.
        template: What the model's chat template says about thoughts, where the server tells it.
        keeper: Mends the server, where it is ours.
        rest: Whether the model has failed lately; of all conversations.
        addresses: Where the model is asked, if that is more than one address; `base_url` is one that answered then.
        large: A second model, if there is one; this one is the small one then.
    """

    base_url: str
    model: str
    api_key: str = field(default="none", repr=False)
    system_prompt: str = "You are a friendly voice assistant. Answer in one to three short spoken sentences."
    temperature: float = 0.7
    top_p: float = 0.95
    max_tokens: int = 512
    by_question: bool = False
    first_token_timeout_secs: float = 15.0
    token_stall_timeout_secs: float = 10.0
    reasoning_timeout_secs: float = 60.0
    connect_timeout_secs: float = 2.0
    empty_retries: int = 1
    last_turn_only: bool = False
    examples: tuple[tuple[str, str], ...] = ()
    apology: str = "Sorry, I can't think right now. Please try again in a moment."
    extra_body: Mapping[str, Any] = field(default_factory=dict)
    context_tokens: int | None = None
    served_tokens: Callable[[], Awaitable[int | None]] | None = field(default=None, repr=False, compare=False)
    calls_tools: bool | None = None
    answers_many: bool = False
    takes_images: bool = False
    template: TemplateMarks = UNKNOWN_TEMPLATE
    keeper: ServerKeeper | None = field(default=None, repr=False, compare=False)
    rest: Rest = field(default_factory=Rest, repr=False, compare=False)
    addresses: AddressGroup | None = field(default=None, repr=False, compare=False)
    large: "LargeModel | None" = None

    @property
    def shown(self) -> str:
        """Where it is asked, for messages."""
        return shown_url(self.base_url) if self.addresses is None else self.addresses.shown

    @property
    def models(self) -> "tuple[LLMOptions, ...]":
        """How each model is asked: this one, and the large one where there is one."""
        return (self, self.large.options) if self.large else (self,)

    @property
    def sees(self) -> bool:
        """Whether any of the models takes pictures."""
        return any(one.takes_images for one in self.models)

    def changed(self, **changes: Any) -> Self:
        """The same with some fields changed for each model.

        Args:
            changes: By field.
        """
        large = self.large and replace(self.large, options=replace(self.large.options, **changes))
        return replace(self, **changes, large=large)


@dataclass(frozen=True)
class LargeModel:
    """A second language model.

    Attributes:
        options: How it is asked.
        rules: What it is asked.
    """

    options: LLMOptions
    rules: Rules = field(default_factory=Rules)
