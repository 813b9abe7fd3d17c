"""How much of the tool calls that a model writes into its words is spoken aloud: none.

    uv run python -m tests.bench.spoken_calls [--streams 200] [--seed 14]

Each stream is a reply of a scripted server, in words with one to four calls among them, in any of the shapes that the
tests know, cut into pieces by chance; the real service reads it. Spoken is what leaves it as text. Time is virtual, so
nothing here says how long anything takes. Target: no piece of a call in any stream, and all the words around them.
"""

import argparse
import itertools
import random
from dataclasses import dataclass, field
from typing import Any

from loguru import logger
from pipecat.adapters.llm.schemas.function_schema import FunctionSchema
from pipecat.adapters.llm.schemas.tools_schema import ToolsSchema
from pipecat.frames.frames import FunctionCallsStartedFrame, LLMTextFrame
from pipecat.processors.aggregators.llm_context import LLMContext

from processors.llm.service import LocalLLMService
from tests.bench.table import show
from tests.processors.llm.test_written_calls import SHAPES, TOOLS
from tests.support.llm_session import options, session
from tests.support.scripted_llm import Reply, ScriptedLLM
from tests.support.virtual_time import run_in_virtual_time

# Behind each of them a call stands for itself.
WORDS = ("Sure. ", "Fine. ", "One moment: ", "Well! ", "(so)\n", "It is on. ", "Then\n", "At once.\n\n")
# Of any shape of SHAPES, and in none of WORDS.
PIECES = ("set_timer", "605", "seconds", "Action", "TOOL", "tool", "functions", "functools", "{", "[", "json", "<")
MAX_CALLS, MAX_CUTS = 4, 40


@dataclass
class Streams:
    """What came of all of them.

    Attributes:
        n_streams: How many there were.
        n_calls: Calls that were written in them.
        spoken: Of streams of which a piece of a call was spoken, what was sent, and what was spoken.
        n_lost: Streams whose first words were not spoken whole.
        n_made: Streams of which a call was made.
    """

    n_streams: int
    n_calls: int = 0
    spoken: list[tuple[str, str]] = field(default_factory=list)
    n_lost: int = 0
    n_made: int = 0


def stream(chance: random.Random) -> tuple[str, list[str], int]:
    """The first words of a reply, its pieces, and the number of its calls."""
    parts = [(chance.choice(WORDS), chance.choice(SHAPES)) for _ in range(chance.randint(1, MAX_CALLS))]
    reply = "".join(f"{words}{shape}\n" for words, shape in parts)
    cuts = sorted(chance.choices(range(len(reply)), k=chance.randint(0, MAX_CUTS)))
    pieces = [reply[start:end] for start, end in itertools.pairwise([0, *cuts, len(reply)]) if start < end]
    return parts[0][0], pieces, len(parts)


async def measure(n_streams: int, seed: int) -> Streams:
    """Have the service read them all.

    Args:
        n_streams: How many.
        seed: Of chance.
    """
    chance = random.Random(seed)
    found = Streams(n_streams)
    tools = ToolsSchema([FunctionSchema(name, "Do it.", {"seconds": {"type": "number"}}, []) for name in sorted(TOOLS)])
    async with ScriptedLLM() as server:
        service = LocalLLMService(options(server))

        async def do(params: Any) -> None:
            await params.result_callback("done")

        for name in TOOLS:
            service.register_function(name, do)
        async with session(service) as running:
            for _ in range(n_streams):
                words, pieces, n_calls = stream(chance)
                server.script.append(Reply(*pieces))
                frames, _ = await running.ask(LLMContext([{"role": "user", "content": "hi"}], tools))
                said = "".join(frame.text for frame in frames if isinstance(frame, LLMTextFrame))
                found.n_calls += n_calls
                found.n_made += any(isinstance(frame, FunctionCallsStartedFrame) for frame in frames)
                found.n_lost += not said.strip().startswith(words.strip())
                if any(piece in said for piece in PIECES):
                    found.spoken.append(("".join(pieces), said))
    return found


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--streams", type=int, default=200)
    parser.add_argument("--seed", type=int, default=14)
    wanted = parser.parse_args()
    logger.remove()
    found = run_in_virtual_time(lambda: measure(wanted.streams, wanted.seed))
    show(
        f"{found.n_calls} tool calls in the words of {found.n_streams} streams",
        [
            ("streams of which a piece of a call is spoken", str(len(found.spoken)), "none"),
            ("streams whose words before the first call are lost", str(found.n_lost), "none"),
            ("streams of which a call is made", str(found.n_made), f"{found.n_streams}"),
        ],
    )
    for sent, said in found.spoken[:5]:
        print(f"sent:   {sent!r}\nspoken: {said!r}")


if __name__ == "__main__":
    main()
