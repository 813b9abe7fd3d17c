"""Speech-to-text service: microphone frames in, transcripts out; drives any recognizer.

In:  InputAudioRawFrame, 16 kHz mono s16, the voice activity frames around speech, TurnDecidedFrame,
     FalseInterruptionFrame.
Out: the same sound, InterimTranscriptionFrame while the user speaks, one TranscriptionFrame (or NoWordsFrame) when the
     turn is judged over, ErrorFrame when the engine fails.

A frame is only queued; one task per conversation hands the audio to the engine's own threads. At each pause the
transcript is worked out at once, so that it is at hand when the turn ends; if the user goes on, it is thrown away.
An engine whom pauses cost nothing is asked at the very first window of silence, before voice activity calls it one.
"""

import asyncio
import time
from collections import deque
from collections.abc import AsyncGenerator, Callable
from concurrent.futures import Executor

from pipecat.frames.frames import (
    BotStartedSpeakingFrame,
    BotStoppedSpeakingFrame,
    CancelFrame,
    EndFrame,
    Frame,
    InputAudioRawFrame,
    InterimTranscriptionFrame,
    StartFrame,
    STTMuteFrame,
    TTSSpeakFrame,
    UserStoppedSpeakingFrame,
    VADUserStartedSpeakingFrame,
    VADUserStoppedSpeakingFrame,
)
from pipecat.processors.frame_processor import FrameDirection
from pipecat.services.settings import STTSettings
from pipecat.services.stt_service import STTService
from pipecat.utils.errors import ErrorCategory
from pipecat.utils.time import time_now_iso8601

from processors.engine_threads import Standby
from processors.errors import one_line
from processors.frames import (
    FalseInterruptionFrame,
    NoWordsFrame,
    PauseTranscriptFrame,
    TurnDecidedFrame,
    VoiceEdge,
    VoiceEdgeFrame,
)
from processors.sound_step import SoundStep
from processors.stt.calls import RecognizerCalls
from processors.stt.latency import TranscriptLatency
from processors.stt.pre_roll import PreRoll
from processors.stt.recognizer import BYTES_PER_SAMPLE, SAMPLE_RATE_HZ, RecognizerEngine
from processors.stt.samples import is_quiet
from processors.stt.short_speech import ShortSpeech
from processors.stt.work import Audio, Cut, Drop, Pause, Publish, Work, transcription_frame

# How much longer than allowed a turn may become until it is cut, whatever is said just then.
LATEST_CUT = 0.1
APOLOGY = "Sorry, I didn't catch that."


