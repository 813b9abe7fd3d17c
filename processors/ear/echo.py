"""The agent does not hear itself: the echo of the loudspeaker is taken out of the microphone's sound.

In:  InputAudioRawFrame, 16 kHz mono s16, whose metadata carry as `reference` what was played meanwhile, and as
     `slipped` whether the device lost samples before it.
Out: the same without echo and reference; EchoTierFrame when the measure taken against the echo changes.

Frames without a reference pass untouched: a browser cancels by itself, and two cancellers spoil each other's work.
Every cleaned frame tells whether all of it may be echo (`may_be_echo`). A canceller may fail for a moment, after the
device has dropped a block for instance, and what it leaves sounds like speech; then the microphone is just as loud as
the echo must be. One who really speaks adds to it, the more so as the agent has been ducked at the first suspicion.
After the volume has been turned up the microphone is louder too, but then most of that is cancelled. All of it takes
about 0.1 ms for 10 ms of sound, so it runs on the event loop.
"""

import numpy as np
from pipecat.frames.frames import Frame, InputAudioRawFrame, StartFrame
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor

from processors.ear.echo_cancellers import (
    BLOCK_SAMPLES,
    SAMPLE_RATE_HZ,
    Canceller,
    Pcm16,
    delay_samples,
    make_canceller,
    measured_delay_samples,
)
from processors.ear.echo_meter import BLOCKS_PER_SEC, EchoMeter
from processors.ear.echo_tiers import EchoMode, TierChoice
from processors.frames import EchoTier, EchoTierFrame

REFERENCE = "reference"
SLIPPED = "slipped"
MAY_BE_ECHO = "may_be_echo"
# Sound over the agent that is louder than its echo by this much is somebody's; less may be the echo itself, or the
# volume that went up by a step.
SURE_EXCESS_DB = 6.5
# And no more than this is taken off it.
SURE_KEPT_DB = -6.0
# The half-duplex gate stays closed for the device's delay and this much longer, for the room to fall silent.
GATE_TAIL_SECS = 0.35
# The delay is taken for no less: a user who speaks all the time hides it.
_LEAST_DELAY_SECS = 0.1
_AUDIBLE_POWER = 10**-5.5
_FADE = np.linspace(0, 1, BLOCK_SAMPLES, dtype=np.float32)
_BLOCK_BYTES = 2 * BLOCK_SAMPLES


def may_be_echo(frame: InputAudioRawFrame) -> bool:
    """Whether the echo alone accounts for what the microphone heard in the last 200 ms.

    False where nothing is being played, where no echo is measured, and on frames that came without a reference.
    """
    return bool(frame.metadata.get(MAY_BE_ECHO, False))


class EchoControl:
    """Cancels, measures, chooses the tier and gates, block by block.

    Args:
        mode: See `TierChoice`.
        canceller: Another one than WebRTC's.

    Attributes:
        delay_samples: How late what comes out is. The canceller answers so much later, and sound that needs no
            cancelling is held back as long, so that nothing is heard twice or lost when one follows the other.

    Raises:
        EngineUnavailableError: The canceller's package cannot be imported.
    """

    def __init__(self, mode: EchoMode = "auto", canceller: Canceller | None = None) -> None:
        self._canceller = None if mode == "off" else canceller or make_canceller()
        self.delay_samples = 0
        if self._canceller is not None:
            self.delay_samples = measured_delay_samples(canceller) if canceller else delay_samples()
        self.meter = EchoMeter()
        self.choice = TierChoice(mode)
        self._n_since_played: int | None = None
        self._before_s16: Pcm16 = np.zeros(self.delay_samples, np.int16)
        self._cleaning = False

    def process(self, mic_s16: Pcm16, far_s16: Pcm16) -> tuple[Pcm16, bool]:
        """Clean one block.

        Args:
            mic_s16: shape (160,), int16, what the microphone heard.
            far_s16: shape (160,), int16, what was played meanwhile.

        Returns:
            shape (160,), int16, late by `delay_samples`; and whether tier or warm-up has changed.
        """
        if self._canceller is None:
            return mic_s16, False
        clean_s16 = self._canceller.process(mic_s16, far_s16)
        played_power = _power(far_s16)
        self.meter.measure(played_power, _power(mic_s16), _power(clean_s16))
        changed = self.choice.look(self.meter)
        if played_power > _AUDIBLE_POWER:
            self._n_since_played = 0
        elif self._n_since_played is not None:
            self._n_since_played += 1
        late_s16 = np.concatenate([self._before_s16, mic_s16])
        self._before_s16 = late_s16[BLOCK_SAMPLES:]
        if self._gated:
            return np.zeros_like(clean_s16), changed
        return self._choose(clean_s16, late_s16[:BLOCK_SAMPLES]), changed

    def slip(self) -> bool:
        """The echo may come at another time from now on; returns whether that changes the warm-up."""
        return self.choice.slip(self.meter)

    @property
    def may_be_echo(self) -> bool:
        """Whether the echo alone accounts for the last 200 ms; False where there can be none."""
        meter = self.meter
        if not meter.playing or self.choice.tier in (EchoTier.OFF, EchoTier.NONE):
            return False
        return meter.excess_db < SURE_EXCESS_DB or meter.kept_db < SURE_KEPT_DB

    def state(self) -> EchoTierFrame:
        """The present tier, with what it was chosen by."""
        meter, choice = self.meter, self.choice
        erle_db = round(meter.erle_db(meter.n_loud), 1)
        echo_db = round(meter.echo_db, 1) if meter.n_played else 0.0
        return EchoTierFrame(choice.tier, choice.warmed_up, erle_db, echo_db, meter.delay_ms if meter.n_played else 0)

    def _choose(self, clean_s16: Pcm16, late_s16: Pcm16) -> Pcm16:
        """Where nothing is played there is nothing to cancel: the user is left as the microphone heard them."""
        before, self._cleaning = self._cleaning, self.meter.playing
        if before == self._cleaning:
            return clean_s16 if self._cleaning else late_s16
        share = _FADE if self._cleaning else 1 - _FADE
        return (clean_s16 * share + late_s16 * (1 - share)).round().astype(np.int16)

    @property
    def _gated(self) -> bool:
        if self.choice.tier is not EchoTier.HALF_DUPLEX or self._n_since_played is None:
            return False
        closed_secs = max(self.meter.delay_ms / 1000, _LEAST_DELAY_SECS) + GATE_TAIL_SECS
        return self._n_since_played < closed_secs * BLOCKS_PER_SEC


