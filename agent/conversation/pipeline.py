"""The pipeline: one readable list, the same for every transport.

transport in → echo canceller → wake gate → gain → voice activity → speech-to-text → user's turn → language model
    → speakable text → text-to-speech → playout gate → transport out → what was heard goes into history
"""

from pipecat.audio.turn.smart_turn.base_smart_turn import SmartTurnParams
from pipecat.audio.vad.vad_analyzer import VADParams
from pipecat.frames.frames import TTSSpeakFrame
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.worker import PipelineParams
from pipecat.processors.aggregators.llm_context import LLMContext
from pipecat.processors.aggregators.llm_response_universal import (
    AssistantTurnStoppedMessage,
    LLMAssistantAggregator,
    LLMContextAggregatorPair,
    LLMUserAggregator,
    LLMUserAggregatorParams,
    UserTurnMessageAddedMessage,
    UserTurnStoppedMessage,
)
from pipecat.transports.base_transport import BaseTransport
from pipecat.turns.user_turn_strategies import UserTurnStrategies

from agent.conversation.abilities import Abilities
from agent.conversation.compactors import compactor
from agent.conversation.interpreter import Interpreter
from agent.conversation.live_steps import (
    LiveSteps,
    asking,
    dead_air_options,
    min_speech_secs,
    most_speculations,
    patience_of,
    voicing,
)
from agent.conversation.observer import ConversationObserver
from agent.conversation.tracing import is_tracing
from agent.conversation.waking import wakes
from agent.conversation.watched_worker import Heard, WatchedWorker
from agent.engines.host import ModelHost
from agent.settings.load import Settings
from processors.cut import cut_in_order
from processors.ear.echo import EchoCanceller
from processors.ear.input_gain import InputGain
from processors.ear.sound_end import SoundEnd, VoiceEnd
from processors.ear.vad import SUSPICION, SUSPICION_OVER_ECHO, SharedSileroVADAnalyzer
from processors.ear.voice_activity import DISMISS_SECS, VoiceActivity
from processors.llm.cancelled_calls import CancelledCalls
from processors.llm.dead_air import DeadAir
from processors.llm.history import join_user_runs, mark_interrupted
from processors.llm.on_request import AnswersOnRequest
from processors.llm.pictures import Attached
from processors.llm.service import LocalLLMService
from processors.speech_ahead import SpeechAhead
from processors.stt.service import RecognizerSTTService
from processors.text.speakable import SpeakableText
from processors.tts.service import SynthesizerTTSService
from processors.turns.heard_speech import HeardSpeech
from processors.turns.history_settled import HistorySettled
from processors.turns.interruption import BargeInStrategy
from processors.turns.smart_turn import SharedSmartTurnAnalyzer
from processors.turns.speculation import Speculation
from processors.turns.turn import TurnEndStrategy
from processors.turns.typed_queue import TypedQueue
from processors.turns.typed_turn import TypedTurnEnd, WrittenHistory
from processors.voice.playout_gate import PlayoutGate

IN_RATE_HZ = 16_000
LAST_RESORT_SECS = 20.0
# How long the agent stays ducked on a suspicion where its own voice comes back into the microphone.
DUCK_HOLD_SECS = 0.6


