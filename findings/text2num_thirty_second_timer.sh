#!/usr/bin/env bash
# text2num turns "a thirty second timer" into "a 32nd timer".
#
# text2num 3.1.0. `alpha2digit` rewrites the numbers in what a recognizer has heard as digits, and leaves small isolated
# ones alone (`threshold` is 3 unless told otherwise: "wait a second" stays). One would guess that "set a thirty second
# timer" becomes "set a 30 second timer", as minutes do. The unit is taken for the ordinal and joined to the number before
# it: the duration is gone, unless the threshold is so high that no number is converted. The plural is safe, and so is
# German, whose unit is no ordinal. A voice agent has to set the units apart before it asks.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check text2num==3.1.0 2> "$work/log" \
    || { cat "$work/log" >&2; exit 1; }
cd "$work"
"$work/venv/bin/python" - <<'P'
import sys

from text_to_num import alpha2digit

said = "set a thirty second timer"
seconds = {threshold: alpha2digit(said, "en", threshold=threshold) for threshold in (0, 3, 1000)}
minutes = alpha2digit("set a thirty minute timer", "en")
plural = alpha2digit("wait thirty seconds", "en")
german = alpha2digit("stell dreißig Sekunden", "de")
for threshold, text in seconds.items():
    print(f"seconds, threshold {threshold}: {text}")
print(f"minutes: {minutes}")
print(f"plural: {plural}")
print(f"German: {german}")
expected = (minutes, plural, german) == ("set a 30 minute timer", "wait 30 seconds", "stell 30 Sekunden")
sys.exit(0 if expected and all("30 second" not in text for text in seconds.values()) else 1)
P
# Seen:
#   seconds, threshold 0: set a 32nd timer
#   seconds, threshold 3: set a 32nd timer
#   seconds, threshold 1000: set a thirty second timer
#   minutes: set a 30 minute timer
#   plural: wait 30 seconds
#   German: stell 30 Sekunden
