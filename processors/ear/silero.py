"""Silero VAD v6 on one model session that all conversations share, which answers them together.

In:  windows of 32 ms.   Out: how probably each is voice.

The windows that come while the model is at work are taken together in its next run: sixteen windows in one run cost a
third of sixteen runs, and the threads are asked once instead of sixteen times. Each conversation's answers are the same
to the bit. Only the recurrent state (1 kB) is a conversation's own. Model: Silero VAD, MIT; the file of the silero-vad
package and Pipecat's copy are byte-identical.
"""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from pipecat.audio.vad.silero import SileroOnnxModel

from processors.engine_threads import EngineThreads, Job
from processors.errors import EngineError, EngineHungError

SAMPLE_RATE_HZ = 16_000
WINDOW_SAMPLES = 512
WINDOW_BYTES = WINDOW_SAMPLES * 2
# The end of the window before, which the model looks at once more.
CONTEXT_SAMPLES = 64
# A run begins no sooner after the one before it, the more it answered the later: with many conversations there is more
# to do at once. One alone catches up at seven times real time.
BETWEEN_RUNS_SECS, MOST_BETWEEN_RUNS_SECS = 0.004, 0.012
# A run that takes longer does not come back.
MOST_RUN_SECS = 5.0
MODEL_FILE = "silero_vad.onnx"

Probabilities = np.ndarray[Any, np.dtype[np.float32]]


def silero_weights() -> Path:
    """The ONNX weights: the silero-vad package's, else Pipecat's identical copy.

    Neither package is imported: silero-vad's own import needs PyTorch.
    """
    spec = find_spec("silero_vad")
    if spec is not None:
        for location in spec.submodule_search_locations or ():
            path = Path(location) / "data" / MODEL_FILE
            if path.is_file():
                return path
    import pipecat.audio.vad

    return Path(pipecat.audio.vad.__path__[0]) / "data" / MODEL_FILE


def load_silero(path: Path | None = None) -> "SharedSilero":
    """Load the model once.

    Args:
        path: Of the ONNX weights; default: those of an installed package.
    """
    options = onnxruntime.SessionOptions()
    options.inter_op_num_threads = 1
    options.intra_op_num_threads = 1
    return SharedSilero(
        onnxruntime.InferenceSession(
            str(path or silero_weights()), sess_options=options, providers=["CPUExecutionProvider"]
        )
    )


class SileroState(SileroOnnxModel):
    """The recurrent state of one conversation; as a function, the model for it alone.

    Args:
        session: The shared session.

    Attributes:
        known: The answer to the next window, where it has been worked out already.
    """

    def __init__(self, session: onnxruntime.InferenceSession) -> None:
        # The parent's constructor would load a session of its own.
        self.session = session
        self.sample_rates = [8000, SAMPLE_RATE_HZ]
        self.known: Probabilities | None = None
        self.reset_states()

    def __call__(self, x: Any, sr: int) -> Any:
        """How probably a window is voice.

        Args:
            x: shape (n_samples,), float32, -1 to 1.
            sr: Its rate in Hz.

        Returns:
            shape (1, 1), float32.
        """
        known, self.known = self.known, None
        return super().__call__(x, sr) if known is None else known


def run_together(
    session: onnxruntime.InferenceSession,
    states: Sequence[SileroState],
    windows: Sequence[bytes],
    wanted: Callable[[], bool] = lambda: True,
) -> None:
    """One run for several conversations: the answers become `known`, and the states go on.

    Args:
        session: The shared session.
        states: Of as many conversations, none of them twice.
        windows: Each conversation's next 32 ms, s16 mono at 16 kHz.
        wanted: Asked after the run; the states are another thread's by then if nobody waits for it any more.
    """
    inputs_f32 = np.zeros((len(states), CONTEXT_SAMPLES + WINDOW_SAMPLES), np.float32)
    for row, state, window in zip(inputs_f32, states, windows, strict=True):
        if state._context.shape[1]:
            row[:CONTEXT_SAMPLES] = state._context[0]
        np.divide(np.frombuffer(window, "<i2"), 32768.0, out=row[CONTEXT_SAMPLES:], dtype=np.float32)
    recurrent_f32 = np.concatenate([state._state for state in states], axis=1)
    feeds = {"input": inputs_f32, "state": recurrent_f32, "sr": np.array(SAMPLE_RATE_HZ, np.int64)}
    answers: Any = session.run(None, feeds)
    probabilities, recurrent_f32 = answers
    if not (np.isfinite(probabilities).all() and np.isfinite(recurrent_f32).all()):
        # Taken into the states, they would make these conversations deaf for good.
        raise EngineError("silero answers what is no number")
    if not wanted():
        return
    for index, state in enumerate(states):
        state.known = probabilities[index : index + 1]
        state._state = recurrent_f32[:, index : index + 1]
        state._context = inputs_f32[index : index + 1, -CONTEXT_SAMPLES:]
        state._last_sr, state._last_batch_size = SAMPLE_RATE_HZ, 1


