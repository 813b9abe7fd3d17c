"""Endpointing: deciding that the user's turn is over, with smart-turn v3 on one session that all conversations share.

In:  the audio of the turn, at each pause.   Out: TurnDecidedFrame upstream; the turn's end, once its words are here.
Pipecat's analyzer loads a session (about 60 MB) and starts a thread per conversation. Model: smart-turn v3.2, BSD-2.
"""

import asyncio
from concurrent.futures import Executor, ThreadPoolExecutor
from pathlib import Path
from typing import cast

import onnxruntime
from loguru import logger
from pipecat.audio.turn.base_turn_analyzer import BaseTurnAnalyzer, EndOfTurnState
from pipecat.audio.turn.smart_turn.base_smart_turn import BaseSmartTurn, SmartTurnParams
from pipecat.audio.turn.smart_turn.local_smart_turn_v3 import LocalSmartTurnAnalyzerV3
from pipecat.frames.frames import (
    Frame,
    InputAudioRawFrame,
    MetricsFrame,
    SpeechControlParamsFrame,
    StartFrame,
    STTMetadataFrame,
    TranscriptionFrame,
    VADUserStartedSpeakingFrame,
    VADUserStoppedSpeakingFrame,
)
from pipecat.metrics.metrics import MetricsData
from pipecat.processors.frame_processor import FrameDirection, FrameProcessorSetup
from pipecat.turns.types import ProcessFrameResult
from pipecat.turns.user_start import VADUserTurnStartStrategy
from pipecat.turns.user_stop import BaseUserTurnStopStrategy
from pipecat.turns.user_turn_strategies import UserTurnStrategies

from processors.turn_frames import NoWordsFrame, TurnDecidedFrame

MODEL_FILE = "smart-turn-v3.2-cpu.onnx"
# Speech-to-text answers every decision. If it hangs, the turn ends without it after this many times its measured p99.
PATIENCE = 2.0
MIN_PATIENCE_SECS = 2.0


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


class TurnEndStrategy(BaseUserTurnStopStrategy):
    """Ends the turn when the analyzer judges it over and its words have arrived.

    Pipecat's own strategy takes words as they come and ends the turn with whatever is there when a timer runs out;
    this one asks for them once it has decided, and is answered with all of them or with none.

    Args:
        analyzer: Judges each pause.
    """

    def __init__(self, analyzer: BaseTurnAnalyzer) -> None:
        super().__init__()
        self._analyzer = analyzer
        self._user_speaking = False
        self._decided = False
        self._patience_secs = MIN_PATIENCE_SECS
        self._waiting: asyncio.Task[None] | None = None

    async def setup(self, setup: FrameProcessorSetup) -> None:
        """Learn the microphone's rate."""
        await super().setup(setup)
        self._analyzer.set_sample_rate(setup.audio_in_sample_rate)

    async def cleanup(self) -> None:
        """Stop waiting."""
        await super().cleanup()
        await self._forget_decision()
        await self._analyzer.cleanup()

    async def handle_user_turn_started(self) -> None:
        """A decision about an earlier turn says nothing about this one."""
        await self._forget_decision()

    async def handle_user_turn_stopped(self) -> None:
        """Whoever ended the turn: its audio must not end the next one."""
        await self._forget_decision()
        self._analyzer.clear()

    async def process_frame(self, frame: Frame) -> ProcessFrameResult:
        """Follow voice, sound and words."""
        if isinstance(frame, InputAudioRawFrame):
            # COMPLETE here means that the longest pause inside a turn has passed.
            if self._analyzer.append_audio(frame.audio, self._user_speaking) is EndOfTurnState.COMPLETE:
                await self._decide()
        elif isinstance(frame, VADUserStartedSpeakingFrame):
            self._analyzer.update_vad_start_secs(frame.start_secs)
            self._user_speaking = True
            await self._forget_decision()
        elif isinstance(frame, VADUserStoppedSpeakingFrame):
            self._user_speaking = False
            state, metrics = await self._analyzer.analyze_end_of_turn()
            await self._push_metrics(metrics)
            if state is EndOfTurnState.COMPLETE:
                await self._decide()
        elif isinstance(frame, TranscriptionFrame):
            if frame.finalized and self._decided:
                await self.trigger_user_turn_stopped()
        elif isinstance(frame, NoWordsFrame):
            if self._decided:
                await self.trigger_user_turn_stopped()
        elif isinstance(frame, STTMetadataFrame):
            self._patience_secs = max(MIN_PATIENCE_SECS, PATIENCE * frame.ttfs_p99_latency)
        elif isinstance(frame, StartFrame):
            await self.broadcast_frame(SpeechControlParamsFrame, turn_params=self._analyzer.params)
        return ProcessFrameResult.CONTINUE

    async def _decide(self) -> None:
        if self._decided:
            return
        self._decided = True
        await self.push_frame(TurnDecidedFrame(), FrameDirection.UPSTREAM)
        self._waiting = self.task_manager.create_task(self._end_without_words(), f"{self}::wait_for_words")

    async def _end_without_words(self) -> None:
        await asyncio.sleep(self._patience_secs)
        self._waiting = None
        logger.warning(f"speech-to-text did not answer within {self._patience_secs:.1f} s; the turn ends without it")
        await self.trigger_user_turn_stopped()

    async def _forget_decision(self) -> None:
        self._decided = False
        if self._waiting:
            waiting, self._waiting = self._waiting, None
            await self.task_manager.cancel_task(waiting)

    async def _push_metrics(self, metrics: MetricsData | None) -> None:
        if metrics:
            await self.push_frame(MetricsFrame(data=[metrics]))


def turn_strategies(analyzer: BaseTurnAnalyzer) -> UserTurnStrategies:
    """A turn starts with voice and ends as the analyzer judges."""
    return UserTurnStrategies(
        start=[VADUserTurnStartStrategy()],
        stop=[TurnEndStrategy(analyzer)],
    )
