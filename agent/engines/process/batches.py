"""Runs of the two models of a pause for several processes: Silero's together, smart-turn's one after the other.

In:  what an ONNX session is fed, as it lies in memory.   Out: its answers.

Nothing is remembered here between two runs: the recurrent state of a conversation comes with every window and goes
back. What comes while the model is at work is taken together in its next run, so that calls of all processes share one.
"""

import asyncio
from typing import Any, Protocol

import numpy as np

from processors.engine_threads import EngineThreads
from processors.errors import EngineError

# How long a run may take, as in one process.
MOST_RUN_SECS = 5.0
# Of Silero for one conversation: a window with the end of the one before it, and what the model remembers.
WINDOW = 64 + 512
STATE = (2, 128)
ROW_BYTES = 4 * (WINDOW + STATE[0] * STATE[1])
MAX_ROWS = 256
RATE_HZ = 16_000
# Of smart-turn: eight seconds as 80 bands of 800 frames.
FEATURES = (1, 80, 800)

Floats = np.ndarray[Any, np.dtype[np.float32]]


class Session(Protocol):
    """An ONNX session, or what runs one elsewhere."""

    def run(self, output_names: None, input_feed: dict[str, Any]) -> Any:
        """The answers of one run."""
        ...


def silero_body(feeds: dict[str, Any]) -> bytes:
    """What Silero is fed, as bytes; its rate is always 16 kHz."""
    return feeds["input"].astype("<f4").tobytes() + feeds["state"].astype("<f4").tobytes()


def silero_answers(body: bytes) -> list[Floats]:
    """Silero's answers for n conversations: shapes (n, 1) and (2, n, 128)."""
    floats = np.frombuffer(body, "<f4")
    n_rows = len(floats) // (1 + STATE[0] * STATE[1])
    return [floats[:n_rows].reshape(n_rows, 1), floats[n_rows:].reshape(STATE[0], n_rows, STATE[1]).copy()]


class SileroRuns:
    """Silero's runs.

    Args:
        session: Loaded.
        threads: Its own: one.
    """

    def __init__(self, session: Session, threads: EngineThreads) -> None:
        self._session = session
        self._threads = threads
        self._waiting: list[tuple[Floats, Floats, asyncio.Future[bytes]]] = []
        self._working: asyncio.Task[None] | None = None

    async def run(self, body: bytes) -> bytes:
        """Run the model for one or several conversations.

        Args:
            body: From `silero_body`.

        Returns:
            For `silero_answers`.

        Raises:
            EngineError: These are no windows, or the model failed.
        """
        n_rows = len(body) // ROW_BYTES
        if not 0 < n_rows <= MAX_ROWS or len(body) % ROW_BYTES:
            raise EngineError(f"silero is asked with {len(body)} bytes")
        floats = np.frombuffer(body, "<f4")
        if not np.isfinite(floats).all():
            # In a run with others it would be their fault, too.
            raise EngineError("silero is asked with what is no number")
        n_inputs = n_rows * WINDOW
        inputs_f32, state_f32 = floats[:n_inputs].reshape(n_rows, WINDOW), floats[n_inputs:]
        answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self._waiting.append((inputs_f32, state_f32.reshape(STATE[0], n_rows, STATE[1]), answer))
        if self._working is None or self._working.done():
            self._working = asyncio.create_task(self._work(), name="silero")
        return await answer

    async def close(self) -> None:
        """Answer nobody any more."""
        if self._working:
            self._working.cancel()
            await asyncio.wait([self._working])

    async def _work(self) -> None:
        while self._waiting:
            asked, self._waiting = self._waiting, []
            feeds = {
                "input": np.concatenate([inputs for inputs, _, _ in asked]),
                "state": np.concatenate([state for _, state, _ in asked], axis=1),
                "sr": np.array(RATE_HZ, np.int64),
            }
            try:
                found: Any = await self._threads.run(
                    lambda feeds=feeds: self._session.run(None, feeds), within_secs=MOST_RUN_SECS
                )
                _tell(asked, found)
            # Whatever the model raises is for those who wait; the next ones are answered.
            except Exception as error:  # noqa: BLE001
                for _, _, answer in asked:
                    if not answer.done():
                        answer.set_exception(error)


def _tell(asked: list[tuple[Floats, Floats, "asyncio.Future[bytes]"]], found: list[Floats]) -> None:
    probabilities, states = found
    at = 0
    for inputs, _, answer in asked:
        end = at + len(inputs)
        if not answer.done():
            answer.set_result(probabilities[at:end].astype("<f4").tobytes() + states[:, at:end].astype("<f4").tobytes())
        at = end


async def turn_probability(session: Session, threads: EngineThreads, body: bytes) -> bytes:
    """Run smart-turn once.

    Args:
        session: Loaded.
        threads: Its own.
        body: float32 of the shape FEATURES.

    Returns:
        One float32.

    Raises:
        EngineError: These are no features, or the model does not come back.
    """
    floats = np.frombuffer(body, "<f4") if len(body) % 4 == 0 else np.zeros(0, np.float32)
    if floats.size != np.prod(FEATURES):
        raise EngineError(f"smart-turn is asked with {len(body)} bytes")
    feeds = {"input_features": floats.reshape(FEATURES)}
    found: Any = await threads.run(lambda: session.run(None, feeds), within_secs=MOST_RUN_SECS)
    return np.asarray(found[0]).astype("<f4").tobytes()
