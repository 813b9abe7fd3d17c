"""`uv run python -m tests.bench.echo [--quick] [--json FILE]`: measures against echo, in a closed acoustic loop."""

import argparse
import json
import os
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

from loguru import logger

from tests.bench.echo.material import Material, load_material, make_timeline
from tests.bench.echo.measures import Result, Transcriber, summarise
from tests.bench.echo.trial import Row, trial_of
from tests.bench.table import show

ROWS = (
    Row("nothing", "off"),
    Row("half-duplex", "half_duplex"),
    Row("AEC3 without ducking", "cancel"),
    Row("AEC3, ducked at 0.15", "cancel", duck_at=0.15),
    Row("ours", "auto", noise_suppression_level=0, duck_at=0.1, proof=True),
)
ECHO_HEADER = ("agent alone, user cutting in", "ERLE p50/p10", "self-trig./min", "ducked", "heard %", "decision s")
USER_HEADER = ("user", "heard % alone", "STOI out/mic", "WER alone", "WER cut in", "CPU ms/s")


def measure(row: Row, n_trials: int, agent_secs: int, seed: int, material: Material, workers: int) -> Result:
    """All trials of one row."""
    voices = list(material.answers)
    chosen = [voices[index // 3 % len(voices)] for index in range(n_trials)]
    timelines = [
        make_timeline(material, voice, seed + index, agent_secs=agent_secs, n_barge_ins=8, n_near=3)
        for index, voice in enumerate(chosen)
    ]
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        trials = list(
            pool.map(trial_of, [row] * n_trials, [seed + index for index in range(n_trials)], timelines, chosen)
        )
    return summarise(row.name, trials, Transcriber(material.utterances))


def echo_cells(result: Result) -> tuple[str, ...]:
    """How a row fares while the agent speaks; three values are for the echo at -10, 0 and +10 dB."""
    return (
        result.name,
        "/".join(f"{value:.0f}" for value in result.erle_db) + " dB",
        f"{result.self_triggers / result.agent_minutes:.2f}",
        f"{result.ducked_percent:.0f} %",
        "/".join(f"{value:.0f}" for value in result.heard_percent.values()),
        "/".join("-" if value is None else f"{value:.2f}" for value in result.decision_secs.values()),
    )


def user_cells(result: Result) -> tuple[str, ...]:
    """What becomes of the user's own speech, and the cost."""
    return (
        result.name,
        f"{result.near_heard_percent:.0f}",
        "/".join(f"{value:.3f}" for value in result.stoi),
        *("-" if value is None else f"{value:.0f} %" for value in result.word_error_percent),
        f"{result.cpu_ms_per_sec:.1f}",
    )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="six rooms instead of thirty, one minute each for all")
    parser.add_argument("--rows", default="", help="only the rows whose names contain this")
    parser.add_argument("--seed", type=int, default=0, help="other rooms, other utterances")
    parser.add_argument("--workers", type=int, default=2, help="processes")
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    options = parser.parse_args()
    logger.remove()
    # Workers log nothing either, not even what is said while modules load.
    os.environ["LOGURU_AUTOINIT"] = "0"
    n_trials, agent_secs = (6, 20) if options.quick else (30, 62)
    material = load_material()
    results = [
        measure(row, n_trials, agent_secs, options.seed, material, options.workers)
        for row in ROWS
        if options.rows in row.name
    ]
    minutes, n_barge_ins = results[0].agent_minutes, results[0].n_barge_ins
    title = (
        f"echo, closed loop, {minutes:.0f} min of the agent alone and {n_barge_ins} barge-ins at each level in a row"
    )
    targets = ("target", "", "0", "", "≥ 95/90/85", "≤ 0.6 at 0 dB")
    show(title, [echo_cells(result) for result in results] + [targets], ECHO_HEADER)
    targets = ("target", "100", "out ≥ mic", "", "", "≤ 15")
    show("the user's own speech", [user_cells(result) for result in results] + [targets], USER_HEADER)
    if options.json:
        options.json.write_text(json.dumps([result.as_json() for result in results], indent=2) + "\n")


if __name__ == "__main__":
    main()
