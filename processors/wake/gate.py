"""The wake gate: while the agent sleeps, no sound passes it; on the word, what follows in the same breath does.

In:  InputAudioRawFrame, 16 kHz mono s16, behind the echo canceller; PushToTalkFrame; from behind, upstream: voice,
     turns and the agent's floor.
Out: the same, silent while asleep; AwakeFrame, AsleepFrame; a short sound; an InterruptionFrame where the word is said
     over the agent.

The detector is asked aside: sound waits for it neither asleep nor awake. What it finds is acted on with the next frame.
Asleep, the last KEPT_SECS of sound are held in memory, for the word is certain only after it has ended; nothing else
is kept. Time is counted in samples.

It stands before the gain for quiet microphones: the detector's models hear nearly as well 30 dB below the usual level,
and a gain that rises within the word helps one and harms another (espeak in rooms, 30 dB lower: hey_mycroft 44 to 69 %
found, alexa 83 to 27 %).
"""

from collections import deque

import numpy as np
from pipecat.frames.frames import (
    Frame,
    InputAudioRawFrame,
    InterruptionFrame,
    OutputAudioRawFrame,
    StartFrame,
    UserStartedSpeakingFrame,
    UserStoppedSpeakingFrame,
    VADUserStartedSpeakingFrame,
    VADUserStoppedSpeakingFrame,
)
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor, FrameProcessorSetup

from processors.ear.echo import MAY_BE_ECHO
from processors.errors import one_line
from processors.frames import AsleepFrame, AwakeFrame, FloorFrame, PushToTalkFrame
from processors.turns.heard_speech import HeardSpeech
from processors.wake.asking import Asking
from processors.wake.detector import BYTES_PER_SAMPLE, SAMPLE_RATE_HZ, HeardWake
from processors.wake.listener import WakeListener
from processors.wake.sound import awake_sound

KEPT_SECS = 1.0
KEPT_BYTES = round(KEPT_SECS * SAMPLE_RATE_HZ) * BYTES_PER_SAMPLE
# A breath's quietest moment is looked for in steps of this.
STEP_SAMPLES = SAMPLE_RATE_HZ // 100
STEP_BYTES = STEP_SAMPLES * BYTES_PER_SAMPLE
FRAME_BYTES = SAMPLE_RATE_HZ // 50 * BYTES_PER_SAMPLE
# A word takes about so long, and so does its echo.
WORD_SECS = 1.0


