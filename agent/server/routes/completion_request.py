"""What a caller of POST /v1/chat/completions asks for, read from its JSON.

In:  an object.   Out: CompletionRequest, or an ApiError that names the field.
Source: the OpenAI API reference (create chat completion) and openai-python's types. `model` is passed over, for the one
agent answers under every name, as are fields that nobody knows; what is known and cannot be done is refused.
"""

from collections.abc import Mapping
from typing import Any, Literal, cast

from pipecat.processors.aggregators.llm_context import LLMContextMessage
from pydantic import BaseModel, ConfigDict, Field, StrictBool, StrictFloat, StrictInt, StrictStr, ValidationError

from agent.plain_text import plain_text
from agent.server.wire.errors import ApiError, invalid_field
from processors.llm.options import LLMOptions

MAX_MESSAGES = 1000
INSTRUCTING = ("system", "developer")
# Known fields that the agent does not serve, each with the values that ask for nothing.
NOT_SERVED: dict[str, tuple[Any, ...]] = {
    "tools": ([],),
    "tool_choice": ("auto", "none"),
    "functions": ([],),
    "function_call": ("auto", "none"),
    "n": (1,),
    "stop": ([],),
    "logprobs": (False,),
    "top_logprobs": (0,),
    "response_format": ({"type": "text"},),
    "modalities": (["text"],),
    "audio": (),
    "web_search_options": (),
}
REASONS = {
    "tools": "the agent calls its own tools, not the caller's",
    "functions": "the agent calls its own tools, not the caller's",
    "n": "there is one answer",
}


class _StreamOptions(BaseModel):
    include_usage: StrictBool = False


class _Message(BaseModel):
    role: Literal["system", "developer", "user", "assistant"]
    content: StrictStr | list[dict[str, Any]] | None = None


class CompletionRequest(BaseModel):
    """The fields of one request.

    Attributes:
        messages: As the language model gets them, the user's question last; no instructions.
        instructions: Of the caller, which are told below the agent's own.
    """

    model_config = ConfigDict(frozen=True)

    messages: list[LLMContextMessage]
    instructions: str = ""
    model: StrictStr = "sotto"
    stream: StrictBool = False
    stream_options: _StreamOptions = _StreamOptions()
    temperature: StrictFloat | StrictInt | None = Field(None, ge=0, le=2)
    top_p: StrictFloat | StrictInt | None = Field(None, gt=0, le=1)
    max_tokens: StrictInt | None = Field(None, ge=1)
    max_completion_tokens: StrictInt | None = Field(None, ge=1)

    @property
    def question(self) -> str:
        """What the user asks."""
        return str(cast(Mapping[str, Any], self.messages[-1])["content"])

    def of(self, options: LLMOptions) -> LLMOptions:
        """How the model is asked.

        Args:
            options: The agent's own; the caller may shorten answers, not lengthen them.
        """
        changes: dict[str, Any] = {name: getattr(self, name) for name in ("temperature", "top_p")}
        changes = {name: float(value) for name, value in changes.items() if value is not None}
        if most := self.max_completion_tokens or self.max_tokens:
            changes["max_tokens"] = min(most, options.max_tokens)
        if self.instructions:
            changes["system_prompt"] = f"{options.system_prompt}\n\n{self.instructions}".strip()
        return options.changed(**changes) if changes else options


def completion_request_of(body: Mapping[str, Any]) -> CompletionRequest:
    """Read a request; what is null counts as left out.

    Args:
        body: JSON.

    Raises:
        ApiError: A field is invalid, or asks for what the agent does not do; `param` names it.
    """
    given = {name: value for name, value in body.items() if value is not None}
    for name, idle in NOT_SERVED.items():
        if name in given and given[name] not in idle:
            reason = REASONS.get(name, "this is not served")
            raise ApiError(400, f"{name}: {reason}; leave it out", param=name, code="unsupported_value")
    messages, instructions = _messages_of(given.pop("messages", None))
    try:
        read = CompletionRequest.model_validate({**given, "messages": [], "instructions": instructions})
    except ValidationError as error:
        raise invalid_field(error) from None
    return read.model_copy(update={"messages": messages})


def _messages_of(listed: Any) -> tuple[list[LLMContextMessage], str]:
    if not isinstance(listed, list) or not listed:
        raise ApiError(400, "messages is missing: a list of what was said", param="messages", code="missing_field")
    if len(listed) > MAX_MESSAGES:
        raise _refused("messages", f"more than {MAX_MESSAGES}")
    messages: list[LLMContextMessage] = []
    instructions: list[str] = []
    for index, entry in enumerate(listed):
        place = f"messages[{index}]"
        try:
            message = _Message.model_validate(entry)
        except ValidationError as error:
            problem = error.errors(include_url=False)[0]
            where = f"{place}.{problem['loc'][0]}" if problem["loc"] else place
            raise _refused(where, problem["msg"]) from None
        text = _text_of(message.content, place)
        if message.role in INSTRUCTING:
            instructions.append(text)
        elif text:
            messages.append(cast(LLMContextMessage, {"role": message.role, "content": text}))
    if not messages or cast(Mapping[str, Any], messages[-1])["role"] != "user":
        raise _refused("messages", "the last one is not a question of the user's")
    return messages, "\n\n".join(filter(None, instructions))


def _text_of(content: str | list[dict[str, Any]] | None, place: str) -> str:
    if isinstance(content, list):
        for index, part in enumerate(content):
            if part.get("type") not in ("text", "refusal"):
                kind = str(part.get("type"))[:40]
                raise _refused(f"{place}.content[{index}]", f"its type is {kind!r}, not 'text'")
        content = "\n".join(str(part.get("text") or part.get("refusal") or "") for part in content)
    return plain_text(content or "").strip()


def _refused(where: str, why: str) -> ApiError:
    return ApiError(400, f"{where}: {why}", param="messages", code="invalid_value")
