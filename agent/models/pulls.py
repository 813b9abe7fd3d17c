"""The pulls of a server: one at a time, the others wait; each can be paused, gone on with, and called off.

In:  models that somebody wants.   Out: how far each is, for whoever asks, however often he comes back.
"""

import asyncio
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from loguru import logger

from agent.errors import SottoError
from agent.models.catalogue import Model, is_installed, model_dir
from agent.models.pull import check_space, missing_files, needed_bytes
from agent.models.pull_process import FAILED, PullProcess, Told
from agent.models.pull_worker import Order
from agent.models.upkeep import remove

State = Literal["waiting", "running", "paused", "failed", "done"]


class PullStateError(SottoError):
    """What is asked of a pull does not fit its state."""


@dataclass
class Pull:
    """One pull.

    Attributes:
        model: What is pulled.
        state: Waiting for others, running, paused by the user, failed, or done.
        done_bytes: Of `total_bytes`, as far as known; what comes out of an archive counts, too.
        total_bytes: 0 until it is known.
        step: `fetching` or `unpacking`.
        said: The newest line about its sources.
        problem: What went wrong, where it failed.
        press: What mends that.
    """

    model: Model
    state: State = "waiting"
    done_bytes: int = 0
    total_bytes: int = 0
    step: str = "fetching"
    said: str = ""
    problem: str = ""
    press: str = ""

    def as_json(self) -> dict[str, Any]:
        """What the page is told."""
        return {"name": self.model.name, **{name: value for name, value in vars(self).items() if name != "model"}}


class Pulls:
    """All pulls of a server; on one event loop. `close` ends them.

    Args:
        models_dir: The models directory.
        environment: What the environment says of other tools that keep models.
    """

    def __init__(self, models_dir: Path, environment: dict[str, str]) -> None:
        self._models_dir = models_dir
        self._environment = environment
        self._pulls: dict[str, Pull] = {}
        self._process: PullProcess | None = None
        self._runner: asyncio.Task[None] | None = None
        self._is_closed = False
        # No process is at work, nor about to be.
        self._idle = asyncio.Event()

    def all(self) -> list[Pull]:
        """Each that was asked for, in this order."""
        return list(self._pulls.values())

    async def start(self, model: Model) -> Pull:
        """Pull a model, or go on with it; at once, or after those that were asked for before.

        Raises:
            PullStateError: It is here, or the server ends.
            DownloadError: The disk has no room for it.
            OSError: The disk cannot be asked.
        """
        pull = self._pulls.get(model.name)
        if pull and pull.state in ("waiting", "running"):
            return pull
        if is_installed(self._models_dir, model):
            raise PullStateError(f"{model.name} is here already")
        await asyncio.to_thread(self._check_space, model, [one.model for one in self._under_way()])
        if self._is_closed:
            raise PullStateError("the server stops")
        # Another page may have asked meanwhile.
        if (pull := self._pulls.get(model.name)) and pull.state in ("waiting", "running"):
            return pull
        # It waits behind those that were asked for meanwhile.
        self._pulls.pop(model.name, None)
        self._pulls[model.name] = started = Pull(model)
        if self._runner is None or self._runner.done():
            self._runner = asyncio.create_task(self._run(), name="model-pulls")
        return started

    async def pause(self, model: Model) -> Pull:
        """Let a pull rest; what has come stays.

        Raises:
            PullStateError: It is not under way.
        """
        pull = self._pulls.get(model.name)
        if pull is None or pull.state not in ("waiting", "running"):
            raise PullStateError(f"{model.name} is not being fetched")
        await self._halt(pull)
        return pull

    async def cancel(self, model: Model) -> int:
        """Call a pull off, and remove what has come of it.

        Returns:
            The bytes that were removed.

        Raises:
            PullStateError: The model is here.
            SottoError: Another process is pulling it.
            OSError: A file cannot be removed.
        """
        if pull := self._pulls.get(model.name):
            await self._halt(pull)
        if is_installed(self._models_dir, model):
            raise PullStateError(f"{model.name} is here already: remove it")
        self._pulls.pop(model.name, None)
        return await asyncio.to_thread(self._remove, model)

    async def remove(self, model: Model) -> int:
        """Remove a model that is here; who uses it is the caller's to know.

        Returns:
            The bytes that were removed.

        Raises:
            PullStateError: It is not here.
            SottoError: Another process is at it, or its folder is a link.
            OSError: A file cannot be removed.
        """
        if not is_installed(self._models_dir, model):
            raise PullStateError(f"{model.name} is not here")
        self._pulls.pop(model.name, None)
        return await asyncio.to_thread(self._remove, model)

    async def close(self) -> None:
        """End what is under way; the next start of a pull goes on from there."""
        self._is_closed = True
        for pull in self._under_way():
            pull.state = "paused"
        if self._process:
            self._process.end()
        if self._runner:
            await asyncio.gather(self._runner, return_exceptions=True)

    def _under_way(self) -> list[Pull]:
        return [pull for pull in self._pulls.values() if pull.state in ("waiting", "running")]

    async def _halt(self, pull: Pull) -> None:
        was_running = pull.state == "running"
        if pull.state in ("waiting", "running"):
            pull.state = "paused"
        if was_running and self._process:
            self._process.end()
            # Its lock is let go of before anybody goes on.
            await self._idle.wait()

    async def _run(self) -> None:
        while waiting := [pull for pull in self._pulls.values() if pull.state == "waiting"]:
            await self._carry_out(waiting[0])

    async def _carry_out(self, pull: Pull) -> None:
        pull.state = "running"
        order = Order(pull.model, self._models_dir, self._environment, Path.home())
        self._idle.clear()
        self._process = process = PullProcess(order, lambda told: _take(pull, told))
        logger.info(f"{pull.model.name} is being fetched, for somebody who asked for it")
        try:
            last = await process.run()
        # Whatever it is, the others that wait have their turn.
        except Exception as error:  # noqa: BLE001
            logger.error(f"{pull.model.name} could not be fetched: {error!r}"[:300])
            last = FAILED
        finally:
            self._process = None
            self._idle.set()
        self._conclude(pull, last)

    def _conclude(self, pull: Pull, last: Told) -> None:
        if is_installed(self._models_dir, pull.model) and "ready" in last:
            pull.state = "done"
            pull.done_bytes = pull.total_bytes
            logger.info(f"{pull.model.name} is here")
        elif pull.state == "running":
            pull.state = "failed"
            pull.problem = str(last.get("what", FAILED["what"]))
            pull.press = str(last.get("press", FAILED["press"]))
            logger.warning(f"{pull.model.name} could not be fetched: {pull.problem}")

    def _check_space(self, model: Model, before: list[Model]) -> None:
        directories = {one.name: model_dir(self._models_dir, one) for one in (*before, model)}
        missing = {one.name: missing_files(one, directories[one.name]) for one in (*before, model)}
        others = sum(needed_bytes(one, directories[one.name], missing[one.name]) for one in before)
        check_space(model, directories[model.name], missing[model.name], others)

    def _remove(self, model: Model) -> int:
        if not model_dir(self._models_dir, model).is_dir():
            return 0
        return remove(model, self._models_dir)


def _take(pull: Pull, told: Told) -> None:
    """What the process of a pull has told; late words of one that was halted are let go."""
    if pull.state != "running":
        return
    if "said" in told:
        pull.said = str(told["said"])
    elif told.keys() >= {"done_bytes", "total_bytes", "step"}:
        pull.done_bytes, pull.total_bytes, pull.step = told["done_bytes"], told["total_bytes"], told["step"]
