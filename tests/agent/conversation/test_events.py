"""Events are defined once: what the house and the page read is in that list, and what is told is held to it."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.conversation import events
from agent.conversation.events import EVENTS, EndCode, check

REPOSITORY = Path(__file__).resolve().parents[3]
# A case of these is no event of a conversation: they read a client's messages, which have a `type` or an `event` too.
OTHER_MESSAGES = {"agent/server/telephony"}


@pytest.fixture
def told() -> Iterator[list[str]]:
    """What the table finds wrong; this test's alone."""
    before, events.on_unknown[:] = list(events.on_unknown), []
    problems: list[str] = []
    events.on_unknown.append(problems.append)
    yield problems
    events.on_unknown[:] = before


@pytest.mark.parametrize(
    ("event", "fields", "problem"),
    [
        ("transcribed", {"text": "hello"}, "event 'transcribed' is not in agent/conversation/events.py"),
        ("transcript", {"language": "de"}, "event 'transcript' lacks text"),
        ("transcript", {"text": "hello", "words": []}, "event 'transcript' has no field words"),
    ],
)
def test_what_is_not_in_the_list_is_reported(
    told: list[str], event: str, fields: dict[str, object], problem: str
) -> None:
    check(event, fields)
    assert told == [problem]


def test_what_is_in_the_list_is_not_reported(told: list[str]) -> None:
    check("transcript", {"text": "hello"})
    check("transcript", {"text": "hello", "language": "en", "confidence": 0.5})
    check("session_ended", {"code": EndCode.SERVER_STOPS.value, "reason": "the server stops"})
    assert told == []


def _words(node: ast.AST) -> Iterator[str]:
    yield from (str(one.value) for one in ast.walk(node) if isinstance(one, ast.Constant))


def _named(path: Path) -> Iterator[str]:
    """Names that a file compares `event["event"]` with."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Match) and ast.unparse(node.subject) == "event['event']":
            for case in node.cases:
                yield from _words(case.pattern)
        if isinstance(node, ast.Compare) and ast.unparse(node.left) == "event['event']":
            for side in node.comparators:
                yield from _words(side)


def test_the_house_waits_for_no_event_that_never_comes() -> None:
    read = {
        (path.relative_to(REPOSITORY).as_posix(), name)
        for path in (REPOSITORY / "agent").rglob("*.py")
        if path.parent.relative_to(REPOSITORY).as_posix() not in OTHER_MESSAGES
        for name in _named(path)
    }
    assert len(read) > 80
    assert {(path, name) for path, name in read if name not in EVENTS} == set()


def test_the_page_waits_for_no_event_that_never_comes() -> None:
    conversation = (REPOSITORY / "web" / "conversation" / "conversation.js").read_text(encoding="utf-8")
    dispatch = conversation.partition("switch (event.event)")[2].partition("\n    }")[0]
    cases = set(re.findall(r'case "(\w+)":', dispatch))
    compared = {
        name
        for path in (REPOSITORY / "web").rglob("*.js")
        for name in re.findall(r'event\.event === "(\w+)"', path.read_text(encoding="utf-8"))
    }
    assert len(cases) > 30
    assert "session_ended" in compared
    assert (cases | compared) - EVENTS.keys() == set()


def test_the_page_knows_the_codes_that_it_acts_on() -> None:
    app = (REPOSITORY / "web" / "app.js").read_text(encoding="utf-8")
    codes = re.findall(r'const (?:TAKEN_OVER|GOING_DOWN) = "(\w+)";', app)
    assert [EndCode(code) for code in codes] == [EndCode.TAKEN_OVER, EndCode.SERVER_STOPS]
