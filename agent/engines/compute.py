"""Where models run: `compute.device`, as each engine's library wants to hear it.

Voice activity and the judgement of turns take so little that they stay on the CPU. An engine that cannot run on the
device that is asked for stays there too, and the log says so.
"""

import os
import platform
import sys
from dataclasses import dataclass

from loguru import logger

from agent.settings.sections import ComputeDevice
from processors.errors import EngineUnavailableError

CPU_PROVIDER = "CPUExecutionProvider"
# onnxruntime's names.
PROVIDERS = {"cuda": "CUDAExecutionProvider", "mps": "CoreMLExecutionProvider"}
# llama.cpp: all of the layers, whatever the model.
ALL_LAYERS = 999


@dataclass(frozen=True)
class Placement:
    """What the libraries are told.

    Attributes:
        whisper: CTranslate2's device; it knows none of Apple's.
        sherpa: sherpa-onnx's provider; a package that lacks it says so, and uses the CPU.
        onnx: onnxruntime's providers, the first that it has is taken.
        gpu_layers: Layers of the language model that llama.cpp puts on a GPU; None leaves it to llama.cpp.
    """

    whisper: str = "auto"
    sherpa: str = "cpu"
    onnx: tuple[str, ...] = (CPU_PROVIDER,)
    gpu_layers: int | None = None


def placement(device: ComputeDevice) -> Placement:
    """What a device means to each library.

    Args:
        device: The setting.
    """
    if device == "auto":
        return Placement()
    if device == "cpu":
        return Placement(whisper="cpu", gpu_layers=0)
    sherpa = {"cuda": "cuda", "mps": "coreml"}[device]
    whisper = "cuda" if device == "cuda" else "cpu"
    return Placement(whisper, sherpa, (*_provider(device), CPU_PROVIDER), ALL_LAYERS)


def check_device(device: ComputeDevice) -> None:
    """Find out before models are loaded that the machine has no such device.

    Raises:
        EngineUnavailableError: It has none, or its driver does not work.
    """
    if device == "cuda":
        from ctranslate2 import get_cuda_device_count

        if not get_cuda_device_count():
            raise EngineUnavailableError(
                "compute.device = cuda: no CUDA GPU is usable on this machine", "nvidia-smi, or --device cpu"
            )
    elif device == "mps" and not (sys.platform == "darwin" and platform.machine() == "arm64"):
        raise EngineUnavailableError(
            f"compute.device = mps: this machine is {sys.platform} {platform.machine()}, not a Mac with Apple silicon",
            "--device cpu",
        )


def half_of_the_cores(threads: int = 0) -> int:
    """The number of threads asked for; 0 stands for half of the cores, so that the event loop keeps one."""
    return threads or max(1, (os.cpu_count() or 2) // 2)


def _provider(device: ComputeDevice) -> tuple[str, ...]:
    import onnxruntime

    wanted = PROVIDERS[device]
    if wanted in onnxruntime.get_available_providers():
        return (wanted,)
    logger.warning(f"compute.device = {device}: this onnxruntime has no {wanted}; the voice stays on the CPU")
    return ()
