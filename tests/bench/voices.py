"""Every installed voice in one interleaved run: first sound of a 12-word reply, cost, level, longest pause.

    uv run python -m tests.bench.voices --models-dir ~/models [--rounds 3]

Times are CPU seconds of the thread that speaks (one thread a synthesis), medians over the rounds.
"""

import argparse
import statistics
import time
from pathlib import Path

import numpy as np

from agent.engines.tts import tts_candidates
from agent.settings.load import Settings
from processors.tts.speech_level import speech_level_dbfs
from processors.tts.synthesizer import Synthesizer

REPLY = "The quick fox that lives in our old forest jumps over dogs."


def measure(engine: Synthesizer) -> tuple[float, float, float, float]:
    """First sound in CPU seconds, CPU seconds for a second of speech, level in dBFS, longest pause in seconds."""
    began, first, pcm16 = time.thread_time(), None, b""
    for chunk in engine.synthesize(REPLY):
        first = first if first is not None else time.thread_time() - began
        pcm16 += chunk.pcm16
    took = time.thread_time() - began
    audio = np.frombuffer(pcm16, "<i2").astype(np.float32) / np.float32(32768)
    rate_hz = engine.sample_rate_hz
    return first or 0.0, took / (len(audio) / rate_hz), speech_level_dbfs(audio, rate_hz), longest_pause(audio, rate_hz)


def longest_pause(audio_f32: np.ndarray, rate_hz: int) -> float:
    """The longest silence between two sounds, in seconds."""
    frame = rate_hz // 100
    frames = audio_f32[: len(audio_f32) // frame * frame].reshape(-1, frame)
    loud = np.flatnonzero(np.sqrt(np.square(frames).mean(axis=1)) > 0.002)
    return float(np.diff(loud).max(initial=1) - 1) / 100


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description="Measure every installed voice.")
    parser.add_argument("--models-dir", type=Path, required=True)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    settings = Settings.model_validate({"models_dir": given.models_dir})
    engines = [candidate.load() for candidate in tts_candidates(settings) if candidate.usable]
    for engine in engines:
        engine.warm_up()
    taken = {engine.name: [] for engine in engines}
    for _ in range(given.rounds):
        for engine in engines:
            taken[engine.name].append(measure(engine))
    print(
        "| engine | first sound, s | s for a second of speech | level, dBFS | longest pause, s |\n|---|---|---|---|---|"
    )
    for name, rows in taken.items():
        first, cost, level, pause = (statistics.median(column) for column in zip(*rows, strict=True))
        print(f"| {name} | {first:.2f} | {cost:.2f} | {level:.1f} | {pause:.2f} |")


if __name__ == "__main__":
    main()
