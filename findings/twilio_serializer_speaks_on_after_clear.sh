#!/usr/bin/env bash
# After an interruption Pipecat's Twilio serializer tells the caller's side to clear, and then sends more of the cut reply.
#
# pipecat-ai 1.14.0 with soxr 1.0.0. `TwilioFrameSerializer` turns the agent's sound (24 kHz here, 20 ms a frame) into
# Twilio's media messages, 8 kHz mu-law, and an interruption into `{"event": "clear"}`. One would guess that each frame
# becomes a message of 20 ms, and that nothing of the cut reply follows `clear`. Its resampler is a soxr stream, which
# holds samples back and lets them go in bursts: of fifty frames all but a few become no message at all, and the others
# carry over 100 ms each. The interruption does not empty it, so the first message after `clear` begins with what it still
# held: tens of milliseconds of the reply that was cut off come before the next one, as a click or a syllable. The
# serializers for Telnyx, Plivo, Vonage and Exotel resample in the same way. A voice agent has to hand these serializers
# sound that is at the telephone's rate already, resampled by itself, and to empty its own resampler at the cut.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check pipecat-ai==1.14.0 soxr==1.0.0 2> "$work/log" \
    || { cat "$work/log" >&2; exit 1; }
cd "$work"
"$work/venv/bin/python" - <<'P' 2> "$work/err" || { cat "$work/err" >&2; exit 1; }
import asyncio
import base64
import json
import sys
from importlib.metadata import version

import numpy as np
from pipecat.frames.frames import InterruptionFrame, OutputAudioRawFrame
from pipecat.serializers.twilio import TwilioFrameSerializer

RATE_HZ = 24_000
N_SAMPLES = RATE_HZ // 50
N_FRAMES = 50
LOUD = 1000


def decoded(payload):
    """The size of each sample of mu-law (ITU-T G.711)."""
    code = ~np.frombuffer(payload, np.uint8)
    return ((((code & 0x0F).astype(int) << 3) + 0x84) << ((code & 0x70) >> 4).astype(int)) - 0x84


async def payload_of(serializer, sound):
    message = await serializer.serialize(OutputAudioRawFrame(sound.astype("<i2").tobytes(), RATE_HZ, 1))
    return base64.b64decode(json.loads(message)["media"]["payload"]) if message else None


async def main():
    parameters = TwilioFrameSerializer.InputParams(auto_hang_up=False)
    serializer = TwilioFrameSerializer("MZ00000000000000000000000000000000", params=parameters)
    tone = 10_000 * np.sin(2 * np.pi * 440 * np.arange(N_SAMPLES * N_FRAMES) / RATE_HZ)
    spoken = [await payload_of(serializer, frame) for frame in np.split(tone, N_FRAMES)]
    clear = json.loads(await serializer.serialize(InterruptionFrame()))["event"]
    after = [await payload_of(serializer, np.zeros(N_SAMPLES)) for _ in range(20)]

    messages = [payload for payload in spoken if payload]
    rest_ms = sum(int((decoded(payload) > LOUD).sum()) for payload in after if payload) / 8
    print(f"pipecat-ai {version('pipecat-ai')}, soxr {version('soxr')}")
    print(f"frames of 20 ms: {N_FRAMES}; messages: {len(messages)}; longest: {max(map(len, messages)) / 8:.1f} ms")
    print(f"interruption: {clear}; then, while silence is sent, loud samples of the cut tone: {rest_ms:.1f} ms")
    if clear != "clear" or len(messages) > N_FRAMES // 3 or not rest_ms > 10:
        sys.exit("not as it was")


asyncio.run(main())
P
# Seen:
#   pipecat-ai 1.14.0, soxr 1.0.0
#   frames of 20 ms: 50; messages: 7; longest: 137.5 ms
#   interruption: clear; then, while silence is sent, loud samples of the cut tone: 34.9 ms
