"""Reads the chunks of a chat completion stream, whatever a server puts into them.

In:  one chunk as the OpenAI client hands it over, unchecked: any field may be missing, null, or of another type.
Out: what of it can be read; what cannot is left out. Nothing here raises for what a server sent.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from openai.types import CompletionUsage
from openai.types.chat.chat_completion_chunk import ChoiceDeltaToolCall, ChoiceDeltaToolCallFunction
from openai.types.completion_usage import PromptTokensDetails
from pydantic import BaseModel

REASONING_FIELDS = ("reasoning_content", "reasoning", "thinking")
_THOUGHT_PARTS = ("thinking", "reasoning", "thought")
_TEXT_FIELDS = ("text", "value", "content", "parts")
_MAX_DEPTH = 4
_PROMPT_TOKENS = ("prompt_tokens", "input_tokens", "prompt_eval_count", "prompt_n")
_COMPLETION_TOKENS = ("completion_tokens", "output_tokens", "eval_count", "predicted_n")
_MAX_TOKENS = 1 << 40
_MAX_NUMBER = 10**15


@dataclass(frozen=True)
class Piece:
    """What one chunk says.

    Attributes:
        text: Text of the reply, thoughts between marks included.
        thought: Whether a thought came in a field of its own.
        calls: Pieces of tool calls.
        finish_reason: The server's word for why the reply ended, if it is given here.
        usage: Token counts, if they are given here.
        problem: What the server says went wrong, if it does.
    """

    text: str = ""
    thought: bool = False
    calls: tuple["CallPiece", ...] = ()
    finish_reason: str | None = None
    usage: CompletionUsage | None = None
    problem: str | None = None


@dataclass(frozen=True)
class CallPiece:
    """A piece of one tool call; what is not said here is None or empty."""

    index: int | None
    call_id: str | None
    name: str
    arguments: str


def read_chunk(chunk: object) -> Piece:
    """What a chunk says; an empty piece where it says nothing that can be read."""
    choices = _field(chunk, "choices")
    offered = [entry for entry in choices if _is_object(entry)] if isinstance(choices, list) else []
    choice = next((entry for entry in offered if _field(entry, "index") in (0, None)), next(iter(offered), None))
    delta = _field(choice, "delta")
    if not _is_object(delta) and not isinstance(delta, str):
        delta = _field(choice, "message")
    content = delta if isinstance(delta, str) else _field(delta, "content")
    if content is None:
        content = _field(choice, "text") or _field(delta, "refusal")
    texts: list[str] = []
    thought = _read_content(content, texts) | any(_is_said(_field(delta, name)) for name in REASONING_FIELDS)
    finish_reason = _field(choice, "finish_reason")
    return Piece(
        text="".join(texts),
        thought=thought,
        calls=_read_calls(delta),
        finish_reason=finish_reason if isinstance(finish_reason, str) else None,
        usage=_read_usage(_field(chunk, "usage")),
        problem=None if choice is not None else _read_problem(chunk),
    )


def _is_object(value: object) -> bool:
    return isinstance(value, (Mapping, BaseModel))


def _field(value: object, name: str) -> Any:
    if isinstance(value, Mapping):
        return value.get(name)
    return getattr(value, name, None) if isinstance(value, BaseModel) else None


def _is_said(value: object) -> bool:
    return bool(value) and not isinstance(value, bool)


def _read_content(content: object, texts: list[str], depth: int = 0) -> bool:
    """Collect the text; returns whether there were thoughts in it."""
    if isinstance(content, str):
        texts.append(content)
    elif isinstance(content, (int, float)) and not isinstance(content, bool):
        texts.append(_number(content))
    elif isinstance(content, list) and depth < _MAX_DEPTH:
        thoughts = [_read_content(part, texts, depth + 1) for part in content]
        return any(thoughts)
    elif _is_object(content) and depth < _MAX_DEPTH:
        kind = _field(content, "type")
        if (isinstance(kind, str) and kind in _THOUGHT_PARTS) or _field(content, "thought") is True:
            return True
        inner = next(
            (found for name in ("text", "value", "content", "parts") if (found := _field(content, name))), None
        )
        return _read_content(inner, texts, depth + 1)
    return False


def _number(value: int | float) -> str:
    """As people write it; empty for what JSON does not know, and for more digits than any number has that is meant."""
    if isinstance(value, int):
        return str(value) if abs(value) < _MAX_NUMBER else ""
    if not math.isfinite(value) or abs(value) >= _MAX_NUMBER:
        return ""
    return f"{value:.12f}".rstrip("0").rstrip(".")


def _read_calls(delta: object) -> tuple[CallPiece, ...]:
    calls = _field(delta, "tool_calls")
    if _is_object(calls):
        calls = [calls]
    if not isinstance(calls, list):
        calls = [{"function": _field(delta, "function_call")}] if _is_object(_field(delta, "function_call")) else []
    return tuple(piece for call in calls if (piece := _read_call(call)) is not None)


def _read_call(call: object) -> CallPiece | None:
    function = _field(call, "function")
    if not _is_object(function):
        return None
    name, arguments = _field(function, "name"), _field(function, "arguments")
    call_id, index = _field(call, "id"), _field(call, "index")
    if _is_object(arguments):
        arguments = json.dumps(arguments if isinstance(arguments, Mapping) else arguments.model_dump(), default=str)
    return CallPiece(
        index=index if isinstance(index, int) and not isinstance(index, bool) else None,
        call_id=call_id if isinstance(call_id, str) and call_id else None,
        name=name if isinstance(name, str) else "",
        arguments=arguments if isinstance(arguments, str) else "",
    )


def _read_usage(usage: object) -> CompletionUsage | None:
    prompt, completion = _count(usage, _PROMPT_TOKENS), _count(usage, _COMPLETION_TOKENS)
    if prompt is None and completion is None:
        return None
    cached = _count(_field(usage, "prompt_tokens_details"), ("cached_tokens",))
    total = _count(usage, ("total_tokens",))
    return CompletionUsage(
        prompt_tokens=prompt or 0,
        completion_tokens=completion or 0,
        total_tokens=(prompt or 0) + (completion or 0) if total is None else total,
        prompt_tokens_details=None if cached is None else PromptTokensDetails(cached_tokens=cached),
    )


def _count(value: object, names: tuple[str, ...]) -> int | None:
    for name in names:
        count = _field(value, name)
        if isinstance(count, (int, float)) and not isinstance(count, bool) and 0 <= count < _MAX_TOKENS:
            return int(count)
    return None


def _read_problem(chunk: object) -> str | None:
    error = _field(chunk, "error")
    said = _field(error, "message") or error or _field(chunk, "detail")
    if not said and _field(chunk, "object") == "error":
        said = _field(chunk, "message") or "an error without a message"
    return str(said) if said else None


@dataclass
class CallCollector:
    """Puts the pieces of tool calls together: Pipecat wants them in order, and servers number them as they like.

    Attributes:
        n_unreadable: How many of the calls cannot be made, once `calls` has sorted them.
    """

    n_unreadable: int = 0
    _names: list[str] = field(default_factory=list)
    _arguments: list[list[str]] = field(default_factory=list)
    _ids: list[str | None] = field(default_factory=list)
    _at: dict[int | None, int] = field(default_factory=dict)

    def add(self, piece: CallPiece) -> None:
        """Take a piece: of the call with its id, else of the one with its index, else of the latest."""
        place = self._place(piece)
        if not self._names[place]:
            self._names[place] = piece.name
        self._ids[place] = self._ids[place] or piece.call_id
        self._arguments[place].append(piece.arguments)

    def _place(self, piece: CallPiece) -> int:
        known = self._at.get(piece.index)
        if piece.call_id is not None:
            known = self._ids.index(piece.call_id) if piece.call_id in self._ids else None
        elif piece.index is None and not piece.name and self._names:
            known = len(self._names) - 1
        elif piece.name and known is not None and self._names[known]:
            known = known if self._names[known] == piece.name and piece.index is not None else None
        if known is None:
            known = len(self._names)
            self._names.append("")
            self._arguments.append([])
            self._ids.append(None)
        self._at[piece.index] = known
        return known

    def calls(self) -> list[ChoiceDeltaToolCall]:
        """The calls that can be made: those with a name, and arguments that are a JSON object."""
        made: list[ChoiceDeltaToolCall] = []
        for place, name in enumerate(self._names):
            arguments = "".join(self._arguments[place]).strip() or "{}"
            if not name or not _is_json_object(arguments):
                continue
            function = ChoiceDeltaToolCallFunction(name=name, arguments=arguments)
            call_id = self._ids[place] or f"call_{place}"
            made.append(ChoiceDeltaToolCall(index=len(made), id=call_id, type="function", function=function))
        self.n_unreadable = len(self._names) - len(made)
        return made


def _is_json_object(text: str) -> bool:
    try:
        value = json.loads(text)
        # Python reads numbers that JSON has not, such as NaN and 1e999; it writes none, then.
        json.dumps(value, allow_nan=False)
    except (ValueError, RecursionError):
        return False
    return isinstance(value, dict)
