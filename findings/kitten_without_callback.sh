#!/usr/bin/env bash
# sherpa-onnx 2 speaks with Kitten without ever calling back, and says nothing at all for a text.
#
# sherpa-onnx 2.0.1. `OfflineTts.generate` documents a callback that gets sound as it is made and may stop the work, and
# `OfflineTtsKittenModelConfig` takes `data_dir` for espeak-ng's data. One would guess that both work, as they did before
# 2.0. With Kitten the callback is never called, so that nothing can be heard early or stopped; and a text comes back as
# no samples, without an exception, since espeak-ng is gone and `data_dir` is ignored: phonemes have to be handed in. The
# model is a fake with Kitten's inputs, output and metadata; its tone is no speech.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check sherpa-onnx==2.0.1 onnx==1.19.1 numpy==2.2.6 2> "$work/log" \
    || { cat "$work/log" >&2; exit 1; }
cd "$work"
"$work/venv/bin/python" - <<'P' 2> "$work/log" || { cat "$work/log" >&2; exit 1; }
import sys
from pathlib import Path

import numpy as np
import onnx
import sherpa_onnx
from onnx import TensorProto, helper, numpy_helper

nodes = [
    helper.make_node("Cast", ["input_ids"], ["ids"], to=TensorProto.FLOAT),
    helper.make_node("Transpose", ["ids"], ["column"], perm=[1, 0]),
    helper.make_node("Expand", ["column", "shape"], ["wide"]),
    helper.make_node("ReduceSum", ["style"], ["amplitude"], keepdims=0),
    helper.make_node("Mul", ["wide", "amplitude"], ["loud"]),
    helper.make_node("Div", ["loud", "speed"], ["paced"]),
    helper.make_node("Reshape", ["paced", "flat"], ["waveform"]),
]
shapes = {"shape": np.array([1, 960], np.int64), "flat": np.array([-1], np.int64)}
inputs = [
    helper.make_tensor_value_info("input_ids", TensorProto.INT64, [1, "n"]),
    helper.make_tensor_value_info("style", TensorProto.FLOAT, [1, 4]),
    helper.make_tensor_value_info("speed", TensorProto.FLOAT, [1]),
]
outputs = [helper.make_tensor_value_info("waveform", TensorProto.FLOAT, ["m"])]
graph = helper.make_graph(
    nodes, "kitten", inputs, outputs, [numpy_helper.from_array(array, name) for name, array in shapes.items()]
)
model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
told = {"model_type": "kitten-tts", "sample_rate": "24000", "version": "2", "voice": "en-us", "has_espeak": "1"}
for key, value in (told | {"n_speakers": "1", "style_dim": "1,4", "speaker_names": "one"}).items():
    entry = model.metadata_props.add()
    entry.key, entry.value = key, value
onnx.save(model, "model.onnx")
Path("voices.bin").write_bytes(np.full(4, 0.01, "<f4").tobytes())
Path("tokens.txt").write_text("".join(f"{token} {number}\n" for number, token in enumerate("$;:,.!? həloʊˈ")))
Path("data").mkdir()
kitten = sherpa_onnx.OfflineTtsKittenModelConfig(
    model="model.onnx", voices="voices.bin", tokens="tokens.txt", data_dir="data"
)
tts = sherpa_onnx.OfflineTts(sherpa_onnx.OfflineTtsConfig(model=sherpa_onnx.OfflineTtsModelConfig(kitten=kitten)))
calls = []


def stop(samples, progress):
    calls.append(progress)
    return 0


by_text = tts.generate("Hello. Hello.", callback=stop)
config = sherpa_onnx.GenerationConfig()
config.phoneme_codepoints = [[ord(character) for character in "həlˈoʊ."]] * 2
by_phonemes = tts.generate("", config, stop)
print(f"a text: {len(by_text.samples)} samples, no exception")
print(f"two sentences of phonemes: {len(by_phonemes.samples)} samples; called back {len(calls)} times")
sys.exit(0 if not by_text.samples and by_phonemes.samples and not calls else 1)
P
# Seen:
#   a text: 0 samples, no exception
#   two sentences of phonemes: 19200 samples; called back 0 times
