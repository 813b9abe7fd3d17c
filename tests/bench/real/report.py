"""From turns to a table: voice-to-voice and what it is made of, words, processor, memory, gaps.

In:  the turns of every wiring.   Out: a row a wiring, its ratio to stock beside it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from processors.text.bare_words import bare
from tests.bench.dynamics.measure import edit_distance
from tests.bench.real.questions import Question
from tests.bench.real.rows import Crew
from tests.bench.real.sound import Judge, Understood
from tests.bench.table import median, percentile, show
from transports.recorded import OUT_RATE_HZ

PARTS = ("turn_ms", "stt_ms", "llm_ttft_ms", "tts_ttfb_ms")


@dataclass(frozen=True)
class Turn:
    """One question to one wiring.

    Attributes:
        row: The wiring's name.
        question: What was said.
        text: What the language model answered; empty where it is not scripted.
        sound: What was played from the question's first sample on, and the event loop's lags.
        told: What the wiring's process says; empty if it ended.
        is_warm_up: Not measured.
    """

    row: str
    question: Question
    text: str
    sound: Path
    told: dict[str, Any]
    is_warm_up: bool = False

    def __str__(self) -> str:
        latency = self.told.get("voice_to_voice_ms")
        shown = "cut off" if self.told.get("cut_off") else "no answer" if latency is None else f"{latency:.0f} ms"
        return f"{self.row:24} {shown:>10}  {self.told.get('heard', '')}  {' '.join(self.told.get('errors', []))}"


@dataclass(frozen=True)
class Result:
    """A turn with what its sound tells."""

    turn: Turn
    n_wrong: int
    n_words: int
    lags_ms: list[float] = field(repr=False, default_factory=list)
    understood: Understood | None = None


def judged(turn: Turn, judge: Judge) -> Result:
    """Compare words, and listen to the answer where its text is known."""
    expected = turn.question.words.split()
    n_wrong = edit_distance(bare(turn.told.get("heard", "")).split(), expected)
    if not turn.sound.is_file():
        return Result(turn, n_wrong, len(expected))
    with np.load(turn.sound) as kept:
        heard_s16, lags_ms = kept["heard"], kept["lags"].tolist()
    understood = None
    if turn.text and len(heard_s16) > OUT_RATE_HZ:
        understood = judge.understand(heard_s16, turn.text)
    return Result(turn, n_wrong, len(expected), lags_ms, understood)


def figures(results: Sequence[Result]) -> dict[str, float | None]:
    """The figures of one wiring, by column."""
    told = [result.turn.told for result in results]
    latencies = [one["voice_to_voice_ms"] for one in told if one.get("voice_to_voice_ms") is not None]
    understood = [result.understood for result in results if result.understood]
    lags_ms = [lag for result in results for lag in result.lags_ms]
    gaps = [gap for one in understood for gap in one.gaps_secs]
    parts = {part: [one[part] for one in told if one.get(part) is not None] for part in PARTS}
    return {
        "answers": len(latencies),
        "cut_off": sum(bool(one.get("cut_off")) for one in told),
        "p50_ms": median(latencies) if latencies else None,
        "p95_ms": percentile(latencies, 95) if latencies else None,
        **{part: median(values) if values else None for part, values in parts.items()},
        "word_errors": sum(result.n_wrong for result in results) / max(1, sum(result.n_words for result in results)),
        "cpu_secs": median([one["cpu_secs"] for one in told if "cpu_secs" in one]) if any(told) else None,
        "peak_mb": max((one.get("peak_mb", 0.0) for one in told), default=None),
        "lag_p99_ms": percentile(lags_ms, 99) if lags_ms else None,
        "gaps": len(gaps) if understood else None,
        "longest_gap_secs": max(gaps, default=0.0) if understood else None,
        "misheard": sum(one.n_wrong for one in understood) / sum(one.n_words for one in understood)
        if understood
        else None,
    }


def show_table(title: str, crews: Sequence[Crew], results: Sequence[Result]) -> None:
    """Print a column a wiring."""
    by_row = {crew.row.name: figures([one for one in results if one.turn.row == crew.row.name]) for crew in crews}
    running = [crew for crew in crews if not crew.missing]
    stock = next((by_row[crew.row.name] for crew in running if crew.row.wiring == "stock"), None)

    def cells(key: str, form: str, scale: float = 1.0) -> list[str]:
        values = [by_row[crew.row.name][key] for crew in running]
        return ["-" if value is None else f"{value * scale:{form}}" for value in values]

    def ratios(key: str) -> list[str]:
        base = stock[key] if stock else None
        values = [by_row[crew.row.name][key] for crew in running]
        return [f"{value / base:.2f}" if value and base else "-" for value in values]

    lines = [
        ["speech-to-text", *(crew.engines["stt"] for crew in running)],
        ["text-to-speech", *(crew.engines["tts"] for crew in running)],
        ["answers (cut off)", *map("{} ({})".format, cells("answers", ".0f"), cells("cut_off", ".0f"))],
        ["voice-to-voice p50, ms", *cells("p50_ms", ".0f")],
        ["  against stock", *ratios("p50_ms")],
        ["voice-to-voice p95, ms", *cells("p95_ms", ".0f")],
        ["  against stock", *ratios("p95_ms")],
        *([f"  {part.removesuffix('_ms')} p50, ms", *cells(part, ".0f")] for part in PARTS),
        ["word errors, %", *cells("word_errors", ".1f", 100)],
        ["CPU seconds a turn, p50", *cells("cpu_secs", ".2f")],
        ["  against stock", *ratios("cpu_secs")],
        ["peak memory, MB", *cells("peak_mb", ".0f")],
        ["event-loop lag p99, ms", *cells("lag_p99_ms", ".1f")],
        ["gaps > 0.15 s in sentences", *cells("gaps", ".0f")],
        ["  longest, s", *cells("longest_gap_secs", ".2f")],
        ["agent misheard by base, %", *cells("misheard", ".1f", 100)],
    ]
    show(title, lines, ("", *(crew.row.name for crew in running)))
    for crew in crews:
        if crew.missing:
            print(f"✗ {crew.row.name}: {crew.missing}")


def as_json(crews: Sequence[Crew], results: Sequence[Result]) -> dict[str, Any]:
    """Every figure, and every turn."""
    return {
        "rows": {
            crew.row.name: {
                "engines": crew.engines,
                "missing": crew.missing,
                **figures([one for one in results if one.turn.row == crew.row.name]),
            }
            for crew in crews
        },
        "turns": [
            {
                "row": one.turn.row,
                "source": one.turn.question.source,
                "words": one.turn.question.words,
                "gaps_secs": one.understood.gaps_secs if one.understood else None,
                **one.turn.told,
            }
            for one in results
        ],
    }
