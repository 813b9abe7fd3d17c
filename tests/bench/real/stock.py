"""Pipecat's own wiring on its own services: Whisper, an OpenAI endpoint, Kokoro; every setting its default.

What is chosen: int8, which is the faster on processors; English; greedy temperature and a limit for the model's answer.
"""

import asyncio
from collections.abc import Sequence
from pathlib import Path

from pipecat.audio.vad.silero import SileroVADAnalyzer
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.worker import PipelineParams, PipelineWorker
from pipecat.processors.aggregators.llm_context import LLMContext
from pipecat.processors.aggregators.llm_response_universal import LLMContextAggregatorPair, LLMUserAggregatorParams
from pipecat.services.kokoro.tts import KokoroTTSService
from pipecat.services.openai.llm import OpenAILLMService
from pipecat.services.whisper.stt import WhisperSTTService
from pipecat.transcriptions.language import Language
from pipecat.workers.runner import WorkerRunner

from agent.conversation.observer import Sink
from tests.bench.dynamics.stock import StockObserver
from transports.recorded import OUT_RATE_HZ, RecordedTransport
from transports.sound_file import SAMPLE_RATE_HZ

STOP_TIMEOUT_SECS = 5.0
MAX_TOKENS = 60
SYSTEM_PROMPT = "You are a friendly voice assistant. Answer in one to three short sentences of plain speech."


class LocalOpenAILLMService(OpenAILLMService):
    """Local servers refuse the developer role that the service sends by default."""

    supports_developer_role = False


class StockConversation:
    """Runs the pipeline until it is stopped.

    Args:
        transport: Where sound comes from and goes to.
        sinks: Called with each event.
        whisper: A directory in CTranslate2's format.
        kokoro: A directory with the network and `voices-v1.0.bin`.
        llm_url: The OpenAI-compatible endpoint.
        llm_model: The model's name there.
    """

    def __init__(
        self,
        transport: RecordedTransport,
        sinks: Sequence[Sink],
        *,
        whisper: Path,
        kokoro: Path,
        llm_url: str,
        llm_model: str,
    ) -> None:
        card = transport.card
        stt = WhisperSTTService(
            device="cpu",
            compute_type="int8",
            settings=WhisperSTTService.Settings(model=str(whisper), language=Language.EN),
        )
        llm = LocalOpenAILLMService(
            base_url=llm_url,
            api_key="none",
            settings=OpenAILLMService.Settings(
                model=llm_model, max_tokens=MAX_TOKENS, temperature=0.0, system_instruction=SYSTEM_PROMPT
            ),
        )
        tts = KokoroTTSService(
            model_path=str(next(kokoro.glob("*.onnx"))),
            voices_path=str(next(kokoro.glob("voices*.bin"))),
            settings=KokoroTTSService.Settings(voice="af_heart"),
        )
        history = LLMContextAggregatorPair(
            LLMContext(), user_params=LLMUserAggregatorParams(vad_analyzer=SileroVADAnalyzer())
        )
        steps = [transport.input(), stt, history.user(), llm, tts, transport.output(), history.assistant()]
        self._worker = PipelineWorker(
            Pipeline(steps),
            params=PipelineParams(
                audio_in_sample_rate=SAMPLE_RATE_HZ, audio_out_sample_rate=OUT_RATE_HZ, enable_metrics=True
            ),
            observers=[StockObserver(sinks, speech_end_secs=lambda: card.speech_end_secs)],
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
