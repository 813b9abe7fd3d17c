#!/usr/bin/env bash
# onnxruntime makes a device id and an event database in the user's cache folder as soon as it is imported.
#
# Package:         onnxruntime 1.31.0 (1.28.0 beside it does not; 1.29 is the first that does)
# One would guess: `import onnxruntime` writes nothing and reaches nowhere; telemetry, if there is any, is asked for or is
#                  switched off by onnxruntime.disable_telemetry_events().
# What happens:    the import alone writes ~/.cache/Microsoft/DeveloperTools/.onnxruntime/{deviceid,onnxruntime.db}, and
#                  an upload to mobile.events.data.microsoft.com stands in the library; disable_telemetry_events() comes
#                  too late for the files. ORT_DISABLE_TELEMETRY=1 before the import leaves the home empty.
# Output seen:
#   1.28.0 plain:                   (nothing)
#   1.31.0 plain:                   .cache/Microsoft/DeveloperTools/.onnxruntime/deviceid .cache/.../onnxruntime.db
#   1.31.0 disable_telemetry_events: the same two
#   1.31.0 ORT_DISABLE_TELEMETRY=1: (nothing)
#   1.31.0 names its collector:     https://mobile.events.data.microsoft.com/OneCollector/1.0/
#
# Needs uv (or Python 3.11 with pip) and a package registry, on Linux. Fails if any of this has changed.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

install() { # version
    if command -v uv > /dev/null; then
        uv venv --quiet --python 3.11 "$folder/$1"
        uv pip install --quiet --python "$folder/$1/bin/python" "onnxruntime==$1"
    else
        python3.11 -m venv "$folder/$1"
        "$folder/$1/bin/pip" install --quiet "onnxruntime==$1"
    fi
}

written() { # version program [variable=value...]: the files that the program leaves in an empty home
    local version=$1 program=$2 home
    shift 2
    home=$(mktemp -d "$folder/home.XXXX")
    # -u: the caller's own switch must not decide.
    (cd "$home" && env -u ORT_DISABLE_TELEMETRY -u XDG_CACHE_HOME HOME="$home" "$@" \
        "$folder/$version/bin/python" -c "$program")
    (cd "$home" && find . -type f -not -name '*-shm' -not -name '*-wal' -not -name '*-journal' | sed 's|^\./||' | sort | xargs)
}

status=0
expect() { # what, expected, got
    echo "$1: ${3:-(nothing)}"
    if [ "$2" != "$3" ]; then
        echo "  CHANGED: expected ${2:-(nothing)}"
        status=1
    fi
}

install 1.28.0
install 1.31.0
store=.cache/Microsoft/DeveloperTools/.onnxruntime
both="$store/deviceid $store/onnxruntime.db"
late="import onnxruntime; onnxruntime.disable_telemetry_events()"

expect "1.28.0 plain" "" "$(written 1.28.0 "import onnxruntime")"
expect "1.31.0 plain" "$both" "$(written 1.31.0 "import onnxruntime")"
expect "1.31.0 disable_telemetry_events()" "$both" "$(written 1.31.0 "$late")"
expect "1.31.0 ORT_DISABLE_TELEMETRY=1" "" "$(written 1.31.0 "import onnxruntime" ORT_DISABLE_TELEMETRY=1)"
collector=$(grep -aoh "https://mobile.events.data.microsoft.com/OneCollector/1.0/" \
    "$folder"/1.31.0/lib/python3.*/site-packages/onnxruntime/capi/*.so* | head -1 || true)
expect "1.31.0 names its collector" "https://mobile.events.data.microsoft.com/OneCollector/1.0/" "$collector"
exit "$status"
