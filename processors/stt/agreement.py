"""LocalAgreement-2: words that two successive hypotheses of a growing sound agree on are committed.

Source: Macháček et al. 2023, "Turning Whisper into Real-Time Transcription System" (arXiv 2307.14743), after
Liu et al. 2020 (arXiv 2005.11185). What is committed is never taken back.
"""

from processors.text.bare_words import bare


class LocalAgreement:
    """The committed words of one utterance."""

    def __init__(self) -> None:
        self._committed: list[str] = []
        self._previous: list[str] = []

    @property
    def text(self) -> str:
        """What is committed so far."""
        return " ".join(self._committed)

    def add(self, hypothesis: str) -> str:
        """Take the next hypothesis about the whole utterance so far.

        Returns:
            What is committed now.
        """
        words = hypothesis.split()
        agreed = 0
        for old, new in zip(self._previous, words, strict=False):
            if bare(old) != bare(new):
                break
            agreed += 1
        self._previous = words
        n_committed = len(self._committed)
        same_beginning = all(bare(a) == bare(b) for a, b in zip(self._committed, words[:n_committed], strict=False))
        if agreed > n_committed and same_beginning:
            self._committed += words[n_committed:agreed]
        return self.text
