"""Where models run: what `compute.device` tells the libraries, and what it says where there is no such device.

GPUs are not needed: the real libraries are asked for one that this process cannot see.
"""

import platform
import sys
from pathlib import Path
from typing import Any

import pytest
from loguru import logger
from typer.testing import CliRunner

import agent.cli as cli
from agent.engines.compute import ALL_LAYERS, CPU_PROVIDER, Placement, check_device, placement
from agent.engines.embedded_llm_worker import _server_params
from agent.engines.host import start_mindless_host, start_model_host
from agent.engines.stt import stt_candidates
from agent.engines.tts import tts_candidates
from agent.errors import SettingsError
from agent.settings.load import Settings, load_settings
from processors.errors import EngineUnavailableError
from processors.stt.nemotron import NemotronEngine
from processors.stt.whisper import WhisperEngine
from processors.stt.whisper_model import WhisperOptions
from tests.support.house import FIXTURES

WHISPER = FIXTURES / "micro_whisper"


@pytest.fixture(autouse=True)
def no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hide graphics cards from CUDA, where there are any."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "-1")


def test_each_device_is_told_to_the_libraries_in_their_own_words(monkeypatch: pytest.MonkeyPatch) -> None:
    every = ["CUDAExecutionProvider", "CoreMLExecutionProvider", CPU_PROVIDER]
    monkeypatch.setattr("onnxruntime.get_available_providers", lambda: every)
    assert placement("auto") == Placement("auto", "cpu", (CPU_PROVIDER,), None)
    assert placement("cpu") == Placement("cpu", "cpu", (CPU_PROVIDER,), 0)
    assert placement("cuda") == Placement("cuda", "cuda", ("CUDAExecutionProvider", CPU_PROVIDER), ALL_LAYERS)
    assert placement("mps") == Placement("cpu", "coreml", ("CoreMLExecutionProvider", CPU_PROVIDER), ALL_LAYERS)


def test_an_engine_that_cannot_go_there_stays_on_the_cpu_and_the_log_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("onnxruntime.get_available_providers", lambda: [CPU_PROVIDER])
    lines: list[str] = []
    sink = logger.add(lines.append, level="WARNING", format="{message}")
    try:
        assert placement("cuda").onnx == (CPU_PROVIDER,)
    finally:
        logger.remove(sink)
    assert [line.strip() for line in lines] == [
        "compute.device = cuda: this onnxruntime has no CUDAExecutionProvider; the voice stays on the CPU"
    ]


def test_whisper_without_a_gpu_says_in_one_line_what_mends_it() -> None:
    with pytest.raises(EngineUnavailableError) as caught:
        WhisperEngine(WHISPER, WhisperOptions(device="cuda"))
    message = str(caught.value)
    assert message.startswith("whisper finds no usable GPU (compute.device = cuda: ")
    assert "nvidia-smi" in message
    assert "\n" not in message


def test_whisper_on_the_cpu_loads_and_has_a_decoding_for_each_kind_of_work() -> None:
    engine = WhisperEngine(WHISPER, WhisperOptions(device="cpu"))
    try:
        assert engine.library.model.device == "cpu"
    finally:
        engine.close()


@pytest.mark.parametrize("start", [start_model_host, start_mindless_host])
async def test_a_device_that_is_not_there_is_told_before_models_are_loaded(start: Any) -> None:
    settings = Settings.model_validate({"compute": {"device": "cuda"}})
    with pytest.raises(EngineUnavailableError, match=r"^compute\.device = cuda: no CUDA GPU is usable on this machine"):
        await start(settings)


def test_apples_device_is_refused_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(platform, "machine", lambda: "x86_64")
    with pytest.raises(EngineUnavailableError, match="this machine is linux x86_64, not a Mac with Apple silicon"):
        check_device("mps")
    monkeypatch.setattr(sys, "platform", "darwin")
    monkeypatch.setattr(platform, "machine", lambda: "arm64")
    check_device("mps")


@pytest.mark.parametrize("device", ["auto", "cpu"])
def test_auto_and_cpu_are_there_everywhere(device: Any) -> None:
    check_device(device)


def test_the_setting_reaches_the_recognizer_and_the_voice(monkeypatch: pytest.MonkeyPatch) -> None:
    told: dict[str, Any] = {}

    def whisper(path: Path, options: WhisperOptions, name: str) -> None:
        told["whisper"] = options.device

    def kokoro(*files: Path, **options: Any) -> None:
        told["kokoro"] = options["providers"]

    def nemotron(path: Path, **options: Any) -> None:
        told["nemotron"] = options["provider"]

    monkeypatch.setattr("processors.stt.whisper.WhisperEngine", whisper)
    monkeypatch.setattr("processors.stt.nemotron.NemotronEngine", nemotron)
    monkeypatch.setattr("processors.tts.kokoro.KokoroSynthesizer", kokoro)
    monkeypatch.setattr("onnxruntime.get_available_providers", lambda: ["CUDAExecutionProvider", CPU_PROVIDER])
    for model in ("micro_whisper", "micro_nemotron"):
        stt = {"stt": {"model": str(FIXTURES / model)}, "tts": {"model": str(FIXTURES / "micro_kokoro")}}
        settings = Settings.model_validate({**stt, "compute": {"device": "cuda"}})
        for candidate in [*stt_candidates(settings), *tts_candidates(settings)]:
            if candidate.usable and candidate.engine in ("whisper", "nemotron", "kokoro"):
                candidate.load()
    assert told == {"whisper": "cuda", "nemotron": "cuda", "kokoro": ("CUDAExecutionProvider", CPU_PROVIDER)}


def test_nemotron_goes_back_to_the_cpu_where_its_library_has_no_cuda() -> None:
    engine = NemotronEngine(FIXTURES / "micro_nemotron", provider="cuda")
    assert engine.warm_up() is None or "real time" in str(engine.warm_up())


@pytest.mark.parametrize(("gpu_layers", "told"), [(None, -1), (0, 0), (ALL_LAYERS, ALL_LAYERS)])
def test_the_language_model_is_told_how_many_layers_go_to_a_gpu(gpu_layers: int | None, told: int) -> None:
    params = _server_params("model.gguf", "model", "key", 1, 256, 1, gpu_layers, 64, 0)
    assert params.n_gpu_layers == told


@pytest.mark.parametrize("command", ["serve", "desktop"])
def test_the_flag_is_the_setting(command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[dict[str, Any]] = []

    def settings(*arguments: Any) -> Settings:
        seen.append(arguments[-1])
        raise SettingsError("enough")

    monkeypatch.setattr(cli, "_settings", settings)
    CliRunner().invoke(cli.app, [command, "--device", "cuda"])
    assert seen[0]["compute.device"] == "cuda"


def test_an_unknown_device_is_refused() -> None:
    with pytest.raises(SettingsError, match=r"compute\.device = 'tpu'"):
        load_settings({"compute.device": "tpu"})
