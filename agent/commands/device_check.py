"""Whether the sound devices that a command wants are there, told before anything heavy is imported.

In:  names as a user gives them.   Out: nothing, or a DeviceError of one line.
"""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from transports.desktop_devices import load_sounddevice, pick_devices


def check_devices(microphone: str | None, loudspeaker: str | None) -> None:
    """Find both devices; whether they can be opened is another matter.

    Args:
        microphone: Its number or part of its name; None is the system's default.
        loudspeaker: The same of the loudspeaker.

    Raises:
        DeviceError: PortAudio or a device is missing, unknown or ambiguous.
    """
    with libraries_silenced():
        pick_devices(load_sounddevice(), microphone, loudspeaker)


@contextmanager
def libraries_silenced() -> Iterator[None]:
    """Sound libraries write what troubles them straight to file descriptor 2; it would tear the picture."""
    sys.stderr.flush()
    before, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    os.close(nowhere)
    try:
        yield
    finally:
        os.dup2(before, 2)
        os.close(before)
