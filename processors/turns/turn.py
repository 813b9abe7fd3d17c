"""Endpointing: deciding that the user's turn is over.

In:  sound and words of the turn.   Out: TurnDecidedFrame upstream; the turn's end, once its words are here; while it is
     not judged over, speculation on what was said so far.
The words are asked for at the first window of silence, an answer to them at the second, smart-turn at the third.
"""

import asyncio

from loguru import logger
from pipecat.frames.frames import (
    EagerEndOfTurnCancelFrame,
    ErrorFrame,
    Frame,
    InputAudioRawFrame,
    InterimTranscriptionFrame,
    InterruptionFrame,
    LLMRunFrame,
    MetricsFrame,
    SpeechControlParamsFrame,
    StartFrame,
    STTMetadataFrame,
    TranscriptionFrame,
    VADUserStartedSpeakingFrame,
    VADUserStoppedSpeakingFrame,
)
from pipecat.processors.frame_processor import FrameDirection, FrameProcessorSetup
from pipecat.turns.types import ProcessFrameResult, UserTurnSpeculation
from pipecat.turns.user_stop import BaseUserTurnStopStrategy

from processors.frames import (
    SPECULATED,
    STAGE,
    FalseInterruptionFrame,
    HistorySettledFrame,
    NoWordsFrame,
    PauseTranscriptFrame,
    PushToTalkFrame,
    TurnDecidedFrame,
    VoiceEdge,
    VoiceEdgeFrame,
)
from processors.turns.endpointing import OPEN_BELOW, SpeakerPace, completeness
from processors.turns.pause import Patience, Pause
from processors.turns.smart_turn import SharedSmartTurnAnalyzer
from processors.turns.speculation import Speculation

# Voice activity looks at so much sound at a time.
WINDOW_SECS = 0.032
# Speech-to-text answers every decision. If it hangs, the turn ends without it after this many times its measured p99.
TIMEOUT_FACTOR = 3.0
MIN_TIMEOUT_SECS = 5.0
# So much later than the longest pause, a pause ends the turn although no sound comes any more.
SILENT_MICROPHONE_SECS = 1.0
# Words that cannot be the end are answered in advance only when nothing has followed for this long.
HALF_SAID_SECS = 0.6
# So much voice after a first sign of silence is more than the end of a word.
SPOKE_ON_SECS = 0.25


