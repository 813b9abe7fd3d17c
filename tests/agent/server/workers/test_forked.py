"""The engine process from the mould: where it cannot be had so, it is started from nothing."""

import asyncio
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from agent.server.workers import forked
from agent.server.workers.mould import Child

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="processes are watched by pidfd on Linux alone")


class ScriptedMould:
    """Forks nothing, or what cannot be watched."""

    def __init__(self, child: Child | None) -> None:
        self._child = child

    async def forked(self, *_: Any) -> Child:
        if self._child is None:
            raise OSError("the mould has ended")
        return self._child


@pytest.mark.parametrize("has_child", [False, True], ids=["no mould", "no pidfd"])
async def test_what_the_mould_cannot_give_is_started_from_nothing_and_no_pipe_is_left(
    has_child: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Path] = []
    nothing: Any = object()

    async def alone(path: Path) -> Any:
        asked.append(path)
        return nothing

    def forbidden(_: int) -> int:
        raise PermissionError("seccomp")

    monkeypatch.setattr(forked, "started_alone", alone)
    monkeypatch.setattr(os, "pidfd_open", forbidden)
    ended = asyncio.get_running_loop().create_future()
    mould: Any = ScriptedMould(Child(1, ended) if has_child else None)
    before = os.listdir("/proc/self/fd")
    assert await forked.forked_engines(mould, tmp_path / "s") is nothing
    assert asked == [tmp_path / "s"]
    assert len(os.listdir("/proc/self/fd")) == len(before)