class EchoCanceller(FrameProcessor):
    """The first step behind the microphone.

    Args:
        mode: `auto` measures and chooses; `cancel` always cancels and never gates, `half_duplex` mutes the microphone
            while the agent speaks, `off` does nothing.
        canceller: Another one than WebRTC's.

    Raises:
        EngineUnavailableError: The canceller's package cannot be imported.
    """

    def __init__(self, *, mode: EchoMode = "auto", canceller: Canceller | None = None) -> None:
        super().__init__()
        self._control = EchoControl(mode, canceller)
        self._heard = bytearray()
        self._played = bytearray()
        self._told = False

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        """Clean sound that comes with its reference, pass everything else on."""
        await super().process_frame(frame, direction)
        if isinstance(frame, StartFrame):
            self._heard.clear()
            self._played.clear()
        if isinstance(frame, InputAudioRawFrame) and REFERENCE in frame.metadata:
            await self._clean(frame)
            if not frame.audio:
                return
        await self.push_frame(frame, direction)

    async def _clean(self, frame: InputAudioRawFrame) -> None:
        """Replace the frame's sound by as many whole blocks as there are; the rest waits for the next frame.

        Raises:
            ValueError: The frame is not 16 kHz mono, or the reference has another length.
        """
        reference: bytes = frame.metadata.pop(REFERENCE)
        if frame.sample_rate != SAMPLE_RATE_HZ or frame.num_channels != 1 or len(reference) != len(frame.audio):
            raise ValueError(
                f"echo cancelling takes {SAMPLE_RATE_HZ} Hz mono with a reference of the same length, not "
                f"{frame.sample_rate} Hz, {frame.num_channels} channels, {len(frame.audio)} and {len(reference)} bytes"
            )
        self._heard += frame.audio
        self._played += reference
        n_bytes = len(self._heard) // _BLOCK_BYTES * _BLOCK_BYTES
        mic_s16, far_s16 = (np.frombuffer(bytes(side[:n_bytes]), "<i2") for side in (self._heard, self._played))
        del self._heard[:n_bytes], self._played[:n_bytes]
        changed = not self._told
        if frame.metadata.pop(SLIPPED, False):
            changed |= self._control.slip()
        cleaned = bytearray()
        for at in range(0, len(mic_s16), BLOCK_SAMPLES):
            block_s16, changes = self._control.process(
                mic_s16[at : at + BLOCK_SAMPLES], far_s16[at : at + BLOCK_SAMPLES]
            )
            changed |= changes
            cleaned += block_s16.astype("<i2").tobytes()
        frame.audio = bytes(cleaned)
        frame.num_frames = len(cleaned) // 2
        frame.metadata[MAY_BE_ECHO] = self._control.may_be_echo
        if changed:
            self._told = True
            await self.push_frame(self._control.state())


def _power(audio_s16: Pcm16) -> float:
    audio_f32 = audio_s16.astype(np.float32)
    return float(audio_f32 @ audio_f32) / len(audio_s16) / 32768**2
