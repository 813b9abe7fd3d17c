"""Requests of every route with bodies, paths and headers of any shape: an answer in form, and the next one works."""

import json

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests.support.attacked import Attacked, under_attack
from tests.support.hostile import JSON, TEXTS, Witness, at_length, mutated, trying

CHATS = st.fixed_dictionaries(
    {}, optional={"text": JSON | st.sampled_from(["hi", "x" * 9000]), "conversation": JSON, "page": JSON, "x": JSON}
)
VALID = json.dumps({"text": "Good day.", "conversation": "none", "page": "p1"}).encode()


async def chat(application: Attacked, body: bytes) -> int:
    answer = await application.ask("POST", "/api/chat", content=body)
    if answer.status_code == 200:
        events = [line for line in answer.text.split("\n") if line.startswith("event: ")]
        assert events[0] == "event: conversation"
        assert events[-1] == "event: done"
    await application.settle()
    return answer.status_code


@at_length(60, 1200)
def test_hostile_questions_are_answered_or_refused_in_one_line(n_examples: int, witness: Witness) -> None:
    with under_attack(witness) as (application, run):

        @example(b'{"text": "\\ud800"}')
        @example(b'{"text": "hi", "page": "' + b"x" * 100_000 + b'"}')
        @example(b'{"text": ' + b"9" * 5000 + b"}")
        @example(b"\xff\xfe")
        @example(b'{"text": "hi"}'.decode().encode("utf-16"))
        @given(mutated(st.just(VALID)) | (CHATS | JSON).map(lambda body: json.dumps(body).encode()))
        @trying(n_examples)
        def check(body: bytes) -> None:
            run(chat(application, body))

        check()
        assert run(chat(application, VALID)) == 200


ROUTES = """
/ /health /api/options /api/offer /api/chat /api/transcribe /api/ws /api/conversations/x /api/x /v1 /v1/x
/api/conversations/x/recording.wav /api/conversations/x/events.jsonl /v1/models /v1/models/x
/v1/audio/transcriptions /v1/audio/translations /app.js /styles /x
""".split()
ODD_PARTS = """
/ // /. /.. /../ /%00 %00 % %zz %ff %2e%2e%2f /%2f ? ?token= + ?token=%ff&token=x /%ed%a0%80 ;x /..%5c /%0d%0a /%c3%a9
%20
""".split()
PARTS = st.sampled_from(["", *ODD_PARTS, "?" + "a&" * 500, "/" + "x" * 3000])
METHODS = st.sampled_from("GET HEAD POST PATCH DELETE PUT OPTIONS TRACE QUERY get X".split())
NAMES = st.sampled_from(
    """
Host Origin Authorization Cookie Accept Range If-Range If-None-Match If-Modified-Since Content-Type Accept-Encoding
X-Forwarded-For X-Forwarded-Proto Upgrade Connection X
""".split()
)
ODD_VALUES = """
x * null text/html bytes=0- bytes=-1 bytes=5-1 bytes=0-0,1-1 bytes=x 127.0.0.1 -1 [::1]:7860 [ ] : 127.0.0.1:7860
http://127.0.0.1:7860 http://[ localhost Bearer multipart/form-data "x" =;=; gzip chunked 0 99999999999999999999
""".split()
SPACED = ["", "Bearer x", "basic é", "application/json; charset=x", "Thu, 01 Jan 1970 00:00:00 GMT", "a=x; sotto=y"]
VALUES = st.sampled_from([*ODD_VALUES, *SPACED, "a" * 3000])


@at_length(80, 1000)
@pytest.mark.parametrize("token", [None, "a-token-of-tests"])
def test_hostile_paths_methods_and_headers_are_answered_in_form(
    n_examples: int, token: str | None, witness: Witness, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Wrong tokens wait, which is tested where they are.
    monkeypatch.setattr("agent.server.guard.guesses.MOST_DELAY_SECS", 0.0)
    with under_attack(witness, token=token) as (application, run):

        async def send(method: str, path: str, headers: list[tuple[str, str]], body: bytes) -> None:
            encoded = [(name.encode(), value.encode("latin-1", "replace")) for name, value in headers]
            await application.call(method, path, encoded, body)

        @example("GET", "/%00", [], b"")
        @example("GET", "/" + "x" * 3000, [], b"")
        @example("GET", "/?token=%ff", [("Host", "[")], b"")
        @given(
            METHODS,
            st.builds("".join, st.tuples(st.sampled_from(ROUTES), PARTS, PARTS)),
            st.lists(st.tuples(NAMES, VALUES), max_size=3),
            st.sampled_from([b"", b"x", b"{}"]) | st.binary(max_size=20),
        )
        @trying(n_examples)
        def check(method: str, path: str, headers: list[tuple[str, str]], body: bytes) -> None:
            run(send(method, path, headers, body))

        check()
        assert run(application.ask("GET", "/health")).status_code == 200


@at_length(30, 600)
def test_hostile_names_of_conversations_open_and_delete_nothing(n_examples: int, witness: Witness) -> None:
    with under_attack(witness) as (application, run):

        @given(TEXTS)
        @trying(n_examples)
        def check(name: str) -> None:
            async def send() -> None:
                for method, file in (("GET", "/recording.wav"), ("GET", "/events.jsonl"), ("DELETE", "")):
                    quoted = "".join(f"%{byte:02x}" for byte in name.encode("utf-8", "surrogatepass"))
                    answer = await application.call(method, f"/api/conversations/{quoted}{file}", [])
                    assert answer.status_code in (404, 405)

            run(send())

        check()
