"""Processes of engines and the program's end, each in a program of its own, since an end is for good."""

import subprocess
import sys

import psutil

PROGRAM = """
import os, sys
from processors.child_process import kill_children, start_child
# It works, and does not look at its standard input.
child = start_child([sys.executable, "-c", "print('at work', flush=True)\\nwhile True: pass"])
child.stdout.readline()
kill_children()
try:
    start_child([sys.executable, "-c", ""])
except OSError as error:
    print(child.pid, child.returncode, error, flush=True)
os._exit(0)
"""


def test_a_process_at_work_does_not_outlive_the_program_and_none_takes_its_place() -> None:
    result = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=30, check=True)
    pid, status, error = result.stdout.split(maxsplit=2)
    assert status != "0"
    assert error.strip() == "the program is ending"
    assert not psutil.pid_exists(int(pid))
