"""Every event of a conversation, once: what it says, its fields and their units.

The observer's lines are checked against this table; the names that a script may wait for, the README's table and what
the page understands are derived from it or compared with it by tests. Every line has `t` besides: seconds on the
conversation's timeline, whose 0 is the first sample of input.

Fields may be added; none changes its meaning.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from loguru import logger


class EndCode(StrEnum):
    """Why a conversation ended, for programs; a `reason` in words goes with it."""

    ENDED = "ended"
    STOPPED = "stopped"
    SCRIPT_DONE = "script_done"
    NO_ANSWER = "no_answer"
    USER_LEFT = "user_left"
    AGENT_HUNG_UP = "agent_hung_up"
    PEER_LEFT = "peer_left"
    PEER_LOST = "peer_lost"
    TAKEN_OVER = "taken_over"
    REPLACED = "replaced"
    SERVER_STOPS = "server_stops"


@dataclass(frozen=True)
class EventKind:
    """What one event says.

    Attributes:
        meaning: When it comes, in a few words.
        fields: Those that it always has: the name, and what it holds with its unit.
        may: Those that it has where they apply.
        awaited: Whether a step of a script may wait for it.
    """

    meaning: str
    fields: Mapping[str, str]
    may: Mapping[str, str]
    awaited: bool = True


def _kind(
    meaning: str, fields: Mapping[str, str] | None = None, may: Mapping[str, str] | None = None, *, awaited: bool = True
) -> EventKind:
    return EventKind(meaning, fields or {}, may or {}, awaited)


_ENGINES = {
    "engines": "what runs: stt, llm, tts, vad, turn",
    "answer_secs": "how long an answer takes on this machine, as measured, or null",
    "push_to_talk": "whether the user's turn is a key that is held",
}
_CALL = {"id": "of the call", "name": "of the tool"}
_SPECULATIVE = {"speculative": "true: it belongs to an answer that may never be wanted"}
_MODEL = {
    "model": "which of two language models",
    "size": "small or large",
    "why": "plain, code, long, image, tool, same, failover or resting",
}
_TIMER = {"number": "from 1 on", "label": "what it is for", "left_secs": "until it is due"}
_MARK = {"mark": "of the picture that was asked for"}

EVENTS: Mapping[str, EventKind] = {
    "session_started": _kind(
        "the conversation begins",
        {**_ENGINES, "settings": "all of them, without keys"},
        {
            "conversation": "its id",
            "history": "the turns that are remembered",
            "noted": "whether notes stand for older ones",
            "recording": "whether it is recorded",
            "recorded_secs": "how long the recording is already",
            "sees": "whether the model takes pictures",
        },
    ),
    "settings_changed": _kind(
        "settings took effect within the conversation",
        {"changed": "their keys", **_ENGINES, "sees": "whether the model takes pictures"},
    ),
    "settings_refused": _kind(
        "settings stay as they were",
        {"message": "why, in one line", "needs_call": "whether joining again takes them"},
    ),
    "user_started_speaking": _kind("voice activity begins"),
    "user_stopped_speaking": _kind("voice activity ends"),
    "turn_started": _kind("what is said asks for an answer"),
    "partial_transcript": _kind("words while they are said", {"text": "so far"}),
    "transcript": _kind(
        "words of a stretch of speech", {"text": "its words"}, {"language": "as found", "confidence": "from 0 to 1"}
    ),
    "speculation": _kind(
        "what became of an answer that was prepared before the turn was over",
        {"outcome": "kept or thrown_away", "text": "the words that it answered"},
    ),
    "turn_ended": _kind("the turn is over", {"text": "all of its words"}, {"source": "typed: it was not spoken"}),
    "llm_first_token": _kind("the language model begins to answer", may={**_MODEL, **_SPECULATIVE}),
    "llm_done": _kind("the answer is whole", {"text": "what the model wrote"}),
    "reflex": _kind("an answer without the language model", {"name": "which"}, _SPECULATIVE),
    "filler": _kind("words or a sound that bridge the wait", {"text": "its words"}),
    "reply_text": _kind("a piece of a written answer", {"text": "the piece"}),
    "bot_written": _kind(
        "the Markdown of words that are about to be spoken",
        {"text": "the piece", "reply": "number of the answer", "start": "its first character in that answer"},
    ),
    "bot_planned": _kind("words that are about to be spoken", {"text": "the words"}),
    "bot_started_speaking": _kind("the agent's first audible sample"),
    "bot_word": _kind(
        "a word, when it is heard",
        {"text": "the word"},
        {"reply": "number of the answer", "written": "[start, end] of what it says there, in Unicode characters"},
    ),
    "bot_stopped_speaking": _kind("the agent is silent again"),
    "interruption": _kind(
        "the answer was cut", {"heard": "the words that were played", "planned": "all that were to be"}
    ),
    "false_interruption": _kind(
        "what was heard over the agent asks for nothing; it goes on",
        {"cause": "echo, noise or backchannel"},
        {"text": "its words"},
    ),
    "playout": _kind("how the agent's voice is played", {"level": "full, ducked or paused"}),
    "echo_tier": _kind(
        "how far the echo canceller can be trusted",
        {
            "tier": "off, none, cancel or half_duplex",
            "warmed_up": "whether it has heard enough",
            "erle_db": "what it takes away, in dB",
            "echo_db": "what is left of the echo, in dB",
            "delay_ms": "of the loudspeaker's sound in the microphone",
        },
    ),
    "latency": _kind(
        "how long the answer took",
        may={
            "voice_to_voice_ms": "from the user's last sample to the agent's first audible one",
            "turn_ms": "until the turn was known to be over",
            "stt_ms": "from there until its words were known",
            "llm_ttft_ms": "from asking the model to its first token",
            "tts_ttfb_ms": "from the first text to the first sound",
            "filler": "true: the wait was bridged",
        },
    ),
    "awake": _kind(
        "the agent listens",
        {"cause": "word, key or failure"},
        {"word": "the model", "phrase": "as it is said", "probability": "from 0 to 1"},
    ),
    "asleep": _kind("the agent waits for a wake word", {"phrases": "what wakes it"}),
    "dtmf": _kind("a key of a telephone", {"key": "0 to 9, * or #"}),
    "hang_up": _kind(
        "the agent ends a telephone call", {"state": "wanted, called_off (by a caller who speaks) or done"}
    ),
    "interpreted": _kind(
        "a sentence was translated",
        {"spoken": "its language", "into": "the other", "told_by": "what told the language", "by": "what translated"},
    ),
    "notes_made": _kind("notes stand for the older turns", {"text": "the notes"}),
    "tool_servers": _kind(
        "a server of tools came or went",
        {"servers": "their states", "left_out": "tools that the model's context has no room for, in one line"},
    ),
    "engine_address": _kind(
        "one of several addresses of an engine is gone, or is back",
        {
            "stage": "stt, llm, large or tts",
            "number": "of the address, from 1 on",
            "of": "how many there are",
            "state": "gone or back",
            "reason": "why it is gone, or empty",
            "left": "how many are asked now",
        },
    ),
    "tool_call": _kind("a tool is called", {**_CALL, "arguments": "what it takes"}),
    "tool_result": _kind(
        "what a tool gave",
        {**_CALL, "result": "or an error"},
        {
            "late": "true: the call had been talked over, or ran beside the conversation",
            "final": "true: the model says nothing more about it",
        },
    ),
    "tool_progress": _kind(
        "how far a tool is", {**_CALL, "progress": "so much", "total": "of so much, or null", "message": "in words"}
    ),
    "tool_cancelled": _kind("a call was not done, or called off", _CALL),
    "tool_undo": _kind(
        "an act can be taken back, or was",
        {**_CALL, "undo": "its mark", "state": "offered, done or failed"},
        {"error": "why it failed"},
    ),
    "timer_set": _kind("a timer runs", _TIMER),
    "timer_cancelled": _kind("a timer was called off", _TIMER),
    "timer_due": _kind("a timer is due", _TIMER),
    "camera_asked": _kind(
        "a picture is asked for",
        {
            **_MARK,
            "limit_secs": "how long it may take",
            "max_bytes": "how large it may be",
            "max_side_px": "how wide and high it may be",
        },
    ),
    "camera_taken": _kind(
        "the picture came; it is in no log",
        {**_MARK, "mime": "its kind", "width": "in pixels", "height": "in pixels", "bytes": "its size"},
    ),
    "camera_failed": _kind("there is no picture", {**_MARK, "reason": "why, in words"}),
    "error": _kind(
        "a stage failed; the conversation goes on", {"stage": "which", "message": "in one line"}, _SPECULATIVE
    ),
    # These need a page.
    "started_over": _kind(
        "another conversation has begun, with an empty history",
        may={"conversation": "its id, in a page's call; that of before where nothing had been said"},
        awaited=False,
    ),
    "went_back": _kind(
        "the conversation goes back to before a turn",
        {"text": "that turn", "later": "how many turns came after it", "taken": "whether the history held it"},
        awaited=False,
    ),
    "session_ended": _kind(
        "the conversation is over",
        {"code": f"for programs: {', '.join(EndCode)}", "reason": "in words"},
        awaited=False,
    ),
}


def _report(problem: str) -> None:
    logger.error(problem)


# Who is told of an event that the table does not know; tests put themselves here.
on_unknown: list[Callable[[str], None]] = [_report]


def check(event: str, fields: Mapping[str, Any]) -> None:
    """Compare an event with the table; it is told all the same.

    Args:
        event: Its name.
        fields: What it says, besides `t`.
    """
    kind = EVENTS.get(event)
    if kind is None:
        problem = f"event {event!r} is not in agent/conversation/events.py"
    elif missing := kind.fields.keys() - fields.keys():
        problem = f"event {event!r} lacks {', '.join(sorted(missing))}"
    elif unknown := fields.keys() - kind.fields.keys() - kind.may.keys():
        problem = f"event {event!r} has no field {', '.join(sorted(unknown))}"
    else:
        return
    for tell in on_unknown:
        tell(problem)
