"""How long a reply may become, whatever its server thinks of `max_tokens`.

A server that counts tokens ends a reply long before these limits; one that does not would fill the memory.
"""

# Of a token; in the vocabularies of current models the mean is 3 to 5, and only runs of spaces and dashes are longer.
CHARS_PER_TOKEN = 16
# In JSON each character may take six bytes, twice where it is one of a call's arguments, beside the event's own words.
BYTES_PER_CHAR = 12
EVENT_BYTES = 1 << 16


class ReplyBudget:
    """What is left of one reply's room.

    Args:
        max_tokens: What the server was asked to keep to.

    Attributes:
        max_chars: Of text, thoughts and arguments of calls together; as many pieces of them may come.
    """

    def __init__(self, max_tokens: int) -> None:
        self.max_chars = max_tokens * CHARS_PER_TOKEN
        self._n_chars = 0
        self._n_pieces = 0

    @property
    def max_event_bytes(self) -> int:
        """Of one event of the stream, which may hold all of the reply."""
        return self.max_chars * BYTES_PER_CHAR + EVENT_BYTES

    @property
    def spent(self) -> bool:
        """Whether more has come than there was room for."""
        return self._n_chars > self.max_chars or self._n_pieces > self.max_chars

    def take(self, text: str, n_other_chars: int = 0) -> str:
        """Count a piece that says something.

        Args:
            text: Its text.
            n_other_chars: Of whatever else it holds.

        Returns:
            As much of the text as there was room for.
        """
        room = max(0, self.max_chars - self._n_chars)
        self._n_chars += len(text) + n_other_chars
        self._n_pieces += 1
        return text[:room]
