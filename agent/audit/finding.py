"""One thing that a program did and that its user would want to know of."""

import ipaddress
import textwrap
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Literal

Kind = Literal["file", "look-up", "connection", "variable"]

# The system's C library and the interpreter stand beneath every call and are nobody's idea.
_BENEATH = ("libc.so", "libc-", "libpthread", "ld-linux", "libpython", "python3", "libresolv", "libstdc++", "vdso")

SHOWN_COMMAND = 160  # characters

OWN = "sotto"
_ROOT = Path(__file__).resolve().parents[2]
_OWN_ROOMS = [_ROOT / room for room in ("agent", "processors", "transports")]


@dataclass(frozen=True)
class Finding:
    """A file written, a name looked up, an address called, or an environment variable read that can lead out.

    Attributes:
        kind: Which of them.
        subject: The path, the name, `address:port`, or the variable.
        process: The command line of the process; empty where unknown.
        stack: Who called whom, innermost first: Python's `file:line function`, or a shared library with its function.
    """

    kind: Kind
    subject: str
    process: str = ""
    stack: tuple[str, ...] = ()

    @property
    def culprit(self) -> str:
        """The library behind it, by its folder among the installed packages, or sotto; empty where unknown."""
        for frame in self.stack:
            path = PurePath(frame.partition("(")[0].partition(".py:")[0])
            if any(path.name.startswith(beneath) for beneath in _BENEATH):
                continue
            if any(path.is_relative_to(room) for room in _OWN_ROOMS):
                return OWN
            for folder in ("site-packages", "dist-packages"):
                if folder in path.parts[:-1]:
                    return path.parts[path.parts.index(folder) + 1]
        return ""

    @property
    def by(self) -> str:
        """The library behind it, in words: native code on a thread of its own leaves nobody's name."""
        return self.culprit or ("unknown" if self.stack else "unknown (native)")

    def __str__(self) -> str:
        what = {"file": "wrote", "look-up": "looked up", "connection": "called", "variable": "read"}[self.kind]
        by = f" by {self.culprit}" if self.culprit else ""
        process = " ".join(self.process.split()) or "an unknown process"
        return f"{what} {self.subject}{by} (in: {textwrap.shorten(process, SHOWN_COMMAND)})"


def is_loopback(address: str) -> bool:
    """Whether an IP address, IPv6 or mapped IPv4 too, stays on this machine; the unspecified one does."""
    ip = ipaddress.ip_address(address.partition("%")[0])
    mapped = ip.ipv4_mapped if isinstance(ip, ipaddress.IPv6Address) else None
    ip = mapped or ip
    return ip.is_loopback or ip.is_unspecified
