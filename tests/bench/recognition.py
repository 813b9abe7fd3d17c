"""The recognizers in a conversation: final and partial latency, and what they cost.

For each engine, recordings are fed at the pace of real time:
- partials: from the onset of the voice to the first word shown, and from the end of the voice to the last change;
- finals: how long the transcript takes once the pause is noticed (what a turn waits for if it ends at once), and, in
  whole conversations, from the decision that the turn is over to its words at the language model;
- processor time per second of sound, child processes included.

whisper and nemotron run on the test fixtures' micro models unless real ones are installed; the model column says which.
"""

import argparse
import asyncio
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

import psutil
from loguru import logger

from agent.engines.candidates import Candidate
from agent.engines.stt import stt_candidates
from agent.settings.load import Settings, load_settings
from processors.stt.recognizer import RecognizerEngine
from tests.bench.table import median, percentile, show
from tests.support.house import FIXTURES, SPEECH, hold, hosting, say
from tests.support.llm_session import options
from tests.support.scripted_engines import ScriptedSynthesizer
from tests.support.scripted_llm import Reply, ScriptedLLM
from transports.recording import Recording, load_recording

MICRO_MODELS = {"whisper": "micro_whisper", "nemotron": "micro_nemotron"}
SPOKEN = ("kitchen_lights.wav", "five_minutes.wav", "how_far_is_the_moon.wav")
# Sentences that smart-turn calls complete: the pause is as short as pauses get.
QUESTIONS = ("kitchen_lights.wav", "capital_of_germany.wav", "days_in_a_week.wav", "what_time_is_it.wav")
FRAME_BYTES = 640
FRAME_SECS = 0.02
VOICE_ONSET_SECS = 0.3  # of every fixture
PAUSE_NOTICED_SECS = 0.2


@dataclass
class Measured:
    """Milliseconds, one a recording."""

    first_partial: list[float] = field(default_factory=list)
    last_partial: list[float] = field(default_factory=list)
    final: list[float] = field(default_factory=list)
    decision: list[float] = field(default_factory=list)
    cpu_secs: float = 0.0
    sound_secs: float = 0.0


def usable(settings: Settings) -> Iterator[tuple[Candidate[RecognizerEngine], str]]:
    """Each engine with an installed model, else with its micro model, and the mark that tells which."""
    for candidate in stt_candidates(settings):
        if candidate.usable:
            yield candidate, ""
        elif candidate.engine in MICRO_MODELS:
            model = str(FIXTURES / MICRO_MODELS[candidate.engine])
            micro = Settings.model_validate({**settings.model_dump(), "stt": {"model": model}})
            small = next(other for other in stt_candidates(micro) if other.engine == candidate.engine)
            yield small, " (micro model)"


def cpu_secs() -> float:
    """Processor time of this process and its children so far."""
    process = psutil.Process()
    times = [process.cpu_times(), *(child.cpu_times() for child in process.children(recursive=True))]
    return sum(used.user + used.system for used in times)


def speak(engine: RecognizerEngine, recording: Recording, measured: Measured) -> None:
    """Feed one recording in real time, to its voice's end and the pause that is noticed after it."""
    recognizer = engine.recognizer()
    pcm16 = recording.audio_s16.tobytes()
    end_secs = recording.voiced_end_secs + PAUSE_NOTICED_SECS
    changes: list[float] = []
    shown = ""
    before_cpu, started = cpu_secs(), time.perf_counter()
    for index in range(int(end_secs / FRAME_SECS)):
        time.sleep(max(0.0, started + index * FRAME_SECS - time.perf_counter()))
        text = recognizer.accept(pcm16[index * FRAME_BYTES : (index + 1) * FRAME_BYTES])
        if text != shown:
            shown = text
            changes.append(time.perf_counter() - started)
    paused = time.perf_counter()
    recognizer.pause()
    measured.final.append((time.perf_counter() - paused) * 1000)
    recognizer.reset()
    measured.cpu_secs += cpu_secs() - before_cpu
    measured.sound_secs += end_secs
    if changes:
        measured.first_partial.append((changes[0] - VOICE_ONSET_SECS) * 1000)
        measured.last_partial.append((changes[-1] - recording.voiced_end_secs) * 1000)


async def converse(engine: RecognizerEngine, rounds: int, measured: Measured) -> None:
    """Hold a conversation on the engine with a scripted language model and voice."""
    names = QUESTIONS * rounds
    async with (
        ScriptedLLM(*[Reply("Yes.") for _ in names]) as server,
        hosting(engine, options(server), ScriptedSynthesizer()) as host,
    ):
        held = await hold(host, [say(name) for name in names])
    measured.decision += [event["stt_ms"] for event in held.named("latency") if "stt_ms" in event]


def both(values: list[float]) -> str:
    """p50 and p99."""
    return f"{median(values):.0f} / {percentile(values, 99):.0f}" if values else "-"


def measure(rounds: int) -> None:
    """Measure every engine and print."""
    settings = load_settings()
    rows = []
    for candidate, mark in usable(settings):
        engine = candidate.load()
        engine.warm_up()
        measured = Measured()
        for name in SPOKEN * rounds:
            speak(engine, load_recording(SPEECH / name), measured)
        # Closes the engine at its end.
        asyncio.run(converse(engine, rounds, measured))
        cost = f"{measured.cpu_secs / measured.sound_secs:.3f} s"
        columns = (measured.first_partial, measured.last_partial, measured.final, measured.decision)
        rows.append((engine.name + mark, *map(both, columns), cost))
    header = ("engine", "first partial", "last partial", "final", "decision to words", "CPU per s of sound")
    show(f"recognizers, {psutil.cpu_count()} cores, ms, p50 / p99", rows, header)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5, help="how often the recordings are said")
    logger.remove()
    measure(parser.parse_args().rounds)


if __name__ == "__main__":
    main()
