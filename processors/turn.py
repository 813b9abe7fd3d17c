"""Endpointing: deciding that the user's turn is over, with smart-turn v3 on one session that all conversations share.

In:  sound and words of the turn.   Out: TurnDecidedFrame upstream; the turn's end, once its words are here.
Pipecat's analyzer loads a session (about 60 MB) and starts a thread per conversation. Model: smart-turn v3.2, BSD-2.
"""

import asyncio
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import onnxruntime
from loguru import logger
from pipecat.audio.turn.smart_turn.base_smart_turn import BaseSmartTurn, SmartTurnParams
from pipecat.audio.turn.smart_turn.local_smart_turn_v3 import LocalSmartTurnAnalyzerV3
from pipecat.frames.frames import (
    Frame,
    InputAudioRawFrame,
    InterimTranscriptionFrame,
    MetricsFrame,
    SpeechControlParamsFrame,
    StartFrame,
    STTMetadataFrame,
    TranscriptionFrame,
    VADUserStartedSpeakingFrame,
    VADUserStoppedSpeakingFrame,
)
from pipecat.metrics.metrics import MetricsData, TurnMetricsData
from pipecat.processors.frame_processor import FrameDirection, FrameProcessorSetup
from pipecat.turns.types import ProcessFrameResult
from pipecat.turns.user_start import VADUserTurnStartStrategy
from pipecat.turns.user_stop import BaseUserTurnStopStrategy
from pipecat.turns.user_turn_strategies import UserTurnStrategies

from processors.endpointing import SpeakerPace, completeness, pause_to_wait_for
from processors.turn_frames import NoWordsFrame, PauseTranscriptFrame, TurnDecidedFrame

MODEL_FILE = "smart-turn-v3.2-cpu.onnx"
# Speech-to-text answers every decision. If it hangs, the turn ends without it after this many times its measured p99.
TIMEOUT_FACTOR = 3.0
MIN_TIMEOUT_SECS = 5.0
# So much later than the longest pause, a pause ends the turn although no sound comes any more.
SILENT_MICROPHONE_SECS = 1.0
# A turn in which nothing was recognized is not held open for long.
NO_WORDS_SECS = 0.5


@dataclass(frozen=True)
class Patience:
    """How long a pause may be.

    Attributes:
        min_secs: The shortest pause that ends a turn.
        max_secs: The longest pause within a turn.
        factor: Above 1 for speakers who take their time.
    """

    min_secs: float = 0.2
    max_secs: float = 1.6
    factor: float = 1.0


@dataclass
class _Pause:
    """The pause that is going on."""

    silence_secs: float
    probability: float | None = None
    words_known: bool = False


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

    async def probability(self) -> tuple[float | None, MetricsData | None]:
        """How probably the turn is over, by the sound of the turn so far, which is kept.

        Returns:
            0 to 1, None where there is no sound; and the metrics of the model's run.
        """
        _, metrics = await asyncio.get_running_loop().run_in_executor(
            self._threads, self._process_speech_segment, self._audio_buffer
        )
        return (metrics.probability if isinstance(metrics, TurnMetricsData) else None), metrics

    @property
    def _model_executor(self) -> ThreadPoolExecutor:
        return cast(ThreadPoolExecutor, self._threads)


