"""Words on their way to being heard: where what is heard was written."""

from collections import deque
from collections.abc import Sequence

from processors.text.bare_words import bare
from processors.text.written_places import WordPlace

# An engine may leave a word out.
REACH_WORDS = 4
# Half an hour of speech; of an engine whose words are never those that were planned, none would be forgotten.
MOST_AHEAD_WORDS = 5_000


class PlannedWords:
    """What is to be heard, in order; what has been passed over, or lies too far back, is forgotten."""

    def __init__(self) -> None:
        self._ahead: deque[WordPlace] = deque(maxlen=MOST_AHEAD_WORDS)

    def plan(self, words: Sequence[WordPlace]) -> None:
        """A piece is going to be spoken."""
        self._ahead.extend(words)

    def hear(self, text: str) -> WordPlace | None:
        """Find what is heard now.

        Args:
            text: A word, or a few.

        Returns:
            Its place; None if it was not planned. What lies before it is not heard any more.
        """
        places = [place for word in text.split() if (place := self._hear_word(bare(word)))]
        if not places or places[0].reply != places[-1].reply:
            return places[-1] if places else None
        return places[-1]._replace(start=places[0].start)

    def _hear_word(self, word: str) -> WordPlace | None:
        for index, place in enumerate(self._ahead):
            # A piece that could not be spoken is passed over whole.
            if (index < REACH_WORDS or place.begins_piece) and word and bare(place.word) == word:
                for _ in range(index):
                    self._ahead.popleft()
                return self._ahead.popleft()
        return None
