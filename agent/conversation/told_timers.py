"""The user's timers in one conversation: it tells what becomes of them, and says which are due."""

from collections.abc import Callable

from agent.conversation.speaking_up import SpeakingUp
from agent.tools.reflexes import Reflexes
from agent.tools.timers import Timer, TimerBook


class ToldTimers:
    """Follows a book of timers.

    Args:
        book: The user's; None: one of this conversation's own, which ends with it.
        speaking_up: Says what is to be said unasked.
        words: Gives what is said.
        tell: Emits an event.
        report: Tells of what is wrong: stage and message.
    """

    def __init__(
        self,
        book: TimerBook | None,
        speaking_up: SpeakingUp,
        words: Callable[[], Reflexes],
        tell: Callable[..., None],
        report: Callable[[str, str], None],
    ) -> None:
        self._is_own = book is None
        self.book = book or TimerBook()
        self._speaking_up = speaking_up
        self._words = words
        self._tell = tell
        self._report = report

    def begin(self) -> None:
        """Follow; what was missed while nobody was there is said first."""
        self.book.changed.append(self._changed)
        self.book.failed.append(self._failed)
        if self.book.problem:
            self._failed(self.book.problem)
        self.book.watch()
        while self.book.missed:
            self._speaking_up.add(self._words().missed_words(self.book.missed.pop(0)))

    def end(self) -> None:
        """Follow no more."""
        self.book.changed.remove(self._changed)
        self.book.failed.remove(self._failed)
        if self._is_own:
            self.book.stop()

    def _changed(self, change: str, timer: Timer) -> None:
        left_secs = round(timer.left_secs(self.book.now_secs()), 1)
        self._tell(f"timer_{change}", number=timer.number, label=timer.label, left_secs=left_secs)
        if change == "due":
            self._speaking_up.add(self._words().due_words(timer))

    def _failed(self, problem: str) -> None:
        self._report("timers", problem)