def build_worker(
    host: ModelHost,
    settings: Settings,
    transport: BaseTransport,
    observer: ConversationObserver,
    context: LLMContext,
    abilities: Abilities,
    on_request: AnswersOnRequest | None = None,
    rate_hz: int | None = None,
    attached: Attached | None = None,
    on_heard: Heard | None = None,
) -> tuple[WatchedWorker, LiveSteps]:
    """Wire one conversation on engines that are already loaded.

    Args:
        host: The loaded engines.
        settings: Thresholds and times.
        transport: Where sound comes from and goes to.
        observer: Watches the conversation.
        context: The conversation's history; what stands in it goes on.
        abilities: What the agent can do.
        on_request: Says which turns are answered, where a client decides that.
        rate_hz: Of the agent's sound; default: its voice's.
        attached: Pictures that typed turns come with.
        on_heard: Called with each frame of the microphone that all of the input side has had.

    Returns:
        The worker that runs it, and the steps of it whose settings may change meanwhile.
    """
    heard, ahead, waking = HeardSpeech(), SpeechAhead(), wakes(host, settings)
    interpreter = Interpreter(settings, heard) if settings.interpreter.is_on else None
    barge_in = BargeInStrategy(
        heard,
        language=settings.stt.language,
        shows_partials=host.stt.loaded.shows_partials,
        two_steps=settings.turn.barge_in == "words",
    )
    turn_end = None if interpreter else _turn_end(host, settings)
    history = LLMContextAggregatorPair(
        context,
        user_params=LLMUserAggregatorParams(
            user_turn_strategies=(
                interpreter.strategies()
                if interpreter
                else UserTurnStrategies(start=[barge_in], stop=[TypedTurnEnd(), *([turn_end] if turn_end else [])])
            ),
            # Words nobody understood are not answered with a prompt that the user never said.
            empty_user_turn=None,
            # A last resort, for a microphone that fell silent within a pause: the strategy ends every other turn.
            user_turn_stop_timeout=settings.turn.max_pause_secs + LAST_RESORT_SECS,
            user_idle_timeout=settings.dialogue.idle_after_secs if settings.dialogue.idle_prompt else 0,
        ),
    )
    _join_what_is_added(history.user(), context, barge_in)
    _answer_what_is_unanswered(history.user(), context, barge_in)
    if attached:
        _attach_pictures(history.user(), context, attached)
    if settings.dialogue.idle_prompt:
        _ask_idle_user(history.user(), settings.dialogue.idle_prompt)
    _remember_cuts(history.assistant(), context)
    listening = settings.input
    input_gain = (
        [InputGain(target_dbfs=listening.target_dbfs, max_gain_db=listening.max_gain_db)] if listening.auto_gain else []
    )
    toolbox = abilities.toolbox
    llm_options = interpreter.options(host.llm_options) if interpreter else host.llm_options
    if interpreter:
        llm = LocalLLMService(llm_options, find_reflex=interpreter.find_reflex())
    else:
        asked = asking(llm_options, host, settings, abilities)
        llm = LocalLLMService(
            asked.options,
            find_reflex=asked.find_reflex,
            amend=asked.amend,
            answers=asked.answers,
            chooser=asked.chooser,
            pictures=abilities.camera,
        )
        toolbox.offer(context, llm)
    voiced, rate_hz = voicing(host, settings), rate_hz or host.tts.loaded.sample_rate_hz
    steps = LiveSteps(
        _voice_activity(host, settings, echoes=gives_reference(transport)),
        RecognizerSTTService(
            host.stt.loaded,
            host.stt_threads,
            max_utterance_secs=settings.stt.max_utterance_secs,
            min_speech_secs=min_speech_secs(settings),
            standby=host.stt_standby,
            expected_secs=host.stt.speed.expected_secs if host.stt.speed else None,
        ),
        barge_in,
        turn_end,
        llm,
        compactor(llm_options, llm, context),
        DeadAir(dead_air_options(settings)),
        SpeakableText(language=settings.tts.language, also=settings.interpreter.languages),
        SynthesizerTTSService(
            voiced.engine,
            voiced.threads,
            ahead,
            standby=host.tts_standby,
            manner=abilities.manner,
            at_speed=voiced.at_speed,
            in_language=voiced.in_language,
            sample_rate_hz=rate_hz,
        ),
    )
    reply_way = [
        llm,
        steps.compactor,
        steps.dead_air,
        steps.text,
        steps.voice,
        PlayoutGate(heard, ahead=ahead, manner=abilities.manner, sends_ahead=takes_ahead(transport)),
        transport.output(),
        VoiceEnd(),
        WrittenHistory(),
        CancelledCalls(),
        history.assistant(),
        HistorySettled(context),
    ]
    for step in reply_way:
        cut_in_order(step)
    pipeline = Pipeline(
        [
            transport.input(),
            *([EchoCanceller(mode=settings.echo.mode)] if gives_reference(transport) else []),
            *([waking.gate(heard)] if waking else []),
            *input_gain,
            steps.activity,
            steps.ears,
            *([waking.behind_the_ears()] if waking else []),
            _typed_queue(history.user()),
            history.user(),
            *([interpreter.behind_the_turns()] if interpreter else []),
            *([on_request] if on_request else []),
            SoundEnd(),
            *reply_way,
        ]
    )
    worker = WatchedWorker(
        pipeline,
        params=PipelineParams(audio_in_sample_rate=IN_RATE_HZ, audio_out_sample_rate=rate_hz),
        observers=[observer],
        heard=on_heard,
        enable_rtvi=False,
        # Pipecat's spans are made of turns as it tracks them.
        enable_turn_tracking=is_tracing(),
        enable_tracing=is_tracing(),
        idle_timeout_secs=None,
    )
    return worker, steps


