"""Which engine fails next, and how: every fault of the fault table in every stage, in an order made by chance."""

import asyncio
import errno
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from random import Random
from typing import Any, cast
from unittest.mock import patch

from tests.support.fault_table import ENGINE_KINDS, FAULTS, KINDS, Cannot
from tests.support.faulty_engines import SLOW_SECS, Fault
from transports.stereo_file import StereoFile

STAGES = {
    "stt": ENGINE_KINDS["stt", "whisper"],
    "llm": ENGINE_KINDS["llm", "endpoint"],
    "tts": ENGINE_KINDS["tts", "kokoro"],
    "vad": ENGINE_KINDS["vad", "silero"],
    "turn": ENGINE_KINDS["turn", "smart-turn"],
    "recorder": ENGINE_KINDS["recorder", "file"],
}
# What hangs comes back after a while, as a machine does that was out of memory.
HANG_SECS = (15, 45)
ANYBODY = -1


def all_faults() -> list[tuple[str, str]]:
    """(stage, fault) of all that can happen in a conversation."""
    return [
        (stage, name) for stage, kind in STAGES.items() for name in FAULTS if not isinstance(KINDS[kind][name], Cannot)
    ]


@dataclass(frozen=True)
class Struck:
    """A fault that happened.

    Attributes:
        secs: When, on the virtual clock.
        until_secs: When the engine came back, at the latest.
        caller: Whom it hit first; ANYBODY where that is not known.
    """

    stage: str
    name: str
    secs: float
    until_secs: float
    caller: int


class Weather:
    """Arms faults; an engine takes the one that is due.

    Args:
        rng: Chance.
        every_secs: Between two of them, on average; 0: none ever.
    """

    def __init__(self, rng: Random, every_secs: float) -> None:
        self._rng = rng
        self._every_secs = every_secs
        self._armed: dict[str, tuple[str, float]] = {}
        self.struck: list[Struck] = []
        self.over = False

    async def blow(self) -> None:
        """Arm one fault after another, until cancelled."""
        while self._every_secs:
            faults = all_faults()
            self._rng.shuffle(faults)
            for stage, name in faults:
                await asyncio.sleep(self._rng.uniform(0.3, 1.7) * self._every_secs)
                while stage in self._armed:
                    await asyncio.sleep(1.0)
                self._armed[stage] = name, self._rng.uniform(*HANG_SECS)

    def calm(self) -> None:
        """Nothing fails any more, and what hangs comes back."""
        self.over = True
        self._armed.clear()

    def take(self, stage: str, caller: int = ANYBODY) -> Struck | None:
        """The fault that is due in a stage; it strikes now."""
        armed = self._armed.pop(stage, None)
        if armed is None:
            return None
        name, hang_secs = armed
        now_secs = time.monotonic()
        lasts_secs = {"hang": hang_secs, "slow": SLOW_SECS}.get(name, 0.0)
        struck = Struck(stage, name, now_secs, now_secs + lasts_secs, caller)
        self.struck.append(struck)
        return struck

    def strike(self, struck: Struck | None) -> str | None:
        """Fail, or take long, in a thread of an engine; the fault's name."""
        if struck is None:
            return None
        if struck.name == "hang":
            while time.monotonic() < struck.until_secs and not self.over:
                time.sleep(1.0)
        else:
            Fault(struck.name).strike(struck.name)
        return struck.name


class StormySession:
    """An ONNX session that fails now and then.

    Args:
        session: The real one.
        stage: vad or turn.
    """

    def __init__(self, session: Any, weather: Weather, stage: str) -> None:
        self._session, self._weather, self._stage = session, weather, stage

    def __getattr__(self, name: str) -> Any:
        return getattr(self._session, name)

    def run(self, *args: Any, **kwargs: Any) -> Any:
        name = self._weather.strike(self._weather.take(self._stage))
        answers = self._session.run(*args, **kwargs)
        return [answer * float("nan") for answer in answers] if name == "garbage" else answers


class _BrokenFile:
    def __init__(self, file: Any, number: int) -> None:
        self._file, self._number = file, number

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)

    def write(self, _: bytes) -> int:
        raise OSError(self._number, "scripted")


@contextmanager
def failing_disk(weather: Weather) -> Iterator[None]:
    """A recorder's file fails when it is its turn."""
    write = StereoFile.write

    def stormy_write(file: StereoFile, *args: Any) -> None:
        if struck := weather.take("recorder"):
            number = errno.ENOSPC if struck.name == "disk full" else errno.EIO
            file._file = cast(Any, _BrokenFile(file._file, number))
        write(file, *args)

    with patch.object(StereoFile, "write", stormy_write):
        yield
