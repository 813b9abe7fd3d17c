"""How the CPU time of work that C does, such as searching by patterns, grows; what Python does is counted instead."""

import gc
import time
from collections.abc import Callable

# Sixteen times the input: sixteen times the work where it is linear, 256 times where it is quadratic. Between the two
# lies a factor of sixteen; a neighbour on the same core takes less than half of what a thread can do.
TIMES = 16
MOST = 64
# Below it, a clock says little about work.
NOISE_SECS = 0.001


def thread_secs(work: Callable[[], object]) -> float:
    """CPU time of this thread alone, without collecting what earlier tests have left: the least disturbed of three."""
    took_secs: list[float] = []
    gc.disable()
    try:
        while len(took_secs) < 3 and sum(took_secs) < 0.3:
            began_secs = time.thread_time()
            work()
            took_secs.append(time.thread_time() - began_secs)
    finally:
        gc.enable()
    return min(took_secs)


def growth(work: Callable[[str], object], unit: str, n_chars: int) -> float:
    """How many times longer a text takes than one of a sixteenth of its length; `MOST` lies between line and square.

    Args:
        work: What is done with a text.
        unit: What the text repeats.
        n_chars: Length of the longer one.
    """
    short, long = ((unit * n)[:n] for n in (n_chars // TIMES, n_chars))
    # Once beforehand, for what is made only once.
    work(short)
    return thread_secs(lambda: work(long)) / max(thread_secs(lambda: work(short)), NOISE_SECS)
