"""How long an answer waits after a prompt that was dropped, by the size of llama.cpp's batches.

    uv run python -m tests.bench.dropped_prompt [--model FILE.gguf]

An answer that was prepared for half a turn is thrown away when the user goes on: its prompt is still being read. What
counts is the wait of the next answer's first token, as a share of the time that a whole prompt takes.
Both sizes are asked in turn within one run.
"""

import argparse
import itertools
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import psutil

from agent.engines.embedded_llm import BATCH_TOKENS, ContextSize, EmbeddedLLM, bundled_gguf
from tests.bench.table import median, show

LIBRARY_BATCH_TOKENS = 2048
CONTEXT = ContextSize(conversations=1, tokens_each=2048)
LONG_WORDS = 900
# When within a whole prompt's time it is dropped.
DROPPED_AT = (0.1, 0.3, 0.5, 0.7)
_numbers = itertools.count(1000)


def prompt(n_words: int) -> str:
    """A question that shares no beginning with another, so that nothing of it is read already."""
    return f"{next(_numbers)} " + "word " * n_words + "?"


def _chunks(model: EmbeddedLLM, text: str, timeout_secs: float | None = None) -> Iterator[str]:
    body = {"messages": [{"role": "user", "content": text}], "max_tokens": 1, "stream": True, "cache_prompt": False}
    headers = {"Authorization": f"Bearer {model.api_key}"}
    with (
        httpx.Client(trust_env=False, timeout=httpx.Timeout(120, read=timeout_secs or 120)) as client,
        client.stream("POST", f"{model.base_url}/chat/completions", json=body, headers=headers) as answer,
    ):
        answer.raise_for_status()
        yield from answer.iter_lines()


def first_token_secs(model: EmbeddedLLM, n_words: int) -> float:
    """Ask, and wait for the first token."""
    started = time.monotonic()
    for _ in _chunks(model, prompt(n_words)):
        break
    return time.monotonic() - started


def drop(model: EmbeddedLLM, after_secs: float) -> None:
    """Ask a long question, and hang up before it has been read."""
    try:
        for _ in _chunks(model, prompt(LONG_WORDS), after_secs):
            raise RuntimeError("the prompt was read before it could be dropped: a longer one is needed")
    except httpx.ReadTimeout:
        return


def wait_shares(model: EmbeddedLLM, whole_secs: float, short_secs: float) -> list[float]:
    """What a short question waits longer than usual, as shares of a whole prompt's time, one a place of dropping."""
    shares = []
    for share in DROPPED_AT:
        drop(model, share * whole_secs)
        shares.append((first_token_secs(model, 4) - short_secs) / whole_secs)
    return shares


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, default=bundled_gguf(), help="a GGUF file; the bundled one by default")
    parser.add_argument("--rounds", type=int, default=5, help="how often everything is asked")
    arguments = parser.parse_args()
    sizes = (LIBRARY_BATCH_TOKENS, BATCH_TOKENS)
    models = {size: EmbeddedLLM.start(arguments.model, context=CONTEXT, batch_tokens=size) for size in sizes}
    whole: dict[int, list[float]] = {size: [] for size in sizes}
    waits: dict[int, list[float]] = {size: [] for size in sizes}
    try:
        for _ in range(arguments.rounds):
            for size, model in models.items():
                short_secs = min(first_token_secs(model, 4) for _ in range(3))
                whole[size].append(first_token_secs(model, LONG_WORDS))
                waits[size] += wait_shares(model, whole[size][-1], short_secs)
    finally:
        for model in models.values():
            model.close()
    base_secs = median(whole[LIBRARY_BATCH_TOKENS])
    show(
        f"a dropped prompt of {LONG_WORDS} words, {arguments.model.name}, {psutil.cpu_count()} cores",
        [
            (
                str(size),
                f"{median(whole[size]):.2f} ({median(whole[size]) / base_secs:.2f})",
                f"{median(waits[size]):.2f}",
                f"{max(waits[size]):.2f}",
            )
            for size in sizes
        ],
        ("tokens a batch", "a whole prompt, s (ratio)", "the next answer waits, of it: median", "worst"),
    )


if __name__ == "__main__":
    main()
