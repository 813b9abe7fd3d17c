"""Pictures that were sent ahead of the message that they belong to: kept in memory, a few, for minutes, taken once.

In:  a picture and whose it is.   Out: a mark that nobody can guess; for it the picture, once.

UnknownPictureError    a mark is of no picture that waits
"""

import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from agent.conversation.histories import Owner
from agent.errors import SottoError
from agent.own_names import own_name
from agent.tools.picture import Picture

MAX_OF_ONE = 4
MAX_IN_ALL = 32
MAX_AGE_SECS = 600.0
MAX_MARK_CHARS = 64
GONE = "a picture of this message is not here any more; attach it again"
BLIND = "the language model in use takes no pictures: choose another one (llm.model, llm.images), or send none"
# The stage of what is wrong with a picture that was attached.
PICTURE = "picture"


class UnknownPictureError(SottoError):
    """A mark is of no picture that waits."""


@dataclass(frozen=True)
class _Waiting:
    picture: Picture
    owner: Owner
    since_secs: float


class WaitingPictures:
    """Of one server.

    Args:
        clock: Gives seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._waiting: dict[str, _Waiting] = {}

    def put(self, picture: Picture, owner: Owner) -> str:
        """Keep one; the oldest of its owner goes where he has too many, and the oldest of all where all have.

        Args:
            picture: Checked.
            owner: Whose.

        Returns:
            Its mark.
        """
        oldest_secs = self._clock() - MAX_AGE_SECS
        self._waiting = {mark: one for mark, one in self._waiting.items() if one.since_secs >= oldest_secs}
        own = [mark for mark, one in self._waiting.items() if one.owner == owner]
        for mark in own[: max(0, len(own) + 1 - MAX_OF_ONE)]:
            del self._waiting[mark]
        while len(self._waiting) >= MAX_IN_ALL:
            del self._waiting[next(iter(self._waiting))]
        mark = own_name(lambda: secrets.token_urlsafe(16))
        self._waiting[mark] = _Waiting(picture, owner, self._clock())
        return mark

    def take(self, marks: object) -> list[str]:
        """The pictures of these marks as data URLs; none of them waits any more.

        Args:
            marks: What a client sent, anything; None stands for none.

        Raises:
            UnknownPictureError: It is no row of marks, or one of them is of no picture; all of them stay.
        """
        if marks is None:
            return []
        if not isinstance(marks, Sequence) or isinstance(marks, str) or len(marks) > MAX_OF_ONE:
            raise UnknownPictureError(f"pictures must be a row of at most {MAX_OF_ONE} marks of POST /api/pictures")
        oldest_secs = self._clock() - MAX_AGE_SECS
        found = [self._waiting.get(mark) if isinstance(mark, str) else None for mark in marks]
        if any(one is None or one.since_secs < oldest_secs for one in found) or len(set(marks)) < len(marks):
            raise UnknownPictureError(GONE)
        return [self._waiting.pop(mark).picture.url for mark in marks]
