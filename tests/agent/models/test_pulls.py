"""The queue of pulls, where a process or its words are not as they should be.

Fake: the process of a pull.
"""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from agent.models import pulls as pulls_module
from agent.models.pull_process import _read
from agent.models.pulls import Pulls
from tests.support.small_model import archive_at, model_at

NOWHERE = "http://127.0.0.1:9"


class Process:
    """Fails as no process should, or at once as one does that has no network."""

    def __init__(self, order: Any, _: Any) -> None:
        self._name = order.model.name

    async def run(self) -> dict[str, Any]:
        await asyncio.sleep(0)
        if self._name == model_at(NOWHERE).name:
            raise ValueError("a line that is none")
        return {"what": "no network", "press": "try again"}

    def end(self) -> None:
        pass


class Unending(Process):
    """Goes on until it is ended."""

    def __init__(self, order: Any, told: Any) -> None:
        super().__init__(order, told)
        self._ended = asyncio.Event()

    async def run(self) -> dict[str, Any]:
        await self._ended.wait()
        return {"what": "ended", "press": "try again"}

    def end(self) -> None:
        self._ended.set()


@pytest.fixture
def pulls(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Pulls:
    monkeypatch.setattr(pulls_module, "PullProcess", Process)
    return Pulls(tmp_path, {})


async def test_one_that_fails_in_an_unknown_way_holds_up_neither_the_next_nor_the_end(pulls: Pulls) -> None:
    first = await pulls.start(model_at(NOWHERE))
    second = await pulls.start(archive_at(NOWHERE))
    while second.state in ("waiting", "running"):
        await asyncio.sleep(0)
    assert (first.state, second.state, second.problem) == ("failed", "failed", "no network")
    await pulls.close()


async def test_two_pages_that_ask_at_once_have_one_pull(pulls: Pulls, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pulls_module, "PullProcess", Unending)
    model = archive_at(NOWHERE)
    one, other = await asyncio.gather(pulls.start(model), pulls.start(model))
    assert one is other
    await pulls.close()


@pytest.mark.parametrize("line", [b"Resolved 3 packages", b'{"ready": tr', b"[1]", b"\xff", b""])
def test_what_is_no_line_of_a_pull_is_passed_over(line: bytes) -> None:
    assert _read(line) is None
