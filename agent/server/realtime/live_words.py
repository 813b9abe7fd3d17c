"""What was understood of a turn, told while it is spoken: only words that have stood twice in a row.

In:  guesses at the words so far, then all words.   Out: pieces that follow one another.
Source: LocalAgreement-2 (arXiv 2307.14743). What was told cannot be taken back: words that are understood otherwise in
the end are told with the whole turn alone.
"""


class LiveWords:
    """Those of one turn after another."""

    def __init__(self) -> None:
        self._told: list[str] = []
        self._latest: list[str] = []

    def guess(self, text: str) -> str:
        """The words so far, as they are understood now.

        Args:
            text: Of the whole turn.

        Returns:
            What may be told now; may be empty.
        """
        words = text.split()
        agreed = _common(words, self._latest)
        self._latest = words
        return self._tell(agreed)

    def end(self, text: str) -> str:
        """All words of the turn; the next one begins.

        Args:
            text: Of the whole turn.

        Returns:
            What is left to tell; empty, too, where something else was told before.
        """
        rest = self._tell(text.split())
        self.forget()
        return rest

    def forget(self) -> None:
        """It was no turn."""
        self._told, self._latest = [], []

    def _tell(self, words: list[str]) -> str:
        n_told = len(self._told)
        if len(words) <= n_told or words[:n_told] != self._told:
            return ""
        self._told = words
        return (" " if n_told else "") + " ".join(words[n_told:])


def _common(words: list[str], others: list[str]) -> list[str]:
    n_same = next((at for at, pair in enumerate(zip(words, others, strict=False)) if pair[0] != pair[1]), None)
    return words[: min(len(words), len(others)) if n_same is None else n_same]
