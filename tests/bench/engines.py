"""Time to the first sound of each synthesizer.

kokoro runs on the test fixtures' micro model unless a real one is installed; the model column says which.
"""

import time
from collections.abc import Iterator
from itertools import islice

import psutil

from agent.engines.candidates import Candidate
from agent.engines.tts import tts_candidates
from agent.settings.load import Settings, load_settings
from processors.tts.synthesizer import Synthesizer
from tests.bench.table import median, show
from tests.support.house import FIXTURES

TEXT = "The capital of Germany is Berlin, which lies on the river Spree."
RUNS = 15


def usable(candidates: list[Candidate], micro: list[Candidate]) -> Iterator[tuple[Candidate, str]]:
    """Each engine with an installed model, else with its micro model, and the mark that tells which."""
    for candidate, small in zip(candidates, micro, strict=True):
        yield (candidate, "") if candidate.usable else (small, " (micro model)")


def first_sound(engine: Synthesizer) -> tuple[float, float]:
    """Milliseconds to the first chunk of a sentence, and the real-time factor of the whole."""
    firsts, factors = [], []
    for _ in range(RUNS):
        started = time.perf_counter()
        chunks = engine.synthesize(TEXT)
        n_bytes = sum(len(chunk.pcm16) for chunk in islice(chunks, 1))
        firsts.append((time.perf_counter() - started) * 1000)
        n_bytes += sum(len(chunk.pcm16) for chunk in chunks)
        factors.append((time.perf_counter() - started) / (n_bytes / 2 / engine.sample_rate_hz))
    return median(firsts), median(factors)


def main() -> None:
    """Measure and print."""
    settings = load_settings()
    micro = Settings.model_validate(
        {
            **settings.model_dump(),
            "tts": {**settings.tts.model_dump(), "model": str(FIXTURES / "micro_kokoro")},
        }
    )
    rows = []
    for candidate, mark in usable(tts_candidates(settings), tts_candidates(micro)):
        engine = candidate.load()
        engine.warm_up()
        first_ms, factor = first_sound(engine)
        rows.append((engine.name, engine.model + mark, f"first sound {first_ms:.1f} ms, real-time factor {factor:.4f}"))
        engine.close()
    show(f"engines, {psutil.cpu_count()} cores, median of {RUNS}", rows, ("engine", "model", "measured"))


if __name__ == "__main__":
    main()
