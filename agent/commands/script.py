"""What `sotto replay` says and does: a list of files, or a conversation file in YAML.

In:  FILE... or CONVERSATION.yaml.   Out: steps with decoded recordings, typed words and interruptions.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from agent.conversation.events import EVENTS
from agent.errors import InputError
from agent.plain_yaml import plain_yaml
from agent.small_files import small_text
from transports.errors import RecordingError
from transports.recording import Recording, load_recording

IDLE = "idle"
# As much as a page may send.
MAX_TYPED_CHARS = 8_000
MAX_SHOWN_CHARS = 80
# Every event that a step may wait for; `idle` stands for a silent agent with nothing left to say.
AWAITED = (IDLE, *(name for name, kind in EVENTS.items() if kind.awaited))


@dataclass(frozen=True)
class Typed:
    """A typed turn.

    Attributes:
        text: Its words.
        spoken: Whether the answer is spoken; else it is written only.
    """

    text: str
    spoken: bool = True


@dataclass(frozen=True)
class Step:
    """One thing that the user does, and when.

    Attributes:
        act: A recording that is said, a turn that is typed, or None: the agent is interrupted, as by a key.
        after: The event that it follows.
        delay_secs: How long after it.
    """

    act: Recording | Typed | None
    after: str = IDLE
    delay_secs: float = 0.0

    def __str__(self) -> str:
        if self.act is None:
            return "interrupt"
        return f"type: {self.act.text}" if isinstance(self.act, Typed) else str(self.act.path)


@dataclass(frozen=True)
class ConversationScript:
    """All steps, and the silence after the last answer."""

    steps: tuple[Step, ...]
    end_secs: float = 1.0


class _StepModel(BaseModel):
    model_config = ConfigDict(extra="forbid")

    say: str | None = Field(None, min_length=1)
    type: str | None = Field(None, min_length=1, max_length=MAX_TYPED_CHARS)
    spoken: bool = True
    interrupt: Literal[True] | None = None
    after: str = IDLE
    delay_secs: float = Field(0.0, ge=0, le=600)
    gain_db: float = Field(0.0, ge=-60, le=40)

    @model_validator(mode="after")
    def _is_one_thing(self) -> Self:
        if sum(one is not None for one in (self.say, self.type, self.interrupt)) != 1:
            raise ValueError("one of say, type and interrupt: true")
        if self.type is not None and not self.type.strip():
            raise ValueError("type holds no words")
        return self


class _ScriptModel(BaseModel):
    model_config = ConfigDict(extra="forbid")

    steps: list[_StepModel] = Field(min_length=1)
    end_secs: float = Field(1.0, ge=0, le=600)


def load_script(paths: Sequence[Path]) -> ConversationScript:
    """Read what is to be said.

    Args:
        paths: Sound files, said one after another, or exactly one `.yaml` file.

    Raises:
        InputError: A file is missing, broken or empty, or a YAML key is unknown; the message names it.
    """
    if not paths:
        raise InputError("nothing to say: name a recording or a conversation file")
    scripts = [path for path in paths if path.suffix.lower() in (".yaml", ".yml")]
    if scripts and len(paths) > 1:
        raise InputError(f"a conversation file stands alone: {scripts[0]}")
    if scripts:
        return _load_yaml(scripts[0])
    return ConversationScript(tuple(Step(_recording(path)) for path in paths))


def _load_yaml(path: Path) -> ConversationScript:
    try:
        content = plain_yaml(small_text(path))
    except FileNotFoundError:
        raise InputError(f"conversation file not found: {path}") from None
    except (OSError, ValueError) as error:
        raise InputError(f"conversation file cannot be read: {path}: {error}") from error
    if not isinstance(content, dict):
        raise InputError(f"conversation file holds no steps: {path}")
    try:
        model = _ScriptModel.model_validate(content)
    except ValidationError as error:
        raise InputError(f"{path}: {_problem(error)}") from error
    return ConversationScript(tuple(_step(path, step) for step in model.steps), model.end_secs)


def _step(path: Path, step: _StepModel) -> Step:
    if step.after not in AWAITED:
        raise InputError(
            f"{path}: after: {step.after[:MAX_SHOWN_CHARS]!r} is no event; choose one of {', '.join(AWAITED)}"
        )
    if step.type is not None:
        act = Typed(step.type, step.spoken)
    else:
        act = _recording(path.parent / step.say, step.gain_db) if step.say else None
    return Step(act, step.after, step.delay_secs)


def _recording(path: Path, gain_db: float = 0.0) -> Recording:
    try:
        return load_recording(path, gain_db=gain_db)
    except RecordingError as error:
        raise InputError(str(error)) from error


def _problem(error: ValidationError) -> str:
    # A misspelt key also makes the right one missing; the misspelt one is what the user has to see.
    problems = sorted(error.errors(include_url=False), key=lambda problem: problem["type"] != "extra_forbidden")
    problem = problems[0]
    key = ".".join(str(part) for part in problem["loc"])
    if problem["type"] == "extra_forbidden":
        return f"unknown key: {key}"
    return f"{key}: {problem['msg']}"
