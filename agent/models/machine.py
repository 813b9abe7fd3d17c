"""What this machine can carry: the cores and the memory that a process may use here."""

import os
import sys
from dataclasses import dataclass
from pathlib import Path

CGROUP = Path("/sys/fs/cgroup")  # version 2; what a container is allowed


@dataclass(frozen=True)
class Machine:
    """Cores and memory.

    Attributes:
        cores: At least 1.
        memory_bytes: 0 where it cannot be found out.
    """

    cores: int
    memory_bytes: int


def this_machine(cgroup: Path = CGROUP) -> Machine:
    """Look; a container's limits count before the hardware."""
    quota, _, period = _limit(cgroup / "cpu.max").partition(" ")
    cores = [_usable_cores()]
    if quota.isdigit() and period.isdigit() and int(period):
        cores.append(max(1, int(quota) // int(period)))
    memory = [_physical_memory_bytes()]
    if (limit := _limit(cgroup / "memory.max")).isdigit():
        memory.append(int(limit))
    return Machine(min(cores), min(filter(None, memory), default=0))


def _limit(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii").strip()
    except (OSError, ValueError):
        return ""


def _usable_cores() -> int:
    if sys.platform == "linux":
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


if sys.platform == "win32":
    import ctypes

    class _MemoryStatus(ctypes.Structure):
        """MEMORYSTATUSEX of the Windows API."""

        _fields_ = (
            ("length", ctypes.c_ulong),
            ("load_percent", ctypes.c_ulong),
            *((name, ctypes.c_ulonglong) for name in ("physical", "free", "page", "free_page", "virtual")),
            *((name, ctypes.c_ulonglong) for name in ("free_virtual", "free_extended")),
        )

    def _physical_memory_bytes() -> int:
        status = _MemoryStatus(length=ctypes.sizeof(_MemoryStatus))
        return status.physical if ctypes.windll.kernel32.GlobalMemoryStatusEx(ctypes.byref(status)) else 0
else:

    def _physical_memory_bytes() -> int:
        try:
            return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
        except (ValueError, OSError):
            return 0
