"""The engine that takes over where a stage's own does not come back: the next one of the stage's order.

It is loaded when it is first needed, once for all conversations.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, Generic, TypeVar

from loguru import logger

from agent.engines.candidates import Candidate, Choice, choose
from processors.engine_threads import EngineThreads
from processors.errors import EngineUnavailableError

Engine = TypeVar("Engine")


class StageStandby(Generic[Engine]):
    """One stage's next engine.

    Args:
        stage: stt or tts.
        candidates: Gives those that come after the stage's own; blocks.
    """

    def __init__(self, stage: str, candidates: Callable[[], Sequence[Candidate[Engine]]]) -> None:
        self._stage = stage
        self._candidates = candidates
        self._loading = asyncio.Lock()
        self._taken: tuple[Any, EngineThreads] | None = None
        self._is_missing = False

    async def next(self) -> tuple[Engine, EngineThreads] | None:
        """The engine and its threads; None where no other is usable."""
        async with self._loading:
            if self._taken is None and not self._is_missing:
                try:
                    choice = await asyncio.to_thread(self._load)
                except EngineUnavailableError as error:
                    logger.error(f"{self._stage}: there is no engine to take over: {error}")
                    self._is_missing = True
                    return None
                engine: Any = choice.loaded
                self._taken = engine, EngineThreads(engine.max_threads, f"{self._stage}-{choice.engine}")
                logger.warning(f"{self._stage}: {choice.engine} with {choice.model} takes over")
            return self._taken

    @property
    def threads(self) -> EngineThreads | None:
        """Those of the engine that has taken over; None while none has."""
        return self._taken[1] if self._taken else None

    def close(self) -> None:
        """End it; blocks."""
        if self._taken:
            engine, threads = self._taken
            threads.shutdown(wait=False, cancel_futures=True)
            engine.close()

    def _load(self) -> Choice[Engine]:
        if not (candidates := self._candidates()):
            raise EngineUnavailableError("none stands behind the one in use", "sotto doctor")
        return choose(self._stage, "auto", candidates)


def after(choice: Choice[Any], candidates: Sequence[Candidate[Any]]) -> list[Candidate[Any]]:
    """What comes behind the engine that was chosen; what is another engine first."""
    engines = [candidate.engine for candidate in candidates]
    rest = candidates[engines.index(choice.engine) + 1 :] if choice.engine in engines else candidates
    return [candidate for candidate in rest if candidate.engine != choice.engine]
