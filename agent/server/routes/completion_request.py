"""What a caller of POST /v1/chat/completions asks for, read from its JSON.

In:  an object.   Out: CompletionRequest, or an ApiError that names the field.
Source: the OpenAI API reference (create chat completion) and openai-python's types. `model` is passed over, for the one
agent answers under every name, as are fields that nobody knows; what is known and cannot be done is refused.
"""

from collections.abc import Mapping
from typing import Any, Literal, cast

from pipecat.processors.aggregators.llm_context import LLMContextMessage
from pydantic import BaseModel, ConfigDict, Field, StrictBool, StrictFloat, StrictInt, StrictStr, ValidationError

from agent.conversation.written_tools import Choice
from agent.plain_text import plain_text
from agent.server.routes.completion_tools import Called, OpenCalls, functions_of, messages_refused
from agent.server.wire.errors import ApiError, invalid_field
from agent.tools.tool import Tool
from processors.llm.options import LLMOptions

MAX_MESSAGES = 1000
INSTRUCTING = ("system", "developer")
# Known fields that the agent does not serve, each with the values that ask for nothing.
NOT_SERVED: dict[str, tuple[Any, ...]] = {
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
    "functions": "tools has taken its place",
    "function_call": "tool_choice has taken its place",
    "n": "there is one answer",
}


class _StreamOptions(BaseModel):
    include_usage: StrictBool = False


class _Message(BaseModel):
    role: Literal["system", "developer", "user", "assistant", "tool"]
    content: StrictStr | list[dict[str, Any]] | None = None
    tool_calls: list[Called] | None = None
    tool_call_id: StrictStr = ""


class CompletionRequest(BaseModel):
    """The fields of one request.

    Attributes:
        messages: As the language model gets them, the user's question or what the caller's functions gave last; no
            instructions.
        instructions: Of the caller, which are told below the agent's own.
        functions: That may be called; None where the caller says nothing of tools, empty where nothing may be called.
        choice: Whether one of them has to be called.
    """

    model_config = ConfigDict(frozen=True, arbitrary_types_allowed=True)

    messages: list[LLMContextMessage]
    instructions: str = ""
    functions: list[Tool] | None = None
    choice: Choice = "auto"
    parallel_tool_calls: StrictBool = True
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
        said = (message for message in reversed(self.messages) if isinstance(message, dict))
        return next((str(message.get("content")) for message in said if message.get("role") == "user"), "")

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
    functions, choice = functions_of(given)
    own = {"messages": [], "instructions": instructions, "functions": None, "choice": choice}
    try:
        read = CompletionRequest.model_validate({**given, **own})
    except ValidationError as error:
        raise invalid_field(error) from None
    return read.model_copy(update={"messages": messages, "functions": functions})


def _messages_of(listed: Any) -> tuple[list[LLMContextMessage], str]:
    if not isinstance(listed, list) or not listed:
        raise ApiError(400, "messages is missing: a list of what was said", param="messages", code="missing_field")
    if len(listed) > MAX_MESSAGES:
        raise messages_refused("messages", f"more than {MAX_MESSAGES}")
    messages: list[LLMContextMessage] = []
    instructions: list[str] = []
    calls = OpenCalls()
    for index, entry in enumerate(listed):
        place = f"messages[{index}]"
        message = _message_of(entry, place)
        text = _text_of(message.content, place)
        if message.role in INSTRUCTING:
            instructions.append(text)
        elif message.role == "tool":
            calls.end(message.tool_call_id, place)
            messages.append(_told(role="tool", tool_call_id=message.tool_call_id, content=text))
        else:
            calls.must_be_over()
            if message.role == "assistant" and message.tool_calls:
                calls.begin(message.tool_calls, place)
                called = [call.told() for call in message.tool_calls]
                messages.append(_told(role="assistant", content=text or None, tool_calls=called))
            elif text:
                messages.append(_told(role=message.role, content=text))
    calls.must_be_over()
    if not messages or cast(Mapping[str, Any], messages[-1])["role"] not in ("user", "tool"):
        raise messages_refused("messages", "the last one is not a question of the user's")
    return messages, "\n\n".join(filter(None, instructions))


def _message_of(entry: object, place: str) -> _Message:
    try:
        return _Message.model_validate(entry)
    except ValidationError as error:
        problem = error.errors(include_url=False)[0]
        where = f"{place}.{problem['loc'][0]}" if problem["loc"] else place
        raise messages_refused(where, problem["msg"]) from None


def _told(**fields: Any) -> LLMContextMessage:
    return cast(LLMContextMessage, fields)


def _text_of(content: str | list[dict[str, Any]] | None, place: str) -> str:
    if isinstance(content, list):
        for index, part in enumerate(content):
            if part.get("type") not in ("text", "refusal"):
                kind = str(part.get("type"))[:40]
                raise messages_refused(f"{place}.content[{index}]", f"its type is {kind!r}, not 'text'")
        content = "\n".join(str(part.get("text") or part.get("refusal") or "") for part in content)
    return plain_text(content or "").strip()
