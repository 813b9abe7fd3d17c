"""The speeds of engines that were measured on this machine, kept between starts.

In:  a candidate, and the engine once it is loaded.   Out: its Speed.

The file holds names of engines and models, versions, and seconds; nothing of what anybody said. It may be deleted at
any time, and is written anew where it cannot be read.
"""

import json
import os
import platform
import tempfile
import threading
from collections.abc import Sequence
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from loguru import logger

from agent.engines.candidates import Candidate
from agent.engines.measure import measure
from agent.engines.speed import Speed, too_slow
from agent.settings.load import Settings, cache_folder

NAME = "speeds.json"
# What runs the models: another version may be faster or slower.
_LIBRARIES = ("ctranslate2", "onnxruntime", "sherpa-onnx", "pocketsphinx", "xllamacpp")
_CPU_NAMES = Path("/proc/cpuinfo")
# Measurements in one process would slow each other down.
_ALONE = threading.Lock()


def known_speeds(settings: Settings) -> "KnownSpeeds":
    """Those of this user's cache, for the threads and the device of the settings."""
    how = f"{settings.compute.device}, stt {settings.stt.threads} threads, llm {settings.llm.threads} threads"
    return KnownSpeeds(cache_folder() / NAME, how)


class KnownSpeeds:
    """Measures each engine once, and remembers.

    Args:
        path: The file; it need not exist, and a folder that cannot be written costs the next start a measurement.
        how: What else makes engines fast or slow, such as the device and the number of threads.
    """

    def __init__(self, path: Path, how: str = "") -> None:
        self._path = path
        self._how = how
        self._speeds = _read(path)

    def known(self, stage: str, candidate: Candidate[Any]) -> Speed | None:
        """What was measured of a candidate; None where nothing was."""
        return self._speeds.get(self._key(stage, candidate))

    def decides(self, stage: str, candidates: Sequence[Candidate[Any]]) -> bool:
        """Whether the choice of a stage takes no measurement."""
        for candidate in candidates:
            if not candidate.usable:
                continue
            speed = self.known(stage, candidate)
            if speed is None:
                return not candidate.measurable
            if not too_slow(stage, speed):
                return True
        return True

    def of(self, stage: str, candidate: Candidate[Any], engine: Any) -> Speed | None:
        """The speed of a loaded and warmed-up engine; None where it cannot be measured. Blocks.

        Raises:
            EngineUnavailableError: The engine fails on a short sentence.
        """
        if not candidate.measurable:
            return None
        speed = self.known(stage, candidate)
        if speed is None:
            with _ALONE:
                speed = measure(engine)
            # What a busy machine says against an engine is not held against it for ever.
            if speed is not None and not (too_slow(stage, speed) and self.are_doubtful()):
                self._speeds[self._key(stage, candidate)] = speed
                self._write()
        return speed

    def are_doubtful(self) -> bool:
        """Whether other programs have been keeping the machine's cores; where that cannot be asked, no."""
        return hasattr(os, "getloadavg") and os.getloadavg()[0] > (os.cpu_count() or 1)

    def _key(self, stage: str, candidate: Candidate[Any]) -> str:
        about = (stage, candidate.engine, candidate.model or "", candidate.weights, self._how, _machine())
        return " | ".join(about)

    def _write(self) -> None:
        # What another process has measured meanwhile stays.
        self._speeds = _read(self._path) | self._speeds
        text = json.dumps({key: [one.first_secs, one.factor] for key, one in self._speeds.items()}, indent=1)
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            handle, name = tempfile.mkstemp(dir=self._path.parent, prefix=f".{NAME}")
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                file.write(text + "\n")
            Path(name).replace(self._path)
        except OSError as error:
            logger.debug(f"speeds are not remembered: {self._path}: {error}")


def _read(path: Path) -> dict[str, Speed]:
    try:
        entries = json.loads(path.read_text(encoding="utf-8"))
        return {str(key): Speed(float(first), float(factor)) for key, (first, factor) in entries.items()}
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, TypeError, AttributeError) as error:
        logger.debug(f"speeds are measured anew: {path}: {error}")
        return {}


@cache
def _machine() -> str:
    """The processor, its cores, and the versions of what runs models on it."""
    lines = _CPU_NAMES.read_text(errors="replace").splitlines() if _CPU_NAMES.is_file() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    processor = names[0] if names else platform.processor() or platform.machine()
    return f"{processor}, {os.cpu_count()} cores, " + ", ".join(map(_versioned, _LIBRARIES))


def _versioned(library: str) -> str:
    try:
        return f"{library} {version(library)}"
    except PackageNotFoundError:
        return f"no {library}"
