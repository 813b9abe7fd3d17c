"""How urgently the voice needs its next words: by what it was given, and by how the tokens come.

In:  when tokens came and pieces of speech were handed on.   Out: when the voice will have nothing more to say.
"""

from processors.text.joints import Joint

# A sentence that may be complete is spoken when no token follows it for this long.
STALL_SECS = 0.2
# Behind a dot, "com" may follow.
DOT_STALL_SECS = 0.6
# And no sooner than after so many times the longest wait between two tokens of the response.
LONGEST_WAITS = 3.0
# When the voice has had nothing to say for so long, a piece may end within a clause.
PATIENCE_SECS = {Joint.NATURAL: 0.15, Joint.POSSIBLE: 0.3}
# A word is spoken in about this time.
WORD_SECS = 0.3
# Making the sound of the next piece may take this long.
LEAD_SECS = 0.3


class SpeechPace:
    """The pace of one response; times are those of one clock, in seconds."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Another response begins with the next token."""
        self._latest_token_secs: float | None = None
        self._longest_wait_secs = 0.0
        self._spoken_until_secs = float("-inf")

    def note_token(self, now_secs: float) -> None:
        """A token came."""
        if self._latest_token_secs is None:
            self._spoken_until_secs = max(self._spoken_until_secs, now_secs + LEAD_SECS)
        else:
            self._longest_wait_secs = max(self._longest_wait_secs, now_secs - self._latest_token_secs)
        self._latest_token_secs = now_secs

    def note_piece(self, now_secs: float, text: str) -> None:
        """A piece was handed on: it is spoken behind those before it."""
        n_words = sum(any(map(str.isalnum, word)) for word in text.split())
        self._spoken_until_secs = max(self._spoken_until_secs, now_secs) + n_words * WORD_SECS

    def stall_secs(self, behind_dot: bool) -> float:
        """After how long without a token a sentence counts as complete."""
        return max(DOT_STALL_SECS if behind_dot else STALL_SECS, LONGEST_WAITS * self._longest_wait_secs)

    def short_of_speech_at(self, joint: Joint) -> float:
        """From when on a piece may end at such a joint, lest the voice fall silent."""
        return self._spoken_until_secs - LEAD_SECS + PATIENCE_SECS[joint]
