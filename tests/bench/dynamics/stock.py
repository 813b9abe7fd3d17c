"""Pipecat's own wiring on the same transport and engines: the defaults, without gate and speculation.

Segmented speech-to-text, default voice activity and turn strategies, the OpenAI service, text-to-speech by sentences
with word timestamps.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from typing import Any

from pipecat.audio.vad.silero import SileroVADAnalyzer
from pipecat.frames.frames import (
    Frame,
    MetricsFrame,
    TranscriptionFrame,
    TTSAudioRawFrame,
    VADUserStoppedSpeakingFrame,
)
from pipecat.metrics.metrics import TurnMetricsData
from pipecat.observers.base_observer import FramePushed
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.worker import PipelineParams, PipelineWorker
from pipecat.processors.aggregators.llm_context import LLMContext
from pipecat.processors.aggregators.llm_response_universal import LLMContextAggregatorPair, LLMUserAggregatorParams
from pipecat.processors.frame_processor import FrameDirection
from pipecat.services.llm_service import LLMService
from pipecat.services.settings import STTSettings, TTSSettings
from pipecat.services.stt_service import SegmentedSTTService
from pipecat.services.tts_service import TTSService
from pipecat.utils.time import time_now_iso8601
from pipecat.workers.runner import WorkerRunner

from agent.conversation.observer import ConversationObserver, Sink
from agent.engines.host import ModelHost
from processors.stt.recognizer import SAMPLE_RATE_HZ
from processors.tts.synthesizer import SpeechChunk
from transports.recorded import RecordedTransport

STOP_TIMEOUT_SECS = 2.0
# What a conversation's transcriber gets: raw sound, and the second on the timeline at which it ends.
Transcriber = Callable[[bytes, float], str]


class StockSTTService(SegmentedSTTService):
    """Transcribes whole segments on the engine's threads."""

    def __init__(self, transcribe: Transcriber, host: ModelHost, now_secs: Callable[[], float]) -> None:
        super().__init__(sample_rate=SAMPLE_RATE_HZ, settings=STTSettings(model="stock", language=None))
        self._transcribe = transcribe
        self._threads = host.stt_threads
        self._now_secs = now_secs
        self._ends_secs: list[float] = []

    @property
    def wants_wav_segments(self) -> bool:
        """Raw sound."""
        return False

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        """Note where each segment ends."""
        if isinstance(frame, VADUserStoppedSpeakingFrame):
            self._ends_secs.append(self._now_secs())
        await super().process_frame(frame, direction)

    async def run_stt(self, audio: bytes) -> AsyncGenerator[Frame | None, None]:
        """One transcript, if there are words."""
        n_bytes = len(audio) - len(self._trailing_silence())
        end_secs = self._ends_secs.pop(0)
        work = asyncio.get_running_loop().run_in_executor(self._threads, self._transcribe, audio[:n_bytes], end_secs)
        if text := await work:
            yield TranscriptionFrame(text, self._user_id, time_now_iso8601())


class StockTTSService(TTSService):
    """Speaks sentence by sentence on the engine's threads."""

    def __init__(self, host: ModelHost) -> None:
        engine = host.tts.loaded
        super().__init__(
            sample_rate=engine.sample_rate_hz,
            push_text_frames=False,
            push_start_frame=True,
            push_stop_frames=True,
            settings=TTSSettings(model="stock", voice="stock", language=None),
        )
        self._engine = engine
        self._threads = host.tts_threads
        self._spoken_secs: dict[str, float] = {}

    async def run_tts(self, text: str, context_id: str) -> AsyncGenerator[Frame | None, None]:
        """The sound of a sentence; its words go to the audio context."""
        loop = asyncio.get_running_loop()
        chunks = iter(self._engine.synthesize(text))
        start_secs = self._spoken_secs.get(context_id, 0.0)
        n_bytes = 0
        while (chunk := await loop.run_in_executor(self._threads, _next, chunks)) is not None:
            words = [(word.text, start_secs + word.start_secs) for word in chunk.words]
            await self.add_word_timestamps(words, context_id)
            yield TTSAudioRawFrame(chunk.pcm16, self.sample_rate, 1, context_id=context_id)
            n_bytes += len(chunk.pcm16)
        self._spoken_secs[context_id] = start_secs + n_bytes / 2 / self.sample_rate


def _next(chunks: Any) -> SpeechChunk | None:
    return next(chunks, None)


class StockObserver(ConversationObserver):
    """The same events, and one more: when smart-turn says that the turn is over."""

    async def on_push_frame(self, data: FramePushed) -> None:
        """Look at one frame on its way."""
        await super().on_push_frame(data)
        if isinstance(data.frame, MetricsFrame) and data.first_push:
            for metrics in data.frame.data:
                if isinstance(metrics, TurnMetricsData) and metrics.is_complete:
                    self.emit("turn_judged_over")


class StockConversation:
    """Runs one pipeline until it is stopped; see `agent.conversation.conversation.Conversation`.

    Args:
        host: The loaded engines.
        transport: Where sound comes from and goes to.
        sinks: Called with each event.
        transcribe: Words of a stretch of sound; runs on the engine's threads.
        llm: The language model service.
    """

    def __init__(
        self,
        host: ModelHost,
        transport: RecordedTransport,
        sinks: Sequence[Sink],
        transcribe: Transcriber,
        llm: LLMService,
    ) -> None:
        card = transport.card
        observer = StockObserver(sinks, speech_end_secs=lambda: card.speech_end_secs)
        self.context = LLMContext()
        history = LLMContextAggregatorPair(
            self.context, user_params=LLMUserAggregatorParams(vad_analyzer=SileroVADAnalyzer())
        )
        steps = [
            transport.input(),
            StockSTTService(transcribe, host, lambda: card.now_secs),
            history.user(),
            llm,
            StockTTSService(host),
            transport.output(),
            history.assistant(),
        ]
        rate_hz = host.tts.loaded.sample_rate_hz
        self._worker = PipelineWorker(
            Pipeline(steps),
            params=PipelineParams(audio_in_sample_rate=SAMPLE_RATE_HZ, audio_out_sample_rate=rate_hz),
            observers=[observer],
            enable_rtvi=False,
            enable_turn_tracking=False,
            idle_timeout_secs=None,
        )
        self._running: asyncio.Task[None] | None = None

    def start(self) -> asyncio.Task[None]:
        """Start it; the task ends when the conversation has ended."""
        self._running = asyncio.create_task(self._run(), name="stock conversation")
        return self._running

    async def stop(self, reason: str) -> None:
        """End it now."""
        if self._running is None or self._running.done():
            return
        await self._worker.cancel(reason=reason)
        await asyncio.wait([self._running], timeout=STOP_TIMEOUT_SECS)

    async def _run(self) -> None:
        runner = WorkerRunner(handle_sigint=False, check_dangling_tasks=False)
        await runner.add_workers(self._worker)
        await runner.run()