class WakeGate(FrameProcessor):
    """Stands behind the echo canceller.

    Args:
        listener: This conversation's.
        phrases: What wakes the agent, as it is said.
        heard: What the agent has said.
        awake_secs: How long it stays awake after the last turn.
        has_sound: Whether it answers the word with a short sound.
    """

    def __init__(
        self,
        listener: WakeListener,
        phrases: tuple[str, ...],
        heard: HeardSpeech,
        *,
        awake_secs: float,
        has_sound: bool = True,
    ) -> None:
        super().__init__()
        self._phrases = phrases
        self._heard = heard
        self._awake_secs = awake_secs
        self._has_sound = has_sound
        self._asking = Asking(listener)
        self._out_rate_hz = 24_000
        self._is_awake = self._told = self._has_failed = False
        # What keeps the agent awake.
        self._agent_has_floor = self._voice = self._turn_open = self._key = False
        self._idle_secs = 0.0
        self._kept = bytearray()
        self._echoes: deque[tuple[float, bool]] = deque()

    async def setup(self, setup: FrameProcessorSetup) -> None:
        """Learn the loudspeaker's rate."""
        await super().setup(setup)
        self._out_rate_hz = setup.audio_out_sample_rate

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        """Let sound in while awake, and pass everything else on."""
        await super().process_frame(frame, direction)
        if isinstance(frame, StartFrame):
            self._asking.begin(self.create_task)
        elif direction is FrameDirection.UPSTREAM:
            self._follow(frame)
        elif isinstance(frame, PushToTalkFrame):
            await self._press(frame)
        elif isinstance(frame, InputAudioRawFrame):
            await self._listen(frame)
        await self.push_frame(frame, direction)

    async def cleanup(self) -> None:
        """Ask no more."""
        await super().cleanup()
        await self._asking.end(self.cancel_task)

    def _follow(self, frame: Frame) -> None:
        """What the steps behind tell of the conversation."""
        if isinstance(frame, FloorFrame):
            self._agent_has_floor = frame.held
        elif isinstance(frame, (VADUserStartedSpeakingFrame, VADUserStoppedSpeakingFrame)):
            self._voice = isinstance(frame, VADUserStartedSpeakingFrame)
        elif isinstance(frame, (UserStartedSpeakingFrame, UserStoppedSpeakingFrame)):
            self._turn_open = isinstance(frame, UserStartedSpeakingFrame)

    async def _press(self, frame: PushToTalkFrame) -> None:
        self._key = frame.active
        if frame.active and not self._is_awake:
            await self._awake(AwakeFrame("key"))

    async def _listen(self, frame: InputAudioRawFrame) -> None:
        if not self._told:
            self._told = True
            await self.push_frame(AsleepFrame(self._phrases))
        self._note_echo(frame)
        self._asking.ask(frame.audio)
        self._kept += frame.audio
        del self._kept[:-KEPT_BYTES]
        await self._look_for_failure()
        from_bytes = len(frame.audio)
        for heard, behind_samples in self._asking.take():
            if not self._is_own_voice(heard):
                from_bytes = max(from_bytes, await self._wake(heard, behind_samples))
        await self._count(frame.num_frames / frame.sample_rate)
        if not self._is_awake:
            frame.audio = bytes(len(frame.audio))
            return
        before = bytes(self._kept[-from_bytes : -len(frame.audio)]) if from_bytes > len(frame.audio) else b""
        for at in range(0, len(before), FRAME_BYTES):
            await self.push_frame(InputAudioRawFrame(before[at : at + FRAME_BYTES], SAMPLE_RATE_HZ, 1))

    async def _look_for_failure(self) -> None:
        """Who may not be heard any more is rather listened to; it is told once, until the detector works again."""
        error = self._asking.failure
        if error is None:
            self._has_failed = False
        elif not self._has_failed:
            self._has_failed = True
            await self.push_error(f"wake word: {one_line(error)}", exception=error)
            if not self._is_awake:
                await self._awake(AwakeFrame("failure"))

    async def _wake(self, heard: HeardWake, behind_samples: int) -> int:
        """Wake up, or listen up.

        Args:
            heard: The word.
            behind_samples: How long before the end of the present frame it was certain.

        Returns:
            From how many bytes before the end of the present frame on sound is to pass; 0 where it passed all the time.
        """
        was_awake, word = self._is_awake, heard.word
        await self._awake(AwakeFrame("word", word.name, word.phrase, round(heard.probability, 3)))
        # Where the user's voice is known already, what it says is a turn that takes the floor.
        if self._agent_has_floor and not (was_awake and self._voice):
            await self.push_frame(InterruptionFrame())
        if was_awake:
            return 0
        if self._has_sound:
            await self.push_frame(OutputAudioRawFrame(awake_sound(self._out_rate_hz), self._out_rate_hz, 1))
        return _end_of_word(self._kept, behind_samples, heard.lag_samples)

    async def _awake(self, frame: AwakeFrame) -> None:
        self._is_awake = True
        self._idle_secs = 0.0
        await self.push_frame(frame)

    async def _count(self, duration_secs: float) -> None:
        is_busy = self._agent_has_floor or self._voice or self._turn_open or self._key or self._has_failed
        self._idle_secs = 0.0 if is_busy else self._idle_secs + duration_secs
        if self._is_awake and self._idle_secs > self._awake_secs:
            self._is_awake = False
            await self.push_frame(AsleepFrame(self._phrases))

    def _note_echo(self, frame: InputAudioRawFrame) -> None:
        # Where nothing measures the echo, everything may be.
        self._echoes.append((frame.num_frames / frame.sample_rate, bool(frame.metadata.get(MAY_BE_ECHO, True))))
        while sum(secs for secs, _ in self._echoes) > WORD_SECS:
            self._echoes.popleft()

    def _is_own_voice(self, heard: HeardWake) -> bool:
        """Whether the agent has just said the word itself, and what was heard may be its echo."""
        name = heard.word.phrase.split()[-1]
        may_be_echo = any(is_echo for _, is_echo in self._echoes)
        return may_be_echo and self._heard.comes_back(name, WORD_SECS, doubted=True)


def _end_of_word(kept: bytearray, behind_samples: int, lag_samples: int) -> int:
    """Where the word ends: the quietest moment of those at which it may have ended.

    Args:
        kept: The latest sound.
        behind_samples: How long before its end the word was certain.
        lag_samples: How long before that it may have ended.

    Returns:
        Bytes before the end of the sound.
    """
    last = behind_samples * BYTES_PER_SAMPLE
    first = min(len(kept), last + lag_samples * BYTES_PER_SAMPLE)
    n_steps = (first - last) // STEP_BYTES
    if n_steps < 1:
        return min(len(kept), last)
    sound_f32 = np.frombuffer(bytes(kept[len(kept) - first :]), "<i2")[: n_steps * STEP_SAMPLES].astype(np.float32)
    powers = np.square(sound_f32).reshape(n_steps, STEP_SAMPLES).mean(axis=1)
    # Of moments as quiet the first: what is silence anyway loses nothing.
    quietest = int(np.argmin(np.convolve(powers, np.ones(3) / 3, mode="same") if n_steps >= 3 else powers))
    return first - quietest * STEP_BYTES
