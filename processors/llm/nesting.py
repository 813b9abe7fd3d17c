"""Brackets within brackets, character by character: where what one of them opened ends."""

_OPENS = {"json": "{[", "python": "{[("}
_CLOSES = {"json": "}]", "python": "}])"}
_QUOTES = {"json": '"', "python": "\"'"}


class Nesting:
    """How deep a text is in brackets; those in strings do not count.

    Args:
        python: Whether parentheses and single quotes count, too.

    Attributes:
        depth: How many brackets are open.
    """

    def __init__(self, *, python: bool = False) -> None:
        self.depth = 0
        self.python = python
        self._string = ""
        self._escaped = False

    @property
    def python(self) -> bool:
        """Whether parentheses and single quotes count, too; may be found out on the way."""
        return self._kind == "python"

    @python.setter
    def python(self, value: bool) -> None:
        self._kind = "python" if value else "json"

    def closes(self, character: str) -> bool:
        """Read on; whether this character closes the outermost bracket."""
        if self._string:
            if self._escaped:
                self._escaped = False
            elif character == "\\":
                self._escaped = True
            elif character == self._string:
                self._string = ""
        elif character in _QUOTES[self._kind]:
            self._string = character
        elif character in _OPENS[self._kind]:
            self.depth += 1
        elif character in _CLOSES[self._kind]:
            self.depth -= 1
            return self.depth <= 0
        return False


def end_of(text: str, at: int) -> int | None:
    """Behind what the bracket at a place opens; None where that has no end."""
    nesting = Nesting(python=text[at] == "(" or text[at + 1 :].lstrip()[:1] == "'")
    for index in range(at, len(text)):
        if nesting.closes(text[index]):
            return index + 1
    return None
