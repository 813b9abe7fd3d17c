"""What it costs that engines are in another process: a window of voice activity, sound for a recognizer, a first sound.

Both ways take turns in one run, on the same engines; what counts is the ratio of their medians.

    python -m tests.bench.engine_process [--runs 300]
"""

import argparse
import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass, field

import numpy as np
import psutil

from agent.engines.host import ModelHost, start_model_host
from agent.engines.process.host import connect_model_host
from agent.engines.process.sockets import socket_folder
from agent.engines.process.supervisor import EngineProcess
from agent.settings.load import Settings
from processors.stt.calls import RecognizerCalls
from processors.tts.running import speech_chunks
from tests.bench.table import median, show
from tests.support.house import SPEECH
from transports.recording import load_recording

TEXT = "The capital of Germany is Berlin, which lies on the river Spree."
FRAME_BYTES = 640
# Nobody is asked anything: the language model is only named.
SETTINGS = {
    "llm": {"engine": "endpoint", "base_url": "http://127.0.0.1:9/v1", "model": "none"},
    "tts": {"engine": "espeak"},
    "tools": {"choice": "off"},
    "log_level": "ERROR",
}
Work = Callable[[ModelHost], Awaitable[object]]


@dataclass
class Measured:
    """Of one way: milliseconds of each run, and CPU seconds of this process and the engine process in all."""

    wall_ms: list[float] = field(default_factory=list)
    cpu_secs: float = 0.0


def silero(n_rows: int) -> Work:
    """One run of Silero on its thread, as a conversation has it made."""
    feeds = {
        "input": np.random.default_rng(7).normal(0, 0.1, (n_rows, 576)).astype(np.float32),
        "state": np.zeros((2, n_rows, 128), np.float32),
        "sr": np.array(16_000, np.int64),
    }
    return lambda host: asyncio.wrap_future(host.vad_threads.submit(host.silero.session.run, None, feeds))


def smart_turn() -> Work:
    """One judgement, its features worked out already."""
    feeds = {"input_features": np.random.default_rng(7).normal(0, 0.1, (1, 80, 800)).astype(np.float32)}
    return lambda host: asyncio.wrap_future(host.turn_threads.submit(host.turn_session.run, None, feeds))


async def first_sound(host: ModelHost) -> None:
    """Until the first chunk of a sentence."""
    engine = host.tts.loaded
    async with aclosing(speech_chunks(engine, TEXT, host.tts_threads, engine.sample_rate_hz)) as chunks:
        await anext(chunks)


def accepting() -> Work:
    """20 ms of sound for a recognizer in the middle of a turn."""
    pcm16 = load_recording(SPEECH / "what_time_is_it.wav").audio_s16.astype("<i2").tobytes()[: FRAME_BYTES * 40]
    calls: dict[int, tuple[RecognizerCalls, list[int]]] = {}

    async def accept(host: ModelHost) -> None:
        recognizer, at = calls.setdefault(id(host), (RecognizerCalls(host.stt.loaded, host.stt_threads), [0]))
        if at[0] == len(pcm16):
            at[0] = 0
            await recognizer.reset()
        await recognizer.accept(pcm16[at[0] : at[0] + FRAME_BYTES])
        at[0] += FRAME_BYTES

    return accept


async def compare(work: Work, hosts: tuple[ModelHost, ModelHost], pids: list[int], n_runs: int) -> list[Measured]:
    """Here and elsewhere by turns."""
    found = [Measured(), Measured()]
    for host in hosts:
        await work(host)
    for _ in range(n_runs):
        for host, measured in zip(hosts, found, strict=True):
            cpu_secs, began_secs = _cpu_secs(pids), time.perf_counter()
            await work(host)
            measured.wall_ms.append((time.perf_counter() - began_secs) * 1000)
            measured.cpu_secs += _cpu_secs(pids) - cpu_secs
    return found


def _cpu_secs(pids: list[int]) -> float:
    # Of this process to the microsecond; the system counts another's in hundredths.
    times = [psutil.Process(pid).cpu_times() for pid in pids]
    return time.process_time() + sum(one.user + one.system for one in times)


async def measure(n_runs: int) -> None:
    """Measure and print."""
    settings = Settings.model_validate(SETTINGS)
    with socket_folder() as folder:
        engines = EngineProcess(settings, folder / "engines")
        await engines.start()
        here, there = await start_model_host(settings), await connect_model_host(settings, folder / "engines")
        rows = []
        works = [
            ("voice activity, one window", silero(1), n_runs),
            ("voice activity, 16 calls' windows", silero(16), n_runs),
            ("smart-turn", smart_turn(), n_runs // 5),
            (f"{here.stt.engine}, 20 ms of sound", accepting(), n_runs),
            (f"{here.tts.engine}, first sound", first_sound, n_runs // 5),
        ]
        for name, work, n in works:
            one, other = await compare(work, (here, there), [engines.pid or 0], n)
            local_ms, remote_ms = median(one.wall_ms), median(other.wall_ms)
            figures = (f"{local_ms:.2f} ms", f"{remote_ms:.2f} ms", f"{remote_ms / local_ms:.2f}")
            rows.append((name, *figures, f"{1000 * (other.cpu_secs - one.cpu_secs) / n:+.2f} ms"))
        header = ("one of", "here", "engine process", "ratio", "more CPU")
        show(f"engines in another process, {psutil.cpu_count()} cores, medians of {n_runs} by turns", rows, header)
        await there.close()
        await here.close()
        await engines.close()


def main() -> None:
    """Read the arguments and measure."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--runs", type=int, default=300, help="of each work and each way")
    asyncio.run(measure(arguments.parse_args().runs))


if __name__ == "__main__":
    main()
