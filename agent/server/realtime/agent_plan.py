"""The agent that a session asks for: settings and engines of a conversation.

In:  a SessionConfig, and what the server is.   Out: a plan with which a conversation can be started.
"""

import asyncio
import dataclasses
from collections.abc import Callable
from typing import Any

from agent.engines.host import ModelHost
from agent.engines.voice_names import voice_called
from agent.errors import SottoError
from agent.server.calls.plans import Door, SessionPlan
from agent.server.calls.sessions import LiveSessions
from agent.server.realtime.problems import RealtimeProblem
from agent.server.realtime.session_config import SemanticVad, ServerVad, SessionConfig
from agent.settings.load import Settings
from agent.settings.session import always_awake, session_settings
from agent.tools.tool import Tool
from processors.errors import EngineUnavailableError

PACES = {"low": "patient", "high": "brisk"}
# The protocol's own default stands for the server's.
DEFAULT_THRESHOLD = 0.5
OWN_TOOLS = ("clock", "sums", "timers", "files", "memory", "knowledge", "home", "camera", "servers")


async def plan_of(
    config: SessionConfig, base: SessionPlan, live: LiveSessions, tools: Callable[[], list[Tool]]
) -> SessionPlan:
    """What a session asks for, on engines that are loaded.

    Args:
        config: The session.
        base: With the server's settings and engines, and the history.
        live: Gives other engines, where they are needed.
        tools: Gives the client's functions as tools.

    Raises:
        RealtimeProblem: It cannot be had; the field is named.
    """
    options: dict[str, Any] = {}
    if config.audio.output.speed != 1.0:
        options["tts.speed"] = config.audio.output.speed
    if config.voice:
        options["tts.voice"] = await _voice(config.voice, base)
    transcription = config.audio.input.transcription
    if transcription and transcription.language:
        options["stt.language"] = transcription.language
    try:
        settings = _formed(always_awake(session_settings(base.settings, options)), config)
        host = await live.engines.host_for(settings)
    except (SottoError, EngineUnavailableError) as error:
        raise RealtimeProblem(str(error), code="unsupported_value", param=_param(str(error))) from error
    has_own_tools = not config.tools and config.tool_choice == "auto"
    given = tools() if config.tool_choice == "auto" else []
    return dataclasses.replace(
        base, settings=settings, host=_bounded(host, config), door=Door(tuple(given), has_own_tools)
    )


def _param(message: str) -> str:
    known = {"tts.speed": "output.speed", "voice": "output.voice", "language": "input.transcription.language"}
    return next((f"session.audio.{path}" for word, path in known.items() if word in message), "session")


async def _voice(name: str, base: SessionPlan) -> str | None:
    voices = await asyncio.to_thread(base.host.tts.loaded.voices)
    try:
        voice = voice_called(name, voices, base.settings.tts.language)
    except EngineUnavailableError as error:
        raise RealtimeProblem(str(error), code="unsupported_value", param="session.audio.output.voice") from error
    return voice.name if voice else None


def _formed(settings: Settings, config: SessionConfig) -> Settings:
    """What a client may say beyond the options of a page; the owner's words to a caller are not for programs."""
    sections: dict[str, dict[str, Any]] = {
        "turn": _turn(settings, config),
        "dialogue": {"greeting": None, "idle_prompt": None, "filler": "off", "tool_words": None},
        "llm": {"keep_answers": False},
    }
    detection = config.audio.input.turn_detection
    if isinstance(detection, ServerVad) and detection.threshold != DEFAULT_THRESHOLD:
        sections["vad"] = {"confidence": detection.threshold}
    if config.instructions:
        sections["llm"]["system_prompt"] = config.instructions
    if config.tools or config.tool_choice == "none":
        sections["tools"] = {**dict.fromkeys(OWN_TOOLS, "off"), "reflexes": False, "choice": "off"}
    return settings.model_copy(
        update={name: getattr(settings, name).model_copy(update=values) for name, values in sections.items()}
    )


def _turn(settings: Settings, config: SessionConfig) -> dict[str, Any]:
    detection = config.audio.input.turn_detection
    answers = config.type == "realtime" and bool(detection and detection.create_response)
    # A call that was made in advance would be thrown away, and asked for again.
    speculates = settings.turn.speculate and answers and not config.tools
    turn: dict[str, Any] = {"mode": "open" if detection else "push_to_talk", "speculate": speculates}
    if isinstance(detection, ServerVad):
        secs = detection.silence_duration_ms / 1000
        turn |= {"min_pause_secs": secs, "max_pause_secs": secs, "pace": "normal"}
    elif isinstance(detection, SemanticVad):
        turn["pace"] = PACES.get(detection.eagerness, settings.turn.pace)
    return turn


def _bounded(host: ModelHost, config: SessionConfig) -> ModelHost:
    options = host.llm_options
    if config.max_output_tokens == "inf" or config.max_output_tokens >= options.max_tokens:
        return host
    bounded = options.changed(max_tokens=config.max_output_tokens)
    backend = dataclasses.replace(host.llm.loaded, options=bounded)
    return dataclasses.replace(host, llm=dataclasses.replace(host.llm, loaded=backend))
