"""Every outside library's own switch against reports and look-ups of its own, set before any of them is imported.

In:  nothing.   Out: the environment of this process, and so of every process that it starts.

A library reads its switch once, at import or at its first call: a later one comes too late. Whatever the environment
says already gives way, since a variable that was set for another program would let words about this one out.
"""

import os

# By variable: its value, and who reads it. Names and values are the libraries' own.
LIBRARY_SWITCHES: dict[str, tuple[str, str]] = {
    # From 1.29 on, at import: a device id and an event database in the user's cache folder, and a collector's address.
    "ORT_DISABLE_TELEMETRY": ("1", "onnxruntime"),
    "HF_HUB_DISABLE_TELEMETRY": ("1", "huggingface_hub, transformers"),
    # A newer release is looked for on the package registry when its command runs.
    "HF_HUB_DISABLE_UPDATE_CHECK": ("1", "huggingface_hub"),
    "HF_XET_TELEMETRY_ENABLED": ("0", "hf_xet, beneath huggingface_hub"),
    "RAY_USAGE_STATS_ENABLED": ("0", "ray, where it is installed"),
    "DO_NOT_TRACK": ("1", "whatever follows the common switch: huggingface_hub, vllm"),
}


def switch_off_reports() -> None:
    """Set every switch, whatever it was set to."""
    for name, (value, _) in LIBRARY_SWITCHES.items():
        os.environ[name] = value
