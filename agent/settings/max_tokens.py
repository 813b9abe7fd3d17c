"""`max_tokens`: a number, or `auto`."""

from typing import Any, Literal

MOST_TOKENS = 32_768


def read_max_tokens(value: Any) -> int | Literal["auto"]:
    """The upper limit of an answer, in tokens.

    Args:
        value: As the file, the environment or a flag has it.

    Raises:
        ValueError: It is neither `auto` nor a number from 1 to 32768.
    """
    text = str(value).strip().lower()
    if text == "auto":
        return "auto"
    # A long row of digits is no number that Python reads.
    if not (text.isascii() and text.isdigit() and len(text) <= len(str(MOST_TOKENS)) and 1 <= int(text) <= MOST_TOKENS):
        raise ValueError(f"expected auto, or a whole number from 1 to {MOST_TOKENS}")
    return int(text)
