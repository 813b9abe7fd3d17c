"""How soon a text of 500 characters is heard: the first byte over HTTP against making the whole text's sound.

    uv run python -m tests.bench.first_sound [--tts espeak] [--format pcm] [--rounds 9]

Both by turns in one run, on the same loaded engine: the ratio of the medians. `whole` is the same engine, asked
directly for the same pieces one after another, as a server does that answers when all is done.
"""

import argparse
import asyncio
import time
from contextlib import aclosing

import httpx
from loguru import logger

from agent.engines.candidates import choose
from agent.engines.speaking import Speaking, Wish
from agent.engines.tts import tts_candidates
from agent.settings.load import load_settings
from processors.engine_threads import EngineThreads
from processors.llm.options import LLMOptions
from tests.bench.table import median, show
from tests.support.scripted_engines import ScriptedRecognizerEngine
from tests.support.served import serving_page
from transports.sound_encoder import SOUND_KINDS

N_CHARS = 500
TARGET = 0.2
SENTENCE = (
    "The lighthouse keeper climbed the narrow stairs, counted every step, and lit the lamp before the fog came in. "
)
TEXT = (SENTENCE * (N_CHARS // len(SENTENCE) + 1))[:N_CHARS]
NO_MODEL = LLMOptions("http://127.0.0.1:9/v1", "none")


async def whole_secs(speaking: Speaking) -> float:
    """Until all of the sound is made."""
    started_secs = time.perf_counter()
    async with aclosing(speaking.speak(TEXT, Wish())) as sounds:
        async for _ in sounds:
            pass
    return time.perf_counter() - started_secs


async def first_secs(client: httpx.AsyncClient, kind: str) -> float:
    """Until the first byte has come; the rest is read as well, so that nothing is left to the next round."""
    started_secs = time.perf_counter()
    async with client.stream("POST", "/v1/audio/speech", json={"input": TEXT, "response_format": kind}) as answer:
        answer.raise_for_status()
        sound = answer.aiter_raw()
        await anext(sound)
        took_secs = time.perf_counter() - started_secs
        async for _ in sound:
            pass
    return took_secs


async def measure(engine: str, kind: str, rounds: int) -> None:
    """Print the table."""
    settings = load_settings({"tts.engine": engine})
    choice = choose("tts", engine, tts_candidates(settings))
    threads = EngineThreads(choice.loaded.max_threads, "tts")
    choice.loaded.warm_up()
    speaking = Speaking(choice.loaded, threads, settings.tts)
    firsts: list[float] = []
    wholes: list[float] = []
    async with (
        serving_page(ScriptedRecognizerEngine(), NO_MODEL, choice.loaded) as server,
        httpx.AsyncClient(base_url=server.url, timeout=600) as client,
    ):
        await first_secs(client, kind)
        for _ in range(rounds):
            wholes.append(await whole_secs(speaking))
            firsts.append(await first_secs(client, kind))
    threads.shutdown()
    ratio = median(firsts) / median(wholes)
    rows = [
        ("the whole text's sound", f"{median(wholes) * 1000:.0f} ms", ""),
        (f"first byte over HTTP ({kind})", f"{median(firsts) * 1000:.0f} ms", ""),
        ("ratio", f"{ratio:.2f}", f"<= {TARGET}"),
    ]
    show(f"{len(TEXT)} characters by {choice.engine} ({choice.model}), medians of {rounds}", rows)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tts", default="espeak", help="engine (default: espeak)")
    parser.add_argument("--format", default="pcm", choices=SOUND_KINDS)
    parser.add_argument("--rounds", type=int, default=9)
    options = parser.parse_args()
    logger.remove()
    asyncio.run(measure(options.tts, options.format, options.rounds))


if __name__ == "__main__":
    main()
