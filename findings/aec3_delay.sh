#!/usr/bin/env bash
# WebRTC's AEC3 as a Python package gives the microphone back late, by an amount that depends on its switches.
#
# pywebrtc-audio 0.2.0. One would guess that `process(microphone, played)` returns the same samples, cleaned: it takes and
# gives arrays of one length, and reports no delay. What comes back is 128 samples late at 16 kHz with echo cancellation
# alone (8 ms) and 224 with noise suppression on (14 ms); at 48 kHz 9.0 and 15.0 ms. Whoever switches between the cleaned
# and the raw microphone, or lines words up with sound, has to measure the delay of the very instance.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check pywebrtc-audio==0.2.0 numpy==2.2.6
"$work/venv/bin/python" - <<'P'
import sys

import numpy as np
from pywebrtc_audio import AudioProcessor

EXPECTED = {(16000, False): 8.0, (16000, True): 14.0, (48000, False): 9.0, (48000, True): 15.0}


def delay_ms(rate_hz: int, noise_suppression: bool) -> float:
    """Of a voice-like sound through the processor while nothing is played, by the peak of the cross-correlation."""
    rng = np.random.default_rng(7)
    n = 3 * rate_hz
    syllables = 0.5 - 0.5 * np.cos(2 * np.pi * 4 * np.arange(n) / rate_hz)
    noise = np.convolve(rng.standard_normal(n), np.exp(-np.arange(32) / 8), "same")
    sound = noise * syllables
    mic = (sound / np.abs(sound).max() * 0.3).astype(np.float32)
    processor = AudioProcessor(
        sample_rate=rate_hz, echo_cancellation=True, high_pass_filter=False, noise_suppression=noise_suppression, ns_level=1
    )
    out = np.concatenate(
        [
            np.asarray(processor.process(mic[at : at + rate_hz // 100], np.zeros(rate_hz // 100, np.float32)))
            for at in range(0, n - n % (rate_hz // 100), rate_hz // 100)
        ]
    )
    begin, length = rate_hz, rate_hz
    window = mic[begin : begin + length].astype(np.float64)
    scores = [float(np.dot(window, out[begin + lag : begin + lag + length])) for lag in range(rate_hz // 25)]
    return int(np.argmax(scores)) * 1000 / rate_hz


seen = {key: delay_ms(*key) for key in EXPECTED}
for (rate_hz, suppressing), ms in seen.items():
    print(f"{rate_hz} Hz, noise suppression {'on ' if suppressing else 'off'}: {ms:.2f} ms late")
sys.exit(any(abs(seen[key] - EXPECTED[key]) > 0.2 for key in EXPECTED))
P
# Seen:
#   16000 Hz, noise suppression off: 8.00 ms late
#   16000 Hz, noise suppression on : 14.00 ms late
#   48000 Hz, noise suppression off: 8.96 ms late
#   48000 Hz, noise suppression on : 14.96 ms late
