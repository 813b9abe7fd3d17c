#!/usr/bin/env bash
# espeak-ng says one sentence in another length and with other samples at each call, and a seed does not set it back.
#
# espeak-ng 1.52.0 as espeakng-loader 0.2.4 brings it. A synthesizer by formants has no model that samples, and since
# 1.52 there is `espeak_ng_SetRandSeed`; one would guess that the same text in the same voice gives the same sound, at
# least after the same seed, or after `espeak_Terminate` and `espeak_Initialize`. In one process no two are alike and
# their lengths differ, with all of these; in fresh processes the first is the same each time. Who needs the same sound
# (a fixture, a cache, a comparison by hash) says it in a process that has said nothing before.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check espeakng-loader==0.2.4 2> "$work/log" \
    || { cat "$work/log" >&2; exit 1; }
cat > "$work/say.py" <<'P'
import ctypes
import hashlib
import sys

import espeakng_loader

SYNCHRONOUS, POSITION_CHARACTER, UTF8 = 2, 1, 1
calls = ctypes.CDLL(espeakng_loader.get_library_path())
data_path = espeakng_loader.get_data_path().encode()
sound = bytearray()


@ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p)
def gather(wave, n_samples, _events):
    if n_samples > 0:
        sound.extend(ctypes.string_at(wave, 2 * n_samples))
    return 0


def say():
    sound.clear()
    calls.espeak_SetSynthCallback(gather)
    calls.espeak_SetVoiceByName(b"en-us")
    text = b"set a timer for the pasta\0"
    assert calls.espeak_Synth(text, len(text), 0, POSITION_CHARACTER, 0, UTF8, None, None) == 0
    calls.espeak_Synchronize()
    return f"{len(sound) // 2} samples {hashlib.md5(sound).hexdigest()[:8]}"


def begin():
    assert calls.espeak_Initialize(SYNCHRONOUS, 0, data_path, 0) > 0


begin()
way = sys.argv[1]
for _ in range(3):
    if way == "seed":
        calls.espeak_ng_SetRandSeed(1)
    elif way == "anew":
        calls.espeak_Terminate()
        begin()
        calls.espeak_ng_SetRandSeed(1)
    print(say())
P
cd "$work"
for way in plain seed anew; do
    venv/bin/python say.py "$way" > "$way" 2> log || { cat log >&2; exit 1; }
    venv/bin/python say.py "$way" > "$way.again" 2> log || { cat log >&2; exit 1; }
    echo "$way: $(paste -sd, "$way" | sed 's/,/, /g')"
    if [ "$(sort -u "$way" | wc -l)" != 3 ]; then
        echo "CHANGED: with '$way' the sentence is said alike"
        exit 1
    fi
    if [ "$(head -n 1 "$way")" != "$(head -n 1 "$way.again")" ]; then
        echo "CHANGED: with '$way' two fresh processes differ"
        exit 1
    fi
done
echo "As described: no two of one process are alike, the first of each process is."
