"""Words as they are compared: without case, punctuation or more than one space between them."""

import re

_PUNCTUATION = re.compile(r"[^\w\s]")


def bare(text: str) -> str:
    """The words alone: lower case, no punctuation, single spaces; a hyphen parts words."""
    return " ".join(_PUNCTUATION.sub("", text.casefold().replace("-", " ")).split())
