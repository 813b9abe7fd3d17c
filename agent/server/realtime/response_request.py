"""What a client may ask for with `response.create`.

In:  its `response`, anything at all.   Out: a ResponseRequest, or a RealtimeProblem that names the field.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pipecat.adapters.llm.schemas.tools_schema import ToolsSchema

from agent.plain_text import plain_text
from agent.server.realtime.problems import RealtimeProblem
from agent.server.realtime.session_config import MAX_INSTRUCTION_CHARS, FunctionTool, SessionConfig, changed
from agent.tools.schemas import function_of
from agent.tools.tool import Tool
from processors.frames import ReplyTerms

MAX_METADATA = 16
MAX_KEY_CHARS = 64
MAX_VALUE_CHARS = 512
MAX_INPUT = 2_000
# What one response may have otherwise than its session.
OWN = ("output_modalities", "tools", "tool_choice", "max_output_tokens", "audio")


@dataclass(frozen=True)
class ResponseRequest:
    """One response.

    Attributes:
        config: The session as it is for this response alone.
        instructions: In place of the session's.
        metadata: Which the client is told again.
        is_apart: Whether it is of no conversation.
        given: What it answers in place of the conversation; not read yet.
        tools: Functions in place of the session's; None: those.
        max_tokens: At most, where the client says so.
    """

    config: SessionConfig = field(default_factory=SessionConfig)
    instructions: str | None = None
    metadata: dict[str, str] | None = None
    is_apart: bool = False
    given: Sequence[Any] | None = None
    tools: Sequence[FunctionTool] | None = None
    max_tokens: int | None = None

    def terms(self, tools: Callable[[Sequence[FunctionTool]], list[Tool]]) -> tuple[ReplyTerms, list[Tool]]:
        """How the language model is asked, and what it may call beside the conversation's tools.

        Args:
            tools: Gives the client's functions as tools.
        """
        lent = tools(self.tools or ())
        told = None if self.tools is None else ToolsSchema([function_of(tool) for tool in lent])
        return ReplyTerms(self.instructions, told, self.max_tokens, self.config.is_written), lent


def request_of(wanted: object, config: SessionConfig) -> ResponseRequest:
    """Read it.

    Args:
        wanted: What the client sent.
        config: The session.

    Raises:
        RealtimeProblem: A value is wrong, or differs from the session's where one response cannot have its own.
    """
    if wanted is None:
        return ResponseRequest(config)
    if not isinstance(wanted, Mapping):
        raise RealtimeProblem("response must be an object", param="response")
    own = {key: wanted[key] for key in OWN if wanted.get(key) is not None}
    config_of_one = changed(config, own, "response")
    is_apart = _is_apart(wanted.get("conversation"))
    _check_given(wanted, is_apart=is_apart)
    if not is_apart:
        _check_voice(config_of_one, config)
    has_tools = (config_of_one.tools, config_of_one.tool_choice) != (config.tools, config.tool_choice)
    offered = config_of_one.tools if config_of_one.tool_choice == "auto" else []
    most = config_of_one.max_output_tokens if "max_output_tokens" in own else "inf"
    return ResponseRequest(
        config_of_one,
        _instructions(wanted.get("instructions")),
        _metadata(wanted.get("metadata")),
        is_apart,
        wanted.get("input"),
        offered if has_tools or is_apart else None,
        None if most == "inf" else most,
    )


def _instructions(instructions: object) -> str | None:
    if instructions is not None and not (isinstance(instructions, str) and len(instructions) <= MAX_INSTRUCTION_CHARS):
        raise RealtimeProblem("response.instructions must be text", param="response.instructions")
    return plain_text(instructions or "") or None


def _is_apart(conversation: object) -> bool:
    if conversation not in (None, "auto", "none"):
        raise _unserved("conversation", conversation, "auto or none is")
    return conversation == "none"


def _check_given(wanted: Mapping[str, Any], *, is_apart: bool) -> None:
    if wanted.get("prompt") is not None:
        raise _unserved("prompt", wanted["prompt"], "instructions are")
    given = wanted.get("input")
    if given is None:
        return
    if not is_apart:
        raise _unserved("input", given, "it is with conversation none")
    if not isinstance(given, list) or len(given) > MAX_INPUT:
        raise RealtimeProblem(f"response.input must be a list of at most {MAX_INPUT} items", param="response.input")


def _check_voice(wanted: SessionConfig, config: SessionConfig) -> None:
    """The voice of a conversation is the session's; only what is of none is spoken apart."""
    output, before = wanted.audio.output, config.audio.output
    for name in ("voice", "speed"):
        if (value := getattr(output, name)) != getattr(before, name):
            raise _unserved(f"audio.output.{name}", value, "set it for the session; it is with conversation none")


def _unserved(name: str, value: object, instead: str) -> RealtimeProblem:
    return RealtimeProblem(
        f"response.{name} = {str(value)[:60]!r} cannot be served for one response alone; {instead}",
        code="unsupported_value",
        param=f"response.{name}",
    )


def _metadata(metadata: object) -> dict[str, str] | None:
    if metadata is None:
        return None
    if not isinstance(metadata, dict) or not (
        len(metadata) <= MAX_METADATA
        and all(
            isinstance(value, str) and len(key) <= MAX_KEY_CHARS and len(value) <= MAX_VALUE_CHARS
            for key, value in metadata.items()
        )
    ):
        raise RealtimeProblem(
            f"response.metadata must be an object of at most {MAX_METADATA} short texts", param="response.metadata"
        )
    return metadata