class TurnEndStrategy(BaseUserTurnStopStrategy):
    """Ends the turn when the pause is long enough for what was heard, and its words have arrived.

    Pipecat's own strategy takes words as they come and ends the turn with whatever is there when a timer runs out;
    this one waits as long as sound and words together suggest, counted in samples, asks for the words once it has
    decided, and is answered with all of them or with none. Meanwhile the answer to the words so far is prepared.

    Args:
        analyzer: Gives the probability, at each pause, that the turn is over.
        patience: How long to wait.
        language: ISO 639-1 code of what is spoken, where the recognizer does not say.
        speculation: Bounds what is prepared before the turn is over.
    """

    def __init__(
        self, analyzer: SharedSmartTurnAnalyzer, patience: Patience, language: str, speculation: Speculation
    ) -> None:
        super().__init__()
        self._analyzer = analyzer
        self._patience = patience
        self._language = language
        self._speculation = speculation
        self._pace = SpeakerPace()
        self._turn_open = False
        # Every turn starts with an interruption, and what it cuts off belongs into the history before this turn.
        self._history_settled = True
        self._user_speaking = False
        self._voice_suspected = False
        self._pause: Pause | None = None
        # Of the turn: the parts that were published already, and what was said since.
        self._parts: list[str] = []
        self._text = ""
        # Of voice since the pause that an answer was prepared in.
        self._resumed_secs = 0.0
        self._decided = False
        self._timeout_secs = MIN_TIMEOUT_SECS
        self._judge_fails = False
        self._waiting: asyncio.Task[None] | None = None
        self._listening: asyncio.Task[None] | None = None
        self._judging: asyncio.Task[None] | None = None

    def change(self, patience: Patience, language: str, most_speculations: int) -> None:
        """Other settings, from now on; see the class.

        Args:
            patience: How long to wait.
            language: What is spoken, where the recognizer does not say.
            most_speculations: In a turn.
        """
        self._patience = patience
        self._language = language
        self._speculation.allow(most_speculations)

    async def setup(self, setup: FrameProcessorSetup) -> None:
        """Learn the microphone's rate."""
        await super().setup(setup)
        self._analyzer.set_sample_rate(setup.audio_in_sample_rate)

    async def cleanup(self) -> None:
        """Stop waiting."""
        await super().cleanup()
        await self._forget_decision()
        await self._stop_judging()
        await self._analyzer.cleanup()

    async def handle_user_turn_started(self) -> None:
        """A decision about an earlier turn says nothing about this one; what was said over the agent belongs to it."""
        self._turn_open = True
        self._speculation.end()
        self._history_settled = False
        self._parts = []
        await self._forget_decision()
        if self._pause and not self._user_speaking:
            self._listen()

    async def handle_user_turn_stopped(self) -> None:
        """Whoever ended the turn: its sound and words must not end the next one."""
        self._turn_open = False
        await self._forget_speech()
        if self._speculation.in_flight:
            # The turn was ended by another.
            await self.trigger_user_turn_speculation_cancelled()
        self._speculation.next_turn()

    async def process_frame(self, frame: Frame) -> ProcessFrameResult:
        """Follow voice, sound and words."""
        if isinstance(frame, InputAudioRawFrame):
            await self._hear(frame)
        elif isinstance(frame, VoiceEdgeFrame):
            await self._follow_edge(frame)
        elif isinstance(frame, VADUserStartedSpeakingFrame):
            await self._start_speech(frame)
        elif isinstance(frame, VADUserStoppedSpeakingFrame):
            await self._stop_speech(frame)
        elif isinstance(frame, InterimTranscriptionFrame):
            self._text = frame.text
        elif isinstance(frame, PauseTranscriptFrame):
            await self._take_words(frame)
        elif isinstance(frame, TranscriptionFrame):
            await self._take_published(frame)
        elif isinstance(frame, NoWordsFrame):
            if self._decided:
                await self._end_turn()
        elif isinstance(frame, PushToTalkFrame):
            await self._follow_key(frame)
        elif isinstance(frame, FalseInterruptionFrame):
            await self._forget_speech()
        elif isinstance(frame, HistorySettledFrame):
            self._history_settled = True
            await self._consider()
        elif isinstance(frame, InterruptionFrame):
            # Of another's making: what was prepared is gone.
            self._speculation.end()
        elif isinstance(frame, EagerEndOfTurnCancelFrame):
            # The answer wants a tool, which must not run before the turn is over.
            if self._speculation.give_up(str(frame.metadata.get(SPECULATED, ""))):
                # It was over, and the model had not been told yet.
                await self.push_frame(LLMRunFrame())
        elif isinstance(frame, STTMetadataFrame):
            self._timeout_secs = max(MIN_TIMEOUT_SECS, TIMEOUT_FACTOR * frame.ttfs_p99_latency)
        elif isinstance(frame, StartFrame):
            await self.broadcast_frame(SpeechControlParamsFrame, turn_params=self._analyzer.params)
        return ProcessFrameResult.CONTINUE

    async def _hear(self, frame: InputAudioRawFrame) -> None:
        self._analyzer.append_audio(frame.audio, self._user_speaking)
        duration_secs = frame.num_frames / frame.sample_rate
        if self._pause:
            self._pause.silence_secs += duration_secs
            if self._pause.is_to_be_judged:
                self._judge(self._pause)
            await self._consider()
        elif self._speculation.in_flight:
            self._resumed_secs += duration_secs
            if self._resumed_secs >= SPOKE_ON_SECS:
                await self._withdraw()

    async def _follow_edge(self, frame: VoiceEdgeFrame) -> None:
        edge = frame.edge
        if edge is VoiceEdge.PAUSING:
            self._pause = Pause(silence_secs=WINDOW_SECS)
        elif edge is VoiceEdge.RESUMED:
            # A window of voice may be the end of the last word; what was prepared is given up when more follows.
            self._pause = None
            self._resumed_secs = 0.0
        else:
            self._voice_suspected = edge is VoiceEdge.SUSPECTED
            if edge is VoiceEdge.DISMISSED and self._pause and not self._decided:
                self._pause.hear_sound(frame.sound_secs, frame.silence_secs, self._text, self._language)

    async def _start_speech(self, frame: VADUserStartedSpeakingFrame) -> None:
        self._analyzer.update_vad_start_secs(frame.start_secs)
        self._user_speaking = True
        if self._pause and self._turn_open:
            self._pace.learn(max(0.0, self._pause.silence_secs - frame.start_secs))
        self._pause = None
        await self._forget_decision()
        # The user goes on: what was prepared answers half of a turn.
        await self._withdraw()

    async def _stop_speech(self, frame: VADUserStoppedSpeakingFrame) -> None:
        self._user_speaking = False
        self._voice_suspected = False
        await self._stop_listening()
        if self._pause is None:
            self._pause = Pause(silence_secs=frame.stop_secs)
            self._judge(self._pause)
        self._pause.silence_secs = max(self._pause.silence_secs, frame.stop_secs)
        self._listen()
        await self._consider()

    def _listen(self) -> None:
        self._listening = self.task_manager.create_task(self._decide_without_sound(), f"{self}::listen")

    def _judge(self, pause: Pause) -> None:
        """Ask smart-turn, unless it is still busy with an earlier pause: it costs a core 100 ms."""
        pause.asked = True
        if self._judging is None:
            self._judging = self.task_manager.create_task(self._ask_smart_turn(pause), f"{self}::judge")

    async def _ask_smart_turn(self, pause: Pause) -> None:
        try:
            pause.probability, metrics = await self._analyzer.probability(
                pause.silence_secs, wanted=lambda: self._pause is pause
            )
            self._judge_fails = False
        # Without its judgement the turn ends by its words, or by the length of the pause.
        except Exception as error:  # noqa: BLE001
            metrics = None
            if not self._judge_fails:
                self._judge_fails = True
                failure = ErrorFrame(f"turn: {str(error) or type(error).__name__}")
                failure.metadata[STAGE] = "turn"
                await self.push_frame(failure, FrameDirection.UPSTREAM)
        finally:
            self._judging = None
        pause.judged = True
        if metrics:
            await self.push_frame(MetricsFrame(data=[metrics]))
        if self._pause is pause:
            await self._consider()
        elif self._pause and not self._pause.judged:
            self._judge(self._pause)

    async def _take_words(self, frame: PauseTranscriptFrame) -> None:
        self._text = frame.text
        if frame.language:
            self._language = frame.language
        if self._pause:
            self._pause.words_known = True
            await self._consider()

    async def _take_published(self, frame: TranscriptionFrame) -> None:
        self._parts.append(frame.text)
        self._text = ""
        if frame.finalized and self._decided:
            await self._end_turn()

    async def _follow_key(self, frame: PushToTalkFrame) -> None:
        """The key says that the turn is over; nothing is left to judge."""
        if not frame.active:
            self._user_speaking = False
            self._pause = Pause(silence_secs=0.0, key_released=True)

    @property
    def _turn_text(self) -> str:
        return " ".join(filter(None, [*self._parts, self._text]))

    async def _consider(self) -> None:
        """Decide, if the pause has become long enough; if not, prepare for it."""
        pause = self._pause
        if pause is None or self._decided or not self._turn_open:
            return
        if not self._user_speaking and self._is_long_enough(pause):
            await self._decide()
        elif pause.is_to_be_answered and self._history_settled:
            await self._speculate(pause)

    def _is_long_enough(self, pause: Pause) -> bool:
        if not self._history_settled:
            return False
        return pause.ends_turn(
            self._text, self._language, self._patience, pace=self._pace.factor, voice_suspected=self._voice_suspected
        )

    async def _speculate(self, pause: Pause) -> None:
        text = self._turn_text
        if not text or self._speculation.answers(text) or not self._speculation.may_begin():
            return
        if pause.silence_secs < HALF_SAID_SECS and completeness(self._text, self._language) < OPEN_BELOW:
            return
        await self._withdraw()
        self._speculation.begin(text)
        await self.trigger_user_turn_inference_triggered(speculation=UserTurnSpeculation(text))

    async def _withdraw(self) -> None:
        if self._speculation.in_flight:
            self._speculation.end()
            await self.trigger_user_turn_speculation_cancelled()

    async def _decide(self) -> None:
        if self._decided or not self._turn_open:
            return
        self._decided = True
        self._waiting = self.task_manager.create_task(self._end_without_words(), f"{self}::wait_for_words")
        await self.push_frame(TurnDecidedFrame(), FrameDirection.UPSTREAM)

    async def _end_turn(self) -> None:
        """End it; an answer that was prepared is kept if it answers what was published."""
        if self._speculation.answers(" ".join(self._parts)):
            self._speculation.keep()
            await self.trigger_user_turn_finalized(confirms_speculation=True)
        else:
            await self._withdraw()
            await self.trigger_user_turn_stopped()

    async def _end_without_words(self) -> None:
        await asyncio.sleep(self._timeout_secs)
        self._waiting = None
        logger.warning(f"speech-to-text did not answer within {self._timeout_secs:.1f} s; the turn ends without it")
        await self._end_turn()

    async def _decide_without_sound(self) -> None:
        """A microphone may fall silent in a pause, and then no samples come that could be counted."""
        await asyncio.sleep(self._patience.max_secs + SILENT_MICROPHONE_SECS)
        self._listening = None
        await self._decide()

    async def _stop_listening(self) -> None:
        if self._listening:
            listening, self._listening = self._listening, None
            await self.task_manager.cancel_task(listening)

    async def _stop_judging(self) -> None:
        if self._judging:
            judging, self._judging = self._judging, None
            await self.task_manager.cancel_task(judging)

    async def _forget_speech(self) -> None:
        self._pause = None
        self._parts = []
        self._text = ""
        await self._forget_decision()
        self._analyzer.clear()

    async def _forget_decision(self) -> None:
        self._decided = False
        await self._stop_listening()
        if self._waiting:
            waiting, self._waiting = self._waiting, None
            await self.task_manager.cancel_task(waiting)
