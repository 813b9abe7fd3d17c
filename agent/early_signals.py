"""Signals in the first seconds of a command, while it is being imported and nothing is open yet: they end it at once.

In:  SIGINT, SIGTERM.   Out: the exit status that a shell gives a process which a signal ended, and no traceback.
Light enough to be imported before everything else. A command that has something to put in order takes the signals over:
`agent.stopping.stop_on_signals`, or `raising_on_signals` here.
"""

import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM)
# 130 for Ctrl-C and 143 for SIGTERM, as POSIX shells have it.
SIGNALLED_STATUS = 128
MODULE = "agent.cli"
COMMAND = "sotto"


def is_command() -> bool:
    """Whether this process is the `sotto` command, and not a program or a test that imports its packages."""
    name = sys.argv[0] if sys.argv else ""
    if name == "-m":
        return MODULE in sys.orig_argv
    return os.path.basename(name).split(".")[0].removesuffix("-script") == COMMAND


def end_on_signals(first: Callable[[], None] | None = None) -> None:
    """Let both signals end the process at once; one that whoever started it had ignored stays ignored.

    Args:
        first: Called before the end, in the middle of whatever is at work.
    """

    def end(number: int, _: FrameType | None) -> None:
        if first:
            first()
        # An exception would be lost in a library's import or turned into another, and threads that load are waited for.
        os._exit(SIGNALLED_STATUS + number)

    for number in SIGNALS:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, end)


@contextmanager
def raising_on_signals() -> Iterator[None]:
    """Within it the signals raise, so that what is open is closed: KeyboardInterrupt, or SystemExit of 143."""

    def leave(number: int, _: FrameType | None) -> None:
        raise SystemExit(SIGNALLED_STATUS + number)

    before = {number: signal.getsignal(number) for number in SIGNALS}
    meanwhile = {signal.SIGINT: signal.default_int_handler, signal.SIGTERM: leave}
    try:
        for number, handler in meanwhile.items():
            if before[number] is not signal.SIG_IGN:
                signal.signal(number, handler)
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
