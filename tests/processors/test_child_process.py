"""Processes of engines and the program's end, each in a program of its own, since an end is for good."""

import subprocess
import sys

import psutil

PROGRAM = """
import os, sys
from processors.child_process import kill_children, start_child
from processors.errors import EngineUnavailableError
# It works, and does not look at its standard input.
child = start_child([sys.executable, "-c", "print('at work', flush=True)\\nwhile True: pass"])
child.stdout.readline()
kill_children()
try:
    start_child([sys.executable, "-c", ""])
except EngineUnavailableError as error:
    print(child.pid, child.returncode, error, flush=True)
os._exit(0)
"""


DECODING = """
import os, threading
from processors.child_process import kill_children
from processors.errors import EngineError
from processors.stt.pocketsphinx_process import PocketSphinxProcess
from processors.stt.pocketsphinx_worker import ACCEPT
process = PocketSphinxProcess()
told, at_work = [], threading.Event()
def decode():
    try:
        while True:
            process.request(ACCEPT, 1, bytes(32000))
            at_work.set()
    except EngineError as error:
        told.append(str(error))
decoding = threading.Thread(target=decode)
decoding.start()
at_work.wait(20)
kill_children()
decoding.join(20)
print(told, flush=True)
os._exit(0)
"""


def test_an_engine_whose_process_was_ended_with_the_program_starts_no_other() -> None:
    result = subprocess.run([sys.executable, "-c", DECODING], capture_output=True, text=True, timeout=60, check=True)
    assert result.stdout.strip() == "['the program is ending']"
    assert "Traceback" not in result.stderr


def test_a_process_at_work_does_not_outlive_the_program_and_none_takes_its_place() -> None:
    result = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=30, check=True)
    pid, status, error = result.stdout.split(maxsplit=2)
    assert status != "0"
    assert error.strip() == "the program is ending"
    assert not psutil.pid_exists(int(pid))
