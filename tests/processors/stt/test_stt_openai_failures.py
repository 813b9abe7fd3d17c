"""Every way in which another server fails to listen: one line that names it and what helps; the next utterance works.

The server is `tests/support/transcription_server.py`, a fake at the edge; HTTP and its failures are real.
"""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest

from processors import openai_client
from processors.errors import EngineError, EngineUnavailableError
from processors.openai_client import MAX_ANSWER_BYTES, OpenAIClient
from processors.stt.openai_compatible import OpenAIRecognizerEngine
from tests.support.ports import free_port
from tests.support.sound_files import wav_of
from tests.support.transcription_server import (
    HALF_SECOND,
    Cut,
    Drip,
    Hang,
    Heard,
    Refused,
    TranscriptionServer,
    engine_at,
    serve_transcriptions,
)

KEY = "k3y-of-the-house"
WAV = wav_of(np.frombuffer(HALF_SECOND, "<i2"))
# Longer than a busy machine holds anything up.
PATIENT_SECS = 60.0
JSON_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
ENDLESS = {
    "headers": Drip(JSON_HEAD, b"X-More: yes\r\n"),
    "one byte of a header": Drip(JSON_HEAD + b"X-More: ", b"y"),
    "100 Continue": Drip(b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
    "many 100 Continue": Drip(b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 1000),
    "a body": Drip(JSON_HEAD + b"Content-Length: 100000\r\n\r\n", b" "),
    "a whole answer and a body without a length": Drip(JSON_HEAD + b'\r\n{"text": "late"}', b" "),
    "chunks": Drip(JSON_HEAD + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\n \r\n"),
}


def error_of(*script: Any, **options: Any) -> tuple[str, str]:
    """The address, and what the first utterance fails with; the one after it must work."""
    with serve_transcriptions(*script) as server, engine_at(server, timeout_secs=PATIENT_SECS, **options) as engine:
        recognizer = engine.recognizer()
        recognizer.accept(HALF_SECOND)
        with pytest.raises(EngineError) as caught:
            recognizer.finish()
        recognizer.accept(HALF_SECOND)
        assert recognizer.finish().text == "okay"
        message = str(caught.value)
        assert "\n" not in message
        return server.base_url, message


@contextmanager
def client_of(server: TranscriptionServer) -> Iterator[OpenAIClient]:
    """One whose uploads have their own time limit each; without one, they wait however busy this machine is."""
    client = OpenAIClient(server.base_url, None, PATIENT_SECS)
    try:
        yield client
    finally:
        client.close()


def upload(client: OpenAIClient, timeout_secs: float | None = None) -> str:
    fields: dict[str, str | list[str]] = {"model": "whisper-1", "response_format": "json"}
    return str(client.post("/audio/transcriptions", fields, WAV, timeout_secs=timeout_secs)["text"])


def unavailable_of(base_url: str, **options: Any) -> str:
    with pytest.raises(EngineUnavailableError) as caught:
        OpenAIRecognizerEngine(base_url, **options)
    return str(caught.value)


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (
            Refused(401, {"error": {"message": f"bad key {KEY}"}}),
            "the API key (HTTP 401, bad key ***): set stt.api_key",
        ),
        (Refused(404, {"detail": "no such model"}), "know model whisper-1 (HTTP 404, no such model): set stt.model"),
        (Refused(429, "slow\ndown", "text/plain"), "is busy (HTTP 429, slow down): try again in a moment"),
        (Refused(500, "<h1>oops</h1>", "text/html"), "failed (HTTP 500, <h1>oops</h1>): look at its log"),
        (Refused(503), "failed (HTTP 503, Service Unavailable): look at its log"),
        (Refused(200, "<html>", "text/html; charset=utf-8"), "answers text/html, no JSON object: set stt.base_url"),
        (Refused(200, "[1, 2]"), "answers application/json, no JSON object"),
        (Refused(200, {"result": "hi"}), "answers JSON without text (it has result)"),
        (Refused(200, {"text": None}), "answers JSON without text (it has text)"),
        (Refused(200, "x" * (MAX_ANSWER_BYTES + 1)), "answers more than 8 MiB"),
        (Cut(), "broke off (RemoteProtocolError"),
    ],
)
def test_a_failure_names_the_server_and_what_helps_and_the_next_utterance_works(answer: Any, told: str) -> None:
    base_url, message = error_of(answer, api_key=KEY)
    assert base_url in message
    assert told in message
    assert KEY not in message


def test_a_silent_server_is_given_up_after_the_timeout() -> None:
    with serve_transcriptions(Hang()) as server, client_of(server) as client:
        with pytest.raises(EngineError) as caught:
            upload(client, timeout_secs=0.5)
        assert upload(client) == "okay"
    assert str(caught.value) == (
        f"the speech-to-text server at {server.base_url} gave no answer within 0.5 s: "
        "raise stt.timeout_secs, or run a smaller model there"
    )


@pytest.mark.parametrize("answer", ENDLESS.values(), ids=ENDLESS.keys())
def test_an_answer_that_never_ends_is_cut_off_at_the_timeout_and_the_next_upload_works(answer: Drip) -> None:
    with serve_transcriptions(answer) as server, client_of(server) as client:
        started_secs = time.monotonic()
        with pytest.raises(EngineError) as caught:
            upload(client, timeout_secs=0.5)
        # Each part alone comes within 0.05 s.
        assert time.monotonic() - started_secs >= 0.5
        assert upload(client) == "okay"
    assert str(caught.value).startswith(
        f"the speech-to-text server at {server.base_url} gave no answer within 0.5 s: raise stt.time"
    )


