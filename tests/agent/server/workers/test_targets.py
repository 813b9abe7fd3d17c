"""Whom a request is for, read from its head, its body or the first message of its WebSocket."""

from typing import Any

import pytest
from websockets.frames import Frame, Opcode

from agent.server.workers.first_message import MAX_BYTES, FirstMessage
from agent.server.workers.merged import health, is_well, metrics
from agent.server.workers.targets import Kind, Target, body_target, join_target, socket_target, target_of


@pytest.mark.parametrize(
    ("method", "path", "target"),
    [
        ("GET", "/", Target(Kind.ANYONE)),
        ("GET", "/health", Target(Kind.EVERYONE)),
        ("HEAD", "/health/ready", Target(Kind.EVERYONE)),
        ("POST", "/health", Target(Kind.ANYONE)),
        ("GET", "/metrics", Target(Kind.EVERYONE)),
        ("POST", "/api/offer", Target(Kind.BY_BODY)),
        ("PATCH", "/api/offer", Target(Kind.BY_BODY)),
        ("GET", "/api/offer", Target(Kind.ANYONE)),
        ("POST", "/api/chat", Target(Kind.BY_BODY)),
        ("GET", "/api/conversations/abc", Target(Kind.NAMED, "abc")),
        ("DELETE", "/api/conversations/abc", Target(Kind.NAMED, "abc")),
        ("GET", "/api/conversations/abc/recording.wav", Target(Kind.NAMED, "abc")),
        ("POST", "/api/memory/conversations/abc", Target(Kind.NAMED, "abc")),
        ("GET", "/api/memory/conversations", Target(Kind.ANYONE)),
        ("POST", "/api/camera/mark", Target(Kind.NAMED, "mark")),
        ("POST", "/v1/realtime/calls/rtc_1/hangup", Target(Kind.NAMED, "rtc_1")),
        ("POST", "/v1/realtime/calls", Target(Kind.NEW_CALL)),
        ("POST", "/v1/audio/transcriptions", Target(Kind.ANYONE)),
        ("POST", "/telephony/office", Target(Kind.FIRST)),
        ("GET", "/api/models", Target(Kind.FIRST)),
        ("DELETE", "/api/models/whisper-base", Target(Kind.FIRST)),
        ("POST", "/api/models/load", Target(Kind.EVERYONE)),
        ("POST", "/api/pictures", Target(Kind.ANYONE)),
        ("GET", "/api/conversations/" + 201 * "a", Target(Kind.ANYONE)),
        ("GET", "/api/conversations/", Target(Kind.ANYONE)),
    ],
)
def test_by_its_head(method: str, path: str, target: Target) -> None:
    assert target_of(method, path, []) == target


def test_a_picture_by_its_page_and_a_realtime_call_by_its_key() -> None:
    assert target_of("POST", "/api/pictures", [(b"x-sotto-page", b"p1")]) == Target(Kind.OF_PAGE, "p1")
    key = [(b"authorization", b"Bearer ek_abc-1")]
    assert target_of("POST", "/v1/realtime/calls", key) == Target(Kind.NAMED, "ek_abc-1")
    assert socket_target("/v1/realtime", key) == Target(Kind.NAMED, "ek_abc-1")
    protocols = [(b"sec-websocket-protocol", b"realtime, openai-insecure-api-key.ek_x")]
    assert socket_target("/v1/realtime", protocols) == Target(Kind.NAMED, "ek_x")
    assert socket_target("/v1/realtime", [(b"authorization", b"Bearer sk-other")]) == Target(Kind.NEW_CALL)


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/api/ws", Kind.BY_JOIN),
        ("/telephony/office", Kind.FIRST),
        ("/v1/realtime", Kind.NEW_CALL),
        ("/x", Kind.ANYONE),
    ],
)
def test_a_websocket_by_its_path(path: str, kind: Kind) -> None:
    assert socket_target(path, []).kind is kind


@pytest.mark.parametrize(
    ("path", "method", "body", "target"),
    [
        ("/api/offer", "POST", {"sdp": "v=0"}, Target(Kind.NEW_CALL)),
        ("/api/offer", "POST", {"conversation": "c", "page": "p"}, Target(Kind.NAMED, "c", "p")),
        ("/api/offer", "POST", {"conversation": 7}, Target(Kind.NEW_CALL)),
        ("/api/offer", "POST", {"conversation": 300 * "c"}, Target(Kind.NAMED, 200 * "c")),
        ("/api/offer", "PATCH", {"pc_id": "S-1", "conversation": "c"}, Target(Kind.NAMED, "S-1")),
        ("/api/offer", "PATCH", {}, Target(Kind.ANYONE)),
        ("/api/chat", "POST", {"text": "hi"}, Target(Kind.ANYONE)),
        ("/api/chat", "POST", {"conversation": "c", "pictures": ["m"]}, Target(Kind.NAMED, "c")),
        ("/api/chat", "POST", {"pictures": ["m", "n"], "page": "p"}, Target(Kind.NAMED, "m", "p")),
        ("/api/chat", "POST", {"pictures": "m"}, Target(Kind.ANYONE)),
        ("/api/chat", "POST", [1], Target(Kind.ANYONE)),
        ("/api/chat", "POST", None, Target(Kind.ANYONE)),
    ],
)
def test_by_its_body(path: str, method: str, body: Any, target: Target) -> None:
    assert body_target(path, method, body) == target


def test_by_what_a_page_says_first() -> None:
    assert join_target({"type": "join", "conversation": "c", "page": "p"}) == Target(Kind.NAMED, "c", "p")
    assert join_target({"type": "join"}) == Target(Kind.NEW_CALL)
    assert join_target([]) == Target(Kind.NEW_CALL)


