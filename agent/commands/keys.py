"""Keys of the desktop conversation: single characters from the terminal, without Enter.

In:  what is typed.   Out: a call per character, on the event loop; the terminal is as it was when it ends.
"""

import asyncio
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

OnKey = Callable[[str], None]

POLL_SECS = 0.05
# A key that is held repeats itself about every 30 ms, after half a second; one that was let go does not.
RELEASED_SECS = 0.2


@contextmanager
def keys_read(on_key: OnKey) -> Iterator[bool]:
    """Read keys within the block, if standard input is a terminal of ours.

    Args:
        on_key: Called with each character.

    Yields:
        Whether keys are read.
    """
    if sys.stdin is None or not sys.stdin.isatty():
        yield False
    elif sys.platform == "win32":
        with _windows_keys(on_key):
            yield True
    else:
        with _posix_keys(on_key) as reading:
            yield reading


@contextmanager
def _posix_keys(on_key: OnKey) -> Iterator[bool]:
    import termios
    import tty

    terminal = sys.stdin.fileno()
    if _in_background(terminal):
        # In the background; touching the terminal would stop the process.
        yield False
        return
    loop = asyncio.get_running_loop()
    before = termios.tcgetattr(terminal)

    def read() -> None:
        try:
            typed = os.read(terminal, 64)
        except OSError:
            typed = b""
        if not typed:
            # The terminal has gone.
            loop.remove_reader(terminal)
        for key in typed.decode(errors="ignore"):
            on_key(key)

    # Ctrl-C stays a signal.
    tty.setcbreak(terminal)
    loop.add_reader(terminal, read)
    try:
        yield True
    finally:
        loop.remove_reader(terminal)
        termios.tcsetattr(terminal, termios.TCSADRAIN, before)


def _in_background(terminal: int) -> bool:
    if sys.platform == "win32":
        return False
    try:
        return os.tcgetpgrp(terminal) != os.getpgrp()
    except OSError:
        # It is not the terminal that controls this process.
        return False


@contextmanager
def _windows_keys(on_key: OnKey) -> Iterator[None]:
    async def poll() -> None:
        if sys.platform == "win32":
            import msvcrt

            while True:
                while msvcrt.kbhit():
                    on_key(msvcrt.getwch())
                await asyncio.sleep(POLL_SECS)

    polling = asyncio.get_running_loop().create_task(poll())
    try:
        yield
    finally:
        polling.cancel()


class PushToTalkKey:
    """Tells a key that is held from one that is tapped; terminals say when a key goes down, never when it comes up.

    A first press begins; a further one ends, a moment later, unless another follows: then the key is being held and
    the end comes when no more follow.

    Args:
        on_change: Called with whether the user is talking.
    """

    def __init__(self, on_change: Callable[[bool], None]) -> None:
        self._on_change = on_change
        self._ending: asyncio.TimerHandle | None = None
        self.active = False

    def press(self) -> None:
        """Take one press; call it on the event loop."""
        if not self.active:
            self.active = True
            self._on_change(True)
            return
        self._forget()
        self._ending = asyncio.get_running_loop().call_later(RELEASED_SECS, self._end)

    def leave(self) -> None:
        """End without telling."""
        self._forget()
        self.active = False

    def _end(self) -> None:
        self._ending = None
        self.active = False
        self._on_change(False)

    def _forget(self) -> None:
        if self._ending:
            self._ending.cancel()
            self._ending = None
