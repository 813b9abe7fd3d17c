"""Text that comes in pieces, and a place in it: what stands there may be read, kept for later, or passed on."""

import re


class ReplyCursor:
    """A place in what has come and is not read yet.

    Attributes:
        text: What has come; what lies before `at` is forgotten with the next piece.
        at: The place.
        final: Whether nothing more will come.
    """

    def __init__(self) -> None:
        self.text = ""
        self.at = 0
        self.final = False

    @property
    def done(self) -> bool:
        """Whether nothing is left."""
        return self.at >= len(self.text)

    @property
    def here(self) -> str:
        """The character at the place."""
        return self.text[self.at]

    def add(self, text: str) -> None:
        """Take another piece."""
        self.text = self.text[self.at :] + text
        self.at = 0

    def rest(self, n_chars: int | None = None) -> str:
        """What is left, or its first characters."""
        return self.text[self.at :] if n_chars is None else self.text[self.at : self.at + n_chars]

    def take(self, n_chars: int) -> str:
        """Go on by so many characters, and return them."""
        taken = self.rest(n_chars)
        self.at += n_chars
        return taken

    def take_all(self) -> str:
        """Go to the end."""
        return self.take(len(self.text) - self.at)

    def match(self, pattern: re.Pattern[str]) -> re.Match[str] | None:
        """Match at the place."""
        return pattern.match(self.text, self.at)

    def take_until(self, pattern: re.Pattern[str]) -> str:
        """Go on to where the pattern is found, or to the end."""
        found = pattern.search(self.text, self.at)
        return self.take((found.start() if found else len(self.text)) - self.at)

    def next_after(self, end: int, most: int = 16) -> str | None:
        """The first character behind `end` that is no blank; "" for none, None if more text is needed to know."""
        behind = self.text[end : end + most]
        if word := behind.lstrip():
            return word[0]
        return "" if self.final or len(behind) == most else None
