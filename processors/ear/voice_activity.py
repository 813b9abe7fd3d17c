"""Voice activity as frames: when the user speaks, and the first sign of it.

In:  InputAudioRawFrame, 16 kHz mono s16; PushToTalkFrame.
Out: the same, VADUserStartedSpeakingFrame, VADUserStoppedSpeakingFrame, and VoiceEdgeFrame ahead of them.

With push-to-talk the key alone says when the user speaks, and what the microphone hears in between is silence.
"""

from pipecat.audio.vad.vad_analyzer import VADState
from pipecat.frames.frames import (
    Frame,
    InputAudioRawFrame,
    VADUserStartedSpeakingFrame,
    VADUserStoppedSpeakingFrame,
)
from pipecat.processors.audio.vad_processor import VADProcessor
from pipecat.processors.frame_processor import FrameDirection

from processors.ear.vad import SharedSileroVADAnalyzer
from processors.frames import PushToTalkFrame, VoiceEdge, VoiceEdgeFrame
from processors.sound_step import SoundStep

# Voice that is suspected for one window is not given up before this much silence.
DISMISS_SECS = 0.1


class VoiceActivity(SoundStep, VADProcessor):
    """Pipecat's processor, with the analyzer's own states told as they change.

    Args:
        analyzer: This conversation's.
        push_to_talk: Whether a key decides instead of the analyzer.
        dismiss_secs: Voice that is suspected is given up after so much silence; longer where the agent's ducking is
            what lets an echo canceller hear the user.

    Attributes:
        push_to_talk: May be changed: it counts from the next sound on.
    """

    def __init__(
        self,
        analyzer: SharedSileroVADAnalyzer,
        *,
        push_to_talk: bool = False,
        dismiss_secs: float = DISMISS_SECS,
    ) -> None:
        # Within the step before it: what waits for the model's answer waits there as well as in a queue here.
        super().__init__(vad_analyzer=analyzer, enable_direct_mode=True)
        self._analyzer = analyzer
        self._push_to_talk = self.push_to_talk = push_to_talk
        self._dismiss_secs = dismiss_secs
        self._pressed = False
        self._failing = False
        self._pausing = False
        self._speaking = False
        self._suspected = False
        self._suspicious_secs = self._unsuspicious_secs = 0.0

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        """Listen, or follow the key."""
        if self.push_to_talk != self._push_to_talk and isinstance(frame, InputAudioRawFrame):
            await self._change_mode()
        if isinstance(frame, PushToTalkFrame):
            await self._press(frame, direction)
        elif isinstance(frame, InputAudioRawFrame) and self._push_to_talk:
            if not self._pressed:
                frame.audio = bytes(len(frame.audio))
            await self.push_frame(frame, direction)
        elif isinstance(frame, InputAudioRawFrame):
            # What follows voice activity has its sound already.
            await self.push_frame(frame, direction)
            await self._listen(frame)
            await self._suspect(frame.num_frames / frame.sample_rate)
            await self._look_for_pause()
        else:
            await super().process_frame(frame, direction)

    async def _listen(self, frame: InputAudioRawFrame) -> None:
        """What the model cannot judge costs a moment of sound; told once, until it works again."""
        n_heard = self._analyzer.n_heard
        try:
            await self._vad_controller.process_frame(frame)
        except Exception as error:  # noqa: BLE001
            if not self._failing:
                self._failing = True
                await self.push_error(f"voice activity: {str(error) or type(error).__name__}", exception=error)
        else:
            # Many a frame of sound only gathers what the model is asked with the next one.
            self._failing &= self._analyzer.n_heard == n_heard

    async def _suspect(self, duration_secs: float) -> None:
        spoke, self._speaking = self._speaking, self._analyzer.state in (VADState.SPEAKING, VADState.STOPPING)
        if spoke and not self._speaking:
            # What comes after the end of speech is suspected anew.
            self._suspected = False
        if self._analyzer.state is not VADState.QUIET or self._analyzer.suspects:
            self._suspicious_secs += self._unsuspicious_secs + duration_secs
            self._unsuspicious_secs = 0.0
            if not self._suspected:
                self._suspected = True
                self._suspicious_secs = duration_secs
                await self.push_frame(VoiceEdgeFrame(VoiceEdge.SUSPECTED))
        elif self._suspected:
            self._unsuspicious_secs += duration_secs
            if self._unsuspicious_secs >= self._dismiss_secs:
                self._suspected = False
                await self.push_frame(
                    VoiceEdgeFrame(VoiceEdge.DISMISSED, self._suspicious_secs, self._unsuspicious_secs)
                )

    async def _look_for_pause(self) -> None:
        if not self._speaking:
            self._pausing = False
        elif self._pausing != self._analyzer.wavers:
            self._pausing = self._analyzer.wavers
            await self.push_frame(VoiceEdgeFrame(VoiceEdge.PAUSING if self._pausing else VoiceEdge.RESUMED))

    async def _change_mode(self) -> None:
        """What the user is saying ends here; nobody would end it later."""
        spoke = self._pressed if self._push_to_talk else self._speaking
        self._push_to_talk = self.push_to_talk
        self._pressed = self._speaking = self._suspected = self._pausing = False
        if spoke:
            await self.broadcast_frame(VADUserStoppedSpeakingFrame, stop_secs=0.0)

    async def _press(self, frame: PushToTalkFrame, direction: FrameDirection) -> None:
        """The key speaks for the voice; without this mode it says nothing."""
        await super(VADProcessor, self).process_frame(frame, direction)
        if not self._push_to_talk or frame.active == self._pressed:
            return
        self._pressed = frame.active
        await self.push_frame(frame, direction)
        if frame.active:
            await self.broadcast_frame(VADUserStartedSpeakingFrame, start_secs=0.0)
        else:
            await self.broadcast_frame(VADUserStoppedSpeakingFrame, stop_secs=0.0)