@dataclass
class Question:
    """Sound of one conversation that is to be listened to.

    Attributes:
        state: The conversation's.
        windows: Whole windows, in order.
        heard: Called on a model thread with each window once its answer is known.
        answered: Done when all of them have been heard.
    """

    state: SileroState
    windows: Sequence[bytes]
    heard: Callable[[bytes], object]
    answered: "asyncio.Future[None]"


class SharedSilero:
    """The model that all conversations of one event loop share; another loop may follow when that one has ended.

    Args:
        session: The loaded model; it runs in one thread at a time.
    """

    def __init__(self, session: onnxruntime.InferenceSession) -> None:
        self.session = session
        self._loop: asyncio.AbstractEventLoop | None = None
        self._waiting: list[Question] = []
        # From the beginning of a run until the next one may begin.
        self._at_work = False
        self._began_secs = 0.0

    async def hear(
        self, threads: Executor, state: SileroState, windows: Sequence[bytes], heard: Callable[[bytes], object]
    ) -> None:
        """Listen to whole windows of one conversation, together with what others ask meanwhile.

        Args:
            threads: The model's.
            state: The conversation's.
            windows: Each 32 ms, s16 mono at 16 kHz, in order.
            heard: Called on one of the threads with each window; the state then knows its answer.
        """
        loop = asyncio.get_running_loop()
        if loop is not self._loop:
            # What the last loop left undone will never be done.
            self._loop, self._waiting, self._at_work = loop, [], False
        question = Question(state, windows, heard, loop.create_future())
        self._waiting.append(question)
        if not self._at_work:
            self._begin(threads)
        await question.answered

    def _begin(self, threads: Executor) -> None:
        loop = asyncio.get_running_loop()
        questions, self._waiting = self._waiting, []
        self._at_work, self._began_secs = True, loop.time()
        watch = None
        try:
            if isinstance(threads, EngineThreads):
                job = threads.put(Job(lambda: _answer(self.session, questions), MOST_RUN_SECS))
                work = asyncio.wrap_future(job.future)
                watch = loop.call_later(MOST_RUN_SECS + MOST_BETWEEN_RUNS_SECS, threads.give_up_overdue)
            else:
                work = loop.run_in_executor(threads, _answer, self.session, questions)
        except (RuntimeError, EngineHungError) as error:
            # The threads have ended.
            self._at_work = False
            _tell(questions, error)
            return
        work.add_done_callback(lambda done: self._end(threads, questions, done, watch))

    def _end(
        self,
        threads: Executor,
        questions: Sequence[Question],
        work: "asyncio.Future[None]",
        watch: asyncio.TimerHandle | None,
    ) -> None:
        if watch:
            watch.cancel()
        _tell(questions, asyncio.CancelledError() if work.cancelled() else work.exception())
        between_secs = min(MOST_BETWEEN_RUNS_SECS, len(questions) * BETWEEN_RUNS_SECS)
        asyncio.get_running_loop().call_at(self._began_secs + between_secs, self._go_on, threads)

    def _go_on(self, threads: Executor) -> None:
        self._at_work = False
        if self._waiting:
            self._begin(threads)


def _tell(questions: Sequence[Question], error: BaseException | None) -> None:
    for question in questions:
        # Whoever asked may have gone.
        if question.answered.done():
            continue
        if error is None:
            question.answered.set_result(None)
        elif isinstance(error, asyncio.CancelledError):
            question.answered.cancel()
        else:
            question.answered.set_exception(error)


def _answer(session: onnxruntime.InferenceSession, questions: Sequence[Question]) -> None:
    """Round by round: the first window of each, then the second of those that have one.

    A run that was given up and comes back late leaves the conversations alone: they have gone on without it.
    """

    def wanted() -> bool:
        return not all(question.answered.done() for question in questions)

    for index in range(max(len(question.windows) for question in questions)):
        asking = [question for question in questions if index < len(question.windows)]
        states, windows = [question.state for question in asking], [question.windows[index] for question in asking]
        run_together(session, states, windows, wanted)
        if not wanted():
            return
        for question in asking:
            question.heard(question.windows[index])
