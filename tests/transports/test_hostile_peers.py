"""Whatever a WebRTC peer says on its data channel: Pipecat gets pings and objects with a type, and the log one line.

The channel is an emitter at the edge, as aiortc's is one; what stands before it is the real check.
"""

import json
from types import SimpleNamespace
from typing import Any, cast

from hypothesis import example, given
from hypothesis import strategies as st
from pyee.base import EventEmitter

from tests.support.hostile import JSON, TEXTS, Witness, at_length, mutated, trying
from transports.webrtc_messages import PeerMessages
from transports.websocket_line import MAX_TEXT_CHARS

VALID = json.dumps({"type": "text", "text": "are you there", "spoken": False})
OBJECTS = st.fixed_dictionaries(
    {"type": st.sampled_from(["text", "interrupt", "signalling"]) | JSON}, optional={"message": JSON, "text": JSON}
)
MESSAGES = st.one_of(
    OBJECTS.map(json.dumps),
    JSON.map(json.dumps),
    mutated(st.just(VALID.encode())),
    mutated(st.just(VALID.encode())).map(lambda content: content.decode("utf-8", "replace")),
    TEXTS,
    st.sampled_from(["ping", "ping: 5", VALID]),
)


def taken(messages: list[str | bytes]) -> list[Any]:
    """What of them comes through."""
    channel: Any = EventEmitter()
    came: list[Any] = []
    channel.on("message", came.append)
    pc = EventEmitter()
    PeerMessages(cast(Any, SimpleNamespace(pc=pc)))
    pc.emit("datachannel", channel)
    for message in messages:
        channel.emit("message", message)
    return came


@at_length(80, 1500)
def test_hostile_messages_of_a_peer_reach_nobody(n_examples: int, witness: Witness) -> None:
    @example([VALID, "[" * 100_000, b"\xff", VALID])
    @example(["9" * 5000, "x" * (MAX_TEXT_CHARS + 1), "{}"])
    @given(st.lists(MESSAGES, max_size=5))
    @trying(n_examples)
    def check(messages: list[str | bytes]) -> None:
        n_lines = len(witness.lines)
        came = taken(messages)
        assert came.count(VALID) == messages.count(VALID)
        for message in came:
            assert isinstance(message, str)
            content = {"type": "ping"} if message.startswith("ping") else json.loads(message)
            assert isinstance(content["type"], str)
            assert content["type"] != "signalling"
        assert len(witness.lines) - n_lines <= 1

    check()


def test_a_hostile_flood_of_messages_ends_with_the_first_hundred() -> None:
    # And those that a second of real time, at the very most, lets in on top.
    assert 100 <= len(taken([VALID] * 1000)) < 200
