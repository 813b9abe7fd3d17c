"""The one place where the agent's voice waits before it is played.

In:  everything that leaves text-to-speech: TTSAudioRawFrame, word frames, start and stop marks; PlayoutFrame.
Out: the same frames in the same order, audio cut to 10 ms, released at the pace of real time with a small lead;
     FloorFrame upstream when the agent begins or ceases to have something to say.

Pipecat's output queue can only drain, so little may stand in it. What has left this gate is what the user hears;
what still waits here when the user cuts in was never heard, and neither are its words. A paused agent goes on from
the very sample; a speculative reply waits, by Pipecat's own speculation gate, until its turn is over.

For a far side that plays by itself, sound leaves before its time as well (`SoundAheadFrame`); all else keeps its time.
"""

import asyncio
import time
from collections import deque

from pipecat.frames.frames import (
    CancelFrame,
    EndFrame,
    Frame,
    FunctionCallCancelFrame,
    FunctionCallInProgressFrame,
    FunctionCallResultFrame,
    InterruptionFrame,
    LLMFullResponseEndFrame,
    LLMFullResponseStartFrame,
    StartFrame,
    SystemFrame,
    TTSAudioRawFrame,
    TTSStartedFrame,
    TTSStoppedFrame,
    TTSTextFrame,
)
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor
from pipecat.turns.speculation_gate import SpeculationGate

from processors.frames import FalseInterruptionFrame, FloorFrame, PlayoutFrame, ReplyBegunFrame
from processors.manner import Manner
from processors.speech_ahead import SpeechAhead
from processors.turns.heard_speech import HeardSpeech
from processors.voice.loudness import Level, gain_of, scaled
from processors.voice.sent_ahead import SentAhead

# Short, since a ducked agent is to be quieter within 150 ms of the first sound of the user.
LEAD_SECS = 0.04
FRAME_SECS = 0.01
BYTES_PER_SAMPLE = 2
# How much quieter a ducked agent is.
DUCK_DB = 20.0
# Between the sentences of one reply there may be this much silence; a longer one is not filled when paused.
SOUNDING_SECS = 0.3


