"""The text guard: what was recognized while the agent spoke may be its own words coming back.

In:  the agent's words as they are played; recognized text.   Out: whether the text is the agent's echo.

Works on every transport, where a browser's canceller fails too. Three or more words are an echo when enough of them
stand, in order and close together, in what the agent has just said; words may have been misheard. An answer that picks
up a choice of the agent's is never taken for one: it begins after the words that it repeats, an echo with them. Where
the time is not known, a few words out of a question, or out of a choice, count as an answer.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher

from processors.text.bare_words import bare

MIN_WORDS = 3
CONTAINMENT = 0.6
# The time is evidence too.
TIMED_CONTAINMENT = 0.5
# Two words are taken for one misheard when so much of their letters agree.
_SAME_WORD = 0.7
# As far back as an echo reaches, seconds before the latest word.
REACH_SECS = 20.0
MAX_WORDS = 200
# Speech that starts so long after the agent's last word is the user's.
AFTER_SECS = 1.0
# The words of an echo are played while it is heard; those of an answer were played before it.
EARLIER_SECS = 0.5
# On a busy machine the microphone's sound is late, by more than that.
DOUBTED_EARLIER_SECS = 1.5
# An answer repeats at most so many words of a question; fewer where the agent only counted things up.
_MOST_CHOSEN_WORDS = 6
_MOST_COUNTED_WORDS = 4
_COUNTED = frozenset(
    "one ones first second third fourth last latter former both primero segundo último erste zweite letzte premier "
    "deuxième dernier".split()
)
_OR = frozenset("or oder ou o oppure of eller lub или ή 还是 または 아니면".split())
_QUESTION_MARKS = ("?", "？", "؟", ";")
_SENTENCE_MARKS = (".", "!", "…", "。", "！", *_QUESTION_MARKS)
_CLOSERS = "\"'”’)]»"


@dataclass(frozen=True)
class _SaidWord:
    bare: str
    at_secs: float
    sentence: int


class EchoGuard:
    """What the agent has said lately, and whether a text is that again."""

    def __init__(self) -> None:
        self._said: deque[_SaidWord] = deque(maxlen=MAX_WORDS)
        self._sentence = 0
        # Sentences that ask, or offer a choice.
        self._offers: set[int] = set()

    def agent_said(self, words: str | Sequence[str], at_secs: float) -> None:
        """The agent's words have been played.

        Args:
            words: A word, several, or a text, with its punctuation.
            at_secs: When they began to sound, on any clock that `is_echo` is told the time of too.
        """
        for word in words.split() if isinstance(words, str) else words:
            closed = word.rstrip(_CLOSERS)
            for part in bare(word).split():
                if part in _OR:
                    self._offers.add(self._sentence)
                self._said.append(_SaidWord(part, at_secs, self._sentence))
            if closed.endswith(_QUESTION_MARKS):
                self._offers.add(self._sentence)
            if closed.endswith(_SENTENCE_MARKS):
                self._sentence += 1
        while self._said and self._said[0].at_secs < at_secs - REACH_SECS:
            self._said.popleft()
        # A question whose words are no longer known answers for nothing.
        oldest = self._said[0].sentence if self._said else self._sentence
        self._offers = {sentence for sentence in self._offers if sentence >= oldest}

    def is_echo(self, text: str, started_secs: float | None = None, *, doubted: bool = False) -> bool:
        """Whether a text that was recognized over the agent, or within 1 s after it, is its echo.

        Args:
            text: What was recognized.
            started_secs: When that speech began, on the clock of `agent_said`; None where it is not known.
            doubted: Whether the echo may account for what was heard; then fewer words are enough if the time is known.

        Returns:
            True only for three words or more, unless it is doubted.
        """
        words = bare(text).split()
        min_words = 1 if doubted and started_secs is not None else MIN_WORDS
        if len(words) < min_words or not self._said:
            return False
        said = list(self._said)
        if started_secs is not None:
            if started_secs > said[-1].at_secs + AFTER_SECS + _span_secs(said):
                return False
            earlier_secs = DOUBTED_EARLIER_SECS if doubted else EARLIER_SECS
            said = [word for word in said if word.at_secs >= started_secs - earlier_secs]
        found = _closest(words, said)
        if started_secs is not None:
            return len(found) >= TIMED_CONTAINMENT * len(words)
        return len(found) >= CONTAINMENT * len(words) and not self._may_choose(words, found)

    def _may_choose(self, words: list[str], found: list[_SaidWord]) -> bool:
        """Whether it may be one of the agent's choices, repeated."""
        if _OR.intersection(words):
            return False
        asked = any(sentence >= found[0].sentence for sentence in self._offers)
        counted = len(words) <= _MOST_COUNTED_WORDS and not _COUNTED.isdisjoint(words)
        return counted or (asked and len(words) <= _MOST_CHOSEN_WORDS)


def _span_secs(said: list[_SaidWord]) -> float:
    """How long the last word may sound: words told together share one time."""
    n_together = sum(word.at_secs == said[-1].at_secs for word in said)
    return 0.4 * n_together


def _closest(words: list[str], said: list[_SaidWord]) -> list[_SaidWord]:
    """The longest run of the words, in order, within any stretch of the agent's that is little longer than they."""
    best: list[_SaidWord] = []
    stretch = len(words) + max(1, len(words) // 3)
    alike = {(word, other): _same(word, other) for word in set(words) for other in {item.bare for item in said}}
    for start in range(len(said)):
        found = _in_order(words, said[start : start + stretch], alike)
        if len(found) > len(best):
            best = found
    return best


def _in_order(words: list[str], said: list[_SaidWord], alike: dict[tuple[str, str], bool]) -> list[_SaidWord]:
    """The longest common subsequence, as the agent's words."""
    lengths = [[0] * (len(said) + 1) for _ in range(len(words) + 1)]
    for i, word in enumerate(words):
        for j, other in enumerate(said):
            one = alike[word, other.bare]
            lengths[i + 1][j + 1] = lengths[i][j] + 1 if one else max(lengths[i][j + 1], lengths[i + 1][j])
    found: list[_SaidWord] = []
    i, j = len(words), len(said)
    while i and j:
        if alike[words[i - 1], said[j - 1].bare] and lengths[i][j] == lengths[i - 1][j - 1] + 1:
            found.append(said[j - 1])
            i, j = i - 1, j - 1
        elif lengths[i - 1][j] >= lengths[i][j - 1]:
            i -= 1
        else:
            j -= 1
    return found[::-1]


def _same(word: str, other: str) -> bool:
    if word == other:
        return True
    # Short words that differ are other words.
    if min(len(word), len(other)) < 4:
        return False
    matcher = SequenceMatcher(None, word, other, autojunk=False)
    return matcher.quick_ratio() >= _SAME_WORD and matcher.ratio() >= _SAME_WORD
