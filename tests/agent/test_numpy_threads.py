"""NumPy beside the conversations: no threads of its own."""

import os
import subprocess
import sys

import pytest

PROGRAM = """
import agent, numpy, psutil
numpy.ones((500, 500)) @ numpy.ones((500, 500))
print(psutil.Process().num_threads())
"""


def threads_of(**environment: str) -> int:
    """How many threads the program has after a multiplication."""
    clean = {name: value for name, value in os.environ.items() if name != "OPENBLAS_NUM_THREADS"}
    command = [sys.executable, "-c", PROGRAM]
    result = subprocess.run(command, env=clean | environment, capture_output=True, text=True, timeout=60, check=True)
    return int(result.stdout)


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the interpreter may have threads of its own")
def test_numpy_multiplies_without_threads_that_wait_on_a_core() -> None:
    assert threads_of() == 1


@pytest.mark.skipif(
    sys.platform != "linux" or len(os.sched_getaffinity(0)) < 2, reason="needs Linux and two cores for this process"
)
def test_whoever_wants_numpy_to_have_threads_says_so() -> None:
    assert threads_of(OPENBLAS_NUM_THREADS="2") == 2