class PlayoutGate(FrameProcessor):
    """Paces the agent's voice; words and marks keep their exact place between the samples.

    Args:
        heard: Told of each word as it leaves.
        lead_secs: How far ahead of real time frames are released.
        ahead: Told of what has been played.
        manner: How loud the agent speaks.
        sends_ahead: Whether sound is sent before its time, too.
    """

    def __init__(
        self,
        heard: HeardSpeech | None = None,
        *,
        lead_secs: float = LEAD_SECS,
        ahead: SpeechAhead | None = None,
        manner: Manner | None = None,
        sends_ahead: bool = False,
    ) -> None:
        super().__init__()
        self._sent_ahead = SentAhead() if sends_ahead else None
        self._manner = manner or Manner()
        self._heard = heard or HeardSpeech()
        self._lead_secs = lead_secs
        self._ahead = ahead or SpeechAhead()
        self._waiting: deque[Frame] = deque()
        self._speculation = SpeculationGate(name="PlayoutGate")
        self._changed = asyncio.Event()
        self._release_task: asyncio.Task[None] | None = None
        self._played_until_secs = 0.0
        self._paused = False
        self._level = Level()
        self._target_gain = 1.0
        self._last_audio: TTSAudioRawFrame | None = None
        # What keeps the floor: replies and utterances that have not ended, tools that have not answered.
        self._open_reply = self._open_speech = False
        self._open_calls: set[str] = set()
        self._holds_floor = False

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        """Queue what belongs to the stream of speech; let everything else pass at once."""
        await super().process_frame(frame, direction)
        if direction is FrameDirection.UPSTREAM:
            await self.push_frame(frame, direction)
            return
        if isinstance(frame, ReplyBegunFrame):
            self._speculation.begin_speculation(frame.speculative)
        elif isinstance(frame, PlayoutFrame):
            self._set_level(frame)
        elif isinstance(frame, InterruptionFrame):
            self._cut()
        elif isinstance(frame, FalseInterruptionFrame):
            self._set_level(PlayoutFrame("full"))
        elif isinstance(frame, CancelFrame):
            await self._stop()
        elif isinstance(frame, EndFrame):
            self._paused = False
        for released, _ in self._speculation.process(frame, direction):
            await self._take(released)
        if isinstance(frame, StartFrame):
            self._release_task = self.create_task(self._release())
        elif isinstance(frame, EndFrame) and self._release_task:
            # The pipeline tears down once this call returns: what waits must have been played by then.
            await self._release_task
            self._release_task = None

    async def cleanup(self) -> None:
        """Stop releasing."""
        await super().cleanup()
        await self._stop()

    async def _take(self, frame: Frame) -> None:
        if isinstance(frame, FunctionCallInProgressFrame):
            self._open_calls.add(frame.tool_call_id)
        elif isinstance(frame, LLMFullResponseStartFrame):
            self._open_reply = True
        elif isinstance(frame, TTSStartedFrame):
            self._open_speech = True
        elif isinstance(frame, FunctionCallCancelFrame):
            self._open_calls.discard(frame.tool_call_id)
        if isinstance(frame, SystemFrame):
            await self.push_frame(frame)
        else:
            self._waiting.extend(_in_small_frames(frame))
            self._changed.set()
        await self._tell_floor()

    def _set_level(self, frame: PlayoutFrame) -> None:
        if self._sent_ahead:
            # It is being played elsewhere.
            return
        self._paused = frame.level == "paused"
        self._target_gain = 1.0 if frame.level == "full" else gain_of(-DUCK_DB)
        self._changed.set()

    def _cut(self) -> None:
        """Drop what an interruption may drop; results of tools and the end of the session stay."""
        kept = {at: frame for at, frame in enumerate(self._waiting) if not frame.interruptible}
        self._waiting = deque(kept.values())
        if self._sent_ahead:
            self._sent_ahead.cut(kept)
        self._played_until_secs = 0.0
        self._paused = False
        self._level.reset()
        self._target_gain = 1.0
        self._open_reply = self._open_speech = False
        self._open_calls.clear()
        self._last_audio = None
        self._changed.set()

    async def _release(self) -> None:
        running = True
        while running:
            await self._send_ahead()
            if self._paused and self._is_sounding():
                await self._wait_for_its_time()
                if self._paused and self._last_audio:
                    await self._play_silence(self._last_audio)
            elif self._paused or not self._waiting:
                self._changed.clear()
                await self._changed.wait()
            else:
                running = await self._release_next()

    async def _send_ahead(self) -> None:
        while self._sent_ahead and (frame := self._sent_ahead.next(self._waiting, self._manner.gain)):
            await self.push_frame(frame)

    async def _release_next(self) -> bool:
        if isinstance(self._waiting[0], TTSAudioRawFrame):
            await self._wait_for_its_time()
        # A cut or a pause may have come in the meantime.
        if not self._waiting or self._paused:
            return True
        frame = self._waiting.popleft()
        if self._sent_ahead:
            self._sent_ahead.release()
        await self._pass_on(frame)
        await self._tell_floor()
        return not isinstance(frame, EndFrame)

    def _is_sounding(self) -> bool:
        return self._last_audio is not None and time.monotonic() - self._played_until_secs < SOUNDING_SECS

    async def _wait_for_its_time(self) -> None:
        early_secs = self._played_until_secs - time.monotonic() - self._lead_secs
        if early_secs > 0:
            await asyncio.sleep(early_secs)

    async def _play_silence(self, like: TTSAudioRawFrame) -> None:
        """A paused agent is still speaking, to everything that listens for the end of its speech."""
        n_bytes = int(like.sample_rate * FRAME_SECS) * BYTES_PER_SAMPLE * like.num_channels
        silence = TTSAudioRawFrame(bytes(n_bytes), like.sample_rate, like.num_channels, like.context_id)
        silence.transport_destination = like.transport_destination
        self._advance(silence)
        await self.push_frame(silence)

    async def _pass_on(self, frame: Frame) -> None:
        if isinstance(frame, TTSAudioRawFrame):
            self._last_audio = frame
            played_secs = self._advance(frame)
            self._heard.spoken_secs += played_secs
            self._ahead.play(played_secs)
            following = next((after.audio for after in self._waiting if isinstance(after, TTSAudioRawFrame)), b"")
            ramp = self._level.ramp(frame.audio, self._target_gain * self._manner.gain, following)
            frame.audio = scaled(frame.audio, *ramp)
        else:
            # Text-to-speech stamped it with the wall clock; here its place in the stream is its time.
            frame.pts = None
            self._note_end(frame)
        await self.push_frame(frame)

    def _advance(self, frame: TTSAudioRawFrame) -> float:
        duration_secs = len(frame.audio) / BYTES_PER_SAMPLE / frame.num_channels / frame.sample_rate
        self._played_until_secs = max(self._played_until_secs, time.monotonic()) + duration_secs
        return duration_secs

    def _note_end(self, frame: Frame) -> None:
        if isinstance(frame, TTSTextFrame):
            self._heard.add(frame.text)
        elif isinstance(frame, LLMFullResponseEndFrame):
            self._open_reply = False
        elif isinstance(frame, TTSStoppedFrame):
            self._open_speech = False
            self._last_audio = None
        elif isinstance(frame, FunctionCallResultFrame):
            self._open_calls.discard(frame.tool_call_id)

    async def _tell_floor(self) -> None:
        holds = self._open_reply or self._open_speech or bool(self._open_calls)
        if holds != self._holds_floor:
            self._holds_floor = holds
            if holds:
                self._heard.begin()
            await self.push_frame(FloorFrame(holds), FrameDirection.UPSTREAM)

    async def _stop(self) -> None:
        if self._release_task:
            await self.cancel_task(self._release_task)
            self._release_task = None


def _in_small_frames(frame: Frame) -> list[Frame]:
    """Cut speech into frames of 10 ms, so that a cut, a pause or a word lands between them."""
    if not isinstance(frame, TTSAudioRawFrame):
        return [frame]
    size = int(frame.sample_rate * FRAME_SECS) * BYTES_PER_SAMPLE * frame.num_channels
    if len(frame.audio) <= size:
        return [frame]
    pieces: list[Frame] = []
    for start in range(0, len(frame.audio), size):
        piece = TTSAudioRawFrame(
            frame.audio[start : start + size], frame.sample_rate, frame.num_channels, frame.context_id
        )
        piece.interruptible = frame.interruptible
        piece.transport_destination = frame.transport_destination
        pieces.append(piece)
    return pieces