class TurnEndStrategy(BaseUserTurnStopStrategy):
    """Ends the turn when the pause is long enough for what was heard, and its words have arrived.

    Pipecat's own strategy takes words as they come and ends the turn with whatever is there when a timer runs out;
    this one waits as long as sound and words together suggest, counted in samples, asks for the words once it has
    decided, and is answered with all of them or with none.

    Args:
        analyzer: Gives the probability, at each pause, that the turn is over.
        patience: How long to wait.
        language: ISO 639-1 code of what is spoken, where the recognizer does not say.
    """

    def __init__(self, analyzer: SharedSmartTurnAnalyzer, patience: Patience, language: str) -> None:
        super().__init__()
        self._analyzer = analyzer
        self._patience = patience
        self._language = language
        self._pace = SpeakerPace()
        self._user_speaking = False
        self._pause: _Pause | None = None
        self._text = ""
        self._decided = False
        self._timeout_secs = MIN_TIMEOUT_SECS
        self._waiting: asyncio.Task[None] | None = None
        self._listening: asyncio.Task[None] | None = None

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
        await self._forget_turn()

    async def handle_user_turn_stopped(self) -> None:
        """Whoever ended the turn: its sound and words must not end the next one."""
        await self._forget_turn()
        self._analyzer.clear()

    async def process_frame(self, frame: Frame) -> ProcessFrameResult:
        """Follow voice, sound and words."""
        if isinstance(frame, InputAudioRawFrame):
            await self._hear(frame)
        elif isinstance(frame, VADUserStartedSpeakingFrame):
            await self._start_speech(frame)
        elif isinstance(frame, VADUserStoppedSpeakingFrame):
            await self._start_pause(frame)
        elif isinstance(frame, InterimTranscriptionFrame):
            self._text = frame.text
        elif isinstance(frame, PauseTranscriptFrame):
            await self._take_words(frame)
        elif isinstance(frame, TranscriptionFrame):
            if frame.finalized and self._decided:
                await self.trigger_user_turn_stopped()
        elif isinstance(frame, NoWordsFrame):
            if self._decided:
                await self.trigger_user_turn_stopped()
        elif isinstance(frame, STTMetadataFrame):
            self._timeout_secs = max(MIN_TIMEOUT_SECS, TIMEOUT_FACTOR * frame.ttfs_p99_latency)
        elif isinstance(frame, StartFrame):
            await self.broadcast_frame(SpeechControlParamsFrame, turn_params=self._analyzer.params)
        return ProcessFrameResult.CONTINUE

    async def _hear(self, frame: InputAudioRawFrame) -> None:
        self._analyzer.append_audio(frame.audio, self._user_speaking)
        if self._pause:
            self._pause.silence_secs += frame.num_frames / frame.sample_rate
            await self._consider()

    async def _start_speech(self, frame: VADUserStartedSpeakingFrame) -> None:
        self._analyzer.update_vad_start_secs(frame.start_secs)
        self._user_speaking = True
        if self._pause:
            self._pace.learn(max(0.0, self._pause.silence_secs - frame.start_secs))
        self._pause = None
        await self._forget_decision()

    async def _start_pause(self, frame: VADUserStoppedSpeakingFrame) -> None:
        self._user_speaking = False
        await self._stop_listening()
        self._pause = _Pause(silence_secs=frame.stop_secs)
        self._listening = self.task_manager.create_task(self._decide_without_sound(), f"{self}::listen")
        self._pause.probability, metrics = await self._analyzer.probability()
        await self._push_metrics(metrics)
        await self._consider()

    async def _take_words(self, frame: PauseTranscriptFrame) -> None:
        self._text = frame.text
        if frame.language:
            self._language = frame.language
        if self._pause:
            self._pause.words_known = True
            await self._consider()

    async def _consider(self) -> None:
        """Decide, if the pause has become long enough."""
        pause, patience = self._pause, self._patience
        if pause is None or self._decided:
            return
        if pause.silence_secs < patience.max_secs:
            if not pause.words_known:
                # They are on their way, and the turn cannot be answered without them.
                return
            wait_secs = pause_to_wait_for(
                pause.probability,
                completeness(self._text, self._language),
                min_secs=patience.min_secs,
                max_secs=patience.max_secs,
                factor=patience.factor * self._pace.factor,
            )
            if not self._text:
                wait_secs = min(wait_secs, NO_WORDS_SECS)
            if pause.silence_secs < wait_secs:
                return
        await self._decide()

    async def _decide(self) -> None:
        if self._decided:
            return
        self._decided = True
        self._waiting = self.task_manager.create_task(self._end_without_words(), f"{self}::wait_for_words")
        await self.push_frame(TurnDecidedFrame(), FrameDirection.UPSTREAM)

    async def _end_without_words(self) -> None:
        await asyncio.sleep(self._timeout_secs)
        self._waiting = None
        logger.warning(f"speech-to-text did not answer within {self._timeout_secs:.1f} s; the turn ends without it")
        await self.trigger_user_turn_stopped()

    async def _decide_without_sound(self) -> None:
        """A microphone may fall silent in a pause, and then no samples come that could be counted."""
        await asyncio.sleep(self._patience.max_secs + SILENT_MICROPHONE_SECS)
        self._listening = None
        await self._decide()

    async def _stop_listening(self) -> None:
        if self._listening:
            listening, self._listening = self._listening, None
            await self.task_manager.cancel_task(listening)

    async def _forget_turn(self) -> None:
        self._pause = None
        self._text = ""
        await self._forget_decision()

    async def _forget_decision(self) -> None:
        self._decided = False
        await self._stop_listening()
        if self._waiting:
            waiting, self._waiting = self._waiting, None
            await self.task_manager.cancel_task(waiting)

    async def _push_metrics(self, metrics: MetricsData | None) -> None:
        if metrics:
            await self.push_frame(MetricsFrame(data=[metrics]))


def turn_strategies(analyzer: SharedSmartTurnAnalyzer, patience: Patience, language: str) -> UserTurnStrategies:
    """A turn starts with voice and ends as sound and words suggest.

    Args:
        analyzer: Judges the sound.
        patience: How long to wait.
        language: ISO 639-1 code of what is spoken, where the recognizer does not say.
    """
    return UserTurnStrategies(
        start=[VADUserTurnStartStrategy()],
        stop=[TurnEndStrategy(analyzer, patience, language)],
    )
