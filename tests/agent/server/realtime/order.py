"""The order of the events of a response: one table, and what it asks of any response that came.

What is not in an answer is left out of it: a call has no message, a message that is read has no sound, a response that
fails before its first word has nothing between its first event and its last.
"""

from typing import Any

# The deltas of a line may be mixed; each other line holds one event after the other.
ORDER: tuple[tuple[str, ...], ...] = (
    ("response.created",),
    ("response.output_item.added", "conversation.item.added", "response.content_part.added"),
    ("response.output_audio_transcript.delta", "response.output_audio.delta", "response.output_text.delta"),
    ("response.output_audio.done", "response.output_audio_transcript.done", "response.output_text.done"),
    ("response.content_part.done", "response.output_item.done", "conversation.item.done"),
    # Each call is an item of its own, behind the message.
    ("response.output_item.added", "conversation.item.added"),
    ("response.function_call_arguments.delta", "response.function_call_arguments.done"),
    ("response.output_item.done", "conversation.item.done"),
    ("response.done",),
)
CREATED, BEGIN, DELTAS, DONES, END, CALL_BEGIN, ARGUMENTS, CALL_END, DONE = ORDER


def told_of(events: list[dict[str, Any]], response_id: str) -> list[str]:
    """The types of a response's events and of its items' in the order in which they came."""
    of_response: list[str] = []
    items: set[str] = set()
    for event in events:
        response = event.get("response_id") or event.get("response", {}).get("id")
        if event["type"] == "response.output_item.added" and response == response_id:
            items.add(event["item"]["id"])
        if response == response_id or (
            event["type"].startswith("conversation.item.") and event.get("item", {}).get("id") in items
        ):
            of_response.append(event["type"])
    return of_response


def in_order(types: list[str], *, is_apart: bool = False) -> list[str]:
    """The same events in the order of the table.

    Args:
        types: Of one response with one message at most.
        is_apart: Whether it is of no conversation, whose items are told within it alone.
    """
    deltas = [name for name in types if name in DELTAS]
    calls = (*CALL_BEGIN, *ARGUMENTS, *CALL_END) * types.count("response.function_call_arguments.done")
    dones = [name for name in DONES if name in types]
    message = [*BEGIN, *deltas, *dones, *END] if "response.content_part.added" in types else []
    whole = [*CREATED, *message, *calls, *DONE]
    return [name for name in whole if not (is_apart and name.startswith("conversation."))]
