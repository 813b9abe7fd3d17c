"""The one observer: turns the frames of a conversation into events for the log, the page, the terminal and metrics.

In:  every frame that passes between two steps.   Out: events (`agent/conversation/events.py`), each a dict.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from loguru import logger
from pipecat.frames.frames import (
    AggregatedTextFrame,
    BotStoppedSpeakingFrame,
    EagerEndOfTurnCancelFrame,
    ErrorFrame,
    Frame,
    InputAudioRawFrame,
    InterruptionFrame,
    LLMContextFrame,
    LLMFullResponseEndFrame,
    LLMFullResponseStartFrame,
    LLMTextFrame,
    OutputAudioRawFrame,
    TTSAudioRawFrame,
    TTSSpeakFrame,
    TTSStartedFrame,
    TTSTextFrame,
    UserStartedSpeakingFrame,
    UserStoppedSpeakingFrame,
    VADUserStartedSpeakingFrame,
    VADUserStoppedSpeakingFrame,
)
from pipecat.observers.base_observer import BaseObserver, FramePushed
from pipecat.processors.aggregators.llm_context import standard_message_text
from pipecat.processors.aggregators.llm_response_universal import LLMUserAggregator
from pipecat.processors.frame_processor import FrameDirection
from pipecat.services.llm_service import LLMService
from pipecat.services.tts_service import TTSService
from pipecat.transports.base_output import BaseOutputTransport

from agent.conversation import events
from agent.conversation.event_log import Event
from agent.conversation.frame_events import TOLD_DOWNSTREAM
from agent.conversation.reply import Replies, Reply, Stage
from agent.conversation.stages import stage_of
from agent.conversation.turn_clock import TurnClock
from processors.frames import ReplySourceFrame, StartOverFrame, TurnDecidedFrame, TypedTurnFrame, WrittenTextFrame
from processors.llm.cancelled_calls import CancelledCalls
from processors.llm.dead_air import FILLER
from processors.llm.history import last_user_words
from processors.llm.reflex import REFLEX
from processors.llm.routing import ANSWERING
from processors.text.speakable import SpeakableText
from processors.text.written_places import WORD_PLACES
from processors.turns.history_settled import HistorySettled

# Quieter than this is not heard as the agent's voice: -50 dBFS.
AUDIBLE_S16 = 104

Sink = Callable[[Event], None]


class ConversationObserver(BaseObserver):
    """Watches one conversation.

    Args:
        sinks: Called with each event, on the event loop; they must not block.
        speech_end_secs: Where the user's voice truly ended, if the transport knows it from a recording.
        joins: Whether a turn that comes before the answer to the last one adds to that.
    """

    def __init__(
        self, sinks: Sequence[Sink], *, speech_end_secs: Callable[[], float | None] = lambda: None, joins: bool = True
    ) -> None:
        super().__init__()
        self._joins = joins
        self._sinks = list(sinks)
        self._true_speech_end_secs = speech_end_secs
        self._origin_ns: int | None = None
        self._now_secs = 0.0
        self._clock = TurnClock()
        self._turn_text = ""
        self._typed = False
        # The words that are being answered before the turn is over.
        self._speculated: str | None = None
        self._user_speaking = False
        self._answered = True
        # Whether the turn adds to one whose answer has not been heard.
        self._continues = False
        self._filler = False
        self._replies = Replies()
        # Whether a cut from outside is on its way, and the answer that it cuts has not been heard.
        self._answer_cut = False
        self._bot_audible = False
        self._handlers: dict[type[Frame], Callable[[FramePushed, Any], None]] = {
            VADUserStartedSpeakingFrame: self._on_voice_started,
            VADUserStoppedSpeakingFrame: self._on_voice_stopped,
            UserStartedSpeakingFrame: self._on_turn_started,
            TurnDecidedFrame: self._on_turn_decided,
            UserStoppedSpeakingFrame: self._on_turn_stopped,
            LLMContextFrame: self._on_context,
            EagerEndOfTurnCancelFrame: self._on_withdrawal,
            LLMFullResponseStartFrame: self._on_reply_started,
            LLMTextFrame: self._on_token,
            LLMFullResponseEndFrame: self._on_reply_done,
            TTSSpeakFrame: self._on_speak,
            ReplySourceFrame: self._on_source,
            AggregatedTextFrame: self._on_planned,
            TypedTurnFrame: self._on_typed,
            WrittenTextFrame: self._on_written,
            TTSStartedFrame: self._on_tts_started,
            TTSAudioRawFrame: self._on_speech,
            TTSTextFrame: self._on_word,
            BotStoppedSpeakingFrame: self._on_bot_stopped,
            InterruptionFrame: self._on_interruption,
            StartOverFrame: self._on_started_over,
            ErrorFrame: self._on_error,
        }

    def emit(self, event: str, *, t: float | None = None, **fields: Any) -> None:
        """Hand an event to every sink.

        Args:
            event: Its name.
            t: Seconds on the timeline; default: the latest frame's.
            fields: What the event says.
        """
        events.check(event, fields)
        line: Event = {"t": round(self._now_secs if t is None else t, 4), "event": event, **fields}
        for sink in list(self._sinks):
            # One sink's failure must not blind the others, nor end the task that feeds them all.
            try:
                sink(line)
            except Exception as error:  # noqa: BLE001
                self._sinks.remove(sink)
                logger.error(f"events no longer reach {type(sink).__name__}: {error!r}")

    def pass_time(self, timestamp_ns: int) -> None:
        """It is so late, on the pipeline's clock; before the first sound (a key, a greeting) it is 0."""
        self._now_secs = 0.0 if self._origin_ns is None else max(0.0, (timestamp_ns - self._origin_ns) / 1e9)

    async def on_push_frame(self, data: FramePushed) -> None:
        """Look at one frame on its way."""
        if self._origin_ns is None and isinstance(data.frame, InputAudioRawFrame):
            duration_secs = data.frame.num_frames / data.frame.sample_rate
            self._origin_ns = data.timestamp - round(duration_secs * 1e9)
        self.pass_time(data.timestamp)
        handler = self._handlers.get(type(data.frame))
        if handler:
            handler(data, data.frame)
        elif data.first_push and data.direction is FrameDirection.DOWNSTREAM and not _is_bookkeeping(data):
            self._tell(data.frame)

    def _tell(self, frame: Frame) -> None:
        """Events that need no more than their frame."""
        tell = TOLD_DOWNSTREAM.get(type(frame))
        if tell and (told := tell(frame)):
            event, fields = told
            self.emit(event, **fields)

    def _on_voice_started(self, data: FramePushed, frame: VADUserStartedSpeakingFrame) -> None:
        if data.first_push and data.direction is FrameDirection.DOWNSTREAM:
            self._user_speaking = True
            self.emit("user_started_speaking")

    def _on_voice_stopped(self, data: FramePushed, frame: VADUserStoppedSpeakingFrame) -> None:
        if data.first_push and data.direction is FrameDirection.DOWNSTREAM:
            self._clock.speech_end_secs = max(0.0, self._now_secs - frame.stop_secs)
            self._user_speaking = False
            self.emit("user_stopped_speaking")

    def _on_turn_started(self, data: FramePushed, frame: UserStartedSpeakingFrame) -> None:
        if data.first_push and data.direction is FrameDirection.DOWNSTREAM:
            # Speech over the agent may be over before it is known to be a turn.
            self._clock = TurnClock(speech_end_secs=None if self._user_speaking else self._clock.speech_end_secs)
            self._turn_text = ""
            self._continues = self._joins and not (self._answered or self._typed)
            self._filler = False
            self.emit("turn_started")

    def _on_turn_decided(self, data: FramePushed, frame: TurnDecidedFrame) -> None:
        if data.first_push:
            self._clock.decision_secs = self._now_secs

    def _on_turn_stopped(self, data: FramePushed, frame: UserStoppedSpeakingFrame) -> None:
        if data.first_push and data.direction is FrameDirection.DOWNSTREAM:
            if self._clock.turn_end_secs is None:
                self._clock.turn_end_secs = self._now_secs
            if self._speculated is not None:
                self._turn_text, self._speculated = self._speculated, None
                self._answered = False
                self._replies.at(Stage.LLM).is_speculative = self._replies.at(Stage.TEXT).is_speculative = False
                self.emit("speculation", outcome="kept", text=self._turn_text)
            source: dict[str, Any] = {"source": "typed"} if self._typed else {}
            self._typed = False
            self.emit("turn_ended", t=self._clock.turn_end_secs, text=self._turn_text, **source)
            self._tell_planned()

    def _on_context(self, data: FramePushed, frame: LLMContextFrame) -> None:
        if not (data.first_push and isinstance(data.source, LLMUserAggregator)):
            return
        messages = frame.context.messages
        last = messages[-1] if messages else None
        if not isinstance(last, dict) or last.get("role") != "user":
            return
        words = last_user_words(messages) if self._continues else standard_message_text(last)
        self._clock.asked_secs = self._now_secs
        if frame.speculation:
            self._speculated = words
        else:
            self._turn_text = words
            self._clock.turn_end_secs = self._now_secs
            self._answered = False

    def _on_withdrawal(self, data: FramePushed, frame: EagerEndOfTurnCancelFrame) -> None:
        if data.first_push:
            self._throw_away_speculation()

    def _throw_away_speculation(self) -> None:
        if self._speculated is not None:
            self.emit("speculation", outcome="thrown_away", text=self._speculated)
            self._speculated = None

    def _on_typed(self, data: FramePushed, frame: TypedTurnFrame) -> None:
        if isinstance(data.source, LLMUserAggregator):
            self._typed = True
            # Nothing was said whose end could be dated.
            self._clock.speech_end_secs = None

    def _on_reply_started(self, data: FramePushed, frame: LLMFullResponseStartFrame) -> None:
        if isinstance(data.source, LLMService):
            is_speculative = self._speculated is not None
            self._replies.begin(Stage.LLM, Reply(is_speculative=is_speculative, is_done=False))

    def _on_token(self, data: FramePushed, frame: LLMTextFrame) -> None:
        if not isinstance(data.source, LLMService):
            return
        reply = self._replies.at(Stage.LLM)
        if not reply.text:
            reply.reflex = frame.metadata.get(REFLEX)
            fields: dict[str, Any] = {"speculative": True} if reply.is_speculative else {}
            if reply.reflex:
                self.emit("reflex", name=reply.reflex, **fields)
            else:
                self._clock.first_token_secs = self._now_secs
                answering = frame.metadata.get(ANSWERING)
                self.emit("llm_first_token", **fields, **(answering.as_fields() if answering else {}))
        reply.text += frame.text
        reply.to_be_heard += frame.text

    def _on_reply_done(self, data: FramePushed, frame: LLMFullResponseEndFrame) -> None:
        if isinstance(data.source, LLMService):
            reply = self._replies.at(Stage.LLM)
            reply.n_chars = len(reply.to_be_heard)
            if not frame.skip_tts:
                self.emit("llm_done", text=reply.text)
        elif isinstance(data.source, BaseOutputTransport):
            reply = self._replies.at(Stage.OUT)
            reply.is_done = True
            if reply.is_written:
                # It has been read as it came.
                self.emit("llm_done", text=reply.text)
                self._replies.begin(Stage.OUT, Reply())
            elif not self._bot_audible and len(reply.to_be_heard) == reply.n_chars:
                # Nothing more is to be heard, such as an apology.
                self._replies.begin(Stage.OUT, Reply())

    def _on_speak(self, data: FramePushed, frame: TTSSpeakFrame) -> None:
        if isinstance(data.source, SpeakableText):
            self._replies.words_at(Stage.TEXT).plan(frame.metadata[WORD_PLACES])
            self._plan("bot_planned", text=frame.text)
        if not data.first_push:
            return
        reply = self._replies.at(Stage.TEXT)
        if FILLER in frame.metadata:
            self._filler = True
            self.emit("filler", text=frame.text)
        else:
            reply.text = f"{reply.text} {frame.text}".strip()
        reply.to_be_heard = f"{reply.to_be_heard.rstrip()} {frame.text} ".lstrip()

    def _on_source(self, data: FramePushed, frame: ReplySourceFrame) -> None:
        if isinstance(data.source, SpeakableText):
            self._plan("bot_written", text=frame.text, reply=frame.reply, start=frame.start)

    def _on_planned(self, data: FramePushed, frame: AggregatedTextFrame) -> None:
        if isinstance(data.source, SpeakableText):
            self._replies.words_at(Stage.TEXT).plan(frame.metadata[WORD_PLACES])
            self._plan("bot_planned", text=frame.text)

    def _plan(self, event: str, **fields: Any) -> None:
        reply = self._replies.at(Stage.TEXT)
        reply.planned.append((event, fields))
        if not reply.is_speculative:
            self._tell_planned()

    def _tell_planned(self) -> None:
        reply = self._replies.at(Stage.TEXT)
        for event, fields in reply.planned:
            self.emit(event, **fields)
        reply.planned = []

    def _on_written(self, data: FramePushed, frame: WrittenTextFrame) -> None:
        if isinstance(data.source, BaseOutputTransport):
            self._replies.at(Stage.OUT).is_written = self._answered = True
            self.emit("reply_text", text=frame.text)

    def _on_tts_started(self, data: FramePushed, frame: TTSStartedFrame) -> None:
        if isinstance(data.source, TTSService):
            self._clock.tts_start_secs = self._now_secs
            self._clock.tts_audio_secs = None

    def _on_speech(self, data: FramePushed, frame: TTSAudioRawFrame) -> None:
        if isinstance(data.source, TTSService):
            if self._clock.tts_audio_secs is None:
                self._clock.tts_audio_secs = self._now_secs
        elif isinstance(data.source, BaseOutputTransport) and not self._bot_audible:
            self._filler |= FILLER in frame.metadata
            self._look_for_sound(frame)

    def _look_for_sound(self, frame: OutputAudioRawFrame) -> None:
        """Date the agent's first audible sample."""
        audible = np.flatnonzero(np.abs(np.frombuffer(frame.audio, "<i2").astype(np.int32)) > AUDIBLE_S16)
        if audible.size == 0:
            return
        self._bot_audible = True
        frame_secs = frame.metadata.get("playout_secs", self._now_secs)
        sound_secs = frame_secs + float(audible[0]) / frame.num_channels / frame.sample_rate
        self.emit("bot_started_speaking", t=sound_secs)
        if not self._answered:
            self._answered = True
            self._report_latency(sound_secs)

    def _report_latency(self, sound_secs: float) -> None:
        truth_secs = self._true_speech_end_secs()
        # A recording that goes on after the turn was ended has its last voice in the future.
        if truth_secs is not None and truth_secs <= (self._clock.turn_end_secs or truth_secs):
            self._clock.speech_end_secs = truth_secs
        # What bridged the wait was heard before the answer.
        bridged: dict[str, Any] = {"filler": True} if self._filler else {}
        self.emit("latency", t=sound_secs, **self._clock.latencies_ms(sound_secs), **bridged)

    def _on_word(self, data: FramePushed, frame: TTSTextFrame) -> None:
        if isinstance(data.source, BaseOutputTransport):
            self._replies.at(Stage.OUT).heard.append(frame.text)
            place = self._replies.words_at(Stage.OUT).hear(frame.text)
            where = {"reply": place.reply, "written": [place.start, place.end]} if place else {}
            self.emit("bot_word", text=frame.text, **where)

    def _on_bot_stopped(self, data: FramePushed, frame: BotStoppedSpeakingFrame) -> None:
        if data.first_push and data.direction is FrameDirection.DOWNSTREAM and self._bot_audible:
            self._bot_audible = False
            self.emit("bot_stopped_speaking")
            if self._replies.at(Stage.OUT).is_done:
                self._replies.begin(Stage.OUT, Reply())

    def _on_interruption(self, data: FramePushed, frame: InterruptionFrame) -> None:
        if data.direction is not FrameDirection.DOWNSTREAM:
            return
        is_from_outside = not isinstance(data.source, (LLMUserAggregator, LLMService))
        if data.first_push and (is_from_outside or self._typed):
            # A key, or a page: of the answer that is due there may be nothing to hear yet.
            self._throw_away_speculation()
            self._answer_cut |= not self._answered
        if isinstance(data.source, LLMService):
            self._replies.cut(Stage.LLM)
        elif isinstance(data.source, SpeakableText):
            self._replies.cut(Stage.TEXT)
        elif isinstance(data.source, BaseOutputTransport):
            self._tell_cut()

    def _tell_cut(self) -> None:
        """Only now has the cut gone through all that could still say something of the reply."""
        reply = self._replies.at(Stage.OUT)
        # Pipecat interrupts at every start of a turn; it is one for the user only if the agent was cut.
        if self._bot_audible or self._answer_cut or (reply.text and not reply.is_speculative):
            self.emit("interruption", heard=" ".join(reply.heard), planned=reply.to_be_heard.strip())
        self._answered |= self._answer_cut
        self._answer_cut = False
        self._replies.cut(Stage.OUT)

    def _on_started_over(self, data: FramePushed, frame: StartOverFrame) -> None:
        if isinstance(data.source, HistorySettled):
            begun: dict[str, Any] = {"conversation": frame.conversation} if frame.conversation else {}
            self.emit("started_over", **begun)

    def _on_error(self, data: FramePushed, frame: ErrorFrame) -> None:
        if data.first_push:
            stage = stage_of(frame, data.source)
            if stage == "tts":
                # What cannot be spoken cannot be interrupted.
                self._replies.begin(Stage.OUT, Reply())
            # What fails in advance may never be wanted.
            early: dict[str, Any] = {"speculative": True} if stage == "llm" and self._speculated is not None else {}
            self.emit("error", stage=stage, message=frame.error, **early)


def _is_bookkeeping(data: FramePushed) -> bool:
    """Whether it settles a call for the history; no tool has answered."""
    return isinstance(data.source, CancelledCalls)
