"""How far a text has been taken, counted in the characters that came, though some of them cannot be seen.

In:  tokens.   Out: the same without what cannot be seen.
"""

from bisect import bisect_right

from processors.text.speakable_characters import drop_invisible


class SourcePlace:
    """A place in a text that grows."""

    def __init__(self) -> None:
        # In characters that can be seen: how many came, how many were taken, and where others stood between them.
        self._n_shown = self._n_taken = 0
        self._dropped: list[int] = []

    @property
    def taken(self) -> int:
        """How many characters, as they came, lie before the place."""
        return self._n_taken + bisect_right(self._dropped, self._n_taken)

    def show(self, token: str) -> str:
        """Add a token, and return it without the characters that cannot be seen."""
        shown = drop_invisible(token)
        if len(shown) < len(token):
            at = self._n_shown
            for character in token:
                if drop_invisible(character):
                    at += 1
                else:
                    self._dropped.append(at)
        self._n_shown += len(shown)
        return shown

    def take(self, n_shown: int) -> None:
        """Go on by so many characters that can be seen."""
        self._n_taken += n_shown
