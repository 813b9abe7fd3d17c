"""Tokens that a signed webhook hands out, each for one stream that begins soon.

In:  the line's name.   Out: a token; later, whether it was one of this line's, once.
"""

import secrets
import time
from collections import OrderedDict

# A provider connects within a second or two.
TOKEN_SECS = 60.0
TOKEN_BYTES = 24
MAX_TOKENS = 256


class StreamTokens:
    """Those of all lines."""

    def __init__(self) -> None:
        self._given: OrderedDict[str, tuple[str, float]] = OrderedDict()

    def give(self, line: str) -> str:
        """A new one; letters and digits alone.

        Args:
            line: Whose.
        """
        self._forget_old()
        token = secrets.token_hex(TOKEN_BYTES)
        self._given[token] = (line, time.monotonic())
        while len(self._given) > MAX_TOKENS:
            self._given.popitem(last=False)
        return token

    def take(self, token: str, line: str) -> bool:
        """Whether it is a token of this line's that nobody has used; nobody can from now on."""
        self._forget_old()
        # Found by its value: whoever measures how long that takes has to guess 24 bytes all the same.
        return self._given.pop(token, ("", 0.0))[0] == line

    def _forget_old(self) -> None:
        now_secs = time.monotonic()
        while self._given:
            token, (_, given_secs) = next(iter(self._given.items()))
            if now_secs - given_secs <= TOKEN_SECS:
                return
            del self._given[token]
