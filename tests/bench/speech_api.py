"""The speech-to-text API against its own engine, called directly in the same run.

A recording of 30 s is transcribed by the engine and through the server by turns: the overhead is the ratio of the
medians. Then 1, 4 and 8 requests at a time: sound transcribed per second, against one at a time.

The engine is pocketsphinx; whisper runs on the micro model unless `--model` names a real one.
"""

import argparse
import asyncio
import io
import time
from pathlib import Path

import httpx
import numpy as np
import psutil
import soundfile
from loguru import logger

from processors.stt.pocketsphinx import PocketSphinxEngine
from processors.stt.recognizer import SAMPLE_RATE_HZ, Pcm16, RecognizerEngine, TranscriptionRequest
from processors.stt.whisper import WhisperEngine
from processors.stt.whisper_model import WhisperOptions
from tests.bench.table import median, show
from tests.support.house import FIXTURES, SPEECH
from tests.support.served import serving_engine
from transports.recording import load_recording

DURATION_SECS = 30
SENTENCES = ("kitchen_lights.wav", "five_minutes.wav", "how_far_is_the_moon.wav")
TOGETHER = (1, 4, 8)


def recording() -> Pcm16:
    """Thirty seconds of sentences with the pauses of a speaker between them."""
    spoken = np.concatenate([load_recording(SPEECH / name).audio_s16 for name in SENTENCES])
    n_samples = DURATION_SECS * SAMPLE_RATE_HZ
    return np.tile(spoken, -(-n_samples // len(spoken)))[:n_samples]


async def by_turns(
    engine: RecognizerEngine, url: str, audio_s16: Pcm16, rounds: int
) -> tuple[list[float], list[float]]:
    """Seconds of the bare engine and of the server, alternating."""
    wav = io.BytesIO()
    soundfile.write(wav, audio_s16, SAMPLE_RATE_HZ, "PCM_16", format="WAV")
    bare: list[float] = []
    served: list[float] = []

    def directly() -> str:
        return " ".join(segment.text for segment in engine.transcribe(audio_s16, TranscriptionRequest()))

    async with httpx.AsyncClient(base_url=url, timeout=300) as client:
        for _ in range(rounds + 1):
            started = time.perf_counter()
            expected = await asyncio.to_thread(directly)
            bare.append(time.perf_counter() - started)
            started = time.perf_counter()
            heard = await post(client, wav.getvalue())
            served.append(time.perf_counter() - started)
            assert heard == expected, (heard, expected)
    # The first round of each warms up.
    return bare[1:], served[1:]


async def post(client: httpx.AsyncClient, wav: bytes) -> str:
    """Send a recording; its text."""
    answer = await client.post(
        "/v1/audio/transcriptions", files={"file": ("speech.wav", wav)}, data={"model": "whisper-1"}
    )
    answer.raise_for_status()
    return answer.json()["text"]


async def together(url: str, audio_s16: Pcm16, n_requests: int) -> float:
    """Seconds of sound transcribed per second with so many requests at a time."""
    wav = io.BytesIO()
    soundfile.write(wav, audio_s16, SAMPLE_RATE_HZ, "PCM_16", format="WAV")
    async with httpx.AsyncClient(base_url=url, timeout=600) as client:
        started = time.perf_counter()
        await asyncio.gather(*(post(client, wav.getvalue()) for _ in range(n_requests)))
        return n_requests * DURATION_SECS / (time.perf_counter() - started)


async def measure(engine: RecognizerEngine, mark: str, rounds: int) -> list[tuple[str, str, str]]:
    """Rows of one engine."""
    audio_s16 = recording()
    async with serving_engine(engine) as served:
        bare, through = await by_turns(engine, served.url, audio_s16, rounds)
        rates = {n: await together(served.url, audio_s16, n) for n in TOGETHER}
    overhead = median(through) / median(bare) - 1
    name = engine.name + mark
    rows = [
        (f"{name}: 30 s, engine / server", f"{median(bare) * 1000:.0f} / {median(through) * 1000:.0f} ms", ""),
        (f"{name}: overhead", f"{overhead:+.1%}", "≤ 5 %"),
    ]
    rows += [
        (f"{name}: {n} at a time", f"{rate:.0f} x real time ({rate / rates[1]:.2f} of one)", "")
        for n, rate in rates.items()
    ]
    return rows


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7, help="how often the recording is transcribed each way")
    parser.add_argument("--model", type=Path, help="directory of a Whisper model")
    arguments = parser.parse_args()
    logger.remove()
    rows = []
    engines: list[tuple[RecognizerEngine, str]] = [(PocketSphinxEngine(), "")]
    whisper = WhisperEngine(arguments.model or FIXTURES / "micro_whisper", WhisperOptions("en"))
    engines.append((whisper, "" if arguments.model else " (micro model)"))
    for engine, mark in engines:
        engine.warm_up()
        rows += asyncio.run(measure(engine, mark, arguments.rounds))
    show(f"speech API, {psutil.cpu_count()} cores, median of {arguments.rounds}", rows)


if __name__ == "__main__":
    main()
