"""In which numbers a Whisper model computes on this CPU: 8 bits where they are faster here, else 32.

Which is faster depends on the instructions of the processor and on the library's own kernels, so both are tried: on a
short window, side by side, when the model is loaded. Elsewhere than on a CPU the library's own choice stands.
"""

import ctypes
import sys
import time
from functools import cache
from pathlib import Path

import numpy as np

WINDOW_FRAMES = 100  # 1 s
ROUNDS = 3
# A larger model is not loaded twice; 8 bits take a quarter of the memory, which then counts for more.
MAX_COMPARED_BYTES = 500_000_000


@cache
def fastest_on_cpu(model_path: Path, threads: int) -> str:
    """CTranslate2's name of the numbers: `int8` or `float32`.

    Args:
        model_path: A directory with a CTranslate2 model.
        threads: CPU threads of one decoding.

    Raises:
        RuntimeError: It holds no model that loads.
    """
    import ctranslate2

    if "int8" not in ctranslate2.get_supported_compute_types("cpu"):
        return "default"
    file = model_path / "model.bin"
    if file.is_file() and file.stat().st_size > MAX_COMPARED_BYTES:
        return "int8"
    models = {
        kind: ctranslate2.models.Whisper(str(model_path), compute_type=kind, intra_threads=threads)
        for kind in ("int8", "float32")
    }
    took_secs: dict[str, list[float]] = {kind: [] for kind in models}
    for _ in range(1 + ROUNDS):
        for kind, model in models.items():
            started_secs = time.perf_counter()
            sound = ctranslate2.StorageView.from_array(np.zeros((1, model.n_mels, WINDOW_FRAMES), np.float32))
            model.encode(sound)
            took_secs[kind].append(time.perf_counter() - started_secs)
    # The first round prepares the kernels; other work on the machine only ever adds time.
    return min(took_secs, key=lambda kind: min(took_secs[kind][1:]))


def give_back_memory() -> None:
    """Return what loading and the first decoding took for a moment, some 40 MB with tiny.en, which glibc would keep."""
    # musl has no such function.
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if sys.platform == "linux" else None
    if trim is not None:
        trim(0)
