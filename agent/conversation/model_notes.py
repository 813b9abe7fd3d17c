"""What the model alone is told, so that the agent speaks up; each at most once in the history."""

from collections.abc import Sequence

from pipecat.processors.aggregators.llm_context import LLMContextMessage

NEWS = "{}, which ran beside the conversation, has ended. Tell the user in one sentence what came of it."
SILENCE = "The user has said nothing for {} seconds. Go on with one short sentence, or ask if they are still there."


def without_note(messages: Sequence[LLMContextMessage], note: str) -> list[LLMContextMessage]:
    """The history without a note of that kind.

    Args:
        messages: The history.
        note: NEWS or SILENCE.
    """
    return [message for message in messages if not _is_note(message, note)]


def _is_note(message: LLMContextMessage, note: str) -> bool:
    content = message.get("content") if isinstance(message, dict) and message.get("role") == "developer" else None
    before, _, behind = note.partition("{}")
    return isinstance(content, str) and content.startswith(before) and content.endswith(behind)
