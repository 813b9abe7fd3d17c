"""Smart-turn v3 on one session that all conversations share: how probably the user is done, by the sound.

Pipecat's analyzer loads a session (about 60 MB) and starts a thread per conversation. Model: smart-turn v3.2, BSD-2.
"""

import asyncio
import math
from collections.abc import Callable
from concurrent.futures import Executor, ThreadPoolExecutor
from pathlib import Path
from typing import cast

import numpy as np
import onnxruntime
from pipecat.audio.turn.smart_turn.base_smart_turn import BaseSmartTurn, SmartTurnParams
from pipecat.audio.turn.smart_turn.local_smart_turn_v3 import LocalSmartTurnAnalyzerV3
from pipecat.metrics.metrics import MetricsData, TurnMetricsData

from processors.engine_threads import EngineThreads
from processors.errors import EngineError

MODEL_FILE = "smart-turn-v3.2-cpu.onnx"
# A run that takes longer does not come back.
MOST_RUN_SECS = 5.0
# The model was trained on turns that end with this much silence; a pause that is shorter so far is filled up to it.
TRAINED_SILENCE_SECS = 0.2


def smart_turn_weights() -> Path:
    """The ONNX weights inside Pipecat."""
    import pipecat.audio.turn.smart_turn

    return Path(pipecat.audio.turn.smart_turn.__path__[0]) / "data" / MODEL_FILE


def load_smart_turn(path: Path | None = None) -> onnxruntime.InferenceSession:
    """Load the model once; a session may run in several threads at a time."""
    options = onnxruntime.SessionOptions()
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    options.inter_op_num_threads = 1
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(
        str(path or smart_turn_weights()), sess_options=options, providers=["CPUExecutionProvider"]
    )


class SharedSmartTurnAnalyzer(LocalSmartTurnAnalyzerV3):
    """Pipecat's smart-turn analyzer on a shared session and shared threads.

    Args:
        session: From `load_smart_turn`.
        threads: Threads that the analyzers of all conversations share.
        params: `stop_secs` of silence make it forget what it heard.
    """

    def __init__(self, session: onnxruntime.InferenceSession, threads: Executor, params: SmartTurnParams) -> None:
        # The parent's constructor would load a session of its own, and read the environment.
        BaseSmartTurn.__init__(self, params=params)
        self._log_data = False
        self._session = session
        self._threads = threads

    async def probability(
        self, silence_secs: float = TRAINED_SILENCE_SECS, *, wanted: Callable[[], bool] = lambda: True
    ) -> tuple[float | None, MetricsData | None]:
        """How probably the turn is over, by the sound of the turn so far, which is kept.

        Args:
            silence_secs: How long the pause is so far.
            wanted: Asked once a thread is free, on that thread: whether anybody still waits for the answer.

        Returns:
            0 to 1, None where there is no sound or nobody waits; and the metrics of the model's run.

        Raises:
            EngineError: The model does not come back, or answers nonsense.
        """
        heard = list(self._audio_buffer)
        missing = round((TRAINED_SILENCE_SECS - silence_secs) * self.sample_rate)
        if heard and missing > 0:
            heard.append((heard[-1][0], np.zeros(missing, np.int16)))

        def judge() -> MetricsData | None:
            return self._process_speech_segment(heard)[1] if wanted() else None

        if isinstance(self._threads, EngineThreads):
            metrics = await self._threads.run(judge, within_secs=MOST_RUN_SECS)
        else:
            metrics = await asyncio.get_running_loop().run_in_executor(self._threads, judge)
        if isinstance(metrics, TurnMetricsData) and not math.isfinite(metrics.probability):
            raise EngineError("smart-turn answers what is no number")
        return (metrics.probability if isinstance(metrics, TurnMetricsData) else None), metrics

    @property
    def _model_executor(self) -> ThreadPoolExecutor:
        return cast(ThreadPoolExecutor, self._threads)