def gives_reference(transport: BaseTransport) -> bool:
    """Whether its frames tell what was played while they were heard; a browser cancels echo by itself."""
    return getattr(transport, "gives_reference", False)


def takes_ahead(transport: BaseTransport) -> bool:
    """Whether its far side plays by itself, and takes sound before its time."""
    return getattr(transport, "takes_ahead", False)


def _voice_activity(host: ModelHost, settings: Settings, *, echoes: bool) -> VoiceActivity:
    params = VADParams(
        confidence=settings.vad.confidence,
        start_secs=settings.vad.start_secs,
        stop_secs=settings.vad.stop_secs,
        min_volume=settings.vad.min_volume,
    )
    suspicion = SUSPICION_OVER_ECHO if echoes else SUSPICION
    analyzer = SharedSileroVADAnalyzer(host.silero, host.vad_threads, params, suspicion=suspicion)
    return VoiceActivity(
        analyzer,
        push_to_talk=settings.turn.mode == "push_to_talk",
        dismiss_secs=DUCK_HOLD_SECS if echoes else DISMISS_SECS,
    )


def _turn_end(host: ModelHost, settings: Settings) -> TurnEndStrategy:
    turn = settings.turn
    smart_turn = SharedSmartTurnAnalyzer(
        host.turn_session, host.turn_threads, SmartTurnParams(stop_secs=turn.max_pause_secs)
    )
    speculation = Speculation(most_speculations(settings))
    return TurnEndStrategy(smart_turn, patience_of(settings), settings.stt.language, speculation)


def _typed_queue(aggregator: LLMUserAggregator) -> TypedQueue:
    queue = TypedQueue()

    async def end(_: LLMUserAggregator, __: object, message: UserTurnStoppedMessage) -> None:
        await queue.turn_ended(message.content or "")

    aggregator.add_event_handler("on_user_turn_stopped", end)
    return queue


def _ask_idle_user(aggregator: LLMUserAggregator, prompt: str) -> None:
    """Ask once, and not again before the user has said something."""
    asked = False

    async def ask(_: LLMUserAggregator) -> None:
        nonlocal asked
        if not asked:
            asked = True
            await aggregator.push_frame(TTSSpeakFrame(prompt, append_to_context=True))

    async def hear(_: LLMUserAggregator, __: object, message: UserTurnStoppedMessage) -> None:
        nonlocal asked
        asked = asked and not message.content

    aggregator.add_event_handler("on_user_turn_idle", ask)
    aggregator.add_event_handler("on_user_turn_stopped", hear)


def _remember_cuts(aggregator: LLMAssistantAggregator, context: LLMContext) -> None:
    """The language model is to know which of its replies the user cut off."""

    async def remember(_: LLMAssistantAggregator, message: AssistantTurnStoppedMessage) -> None:
        if message.interrupted and message.content:
            context.set_messages(mark_interrupted(context.messages, message.content))

    aggregator.add_event_handler("on_assistant_turn_stopped", remember)


def _join_what_is_added(aggregator: LLMUserAggregator, context: LLMContext, barge_in: BargeInStrategy) -> None:
    """What the user adds before the first word of the answer belongs to the same turn."""

    async def join(_: LLMUserAggregator, __: UserTurnMessageAddedMessage) -> None:
        if barge_in.turn_cut_agent:
            context.set_messages(join_user_runs(context.messages))

    aggregator.add_event_handler("on_user_turn_message_added", join)


def _attach_pictures(aggregator: LLMUserAggregator, context: LLMContext, attached: Attached) -> None:
    """What a typed turn came with stands in its message before the model is asked."""

    async def attach(_: LLMUserAggregator, __: UserTurnMessageAddedMessage) -> None:
        if (shown := attached.shown(context.messages)) is not None:
            context.set_messages(shown)

    aggregator.add_event_handler("on_user_turn_message_added", attach)


def _answer_what_is_unanswered(aggregator: LLMUserAggregator, context: LLMContext, barge_in: BargeInStrategy) -> None:
    """A sound without words that cut off an answer before its first word must not leave the question unanswered."""

    async def ask_again(_: LLMUserAggregator, __: object, message: UserTurnStoppedMessage) -> None:
        last = context.messages[-1] if context.messages else None
        cut = barge_in.turn_cut_agent and not message.content
        if cut and isinstance(last, dict) and last.get("role") == "user":
            await aggregator.push_context_frame()

    aggregator.add_event_handler("on_user_turn_stopped", ask_again)