class RecognizerSTTService(SoundStep, STTService):
    """Transcribes what the voice activity detector calls speech.

    Args:
        engine: The shared engine; this conversation takes one recognizer of it.
        threads: The engine's own threads.
        max_utterance_secs: A longer turn is transcribed in several parts.
        min_speech_secs: A turn with less voice than this has no words.
        standby: Takes over where the engine does not come back.
        expected_secs: From seconds of speech to what the engine takes for them on this machine, as measured.

    Attributes:
        recognizer: May be changed to another engine's.
        short: What is too short to be meant.
    """

    def __init__(
        self,
        engine: RecognizerEngine,
        threads: Executor,
        *,
        max_utterance_secs: float = 60.0,
        min_speech_secs: float = 0.0,
        standby: Standby[RecognizerEngine] | None = None,
        expected_secs: Callable[[float], float] | None = None,
    ) -> None:
        self._latency = TranscriptLatency()
        super().__init__(
            sample_rate=SAMPLE_RATE_HZ,
            ttfs_p99_latency=self._latency.p99_secs,
            settings=STTSettings(model=engine.model, language=None),
            enable_direct_mode=True,
        )
        self.recognizer = RecognizerCalls(engine, threads, standby, expected_secs)
        self._work: deque[Work] = deque()
        self._work_arrived = asyncio.Event()
        self._work_task: asyncio.Task[None] | None = None
        self._pauses_early = self.recognizer.pauses_freely
        # What comes after the first window of silence, until it is known whether that was a pause.
        self._held_back: bytearray | None = None
        self._pre_roll = PreRoll()
        self.short = ShortSpeech(min_speech_secs)
        self._agent_speaks = False
        self._max_utterance_bytes = int(max_utterance_secs * SAMPLE_RATE_HZ) * BYTES_PER_SAMPLE
        self._utterance_bytes = 0
        # Counts what makes earlier decisions stale: each start of voice, and each end of a turn.
        self._turn_part = 0
        self._partial = ""
        self._utterance_failed = False
        # Said once the user has finished, and only if no words came of the turn.
        self._apology_due = False

    def can_generate_metrics(self) -> bool:
        """The time from the end of speech to the transcript is measured."""
        return True

    async def start(self, frame: StartFrame) -> None:
        """Start the task that works off the audio."""
        await super().start(frame)
        self._work_task = self.create_task(self._work_off())

    async def stop(self, frame: EndFrame) -> None:
        """Stop at the end of the session."""
        await self._stop_work()
        await super().stop(frame)

    async def cancel(self, frame: CancelFrame) -> None:
        """Stop at once."""
        await self._stop_work()
        await super().cancel(frame)

    async def cleanup(self) -> None:
        """Stop, whatever came before."""
        await self._stop_work()
        await super().cleanup()

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        """Follow voice activity and turns; all else is the base class's."""
        if isinstance(frame, TurnDecidedFrame):
            self._publish()
            return
        if isinstance(frame, VADUserStartedSpeakingFrame):
            self._begin_speech(frame.start_secs)
        elif isinstance(frame, VADUserStoppedSpeakingFrame):
            self._pause(frame.stop_secs)
        elif isinstance(frame, VoiceEdgeFrame):
            self._follow_edge(frame.edge)
        elif isinstance(frame, BotStartedSpeakingFrame | BotStoppedSpeakingFrame):
            self._agent_speaks = isinstance(frame, BotStartedSpeakingFrame)
        elif isinstance(frame, FalseInterruptionFrame):
            self._disregard()
        elif isinstance(frame, UserStoppedSpeakingFrame):
            await self._end_turn()
        elif isinstance(frame, STTMuteFrame) and frame.mute:
            self._pre_roll.clear()
        await super().process_frame(frame, direction)

    async def process_audio_frame(self, frame: InputAudioRawFrame, direction: FrameDirection) -> None:
        """Queue speech; keep a little of everything else, since speech is noticed after it began."""
        if self.is_muted:
            return
        if not self._user_speaking:
            self._pre_roll.add(frame.audio)
            return
        if self._held_back is not None:
            self._held_back += frame.audio
            return
        self.short.add(frame.audio)
        self._enqueue(frame.audio)
        over_bytes = self._utterance_bytes - self._max_utterance_bytes
        # Rather between two words than within one.
        if over_bytes >= 0 and (is_quiet(frame.audio) or over_bytes >= self._max_utterance_bytes * LATEST_CUT):
            self._cut()

    async def run_stt(self, audio: bytes) -> AsyncGenerator[Frame | None, None]:
        """Transcribe one stretch of speech at once.

        Args:
            audio: Little-endian s16 mono at 16 kHz.

        Yields:
            One TranscriptionFrame, or none when there are no words.
        """
        await self.recognizer.accept(audio)
        transcript = await self.recognizer.finish()
        if transcript.text:
            yield transcription_frame(transcript, self._user_id)

    def _begin_speech(self, start_secs: float) -> None:
        if self._user_speaking:
            return
        self._user_speaking = True
        self._pauses_early = self.recognizer.pauses_freely
        self.short.begin(start_secs)
        self._turn_part += 1
        if self._utterance_bytes > self._max_utterance_bytes // 2:
            # A pause is a better place for the cut that is due before long.
            self._cut()
        self._enqueue(self._pre_roll.take())

    def _follow_edge(self, edge: VoiceEdge) -> None:
        if edge is VoiceEdge.SUSPECTED and not self._agent_speaks:
            self._pre_roll.suspect()
        if not (self._pauses_early and self._user_speaking):
            return
        if edge is VoiceEdge.PAUSING:
            self._held_back = bytearray()
            self._put(Pause(self._turn_part, time.monotonic()))
        elif edge is VoiceEdge.RESUMED and self._held_back is not None:
            self._turn_part += 1
            held_back = self._take_held_back()
            self.short.add(held_back)
            self._enqueue(held_back)

    def _take_held_back(self) -> bytes:
        held_back, self._held_back = bytes(self._held_back or b""), None
        return held_back

    def _pause(self, stop_secs: float) -> None:
        if not self._user_speaking:
            return
        self._user_speaking = False
        early = self._held_back is not None
        held_back = self._take_held_back()
        if not early:
            self.short.end(stop_secs)
        if early and is_quiet(held_back):
            # The words of the early pause are those of this one.
            self._pre_roll.put_back(held_back)
            return
        self._enqueue(held_back)
        self._put(Pause(self._turn_part, time.monotonic() - stop_secs))

    def _disregard(self) -> None:
        """What was said over the agent asks for nothing."""
        self._turn_part += 1
        self._utterance_bytes = 0
        self._apology_due = False
        self._pre_roll.trust()
        self.short.next_turn()
        self._put(Drop())

    def _publish(self) -> None:
        # A decision that the user has overtaken is stale.
        if not self._user_speaking:
            self._put(Publish(self._turn_part))

    async def _end_turn(self) -> None:
        if self._user_speaking:
            return
        self._turn_part += 1
        self.short.next_turn()
        if self._utterance_bytes:
            # The turn was ended before its words had come.
            self._utterance_bytes = 0
            self._apology_due = True
            self._put(Drop())
        await self._apologise()

    def _cut(self) -> None:
        self._put(Cut())
        self._utterance_bytes = 0

    def _enqueue(self, pcm16: bytes) -> None:
        if pcm16:
            self._utterance_bytes += len(pcm16)
            self._put(Audio(pcm16))

    def _put(self, item: Work) -> None:
        self._work.append(item)
        self._work_arrived.set()

    async def _work_off(self) -> None:
        while True:
            while not self._work:
                self._work_arrived.clear()
                await self._work_arrived.wait()
            item = self._work.popleft()
            # Whatever an engine raises costs one stretch of speech; an ended task would cost the hearing.
            try:
                await self._work_on(item)
                await self._tell_trouble()
            except Exception as error:  # noqa: BLE001
                await self._fail(item, error)

    async def _work_on(self, item: Work) -> None:
        if self._utterance_failed:
            # The rest of a stretch without its beginning would be transcribed wrongly.
            if not isinstance(item, Audio):
                await self._start_afresh(item)
        elif isinstance(item, Audio):
            await self._accept(item)
        elif isinstance(item, Pause):
            await self._transcribe_early(item)
        elif isinstance(item, Publish):
            await self._publish_transcript(item)
        elif isinstance(item, Cut):
            await self._publish_part()
        else:
            self._partial = ""
            await self.recognizer.reset()

    async def _fail(self, item: Work, error: Exception) -> None:
        self._partial = ""
        self._apology_due = True
        await self.push_error(f"speech-to-text: {one_line(error)}", exception=error, category=ErrorCategory.SERVER)
        if isinstance(item, Audio):
            self._utterance_failed = True
        else:
            await self._start_afresh(item)

    async def _tell_trouble(self) -> None:
        if mended := self.recognizer.take_trouble():
            await self.push_error(str(mended), exception=mended, category=ErrorCategory.SERVER)

    async def _start_afresh(self, item: Work) -> None:
        """After a failure: what comes next is heard again, and nobody waits for words that are lost."""
        self._utterance_failed = False
        await self.recognizer.reset()
        if isinstance(item, Pause) and item.turn_part == self._turn_part:
            await self.push_frame(PauseTranscriptFrame(failed=True))
        elif isinstance(item, Publish):
            await self._nothing_to_publish(item)

    async def _accept(self, item: Audio) -> None:
        pcm16 = bytearray(item.pcm16)
        while self._work and isinstance(more := self._work[0], Audio):
            pcm16 += more.pcm16
            self._work.popleft()
        turn_part = self._turn_part
        text = await self.recognizer.accept(bytes(pcm16))
        if turn_part == self._turn_part:
            await self._show(text)

    async def _transcribe_early(self, pause: Pause) -> None:
        if pause.turn_part != self._turn_part:
            return
        if self.short.is_skipped:
            await self.push_frame(PauseTranscriptFrame())
            return
        transcript = await self.recognizer.pause()
        if self._latency.add(time.monotonic() - pause.speech_end_secs):
            self._ttfs_p99_latency = self._latency.p99_secs
            await self.push_frame(self.service_metadata_frame())
        if pause.turn_part == self._turn_part:
            await self._show(transcript.text)
            await self.push_frame(PauseTranscriptFrame(transcript.text, transcript.language, transcript.confidence))

    async def _publish_transcript(self, decision: Publish) -> None:
        if decision.turn_part != self._turn_part:
            return
        if self.short.is_skipped:
            self.short.tell()
            await self._nothing_to_publish(decision)
            await self.recognizer.reset()
            return
        transcript = await self.recognizer.pause()
        if decision.turn_part != self._turn_part:
            return
        self._utterance_bytes = 0
        self._partial = ""
        if transcript.text:
            frame = transcription_frame(transcript, self._user_id)
            frame.finalized = True
            self._apology_due = False
            await self.push_frame(frame)
        else:
            await self._nothing_to_publish(decision)
        await self.recognizer.reset()

    async def _publish_part(self) -> None:
        transcript = await self.recognizer.finish()
        self._partial = ""
        if transcript.text:
            await self.push_frame(transcription_frame(transcript, self._user_id))

    async def _nothing_to_publish(self, decision: Publish) -> None:
        if decision.turn_part == self._turn_part:
            self._utterance_bytes = 0
            await self.push_frame(NoWordsFrame())
            await self._apologise()

    async def _show(self, text: str) -> None:
        if text and text != self._partial and not self.short.is_skipped:
            self._partial = text
            await self.push_frame(InterimTranscriptionFrame(text, self._user_id, time_now_iso8601()))

    async def _apologise(self) -> None:
        if self._apology_due:
            self._apology_due = False
            await self.push_frame(TTSSpeakFrame(APOLOGY, append_to_context=False))

    async def _stop_work(self) -> None:
        if self._work_task:
            await self.cancel_task(self._work_task)
            self._work_task = None
            self.recognizer.end()