def frame(opcode: Opcode, data: bytes, *, fin: bool = True) -> bytes:
    return Frame(opcode, data, fin=fin).serialize(mask=True)


@pytest.mark.parametrize("size", [1, 3, 1000])
def test_the_first_message_is_read_whatever_pieces_it_comes_in(size: int) -> None:
    sent = frame(Opcode.PING, b"?") + frame(Opcode.TEXT, b'{"conver', fin=False) + frame(Opcode.CONT, b'sation"}')
    first = FirstMessage()
    known = []
    for start in range(0, len(sent), size):
        first.feed(sent[start : start + size])
        known.append(first.text)
    assert set(known[:-1]) <= {None}
    assert known[-1] == '{"conversation"}'
    first.feed(frame(Opcode.TEXT, b"later"))
    assert first.text == '{"conversation"}'


@pytest.mark.parametrize(
    "sent",
    [
        frame(Opcode.BINARY, b"\0\0"),
        frame(Opcode.CLOSE, b"\x03\xe8"),
        Frame(Opcode.TEXT, b"not masked").serialize(mask=False),
        b"\xff" * 20,
        frame(Opcode.TEXT, b"a" * (MAX_BYTES + 1)),
        frame(Opcode.TEXT, b"a", fin=False) + frame(Opcode.CONT, b"b", fin=False) * (MAX_BYTES // 7),
    ],
    ids=["sound", "the end", "not masked", "no frame", "too long", "too many pieces"],
)
def test_what_is_no_join_is_known_as_none(sent: bytes) -> None:
    first = FirstMessage()
    first.feed(sent)
    assert first.text == ""


def report(status: str, active: int = 0) -> dict[str, Any]:
    return {
        "status": status,
        "engines": {"stt": "x"} if status == "ready" else {},
        "transcriptions": {"active": active, "max": 8},
        "sessions": {"active": active, "max": 4},
    }


def test_the_servers_health_is_that_of_all_workers() -> None:
    whole = health([report("starting"), report("ready", 2), report("ready", 1)], n_workers=3, is_draining=False)
    assert whole["status"] == "ready"
    assert whole["engines"] == {"stt": "x"}
    assert whole["sessions"] == {"active": 3, "max": 4}
    assert whole["transcriptions"] == {"active": 3, "max": 8}
    assert whole["workers"] == {"ready": 2, "of": 3}


def test_without_the_token_and_without_workers_it_says_its_status_alone() -> None:
    assert health([{"status": "ready"}], n_workers=2, is_draining=False) == {"status": "ready"}
    assert health([], n_workers=2, is_draining=False) == {"status": "starting"}
    assert health([{"status": "ready"}], n_workers=2, is_draining=True) == {"status": "draining"}


@pytest.mark.parametrize(
    ("path", "status", "well"),
    [
        ("/health", "ready", True),
        ("/health", "draining", True),
        ("/health", "starting", False),
        ("/health/live", "starting", True),
        ("/health/ready", "ready", True),
        ("/health/ready", "draining", False),
    ],
)
def test_orchestrators_are_answered_as_by_one_process(path: str, status: str, well: bool) -> None:
    assert is_well(path, status) is well


def test_metrics_of_all_workers_are_added_up_but_for_what_is_the_servers() -> None:
    def text(turns: int, extra: str = "") -> str:
        return (
            "# HELP sotto_build_info The version that runs.\n# TYPE sotto_build_info gauge\n"
            'sotto_build_info{version="1"} 1.0\n'
            "# HELP sotto_turns_total Turns.\n# TYPE sotto_turns_total counter\n"
            f'sotto_turns_total{{door="webrtc",source="a b"}} {turns}.0\n{extra}'
            "# HELP sotto_places Places.\n# TYPE sotto_places gauge\n"
            'sotto_places{kind="session"} 4.0\nsotto_places{kind="chat"} 4.0\n'
        )

    more = 'sotto_turns_total{door="realtime",source="a b"} 7.0\n'
    whole = metrics([text(2), text(3, more)], {"sotto_workers": 2.0, "sotto_worker_restarts_total": 1.0})
    assert whole == (
        "# HELP sotto_build_info The version that runs.\n# TYPE sotto_build_info gauge\n"
        'sotto_build_info{version="1"} 1.0\n'
        "# HELP sotto_turns_total Turns.\n# TYPE sotto_turns_total counter\n"
        'sotto_turns_total{door="webrtc",source="a b"} 5.0\n' + more + "# HELP sotto_places Places.\n"
        "# TYPE sotto_places gauge\n"
        'sotto_places{kind="session"} 4.0\nsotto_places{kind="chat"} 4.0\n'
        "# TYPE sotto_workers gauge\nsotto_workers 2.0\n"
        "# TYPE sotto_worker_restarts_total counter\nsotto_worker_restarts_total 1.0\n"
    )


def test_addresses_that_the_engine_process_asks_are_not_counted_once_for_each_worker() -> None:
    def told(n: int) -> str:
        return (
            "# HELP sotto_address_requests_total Requests.\n# TYPE sotto_address_requests_total counter\n"
            f'sotto_address_requests_total{{engine="stt",number="1"}} {n}.0\n'
            f'sotto_address_requests_total{{engine="llm",number="1"}} {n}.0\n'
            "# HELP sotto_address_gone 1 where it is left alone.\n# TYPE sotto_address_gone gauge\n"
            f'sotto_address_gone{{engine="llm",number="1"}} {float(n > 3)}\n'
        )

    lines = metrics([told(3), told(4)], {}).splitlines()
    assert [line for line in lines if not line.startswith("#")] == [
        'sotto_address_requests_total{engine="stt",number="1"} 4.0',
        'sotto_address_requests_total{engine="llm",number="1"} 7.0',
        'sotto_address_gone{engine="llm",number="1"} 1.0',
    ]
