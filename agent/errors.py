"""Errors that stop a command, each one line long: what, which value, and what mends it.

SottoError        a command cannot go on
  SettingsError   a setting is unknown or invalid
  InputError      a file or argument that the user gave is missing or broken
"""

import traceback
from pathlib import Path

MAX_MESSAGE_CHARS = 800


def one_line(text: str, most_chars: int = MAX_MESSAGE_CHARS) -> str:
    """A message in one line of bounded length, whatever values it repeats.

    Args:
        text: Its line ends become spaces, what cannot be printed becomes an escape, and of a very long one the middle
            goes: the beginning says what, the end says what mends it.
        most_chars: So many at most.
    """
    words = " ".join(_shortened(text, most_chars).split())
    # An escape is longer than what it stands for.
    return _shortened("".join(one if one.isprintable() else ascii(one)[1:-1] for one in words), most_chars)


def crash(error: BaseException) -> str:
    """What a fault of a program is called, and where it happened; its own text may hold tokens and what was said."""
    frames = traceback.extract_tb(error.__traceback__)
    place = f" at {Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else ""
    return f"{type(error).__name__}{place}"


def _shortened(text: str, most_chars: int) -> str:
    if len(text) <= most_chars:
        return text
    n_kept = (most_chars - 1) // 2
    return f"{text[:n_kept]}…{text[-n_kept:]}"


class SottoError(Exception):
    """A command cannot go on; the message is one line for the user. Exit status 1."""

    exit_status = 1

    def __init__(self, message: str = "") -> None:
        super().__init__(one_line(message))


class SettingsError(SottoError):
    """A setting is unknown or invalid; the message names its key. Exit status 2."""

    exit_status = 2


class InputError(SottoError):
    """A file or argument is missing or broken; the message names it. Exit status 2."""

    exit_status = 2
