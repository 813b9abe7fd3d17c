"""The two models of a pause, run by the engine process: what Silero's and smart-turn's sessions are elsewhere.

In:  what an ONNX session is fed.   Out: its answers, which are the same to the bit.

A process has a line for each run at a time. While no engine process is there, a run waits for the next one, and the
sound with it: what a conversation's model remembers stays with the conversation, so that it goes on as if nothing was.
"""

import threading
from collections.abc import Callable
from typing import Any

import numpy as np

from agent.engines.process.batches import MOST_RUN_SECS, silero_answers, silero_body
from agent.engines.process.line import BrokenLineError, Exchange, Line, Patience

# Less than whoever asks waits for a run.
WITHIN_SECS = MOST_RUN_SECS - 0.5


class RemoteSession:
    """An ONNX session of the engine process; asked from any thread.

    Args:
        exchange: Reaches it.
        kind: Which one.
        body: What it is fed, as bytes.
        answers: Its answers, of bytes.
    """

    def __init__(
        self,
        exchange: Exchange,
        kind: str,
        body: Callable[[dict[str, Any]], bytes],
        answers: Callable[[bytes], list[Any]],
    ) -> None:
        self._exchange = exchange
        self._kind = kind
        self._body = body
        self._answers = answers
        self._idle: list[Line] = []
        self._lock = threading.Lock()

    def run(self, output_names: None, input_feed: dict[str, Any]) -> list[Any]:
        """See `onnxruntime.InferenceSession.run`.

        Raises:
            EngineError: The model failed.
            EngineUnavailableError: No engine process has answered in time.
        """
        body, patience = self._body(input_feed), Patience(WITHIN_SECS)
        while True:
            try:
                line = self._taken()
                try:
                    _, found = line.ask({}, body)
                except BaseException:
                    line.close()
                    raise
            except BrokenLineError as error:
                patience.wait(error)
                continue
            with self._lock:
                self._idle.append(line)
            return self._answers(found)

    def close(self) -> None:
        """Hang up."""
        with self._lock:
            idle, self._idle = self._idle, []
        for line in idle:
            line.close()

    def _taken(self) -> Line:
        with self._lock:
            if self._idle:
                return self._idle.pop()
        line = Line(self._exchange.path)
        line.send({"kind": self._kind})
        return line


def remote_silero(exchange: Exchange) -> RemoteSession:
    """Silero's session."""
    return RemoteSession(exchange, "vad", silero_body, silero_answers)


def remote_smart_turn(exchange: Exchange) -> RemoteSession:
    """Smart-turn's session."""
    return RemoteSession(
        exchange,
        "turn",
        lambda feeds: feeds["input_features"].astype("<f4").tobytes(),
        lambda body: [np.frombuffer(body, "<f4").reshape(1, 1)],
    )
