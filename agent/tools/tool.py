"""A tool: a name that the language model knows, what it takes, and what it does."""

from collections.abc import Awaitable, Callable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ConfigDict

from agent.errors import SottoError

LIMIT_SECS = 10.0
# Within a tool's own run: the id of the call that it is run for.
CALL_ID: ContextVar[str] = ContextVar("call_id", default="")


class ToolError(SottoError):
    """A tool could not do what it was asked; the message says why, for the model to tell in its own words."""


class Arguments(BaseModel):
    """What a tool takes; an unknown argument is an error, and text is cut of white space."""

    model_config = ConfigDict(extra="forbid", frozen=True, str_strip_whitespace=True)


class NoArguments(Arguments):
    """Nothing."""


class GivenArguments(Arguments):
    """What a tool takes whose schema is not ours: anything, as it was given."""

    model_config = ConfigDict(extra="allow", frozen=True, str_strip_whitespace=False)


@dataclass(frozen=True)
class Done:
    """What an act gave, where it can be taken back.

    Attributes:
        result: As a tool without this would give it.
        undo: Takes it back; raises a ToolError where that is no longer possible.
    """

    result: object
    undo: Callable[[], Awaitable[object]]


@dataclass(frozen=True)
class Final:
    """What a tool gave where the language model is not asked for more.

    Attributes:
        result: As a tool without this would give it.
    """

    result: object


@dataclass(frozen=True)
class Tool:
    """One thing that the agent can do.

    Attributes:
        name: As the model calls it: lower case and underscores.
        description: For the model: what it does, and when to use it.
        arguments: What it takes.
        run: Does it: text, numbers, lists or dicts of them, or such in a Done or Final; raises a ToolError.
        acts: Whether it changes anything. Then it is done once a turn, and finished whatever is said meanwhile.
        limit_secs: How long it may take.
        asks: Whether the user is asked each time before it is done.
        beside: Whether it takes long, so that the conversation goes on meanwhile and the user is told when it is done.
        prepare: Finds what is meant before it is asked for or done, such as a thing by its name; raises a ToolError.
        schema: What it takes as a JSON schema, where that is not ours; `arguments` is GivenArguments then.
        when: Whether it can be done now; the model is told of it only then.
    """

    name: str
    description: str
    arguments: type[Arguments]
    run: Callable[[Any], Awaitable[object]]
    acts: bool = False
    limit_secs: float = LIMIT_SECS
    asks: bool = False
    schema: Mapping[str, Any] | None = None
    beside: bool = False
    prepare: Callable[[Any], Awaitable[Any]] | None = None
    when: Callable[[], bool] = lambda: True
