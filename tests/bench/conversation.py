"""Event-loop lag and voice-to-voice latency of the bundled engines in a headless conversation of short questions.

Lag: a task sleeps 1 ms at a time on the conversation's own loop; what it oversleeps is the lag.
Latency: from the recording's last voiced sample to the agent's first audible one, both on the sample timeline.
"""

import argparse
import asyncio
import tempfile
import time
from pathlib import Path

import psutil
from loguru import logger

from agent.engines.host import start_model_host
from agent.settings.load import load_settings
from tests.bench.table import median, percentile, show
from tests.support.house import hold, say

QUESTIONS = ("capital_of_germany.wav", "days_in_a_week.wav", "what_time_is_it.wav", "tell_me_a_story.wav")
TICK_SECS = 0.001


async def ticker(lags_ms: list[float]) -> None:
    """Note how much each millisecond is overslept."""
    while True:
        before = time.perf_counter()
        await asyncio.sleep(TICK_SECS)
        lags_ms.append((time.perf_counter() - before - TICK_SECS) * 1000)


async def measure(rounds: int, models_dir: Path) -> None:
    """Hold the conversation and print the table."""
    settings = load_settings(
        {"stt.engine": "pocketsphinx", "llm.engine": "embedded", "tts.engine": "espeak", "models_dir": models_dir}
    )
    host = await start_model_host(settings)
    idle_lags_ms: list[float] = []
    ticking = asyncio.create_task(ticker(idle_lags_ms))
    await asyncio.sleep(3)
    ticking.cancel()
    lags_ms: list[float] = []
    ticking = asyncio.create_task(ticker(lags_ms))
    held = await hold(host, [say(name) for name in QUESTIONS * rounds], settings=settings)
    ticking.cancel()
    await host.close()
    latencies = held.named("latency")
    voice_ms = [event["voice_to_voice_ms"] for event in latencies]
    parts = [
        (f"{name}, p50", f"{median([event[f'{name}_ms'] for event in latencies if f'{name}_ms' in event]):.0f} ms", "")
        for name in ("turn", "stt", "llm_ttft", "tts_ttfb")
    ]
    show(
        f"bundled engines, {len(voice_ms)} answers, {psutil.cpu_count()} cores",
        [
            ("end of speech to first sound, p50", f"{median(voice_ms):.0f} ms", "≤ 1200 ms"),
            ("end of speech to first sound, p95", f"{percentile(voice_ms, 95):.0f} ms", ""),
            *parts,
            ("event-loop lag p99", f"{percentile(lags_ms, 99):.1f} ms", "≤ 10 ms"),
            ("event-loop lag, worst", f"{max(lags_ms):.1f} ms", ""),
            ("event-loop lag p99 with nothing running", f"{percentile(idle_lags_ms, 99):.1f} ms", ""),
        ],
    )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3, help="how often the questions are asked")
    logger.remove()
    with tempfile.TemporaryDirectory() as directory:
        asyncio.run(measure(parser.parse_args().rounds, Path(directory)))


if __name__ == "__main__":
    main()
