"""Endpointing: deciding that the user's turn is over, with smart-turn v3 on one session that all conversations share.

In:  the audio of the turn, at each pause.   Out: complete or incomplete.
Pipecat's analyzer loads a session (about 60 MB) and starts a thread per conversation. Model: smart-turn v3.2, BSD-2.
"""

from concurrent.futures import Executor, ThreadPoolExecutor
from pathlib import Path
from typing import cast

import onnxruntime
from pipecat.audio.turn.smart_turn.base_smart_turn import BaseSmartTurn, SmartTurnParams
from pipecat.audio.turn.smart_turn.local_smart_turn_v3 import LocalSmartTurnAnalyzerV3
from pipecat.turns.user_start import TranscriptionUserTurnStartStrategy, VADUserTurnStartStrategy
from pipecat.turns.user_stop import TurnAnalyzerUserTurnStopStrategy
from pipecat.turns.user_turn_strategies import UserTurnStrategies

MODEL_FILE = "smart-turn-v3.2-cpu.onnx"


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
        params: `stop_secs` is the longest pause inside a turn.
    """

    def __init__(self, session: onnxruntime.InferenceSession, threads: Executor, params: SmartTurnParams) -> None:
        # The parent's constructor would load a session of its own, and read the environment.
        BaseSmartTurn.__init__(self, params=params)
        self._log_data = False
        self._session = session
        self._threads = threads

    @property
    def _model_executor(self) -> ThreadPoolExecutor:
        return cast(ThreadPoolExecutor, self._threads)


def turn_strategies(analyzer: SharedSmartTurnAnalyzer) -> UserTurnStrategies:
    """A turn starts with voice (or with words that came without it) and ends as smart-turn judges."""
    return UserTurnStrategies(
        start=[VADUserTurnStartStrategy(), TranscriptionUserTurnStartStrategy()],
        stop=[TurnAnalyzerUserTurnStopStrategy(turn_analyzer=analyzer)],
    )
