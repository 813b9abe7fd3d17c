"""What the canceller makes late, the uncancelled sound is held back by: nothing is heard twice or lost at a switch."""

import numpy as np
import pytest

from processors.ear.echo import EchoControl
from processors.ear.echo_cancellers import (
    BLOCK_SAMPLES,
    Canceller,
    LivekitCanceller,
    Pcm16,
    WebRtcCanceller,
    delay_samples,
    measured_delay_samples,
)
from tests.support.house import SPEECH
from transports.recording import load_recording

RATE_HZ = 16_000


class Late:
    """A canceller that only makes late."""

    def __init__(self, n_samples: int) -> None:
        self._kept_s16 = np.zeros(n_samples, np.int16)

    def process(self, mic_s16: Pcm16, far_s16: Pcm16) -> Pcm16:
        kept_s16 = np.concatenate([self._kept_s16, mic_s16])
        self._kept_s16 = kept_s16[BLOCK_SAMPLES:]
        return kept_s16[:BLOCK_SAMPLES]


class Deaf:
    def process(self, mic_s16: Pcm16, far_s16: Pcm16) -> Pcm16:
        return np.zeros_like(mic_s16)


def lateness(sent_s16: Pcm16, heard_s16: Pcm16, at: int, n_samples: int) -> tuple[int, float]:
    """By how much a stretch of what is heard is later than what was sent, and how alike they are then."""
    heard = heard_s16[at : at + n_samples].astype(float)
    best = (0, -1.0)
    for late in range(641):
        sent = sent_s16[at - late : at - late + n_samples].astype(float)
        alike = float(sent @ heard / np.sqrt((sent @ sent) * (heard @ heard) + 1))
        best = max(best, (late, alike), key=lambda pair: pair[1])
    return best


def likeness(sent_s16: Pcm16, heard_s16: Pcm16) -> float:
    """The correlation of two stretches, 1 for the same up to its level."""
    sent, heard = sent_s16.astype(float), heard_s16.astype(float)
    return float(sent @ heard / np.sqrt((sent @ sent) * (heard @ heard) + 1))


@pytest.mark.parametrize("n_samples", [0, 1, 96, 128, 160, 224, 500])
def test_the_delay_of_any_canceller_is_measured(n_samples: int) -> None:
    assert measured_delay_samples(Late(n_samples)) == n_samples
    assert EchoControl(canceller=Late(n_samples)).delay_samples == n_samples


def test_one_that_lets_nothing_through_has_none() -> None:
    assert measured_delay_samples(Deaf()) == 0


CANCELLERS = [lambda: WebRtcCanceller(), lambda: WebRtcCanceller(noise_suppression_level=None), LivekitCanceller]


@pytest.mark.parametrize("canceller", CANCELLERS)
def test_the_measured_delay_is_that_of_speech(canceller: type[Canceller]) -> None:
    speech_s16 = load_recording(SPEECH / "tell_me_a_story.wav").audio_s16
    n_blocks = len(speech_s16) // BLOCK_SAMPLES
    made, silence_s16 = canceller(), np.zeros(BLOCK_SAMPLES, np.int16)
    blocks = np.split(speech_s16[: n_blocks * BLOCK_SAMPLES], n_blocks)
    heard_s16 = np.concatenate([made.process(block_s16, silence_s16) for block_s16 in blocks])
    loudest = int(np.argmax(np.convolve(np.abs(speech_s16[2000:-8000].astype(float)), np.ones(4000), "same")))
    late, _ = lateness(speech_s16, heard_s16, 2000 + loudest, 6000)
    assert abs(late - measured_delay_samples(canceller())) <= 5


@pytest.mark.parametrize("canceller", CANCELLERS)
def test_where_the_agent_starts_and_stops_the_user_is_neither_repeated_nor_lost(canceller: type[Canceller]) -> None:
    if canceller is LivekitCanceller:
        pytest.importorskip("livekit")
    speech_s16 = np.resize(load_recording(SPEECH / "tell_me_a_story.wav").audio_s16[4000:-6000], 9 * RATE_HZ)
    speech_s16 = (speech_s16 * 0.7).astype(np.int16)
    played_s16 = np.zeros_like(speech_s16)
    # The agent speaks from second 3 to second 6, into headphones: the microphone hears only the user.
    played_s16[3 * RATE_HZ : 6 * RATE_HZ] = np.random.default_rng(1).normal(0, 900, 3 * RATE_HZ).astype(np.int16)
    made = canceller()
    late = measured_delay_samples(canceller())
    control = EchoControl("cancel", made)
    alone = canceller()
    blocks: list[Pcm16] = []
    cancelled: list[Pcm16] = []
    switches: list[int] = []
    for at in range(0, len(speech_s16), BLOCK_SAMPLES):
        was = control.meter.playing
        mic_s16, far_s16 = speech_s16[at : at + BLOCK_SAMPLES], played_s16[at : at + BLOCK_SAMPLES]
        blocks.append(control.process(mic_s16, far_s16)[0])
        cancelled.append(alone.process(mic_s16, far_s16))
        if control.meter.playing != was:
            switches.append(at)
    heard_s16, cancelled_s16 = np.concatenate(blocks), np.concatenate(cancelled)
    assert len(switches) == 2
    for at in switches:
        # Within the block in which one follows the other: one signal, of which webrtc's filters leave 0.81 to 0.93
        # (livekit suppresses more), and which is no less alike than what the canceller alone leaves of the same block;
        # two signals 6 ms apart leave 0.2.
        begin = at - control.delay_samples
        alike = likeness(speech_s16[begin : begin + BLOCK_SAMPLES], heard_s16[at : at + BLOCK_SAMPLES])
        own = likeness(speech_s16[begin : begin + BLOCK_SAMPLES], cancelled_s16[at : at + BLOCK_SAMPLES])
        assert alike > own
        assert isinstance(made, LivekitCanceller) or alike > 0.8
    assert abs(control.delay_samples - late) <= 5


def test_the_delay_of_the_canceller_that_is_taken_is_measured() -> None:
    assert EchoControl("cancel").delay_samples == delay_samples()
