"""Short requests as people speak them, a table beside this file: what is done, with what, and when nothing may be done.

A request is answered by a reflex, or is the language model's: a scripted one that calls the tool which a capable model
would call, or that only talks.
"""

import csv
import json
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import pytest

from agent.commands.script import Step, Typed
from agent.conversation.event_log import Event
from agent.settings.load import Settings
from agent.tools.timers import TimerBook
from tests.agent.tools.test_files_in_conversation import contents
from tests.support.house import Held, hold, hosting
from tests.support.llm_session import options
from tests.support.scripted_engines import ScriptedRecognizerEngine, ScriptedSynthesizer
from tests.support.scripted_llm import Reply, ScriptedLLM, ToolCall
from tests.support.virtual_time import in_virtual_time

TABLE = Path(__file__).parent / "sixty_requests.tsv"
TALK = "I see."
NOTES = {"notes.txt": "buy milk\n"}


@dataclass(frozen=True)
class Request:
    """A line of the table.

    Attributes:
        words: What the user says.
        before: Timers that run, parted by commas: minutes, and a label.
        what: `reflex NAME`, `tool NAME` (the model calls it) or `nothing`.
        arguments: Of the tool's call, as JSON; empty without one.
        said: What a reflex answers, with `*` for any words.
    """

    words: str
    before: str
    what: str
    arguments: str
    said: str

    @property
    def name(self) -> str:
        """Of the reflex or the tool."""
        return self.what.partition(" ")[2]


def requests() -> list[Request]:
    with TABLE.open(encoding="utf-8", newline="") as lines:
        return [Request(**line) for line in csv.DictReader(lines, delimiter="\t", quoting=csv.QUOTE_NONE)]


def of_kind(kind: str) -> list[Any]:
    chosen = [request for request in requests() if request.what.partition(" ")[0] == kind]
    return [pytest.param(request, id=request.words) for request in chosen]


@dataclass
class Came:
    """What came of a request.

    Attributes:
        held: The conversation.
        asked: The last words of the user in each request to the model.
        timers: Those that run when the answer begins: labels, and seconds that each was set for.
        files: What the folder holds at the end.
    """

    held: Held
    asked: list[str]
    timers: list[tuple[str, float]]
    files: dict[str, str]

    @property
    def reflexes(self) -> list[str]:
        """Those that answered."""
        return [event["name"] for event in self.held.named("reflex")]

    @property
    def calls(self) -> list[tuple[str, dict[str, Any]]]:
        """Tools that were called, by anybody."""
        return [(event["name"], event["arguments"]) for event in self.held.named("tool_call")]


def set_before(book: TimerBook, before: str) -> list[tuple[str, float]]:
    for one in filter(None, before.split(", ")):
        minutes, _, label = one.partition(" ")
        book.set(60.0 * int(minutes), label)
    return shown(book)


def shown(book: TimerBook) -> list[tuple[str, float]]:
    return [(timer.label, round(timer.due_secs - timer.set_secs, 3)) for timer in book.pending()]


async def ask(request: Request, folder: Path, book: TimerBook, *script: Reply) -> Came:
    (folder / "notes.txt").write_text(NOTES["notes.txt"], "utf-8")
    settings = Settings.model_validate({"tools": {"folder": folder}})
    timers: list[list[tuple[str, float]]] = []

    def look(event: Event) -> None:
        if event["event"] == "reply_text":
            timers.append(shown(book))
            # A conversation is not over before what was set in it.
            book.cancel()

    async with (
        ScriptedLLM(*script) as server,
        hosting(ScriptedRecognizerEngine(), options(server), ScriptedSynthesizer()) as host,
    ):
        server.otherwise = Reply(TALK)
        steps = [Step(Typed(request.words, spoken=False))]
        held = await hold(host, steps, settings=settings, reflexes=True, timers=book, sinks=[look])
        users = [[one["content"] for one in sent.messages if one["role"] == "user"] for sent in server.requests]
    await book.close()
    # What is typed comes with a remark for the model.
    return Came(held, [said[-1].partition("\n\n")[0] for said in users], timers[0], contents(folder))


@pytest.mark.parametrize("request_", of_kind("reflex"))
@in_virtual_time
async def test_what_needs_no_model_is_done_at_once_with_what_was_said(request_: Request, tmp_path: Path) -> None:
    book = TimerBook()
    before = set_before(book, request_.before)
    came = await ask(request_, tmp_path, book)
    assert (came.reflexes, came.asked) == ([request_.name], [])
    called = [json.loads(request_.arguments)] if request_.arguments else []
    assert [arguments for _, arguments in came.calls] == called
    assert fnmatchcase(" ".join(came.held.texts("reply_text")), request_.said)
    added = [(one["label"], one["seconds"]) for one in called if request_.name == "set_timer"]
    if request_.name.startswith("cancel"):
        assert len(came.timers) == len(before) - (len(before) if "all" in request_.arguments else 1)
    elif request_.name == "set_alarm":
        assert [label for label, _ in came.timers] == [called[0].get("label", "")]
    else:
        assert came.timers == before + added
    assert len(came.files) - len(NOTES) == (request_.name == "create_file")


@pytest.mark.parametrize("request_", of_kind("tool"))
@in_virtual_time
async def test_what_needs_a_model_is_its_call_once_and_with_its_arguments(request_: Request, tmp_path: Path) -> None:
    book = TimerBook()
    set_before(book, request_.before)
    script = [Reply(tool_calls=[ToolCall(request_.name, (request_.arguments,), "call_1")]), Reply("Done.")]
    came = await ask(request_, tmp_path, book, *script)
    assert (came.reflexes, came.asked) == ([], [request_.words] * 2)
    assert came.calls == [(request_.name, json.loads(request_.arguments))]
    (result,) = came.held.named("tool_result")
    assert "error" not in result["result"]
    assert came.held.texts("reply_text") == ["Done."]


@pytest.mark.parametrize("request_", of_kind("nothing"))
@in_virtual_time
async def test_what_only_sounds_like_a_request_does_nothing(request_: Request, tmp_path: Path) -> None:
    book = TimerBook()
    before = set_before(book, request_.before)
    came = await ask(request_, tmp_path, book)
    assert (came.reflexes, came.calls, came.asked) == ([], [], [request_.words])
    assert (came.timers, came.files) == (before, NOTES)
    assert came.held.texts("reply_text") == [TALK]


def test_the_table_has_enough_of_each_kind_and_no_request_twice() -> None:
    every = requests()
    kinds = [request.what.partition(" ")[0] for request in every]
    assert set(kinds) == {"reflex", "tool", "nothing"}
    assert (len(every) >= 60, kinds.count("reflex") >= 25, kinds.count("nothing") >= 20) == (True, True, True)
    assert len({request.words for request in every}) == len(every)
