"""Events that are one frame told in JSON, whatever else is going on.

In:  a frame on its first hop.   Out: the event's name and fields.
"""

from collections.abc import Callable
from typing import Any

from pipecat.frames.frames import (
    Frame,
    FunctionCallCancelFrame,
    FunctionCallInProgressFrame,
    FunctionCallResultFrame,
    InputDTMFFrame,
    InterimTranscriptionFrame,
    TranscriptionFrame,
)

from processors.frames import (
    AsleepFrame,
    AwakeFrame,
    EchoTierFrame,
    FalseInterruptionFrame,
    InterpretedFrame,
    NotesMadeFrame,
    PlayoutFrame,
)
from processors.llm.settled_calls import FinalResult
from processors.turns.typed_turn import TYPED

Told = tuple[str, dict[str, Any]]


def _partial(frame: InterimTranscriptionFrame) -> Told:
    return "partial_transcript", {"text": frame.text}


def _transcript(frame: TranscriptionFrame) -> Told | None:
    if TYPED in frame.metadata:
        return None
    fields: dict[str, Any] = {"text": frame.text}
    if frame.language:
        fields["language"] = str(frame.language)
    if "confidence" in frame.metadata:
        fields["confidence"] = frame.metadata["confidence"]
    return "transcript", fields


def _false_interruption(frame: FalseInterruptionFrame) -> Told:
    return "false_interruption", {"cause": frame.cause, **({"text": frame.text} if frame.text else {})}


def _playout(frame: PlayoutFrame) -> Told:
    return "playout", {"level": frame.level}


def _echo_tier(frame: EchoTierFrame) -> Told:
    return "echo_tier", {
        "tier": frame.tier.value,
        "warmed_up": frame.warmed_up,
        "erle_db": frame.erle_db,
        "echo_db": frame.echo_db,
        "delay_ms": frame.delay_ms,
    }


def _notes_made(frame: NotesMadeFrame) -> Told:
    return "notes_made", {"text": frame.text}


def _interpreted(frame: InterpretedFrame) -> Told:
    return "interpreted", {"spoken": frame.spoken, "into": frame.into, "told_by": frame.told_by, "by": frame.by}


def _key_pressed(frame: InputDTMFFrame) -> Told:
    return "dtmf", {"key": frame.button.value}


def _awake(frame: AwakeFrame) -> Told:
    word = {"word": frame.word, "phrase": frame.phrase, "probability": frame.probability} if frame.word else {}
    return "awake", {"cause": frame.cause, **word}


def _asleep(frame: AsleepFrame) -> Told:
    return "asleep", {"phrases": list(frame.phrases)}


def _tool_call(frame: FunctionCallInProgressFrame) -> Told:
    return "tool_call", {"id": frame.tool_call_id, "name": frame.function_name, "arguments": frame.arguments}


def _tool_result(frame: FunctionCallResultFrame) -> Told:
    told = {"id": frame.tool_call_id, "name": frame.function_name, "result": frame.result}
    return "tool_result", {**told, "final": True} if isinstance(frame.properties, FinalResult) else told


def _tool_cancelled(frame: FunctionCallCancelFrame) -> Told:
    return "tool_cancelled", {"id": frame.tool_call_id, "name": frame.function_name}


# Frames that go both ways are two frames; the one downstream is told.
TOLD_DOWNSTREAM: dict[type[Frame], Callable[[Any], Told | None]] = {
    InterimTranscriptionFrame: _partial,
    TranscriptionFrame: _transcript,
    FalseInterruptionFrame: _false_interruption,
    PlayoutFrame: _playout,
    EchoTierFrame: _echo_tier,
    NotesMadeFrame: _notes_made,
    InterpretedFrame: _interpreted,
    InputDTMFFrame: _key_pressed,
    AwakeFrame: _awake,
    AsleepFrame: _asleep,
    FunctionCallInProgressFrame: _tool_call,
    FunctionCallResultFrame: _tool_result,
    FunctionCallCancelFrame: _tool_cancelled,
}
