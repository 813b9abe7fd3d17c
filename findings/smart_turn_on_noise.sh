#!/usr/bin/env bash
# smart-turn calls silence and hiss a finished sentence.
#
# pipecat-ai 1.14.0 with the smart-turn v3.2 model that it carries. One would guess that a model which judges whether a
# speaker has finished gives a low or middling probability where nobody has spoken. It gives 0.9 and more to digital
# silence, to a faint hiss and to a loud one: its answer means something only where voice activity has heard a voice.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check "pipecat-ai==1.14.0" onnxruntime==1.24.3 numpy==2.2.6
cd "$work"
ORT_DISABLE_TELEMETRY=1 "$work/venv/bin/python" - <<'P' 2> "$work/log" || { cat "$work/log" >&2; exit 1; }
import asyncio
import sys

import numpy as np
from pipecat.audio.turn.smart_turn.local_smart_turn_v3 import LocalSmartTurnAnalyzerV3

RATE_HZ = 16000


async def main() -> int:
    analyzer = LocalSmartTurnAnalyzerV3(sample_rate=RATE_HZ)
    rng = np.random.default_rng(1)
    hiss = rng.standard_normal(3 * RATE_HZ).astype(np.float32)
    sounds = {"digital silence": 0 * hiss, "hiss at -60 dBFS": hiss * 10**-3, "hiss at -30 dBFS": hiss * 10**-1.5}
    low = False
    for name, audio_f32 in sounds.items():
        result = analyzer._predict_endpoint(audio_f32)
        if asyncio.iscoroutine(result):
            result = await result
        print(f"{name}: {result['probability']:.2f}")
        low |= result["probability"] < 0.85
    return int(low)


sys.exit(asyncio.run(main()))
P
# Seen:
#   digital silence: 0.99
#   hiss at -60 dBFS: 0.95
#   hiss at -30 dBFS: 0.90
