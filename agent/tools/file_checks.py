"""Whether a file's text is what its name says: Python that parses, JSON that can be read.

In:  a name and a text.   Out: nothing, or a ToolError with the line that is wrong.

A process of its own parses: parsers hold the interpreter's lock, and what is nested deep has crashed them.
"""

import subprocess
import sys

from agent.tools.file_names import ending
from agent.tools.tool import ToolError

CHECK_SECS = 5.0
_NAMES = {".py": "Python", ".json": "JSON"}
_PYTHON = """
import ast, sys
try:
    ast.parse(sys.stdin.buffer.read())
except SyntaxError as error:
    print(f"line {error.lineno}: {error.msg}")
except (ValueError, RecursionError, MemoryError) as error:
    print(str(error) or "it is nested too deep")
"""
_JSON = """
import json, sys
def refuse(name):
    raise ValueError(f"{name} is no JSON")
try:
    json.loads(sys.stdin.buffer.read(), parse_constant=refuse)
except RecursionError:
    print("it is nested too deep")
except ValueError as error:
    print(error)
"""
_SOURCES = {".py": _PYTHON, ".json": _JSON}


def check(name: str, content: bytes) -> None:
    """Check what is to be written; blocks, for some tens of milliseconds.

    Args:
        name: The file's; only .py and .json are checked.
        content: All that the file is going to hold, UTF-8.

    Raises:
        ToolError: It is not what the name says.
    """
    kind = ending(name)
    if kind not in _SOURCES:
        return
    command = [sys.executable, "-I", "-S", "-X", "utf8", "-c", _SOURCES[kind]]
    try:
        done = subprocess.run(command, input=content, capture_output=True, timeout=CHECK_SECS, check=False)
    except subprocess.TimeoutExpired:
        raise ToolError(f"{name} was not written: it could not be checked within {CHECK_SECS:g} seconds") from None
    problem = " ".join(done.stdout.decode("utf-8", "replace").split())
    if problem or done.returncode:
        raise ToolError(f"{name} was not written, for it is no valid {_NAMES[kind]}: {problem or 'the parser failed'}")
