"""WebSocket messages of any shape at the page's route: the call goes on, or the line ends with a reason."""

import asyncio
import json
from collections import deque
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from starlette.types import Message

from tests.support.attacked import Attacked, under_attack
from tests.support.hostile import JSON, TEXTS, Witness, at_length, mutated, trying

JOIN = {"type": "join", "sample_rate_hz": 16_000}
SOUND = bytes(640)
WAIT_SECS = 30
CODES = {1000, 1001, 1007, 1008, 1009, 1013}


class Line:
    """A WebSocket without a network: what the client sends is there at once, and what it is sent is kept."""

    def __init__(self, sent: list[str | bytes]) -> None:
        self._coming: deque[Message] = deque([{"type": "websocket.connect"}])
        for message in sent:
            key = "bytes" if isinstance(message, bytes) else "text"
            self._coming.append({"type": "websocket.receive", key: message})
        self.messages: list[dict[str, Any]] = []
        self.code: int | None = None
        self.reason = ""

    async def receive(self) -> Message:
        if self._coming:
            return self._coming.popleft()
        # The client is still there for as long as it takes to act on what it said.
        await asyncio.sleep(0.05)
        return {"type": "websocket.disconnect", "code": 1001}

    async def send(self, message: Message) -> None:
        if message["type"] == "websocket.close":
            self.code, self.reason = message["code"], message.get("reason") or ""
        elif message["type"] == "websocket.send" and message.get("text") is not None:
            self.messages.append(json.loads(message["text"]))


async def called(application: Attacked, sent: list[str | bytes]) -> Line:
    """Hold one call, and check what holds whatever was sent."""
    line = Line(sent)
    scope = {
        "type": "websocket",
        "path": "/api/ws",
        "raw_path": b"/api/ws",
        "query_string": b"",
        "root_path": "",
        "headers": [(b"host", b"127.0.0.1:7860")],
        "scheme": "ws",
        "server": ("127.0.0.1", 7860),
        "client": ("127.0.0.1", 50_000),
        "subprotocols": [],
        "state": {},
        "extensions": {"websocket.http.response": {}},
    }
    await asyncio.wait_for(application.application(scope, line.receive, line.send), WAIT_SECS)
    await application.settle()
    assert line.code is None or line.code in CODES
    assert len(line.reason.encode()) <= 123
    assert line.reason.isprintable()
    if line.messages and line.messages[0]["type"] == "refused":
        [refused] = line.messages
        assert set(refused) == {"type", "error", "passing"}
        assert refused["error"]
        assert refused["error"].isprintable()
        assert len(refused["error"]) <= 300
        assert line.code in (1007, 1008, 1013)
    return line


def is_joined(line: Line) -> bool:
    return bool(line.messages) and line.messages[0]["type"] == "joined"


JOINS = st.builds(
    lambda fields, more: {**fields, **more},
    st.sampled_from([JOIN, {"type": "join"}]),
    st.dictionaries(
        st.sampled_from(["type", "conversation", "options", "record", "sample_rate_hz", "page", "x", "a\nb"]),
        JSON | st.dictionaries(st.sampled_from(["tts.speed", "stt.language", "turn.mode", "x"]), JSON, max_size=2),
        max_size=2,
    ),
)
MESSAGES = st.fixed_dictionaries(
    {"type": st.sampled_from(["text", "push_to_talk", "interrupt", "start_over", "join", "signalling", "x"]) | JSON},
    optional={"text": JSON | st.sampled_from(["hi", "x" * 9000]), "active": JSON, "spoken": JSON, "message": JSON},
)
WRITTEN = (JOINS | MESSAGES | JSON).map(json.dumps)
BROKEN = mutated(st.just(json.dumps({**JOIN, "options": {"tts.speed": 1.2}}).encode())).map(
    lambda content: content.decode("utf-8", "replace")
)
SOUNDS = st.sampled_from([SOUND, b"", b"\0", bytes(6400), bytes(6402), bytes(100_000), b"\xff" * 641])
ANYTHING = WRITTEN | BROKEN | TEXTS | SOUNDS | st.sampled_from(["ping", "ping: 5", "{", "9" * 5000, "x" * 65_537])


@at_length(40, 600)
def test_hostile_messages_end_the_line_with_a_reason_or_are_left_alone(n_examples: int, witness: Witness) -> None:
    joined = json.dumps(JOIN)
    with under_attack(witness) as (application, run):

        @example(True, ['{"type": "text", "text": "\\ud800 hi"}', '{"type": "interrupt"}'])
        @example(True, ['{"type": "text", "text": ' + "9" * 5000 + "}"])
        @example(True, ["[" * 60_000])
        @example(True, ['{"type": ' + "[" * 500 + "]" * 500 + "}"])
        @example(False, ['{"type": "join", "options": {"tts.speed": ' + "[" * 500 + "]" * 500 + "}}"])
        @example(False, ['{"type": "join", "' + "x" * 50_000 + '": 1}'])
        @example(True, [SOUND] * 500)
        @example(True, ['{"type": "push_to_talk", "active": true}'] * 150)
        @given(st.booleans(), st.lists(ANYTHING, min_size=1, max_size=6))
        @trying(n_examples)
        def check(joins: bool, sent: list[str | bytes]) -> None:
            line = run(called(application, [joined, *sent] if joins else sent))
            assert is_joined(line) or not joins

        check()
        assert is_joined(run(called(application, [joined, SOUND])))


@pytest.mark.parametrize(
    ("join", "error"),
    [
        ({**JOIN, "sample_rate_hz": 44_100}, "join: sample_rate_hz must be 16000, not 44100"),
        ({**JOIN, "x\ny": 1}, "join: x y: Extra inputs are not permitted"),
        ({**JOIN, "record": "yes"}, "join: record: Input should be a valid boolean"),
        ({**JOIN, "options": {"x": 1}}, "'x' cannot be chosen for a conversation (see /api/options)"),
    ],
)
def test_a_hostile_join_is_refused_in_one_line(join: dict[str, Any], error: str, witness: Witness) -> None:
    with under_attack(witness) as (application, run):
        line = run(called(application, [json.dumps(join)]))
        assert line.messages == [{"type": "refused", "error": error, "passing": False}]
