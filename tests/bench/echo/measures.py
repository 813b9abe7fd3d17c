"""What the trials say: echo reduction, self-triggers, barge-ins heard, words and quality kept."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from statistics import mean, median
from typing import Any

import numpy as np

from processors.text.bare_words import bare
from tests.bench.echo.material import RATE_HZ, Audio, Utterance
from tests.bench.echo.rooms import ECHO_DB
from tests.bench.echo.trial import Heard, Trial

# WebRTC's canceller answers 8 ms late.
_MOST_LAG_SAMPLES = RATE_HZ // 50
# The measure of intelligibility wants so much speech.
_STOI_SECS = 0.8


@dataclass(frozen=True)
class Result:
    """One row of the table.

    Attributes:
        erle_db: Median and p10 over all seconds in which the agent spoke alone.
        self_triggers: How often the agent heard itself, after warm-up.
        agent_minutes: How long it spoke alone.
        ducked_percent: Share of that time in which it was ducked.
        heard_percent: Barge-ins heard, by the echo's level.
        decision_secs: Median from onset to decision, by the echo's level.
        n_barge_ins: How many there were at each level.
        near_heard_percent: Utterances heard with the agent silent.
        stoi: Intelligibility of those, processed and as the microphone heard them.
        word_error_percent: Of utterances with the agent silent, and of barge-ins that were heard.
        cpu_ms_per_sec: Of the canceller with all its measuring.
    """

    name: str
    erle_db: tuple[float, float]
    self_triggers: int
    agent_minutes: float
    ducked_percent: float
    heard_percent: dict[str, float]
    decision_secs: dict[str, float | None]
    n_barge_ins: int
    near_heard_percent: float
    stoi: tuple[float, float]
    word_error_percent: tuple[float | None, float | None]
    cpu_ms_per_sec: float

    def as_json(self) -> dict[str, Any]:
        """For the report file."""
        return asdict(self)


class Transcriber:
    """Words of the barge-ins, by the recognizer that is always there; only what it gets right when said alone."""

    def __init__(self, utterances: Sequence[Utterance]) -> None:
        from pocketsphinx import Decoder

        self._decoder = Decoder(loglevel="FATAL", samprate=RATE_HZ)
        self._neutral = self._decoder.get_cmn(False)
        self.known = {item.name: item for item in utterances if self.error(item, item.audio_f32) == 0}

    def error(self, utterance: Utterance, audio_f32: Audio) -> float:
        """Word errors per word."""
        padded = np.concatenate([np.zeros(RATE_HZ // 3), audio_f32, np.zeros(RATE_HZ // 2)])
        self._decoder.set_cmn(self._neutral)
        self._decoder.start_utt()
        self._decoder.process_raw((np.clip(padded, -1, 1) * 32767).astype("<i2").tobytes(), full_utt=True)
        self._decoder.end_utt()
        hypothesis = self._decoder.hyp()
        return word_errors(utterance.words, hypothesis.hypstr if hypothesis else "")

    def percent(self, heard: Sequence[Heard]) -> float | None:
        """Over all stretches with an utterance that is known; None where there is none."""
        errors = [
            self.error(self.known[item.stretch.utterance.name], item.clean_f32)
            for item in heard
            if item.stretch.utterance and item.stretch.utterance.name in self.known
        ]
        return round(100 * mean(errors), 1) if errors else None


def word_errors(reference: str, hypothesis: str) -> float:
    """Edit distance in words, per word of the reference."""
    wanted, got = bare(reference).split(), bare(hypothesis).split()
    row = list(range(len(got) + 1))
    for i, word in enumerate(wanted, 1):
        before, row[0] = row[0], i
        for j, other in enumerate(got, 1):
            before, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, before + (word != other))
    return row[-1] / max(len(wanted), 1)


def summarise(name: str, trials: Sequence[Trial], transcriber: Transcriber) -> Result:
    """The row of all trials."""
    heard = [(trial, item) for trial in trials for item in trial.heard]
    alone = [item for _, item in heard if item.stretch.kind == "agent"]
    near = [item for _, item in heard if item.stretch.kind == "near"]
    by_level = {
        f"{level:+.0f} dB": [
            item for trial, item in heard if item.stretch.kind == "barge_in" and trial.spec.echo_db == level
        ]
        for level in ECHO_DB
    }
    erle_db = [value for item in alone for value in item.erle_db]
    heard_barge_ins = [item for items in by_level.values() for item in items if item.decisions_secs]
    return Result(
        name=name,
        erle_db=(round(float(np.median(erle_db)), 1), round(float(np.percentile(erle_db, 10)), 1)),
        self_triggers=sum(len(item.decisions_secs) for item in alone),
        agent_minutes=round(sum(len(item.erle_db) for item in alone) / 60, 1),
        ducked_percent=round(100 * mean(item.ducked for item in alone), 1),
        heard_percent={level: _percent(items) for level, items in by_level.items()},
        decision_secs={level: _median_secs(items) for level, items in by_level.items()},
        n_barge_ins=min(map(len, by_level.values())),
        near_heard_percent=_percent(near),
        stoi=_intelligibility(near),
        word_error_percent=(transcriber.percent(near), transcriber.percent(heard_barge_ins)),
        cpu_ms_per_sec=round(mean(trial.cpu_ms_per_sec for trial in trials), 1),
    )


def _percent(items: Sequence[Heard]) -> float:
    return round(100 * mean(bool(item.decisions_secs) for item in items), 1) if items else float("nan")


def _median_secs(items: Sequence[Heard]) -> float | None:
    times = [item.decisions_secs[0] for item in items if item.decisions_secs]
    return round(median(times), 2) if times else None


def _intelligibility(near: Sequence[Heard]) -> tuple[float, float]:
    # It loads all of SciPy's signal processing, which the tests of what is printed do without.
    from pystoi import stoi

    processed: list[float] = []
    unprocessed: list[float] = []
    for item in near:
        said = item.stretch.utterance
        if said and len(said.audio_f32) >= _STOI_SECS * RATE_HZ:
            n_samples = min(len(said.audio_f32), len(item.mic_f32) - _MOST_LAG_SAMPLES)
            said_f32, mic_f32 = said.audio_f32[:n_samples], item.mic_f32[:n_samples]
            clean_f32 = item.clean_f32[_lag(mic_f32, item.clean_f32) :][:n_samples]
            processed.append(float(stoi(said_f32, clean_f32, RATE_HZ)))
            unprocessed.append(float(stoi(said_f32, mic_f32, RATE_HZ)))
    if not processed:
        return float("nan"), float("nan")
    return round(mean(processed), 3), round(mean(unprocessed), 3)


def _lag(mic_f32: Audio, clean_f32: Audio) -> int:
    """By how many samples processing delays the sound."""
    return int(np.argmax([mic_f32 @ clean_f32[lag : lag + len(mic_f32)] for lag in range(_MOST_LAG_SAMPLES)]))
