"""Personas: who the agent is, as Markdown files with front matter.

In:  the name of a persona, or a file.   Out: what it stands for, as settings.

    ---
    description: Speaks like a pirate.
    language: en-gb
    voice: bm_george
    pace: brisk
    greeting: Ahoy!
    tools: [clock, sums]
    knowledge: ship-papers
    ---
    You are a pirate. Answer in one short sentence of plain speech.

`interpreter: {into: en, by: whisper}` (or `by: llm`) translates instead of answering; `language` is then what is
spoken, by default any. `interpreter: {languages: [de, en]}` does so both ways. The text below the front matter is the
prompt. A file is read again whenever a conversation begins.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, model_validator

from agent.errors import SottoError
from agent.plain_yaml import plain_yaml
from agent.settings.folders import read_folder
from agent.settings.sections import PERMISSIONS, Permission
from agent.small_files import is_file, small_text
from processors.stt.languages import read_language

BUNDLED = Path(__file__).parent / "personas"
STANDARD = "assistant"
MAX_PERSONAS = 200
_NAME = re.compile(r"[\w][\w -]{0,63}")
_BEGINS = re.compile(r"\A\s*^[ \t]*---[ \t]*\r?$", re.MULTILINE)
_FRONT = re.compile(r"\A---[ \t]*\r?\n(?P<front>.*?)^---[ \t]*(?:\r?\n|\Z)", re.DOTALL | re.MULTILINE)
Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=8_000)]


class PersonaError(SottoError):
    """A persona is missing or cannot be read; the message names it and those there are."""


class _Interpreter(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    into: Text | None = None
    languages: tuple[Text, Text] | None = None
    by: Literal["whisper", "llm"] = "llm"

    @model_validator(mode="after")
    def _is_known(self) -> Self:
        if (self.into is None) == (self.languages is None):
            raise ValueError("it takes into, or two languages")
        comes_out = [self.into] if self.into else list(self.languages or ())
        if self.by == "whisper" and "en" not in [read_language(one).split("-")[0] for one in comes_out]:
            raise ValueError(f"whisper translates into English only, not {comes_out[0][:60]!r}; try by: llm")
        return self


class _Front(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    description: str = ""
    language: Text | None = None
    voice: Text | None = None
    speed: float | None = Field(None, ge=0.5, le=2.0)
    pace: Literal["brisk", "normal", "patient"] | None = None
    greeting: Text | None = None
    tools: list[str] | dict[str, Permission | bool] | None = None
    knowledge: Text | None = None
    prompt: Text | None = None
    interpreter: _Interpreter | None = None


@dataclass(frozen=True)
class Persona:
    """Who the agent is.

    Attributes:
        name: The file's, without its ending.
        description: In a line.
        sections: The settings that it stands for: section, name, value.
    """

    name: str
    description: str
    sections: Mapping[str, Mapping[str, Any]]


def persona_files(folder: Path | None) -> dict[str, Path]:
    """The files of all personas by name; the user's own stand before those that come along.

    Args:
        folder: The user's own.
    """
    found = {path.stem: path for path in sorted(BUNDLED.glob("*.md"))}
    try:
        own = sorted(path for path in folder.glob("*.md") if path.is_file())[:MAX_PERSONAS] if folder else []
    except OSError as error:
        raise PersonaError(f"personas cannot be read: {folder}: {error}") from error
    return {**found, **{path.stem: path for path in own if _NAME.fullmatch(path.stem)}}


def personas(folder: Path | None) -> list[dict[str, str]]:
    """Each persona that there is, and what its file says of it in a line; blocks.

    Args:
        folder: The user's own.

    Returns:
        `name` and `description`; one that cannot be read says so.
    """

    def describe(path: Path) -> str:
        try:
            return _read(path).description
        except (OSError, ValueError) as error:
            return f"It cannot be read: {_in_a_line(error)}"

    return [{"name": name, "description": describe(path)} for name, path in sorted(persona_files(folder).items())]


def load_persona(name: str, folder: Path | None, *, any_file: bool = False) -> Persona:
    """Read a persona.

    Args:
        name: Its name.
        folder: Where the user's own are.
        any_file: Whether it may also be the path of a file.

    Raises:
        PersonaError: There is none, or it cannot be read.
    """
    files = persona_files(folder)
    path = files.get(name)
    if path is None and any_file and name.endswith(".md") and is_file(Path(name)):
        path = Path(name)
    if path is None:
        there = ", ".join(sorted(files))
        raise PersonaError(f"there is no persona {name[:60]!r}; there are {there} (your own: NAME.md in {folder})")
    try:
        return _read(path)
    except (OSError, ValueError) as error:
        raise PersonaError(f"persona {path.stem} cannot be read: {path}: {_in_a_line(error)}") from error


def _read(path: Path) -> Persona:
    text = small_text(path)
    found = _FRONT.match(text)
    if found is None and (begun := _BEGINS.match(text)):
        raise ValueError(
            "its front matter has no end: a line --- is missing below it"
            if begun[0].startswith("---")
            else "its front matter must begin in the first line, with --- and nothing before it"
        )
    front = _Front.model_validate((plain_yaml(found["front"]) if found else None) or {})
    body = (text[found.end() :] if found else text).strip()
    if body and front.prompt:
        raise ValueError("it has a prompt in its front matter, and a text below; one of them is enough")
    sections: dict[str, dict[str, Any]] = {
        "llm": {"system_prompt": body or front.prompt},
        "tts": {"language": front.language, "voice": front.voice, "speed": front.speed},
        "stt": {"language": front.language},
        "turn": {"pace": front.pace},
        "dialogue": {"greeting": front.greeting},
        "tools": dict(_permissions(front.tools)),
        "persona": {"knowledge": _beside(path, front.knowledge)},
    }
    if front.interpreter:
        task = "translate" if front.interpreter.by == "whisper" else "transcribe"
        sections["stt"] = {"language": front.language or "auto", "task": task}
        sections["tts"]["language"] = front.interpreter.into
        sections["interpreter"] = {
            "into": front.interpreter.into,
            "languages": front.interpreter.languages and list(front.interpreter.languages),
        }
    chosen = {
        section: {name: value for name, value in values.items() if value is not None}
        for section, values in sections.items()
    }
    return Persona(path.stem, front.description, {section: values for section, values in chosen.items() if values})


def _permissions(tools: list[str] | dict[str, Permission | bool] | None) -> Mapping[str, Permission]:
    """What it may do; of a list, what is not named is off."""
    if tools is None:
        return {}
    for name in tools:
        if name not in PERMISSIONS:
            raise ValueError(f"tools: there is no {name[:60]!r}; there are {', '.join(PERMISSIONS)}")
    if isinstance(tools, list):
        # What is named is as the settings have it.
        return {name: "off" for name in PERMISSIONS if name not in tools}
    # YAML reads on and off as true and false.
    return {name: value if isinstance(value, str) else ("on" if value else "off") for name, value in tools.items()}


def _beside(persona: Path, folder: str | None) -> Path | None:
    if folder is None:
        return None
    try:
        return read_folder(folder, beside=persona.parent.absolute())
    except ValueError as error:
        raise ValueError(f"knowledge: {folder[:60]}: {error}") from error


def _no_text(value: Any) -> str:
    if value is None:
        return "it is empty; leave the line out"
    kind = {bool: "yes or no", int: "a number", float: "a number", list: "a list", dict: "a mapping"}.get(
        type(value), f"a {type(value).__name__}"
    )
    return f"YAML reads it as {kind}, not as text; write it in quotes"


def _in_a_line(error: Exception) -> str:
    if isinstance(error, ValidationError):
        problem = error.errors(include_url=False)[0]
        key = ".".join(str(part) for part in problem["loc"]) or "front matter"
        if problem["type"] == "extra_forbidden":
            return f"unknown key: {key[:60]}; there are {', '.join(_Front.model_fields)}"
        if problem["type"] == "string_type":
            return f"{key}: {_no_text(problem['input'])}"
        return f"{key}: {problem['msg'].removeprefix('Value error, ')}"
    return " ".join(str(error).split())
