"""How many of the machine's cores a model may use."""

import os


def half_of_the_cores(threads: int = 0) -> int:
    """The number of threads asked for; 0 stands for half of the cores, so that the event loop keeps one."""
    return threads or max(1, (os.cpu_count() or 2) // 2)
