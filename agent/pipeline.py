"""The pipeline: one readable list, the same for every transport.

transport in → gain → voice activity → speech-to-text → user's turn → language model → speakable text
    → text-to-speech → playout gate → transport out → what was heard goes into history
"""

from pipecat.audio.turn.smart_turn.base_smart_turn import SmartTurnParams
from pipecat.audio.vad.vad_analyzer import VADParams
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.worker import PipelineParams, PipelineWorker
from pipecat.processors.aggregators.llm_context import LLMContext
from pipecat.processors.aggregators.llm_response_universal import (
    LLMContextAggregatorPair,
    LLMUserAggregator,
    LLMUserAggregatorParams,
    UserTurnStoppedMessage,
)
from pipecat.processors.audio.vad_processor import VADProcessor
from pipecat.transports.base_transport import BaseTransport

from agent.model_host import ModelHost
from agent.observer import ConversationObserver
from agent.settings import Settings
from processors.input_gain import InputGain
from processors.llm import LocalLLMService
from processors.playout_gate import PlayoutGate
from processors.speakable import SpeakableText
from processors.stt.service import RecognizerSTTService
from processors.tts.service import SynthesizerTTSService
from processors.turn import Patience, SharedSmartTurnAnalyzer, turn_strategies
from processors.vad import SharedSileroVADAnalyzer

IN_RATE_HZ = 16_000
LAST_RESORT_SECS = 20.0
PATIENCE = {"brisk": 0.7, "normal": 1.0, "patient": 1.5}


def build_worker(
    host: ModelHost, settings: Settings, transport: BaseTransport, observer: ConversationObserver
) -> tuple[PipelineWorker, LLMContext]:
    """Wire one conversation on engines that are already loaded.

    Args:
        host: The loaded engines.
        settings: Thresholds and times.
        transport: Where sound comes from and goes to.
        observer: Watches the conversation.

    Returns:
        The worker to run, and the conversation's history.
    """
    vad = VADParams(
        confidence=settings.vad.confidence,
        start_secs=settings.vad.start_secs,
        stop_secs=settings.vad.stop_secs,
        min_volume=settings.vad.min_volume,
    )
    turn = SmartTurnParams(stop_secs=settings.turn.max_pause_secs)
    patience = Patience(settings.turn.min_pause_secs, settings.turn.max_pause_secs, PATIENCE[settings.turn.pace])
    context = LLMContext()
    history = LLMContextAggregatorPair(
        context,
        user_params=LLMUserAggregatorParams(
            user_turn_strategies=turn_strategies(
                SharedSmartTurnAnalyzer(host.turn_session, host.turn_threads, turn), patience, settings.stt.language
            ),
            # Words nobody understood are not answered with a prompt that the user never said.
            empty_user_turn=None,
            # A last resort, for a microphone that fell silent within a pause: the strategy above ends every other turn.
            user_turn_stop_timeout=settings.turn.max_pause_secs + LAST_RESORT_SECS,
        ),
    )
    _answer_what_is_unanswered(history.user(), context)
    listening = settings.input
    input_gain = (
        [InputGain(target_dbfs=listening.target_dbfs, max_gain_db=listening.max_gain_db)] if listening.auto_gain else []
    )
    pipeline = Pipeline(
        [
            transport.input(),
            *input_gain,
            VADProcessor(vad_analyzer=SharedSileroVADAnalyzer(host.vad_session, host.vad_threads, vad)),
            RecognizerSTTService(host.stt.loaded, host.stt_threads, max_utterance_secs=settings.stt.max_utterance_secs),
            history.user(),
            LocalLLMService(host.llm_options),
            SpeakableText(language=settings.tts.language.split("-")[0]),
            SynthesizerTTSService(host.tts.loaded, host.tts_threads),
            PlayoutGate(),
            transport.output(),
            history.assistant(),
        ]
    )
    worker = PipelineWorker(
        pipeline,
        params=PipelineParams(audio_in_sample_rate=IN_RATE_HZ, audio_out_sample_rate=host.tts.loaded.sample_rate_hz),
        observers=[observer],
        enable_rtvi=False,
        enable_turn_tracking=False,
        idle_timeout_secs=None,
    )
    return worker, context


def _answer_what_is_unanswered(aggregator: LLMUserAggregator, context: LLMContext) -> None:
    """A sound without words that cut off an answer before its first word must not leave the question unanswered."""

    async def ask_again(_: LLMUserAggregator, __: object, message: UserTurnStoppedMessage) -> None:
        last = context.messages[-1] if context.messages else None
        if not message.content and isinstance(last, dict) and last.get("role") == "user":
            await aggregator.push_context_frame()

    aggregator.add_event_handler("on_user_turn_stopped", ask_again)
