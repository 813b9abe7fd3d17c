"""What `sotto replay` says: a list of files, or a conversation file in YAML.

In:  FILE... or CONVERSATION.yaml.   Out: steps with decoded recordings.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from agent.errors import InputError
from transports.errors import RecordingError
from transports.recording import Recording, load_recording

IDLE = "idle"
# Every event that a step may wait for; `idle` stands for a silent agent with nothing left to say.
EVENTS = (
    IDLE,
    "session_started",
    "user_started_speaking",
    "user_stopped_speaking",
    "turn_started",
    "speculation",
    "partial_transcript",
    "transcript",
    "turn_ended",
    "llm_first_token",
    "llm_done",
    "filler",
    "bot_planned",
    "bot_started_speaking",
    "bot_word",
    "bot_stopped_speaking",
    "interruption",
    "false_interruption",
    "playout",
    "echo_tier",
    "tool_call",
    "tool_result",
    "error",
    "latency",
)


@dataclass(frozen=True)
class Step:
    """One recording and when it is said."""

    recording: Recording
    after: str = IDLE
    delay_secs: float = 0.0


@dataclass(frozen=True)
class ConversationScript:
    """All steps, and the silence after the last answer."""

    steps: tuple[Step, ...]
    end_secs: float = 1.0


class _StepModel(BaseModel):
    model_config = ConfigDict(extra="forbid")

    say: str = Field(min_length=1)
    after: str = IDLE
    delay_secs: float = Field(0.0, ge=0, le=600)
    gain_db: float = Field(0.0, ge=-60, le=40)


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
        content: Any = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"conversation file not found: {path}") from None
    except (OSError, UnicodeDecodeError, yaml.YAMLError, RecursionError) as error:
        raise InputError(f"conversation file cannot be read: {path}: {_one_line(error)}") from error
    if not isinstance(content, dict):
        raise InputError(f"conversation file holds no steps: {path}")
    try:
        model = _ScriptModel.model_validate(content)
    except ValidationError as error:
        raise InputError(f"{path}: {_problem(error)}") from error
    return ConversationScript(tuple(_step(path, step) for step in model.steps), model.end_secs)


def _step(path: Path, step: _StepModel) -> Step:
    if step.after not in EVENTS:
        raise InputError(f"{path}: after: {step.after!r} is no event; choose one of {', '.join(EVENTS)}")
    return Step(_recording(path.parent / step.say, step.gain_db), step.after, step.delay_secs)


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


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())
