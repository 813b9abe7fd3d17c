#!/usr/bin/env bash
# FFmpeg's flag for low latency loses the beginning of an MP3 that is streamed, and a short sentence altogether.
#
# PyAV 17.1.0 with its FFmpeg. `fflags=nobuffer` is documented as lowering the latency of the first analysis of an input
# and is the usual advice for live sound; one would guess that the same samples come, only sooner. What FFmpeg has read
# to find out the format is not given again: of a second of speech as MP3 nothing comes at all, without an error, and of
# ten seconds the beginning is missing. `probesize` and `analyzeduration` alone lose nothing.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check av==17.1.0 numpy==2.3.4 2> "$work/log" \
    || { cat "$work/log" >&2; exit 1; }
cat > "$work/read.py" <<'P'
import io
import sys

import av
import numpy as np

RATE_HZ = 24_000


def mp3(secs):
    """A tone."""
    tone = (16_000 * np.sin(2 * np.pi * 440 * np.arange(secs * RATE_HZ) / RATE_HZ)).astype(np.int16)
    file = io.BytesIO()
    with av.open(file, "w", format="mp3") as container:
        stream = container.add_stream("mp3", rate=RATE_HZ, layout="mono")
        frame = av.AudioFrame.from_ndarray(tone[None, :], format="s16", layout="mono")
        frame.sample_rate = RATE_HZ
        resampler = av.AudioResampler(stream.format, "mono", RATE_HZ, stream.frame_size)
        for ready in [*resampler.resample(frame), *resampler.resample(None)]:
            container.mux(stream.encode(ready))
        container.mux(stream.encode(None))
    return file.getvalue()


class Streamed(io.RawIOBase):
    """As it comes over a network: no seeking, a piece at a time."""

    def __init__(self, data):
        self.data, self.at = data, 0

    def readable(self):
        return True

    def readinto(self, buffer):
        piece = self.data[self.at : self.at + min(len(buffer), 1024)]
        buffer[: len(piece)] = piece
        self.at += len(piece)
        return len(piece)


def n_samples(data, **options):
    with av.open(Streamed(data), "r", options=options) as container:
        return sum(frame.samples for frame in container.decode(audio=0))


failed = False
for secs in (1, 10):
    data = mp3(secs)
    plain = n_samples(data)
    short = n_samples(data, probesize="4096", analyzeduration="0")
    low = n_samples(data, fflags="nobuffer")
    print(f"{secs} s of MP3, {plain} samples: {short} with a short probe, {low} with nobuffer")
    failed |= short != plain or low >= plain or (secs == 1 and low != 0)
if failed:
    print("CHANGED")
    sys.exit(1)
P
cd "$work"
venv/bin/python read.py
echo "As described: what was read for the analysis is lost."
