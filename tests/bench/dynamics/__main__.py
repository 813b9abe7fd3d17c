"""Holds the conversations of the bench, prints the table and writes it as JSON."""

import argparse
import asyncio
import json
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import psutil
from loguru import logger
from rich.console import Console

from agent.engines.host import start_model_host
from agent.settings.load import Settings, load_settings
from processors.llm.options import LLMOptions
from tests.bench.dynamics.drive import House, Wiring, hold
from tests.bench.dynamics.engines import PROFILES, CodedSynthesizer
from tests.bench.dynamics.items import KINDS, Item, make_items
from tests.bench.dynamics.measure import Measured, measure
from tests.bench.dynamics.report import as_json, disturbances, notes, rows
from tests.bench.dynamics.stage import StagedRecognizerEngine
from tests.bench.dynamics.voices import installed
from tests.bench.table import show
from tests.support.house import hosting
from tests.support.scripted_llm import ScriptedLLM
from tests.support.virtual_time import run_in_virtual_time

# Both wirings ask the model.
WITHOUT_REFLEXES = Settings.model_validate({"tools": {"reflexes": False}})
BUNDLED = "bundled"
WIRINGS: tuple[Wiring, ...] = ("stock", "ours")
# What each profile is asked for by default; what the engines' delays have no part in is measured once.
KINDS_OF = {"laptop": KINDS, "gpu": ("question", "barge_in"), BUNDLED: ("question", "hesitating")}
# One conversation each: whoever hesitates changes how long the agent waits.
CONVERSATIONS = (("question",), ("hesitating",), ("barge_in", "backchannel", "noise"))
N_MOST = {"laptop": 99, "gpu": 20, BUNDLED: 6}
N_QUICK = 3
VIRTUAL_LIMIT_SECS = 1800.0
DEFAULT_JSON = Path("build/dynamics.json")

console = Console(stderr=True)


@asynccontextmanager
async def house_of(profile: str, models_dir: Path) -> AsyncIterator[House]:
    """The engines of a profile, closed at the end."""
    if profile == BUNDLED:
        engines = {"stt.engine": "pocketsphinx", "llm.engine": "embedded", "tts.engine": "espeak"}
        settings = load_settings({**engines, "models_dir": models_dir})
        host = await start_model_host(settings)
        try:
            yield House(host, settings)
        finally:
            await host.close()
        return
    delays = PROFILES[profile]
    stt, tts = StagedRecognizerEngine(delays.stt_secs), CodedSynthesizer(delays.tts_secs)
    async with ScriptedLLM() as server, hosting(stt, LLMOptions(server.base_url, "scripted"), tts) as host:
        yield House(host, WITHOUT_REFLEXES, delays, server)


def chosen(items: Sequence[Item], profile: str, only: str | None, *, quick: bool) -> list[list[Item]]:
    """The items of each conversation.

    Args:
        items: The whole set.
        profile: Which engines; the slower a profile's run or the less it adds, the fewer.
        only: A kind; None stands for those of the profile.
        quick: Very few.
    """
    conversations: list[list[Item]] = []
    for kinds in CONVERSATIONS:
        talk: list[Item] = []
        for kind in kinds:
            if kind == only or (only is None and kind in KINDS_OF[profile]):
                of_kind = [item for item in items if item.kind == kind]
                talk += evenly(of_kind, N_QUICK if quick else N_MOST[profile])
        if talk:
            conversations.append(talk)
    return conversations


def evenly(items: Sequence[Item], n_most: int) -> list[Item]:
    """At most so many, from all over the list."""
    n_chosen = min(n_most, len(items))
    return [items[index * len(items) // n_chosen] for index in range(n_chosen)]


async def run(profile: str, conversations: list[list[Item]], models_dir: Path) -> dict[Wiring, list[Measured]]:
    """Hold every conversation in both wirings, by turns."""
    measured: dict[Wiring, list[Measured]] = {wiring: [] for wiring in WIRINGS}
    async with house_of(profile, models_dir) as house:
        for items in conversations:
            for wiring in WIRINGS:
                console.print(
                    f"{profile}, {wiring}: {len(items)} scenes ({', '.join(sorted({item.kind for item in items}))})"
                )
                scenes = await hold(house, wiring, items)
                measured[wiring] += await asyncio.to_thread(lambda scenes=scenes: [measure(one) for one in scenes])
    return measured


def hold_all(
    profile: str, conversations: list[list[Item]], models_dir: Path, *, virtual: bool
) -> dict[Wiring, list[Measured]]:
    """Hold every conversation, in real or in virtual time."""
    if virtual and profile != BUNDLED:
        return run_in_virtual_time(lambda: run(profile, conversations, models_dir), limit_secs=VIRTUAL_LIMIT_SECS)
    return asyncio.run(run(profile, conversations, models_dir))


def report(profile: str, measured: dict[Wiring, list[Measured]]) -> dict[str, Any]:
    """Print a profile's table; returns it for the JSON file."""
    stock, ours = measured["stock"], measured["ours"]
    title = f"conversation dynamics, {profile}, {len(ours)} scenes, {psutil.cpu_count()} cores"
    show(title, rows(profile, stock, ours), ("measured", "stock", "ours", "ratio", "target", ""))
    for note in notes(profile, stock, ours):
        print(f"✗ {note}")
    for disturbance in disturbances(stock, ours):
        print(f"! disturbed by the machine: {disturbance}")
    print()
    return as_json(profile, stock, ours)


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--profile", choices=[*PROFILES, BUNDLED, "all"], default="all")
    parser.add_argument("--only", choices=KINDS, help="only this kind of items")
    parser.add_argument("--quick", action="store_true", help=f"{N_QUICK} items of each kind")
    parser.add_argument(
        "--virtual", action="store_true", help="scripted profiles on a clock on which computing takes no time"
    )
    parser.add_argument("--json", type=Path, default=DEFAULT_JSON, help="where the figures go")
    arguments = parser.parse_args()
    logger.remove()
    profiles = [*PROFILES, BUNDLED] if arguments.profile == "all" else [arguments.profile]
    results: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as directory:
        folder = Path(directory)
        items = make_items(folder)
        for profile in profiles:
            conversations = chosen(items, profile, arguments.only, quick=arguments.quick)
            if conversations:
                results[profile] = report(profile, hold_all(profile, conversations, folder, virtual=arguments.virtual))
    print(f"voices: {', '.join(installed())}; items from: {', '.join(sorted({item.source for item in items}))}")
    arguments.json.parent.mkdir(parents=True, exist_ok=True)
    measured = {"cores": psutil.cpu_count(), "voices": installed(), "profiles": results}
    arguments.json.write_text(json.dumps(measured, indent=1), encoding="utf-8")
    print(f"written to {arguments.json}")


if __name__ == "__main__":
    main()
