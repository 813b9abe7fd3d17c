"""What a tool gives, as the language model and events are told of it."""

import json

# Of one result, for a model whose context is small.
MAX_RESULT_CHARS = 4_000


def is_error(result: object) -> bool:
    """Whether a tool's result tells that it was not done."""
    return isinstance(result, dict) and "error" in result


def within_budget(result: object) -> object:
    """A result as the model gets it; one that is too long is text, cut and marked as such."""
    text = result if isinstance(result, str) else as_json(result)
    if len(text) <= MAX_RESULT_CHARS:
        return result
    return f"{text[:MAX_RESULT_CHARS]} [cut: {len(text) - MAX_RESULT_CHARS} more characters]"


def as_json(result: object) -> str:
    """A result as JSON; what JSON does not know is text."""
    return json.dumps(result, ensure_ascii=False, default=str)
