#!/usr/bin/env bash
# FFmpeg takes in 64 KB of a streamed WAV before it gives the first sample: 1.4 s of speech at 24 kHz, whatever the probe.
#
# PyAV 17.1.0 with its FFmpeg. A WAV's header of 44 bytes says all that there is to know, and `probesize=4096`,
# `analyzeduration=0`, a named format and a small read buffer are what one sets for the first sound to come soon; one would
# guess that some 4 KB are enough. All the same the first frame comes after more than 64 KB; an MP3 of the same sound gives
# its first frame after 6 KB. Who plays a speech server's WAV as it comes reads the header himself.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check av==17.1.0 2> "$work/log" || { cat "$work/log" >&2; exit 1; }
cat > "$work/read.py" <<'P'
import io
import struct
import sys
import wave

import av


class Streamed:
    """As it comes over a network: 20 ms a read, no seeking."""

    def __init__(self, data):
        self.data, self.at = data, 0

    def read(self, n_bytes):
        piece = self.data[self.at : self.at + min(n_bytes, 960)]
        self.at += len(piece)
        return piece


def streamed_wav(secs):
    """A ramp, with the length that servers write who do not know it."""
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setnchannels(1)
        writer.setsampwidth(2)
        writer.setframerate(24_000)
        writer.writeframes(bytes(range(256)) * (secs * 24_000 * 2 // 256))
    whole = bytearray(file.getvalue())
    whole[4:8] = whole[40:44] = struct.pack("<I", 0xFFFFFFFF)
    return bytes(whole)


taken = []
for name, options in {
    "defaults": {},
    "short probe": {"probesize": "4096", "analyzeduration": "0"},
    "short probe, nobuffer": {"probesize": "4096", "analyzeduration": "0", "fflags": "nobuffer"},
}.items():
    sound = Streamed(streamed_wav(10))
    with av.open(sound, "r", format="wav", buffer_size=1024, options=options) as container:
        next(container.decode(audio=0))
    taken.append(sound.at)
    print(f"{name}: the first frame after {sound.at} bytes, {(sound.at - 44) / 48_000:.2f} s of sound")
if min(taken) < 60_000:
    print("CHANGED")
    sys.exit(1)
P
cd "$work"
venv/bin/python read.py
echo "As described: more than a second of sound is waited for."
