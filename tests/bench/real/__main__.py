"""Voice to voice with real weights: Pipecat's own services in its plain wiring, and sotto, question by question.

    uv run python -m tests.bench.real --models DIR

DIR is a models directory with stt/tiny.en, stt/base, tts/kokoro-int8 and tts/piper-joe (`.ci/weights` lays one out).
All wirings are asked the same recordings in turn, on the same weights, with the same language model: a scripted one
(the first token at once, 33 tokens a second), or any OpenAI-compatible server by --llm-url. Whoever is not asked
hears nothing. What counts are ratios within one run.
"""

import argparse
import asyncio
import contextlib
import json
import tempfile
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import psutil
from loguru import logger
from rich.console import Console

from tests.bench.real.questions import Question, load_questions
from tests.bench.real.replies import TOKENS_PER_SEC, reply
from tests.bench.real.report import Turn, as_json, judged, show_table
from tests.bench.real.rows import Crew, make_rows
from tests.bench.real.sound import Judge
from tests.bench.windows.clips import PEOPLE
from tests.support.scripted_llm import ScriptedLLM

DEFAULT_WORK = Path("build/real")
console = Console(stderr=True)


@contextlib.asynccontextmanager
async def language_model(url: str | None) -> AsyncIterator[tuple[str, ScriptedLLM | None]]:
    """The endpoint that all wirings ask, and the scripted server behind it if it is ours."""
    if url:
        yield url, None
        return
    async with ScriptedLLM() as server:
        yield server.base_url, server


async def measure(arguments: argparse.Namespace, folder: Path) -> tuple[list[Crew], list[Turn]]:
    """Ask every wiring every question, in turn."""
    questions = load_questions(arguments.models, arguments.work / "questions", arguments.people)
    # The first one warms caches and is not measured.
    asked = [questions[0], *questions[: arguments.questions]]
    nothing = folder / "nothing"
    nothing.mkdir()
    async with language_model(arguments.llm_url) as (url, server):
        rows = make_rows(arguments.models, nothing, url, arguments.llm_model)
        cache = folder / "cache"
        crews = [
            Crew(row, cache) for row in rows if not arguments.only or any(part in row.name for part in arguments.only)
        ]
        try:
            for crew in crews:
                await crew.start()
                console.print(f"{crew.row.name}: {crew.missing or crew.engines}")
            turns = await _ask_all([crew for crew in crews if not crew.missing], asked, server, folder)
        finally:
            await asyncio.gather(*(crew.close() for crew in crews))
    return crews, turns


async def _ask_all(
    crews: Sequence[Crew], questions: Sequence[Question], server: ScriptedLLM | None, folder: Path
) -> list[Turn]:
    turns: list[Turn] = []
    for number, question in enumerate(questions):
        for crew in crews:
            text = ""
            if server:
                text, server.otherwise = reply(number)
            sound = folder / f"{len(turns):04}.npz"
            told = await crew.ask(question.path, sound)
            turn = Turn(crew.row.name, question, text, sound, told, is_warm_up=number == 0)
            turns.append(turn)
            console.print(f"{number:2} {question.source:6} {turn}")
    return turns


def main() -> None:
    """Measure, judge, print and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", type=Path, required=True, metavar="DIR", help="a models directory, see above")
    parser.add_argument("--questions", type=int, default=24, help="how many are asked")
    parser.add_argument("--people", type=Path, default=PEOPLE, metavar="DIR", help="recordings of people")
    parser.add_argument("--llm-url", help="an OpenAI-compatible endpoint in place of the scripted one")
    parser.add_argument("--llm-model", default="scripted", help="the model's name there")
    parser.add_argument("--only", nargs="*", default=[], metavar="PART", help="rows whose name holds one of these")
    parser.add_argument("--work", type=Path, default=DEFAULT_WORK, help="where recordings and figures are kept")
    arguments = parser.parse_args()
    arguments.models, arguments.work = arguments.models.resolve(), arguments.work.resolve()
    logger.remove()
    with tempfile.TemporaryDirectory() as directory:
        crews, turns = asyncio.run(measure(arguments, Path(directory)))
        judge = Judge(arguments.models / "stt" / "base")
        results = [judged(turn, judge) for turn in turns if not turn.is_warm_up]
    model = arguments.llm_url or f"scripted, {TOKENS_PER_SEC:.0f} tokens/s"
    show_table(f"real weights, {arguments.questions} questions, {psutil.cpu_count()} cores, {model}", crews, results)
    figures: dict[str, Any] = {"cores": psutil.cpu_count(), "llm": model, **as_json(crews, results)}
    path = arguments.work / "figures.json"
    path.write_text(json.dumps(figures, indent=1), encoding="utf-8")
    print(f"written to {path}")


if __name__ == "__main__":
    main()