def test_a_connection_that_served_before_is_cut_off_too_and_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(openai_client, "KEEP_ALIVE_SECS", PATIENT_SECS)
    script = Heard("one"), Heard("two"), ENDLESS["headers"], Heard("four")
    with serve_transcriptions(*script, keep_alive=True) as server, client_of(server) as client:
        heard = [upload(client), upload(client)]
        with pytest.raises(EngineError, match=r"gave no answer within 0\.5 s"):
            upload(client, timeout_secs=0.5)
        heard.append(upload(client))
        one, two, three, four = (sent.client_port for sent in server.uploads)
    assert heard == ["one", "two", "four"]
    assert one == two == three != four


def test_a_slow_answer_to_one_does_not_cut_off_another(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(openai_client, "KEEP_ALIVE_SECS", PATIENT_SECS)
    with serve_transcriptions(Hang(), keep_alive=True) as server, client_of(server) as client:
        told: list[str] = []

        def wait() -> None:
            try:
                upload(client, timeout_secs=0.5)
            except EngineError as error:
                told.append(str(error))

        waiting = threading.Thread(target=wait)
        waiting.start()
        assert server.answered.wait(timeout=PATIENT_SECS)
        assert upload(client) == "okay"
        waiting.join()
        assert upload(client) == "okay"
        ports = [sent.client_port for sent in server.uploads]
    assert "gave no answer within 0.5 s" in told[0]
    assert ports[0] != ports[1] == ports[2]


def test_nothing_keeps_watch_over_a_request_that_is_answered() -> None:
    others = set(threading.enumerate())
    with serve_transcriptions() as server, engine_at(server) as engine:
        recognizer = engine.recognizer()
        recognizer.accept(HALF_SECOND)
        recognizer.finish()
        new = set(threading.enumerate()) - others
        assert [thread for thread in new if isinstance(thread, threading.Timer)] == []


def test_a_list_of_models_that_never_ends_is_cut_off_at_the_timeout() -> None:
    with serve_transcriptions(models=ENDLESS["headers"]) as server:
        assert "gave no answer within 0.2 s" in unavailable_of(server.base_url, timeout_secs=0.2)


def test_what_a_server_says_of_a_failure_cannot_steer_a_terminal_or_break_a_file() -> None:
    _, message = error_of(Refused(500, '{"error": "a\\u001b[31m\\ud800\\u009b b"}'))
    assert message.endswith("failed (HTTP 500, a[31m\ufffd b): look at its log")
    _, message = error_of(Refused(200, '{"\\ud800\\u0007": 1}'))
    assert "answers JSON without text (it has \ufffd)" in message


def test_a_server_that_went_away_is_named_with_what_helps() -> None:
    with serve_transcriptions() as server:
        engine = OpenAIRecognizerEngine(server.base_url)
    recognizer = engine.recognizer()
    recognizer.accept(HALF_SECOND)
    with pytest.raises(EngineError, match=rf"no speech-to-text server answers at {server.base_url} .*: start it"):
        recognizer.finish()
    engine.close()


def test_a_redirect_is_not_followed_and_the_token_stays() -> None:
    with serve_transcriptions() as elsewhere:
        target = elsewhere.base_url.replace("http://", "http://me:secret@") + "/audio/transcriptions"
        _, message = error_of(Refused(307, headers={"Location": target}), api_key=KEY)
        assert elsewhere.uploads == []
        assert elsewhere.lookups == []
    shown = f"{elsewhere.base_url}/audio/transcriptions"
    assert f"redirects to {shown}, which is not followed: set stt.base_url to where it leads" in message


def test_a_refusal_that_is_not_about_the_format_does_not_change_the_format() -> None:
    bad_sound = Refused(400, {"error": {"message": "cannot decode"}})
    with serve_transcriptions(bad_sound, bad_sound) as server, engine_at(server) as engine:
        recognizer = engine.recognizer()
        recognizer.accept(HALF_SECOND)
        with pytest.raises(EngineError, match=r"refused the request \(HTTP 400, cannot decode\)"):
            recognizer.finish()
        recognizer.accept(HALF_SECOND)
        recognizer.finish()
        assert server.uploads[-1].fields["response_format"] == ["verbose_json"]


def test_a_server_that_cannot_be_used_is_refused_when_the_engine_is_loaded() -> None:
    base_url = f"http://127.0.0.1:{free_port()}/v1"
    assert unavailable_of(base_url).startswith(f"no speech-to-text server answers at {base_url} (")
    with serve_transcriptions(models=Refused(401, {"error": "who are you"})) as server:
        assert unavailable_of(server.base_url) == (
            f"the speech-to-text server at {server.base_url} refused the API key (HTTP 401, who are you): "
            "set stt.api_key"
        )
    with serve_transcriptions(models=Hang()) as server:
        assert "gave no answer within 0.2 s" in unavailable_of(server.base_url, timeout_secs=0.2)
    assert "stt.api_key holds characters" in unavailable_of(base_url, api_key="a\nb")


def test_warming_up_tells_an_unknown_model_from_a_busy_server() -> None:
    busy = Refused(429, "loading", "text/plain")
    with serve_transcriptions(Refused(404), busy, Refused(200, {})) as server, engine_at(server, model="big") as engine:
        with pytest.raises(EngineUnavailableError, match=r"does not know model big .*: set stt\.model to one that"):
            engine.warm_up()
        assert engine.warm_up() == (
            f"the speech-to-text server at {server.base_url} is busy (HTTP 429, loading); it may still be loading big"
        )
        with pytest.raises(EngineUnavailableError, match="JSON without text"):
            engine.warm_up()
