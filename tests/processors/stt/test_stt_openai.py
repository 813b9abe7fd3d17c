"""The engine that listens on another server: what is uploaded of an utterance, and what is read from the answer.

The server is `tests/support/transcription_server.py`, a fake at the edge; HTTP, forms and WAVs are real.
"""

import http.server
import math
import threading
from typing import Any

import pytest

from agent.engines.candidates import choose
from agent.engines.remote_stt import openai_candidate
from agent.settings.load import Settings
from processors.errors import EngineError, EngineUnavailableError
from processors.stt.openai_compatible import (
    MAX_UPLOAD_BYTES,
    MAX_UTTERANCE_BYTES,
    OpenAIRecognizerEngine,
    choose_model,
)
from tests.support.transcription_server import HALF_SECOND, Heard, Refused, engine_at, serve_transcriptions

KEY = "k3y-of-the-house"


def settings_of(**stt: Any) -> Settings:
    return Settings(stt=stt)  # pyright: ignore[reportArgumentType]


def test_an_utterance_is_one_upload_with_the_very_samples_the_model_the_language_and_the_prompt() -> None:
    with (
        serve_transcriptions(Heard(" What is up? ")) as server,
        engine_at(server, api_key=KEY, model="big-ears", language="de", prompt="Sotto, Nemotron") as engine,
    ):
        recognizer = engine.recognizer()
        assert [recognizer.accept(HALF_SECOND), recognizer.accept(HALF_SECOND)] == ["", ""]
        transcript = recognizer.finish()
    (upload,) = server.uploads
    assert upload.path == "/v1/audio/transcriptions"
    assert upload.headers["authorization"] == f"Bearer {KEY}"
    assert (upload.file_name, upload.sample_rate_hz) == ("speech.wav", 16_000)
    assert upload.audio_s16.tobytes() == HALF_SECOND * 2
    assert upload.fields == {
        "model": ["big-ears"],
        "response_format": ["verbose_json"],
        "timestamp_granularities[]": ["segment"],
        "language": ["de"],
        "prompt": ["Sotto, Nemotron"],
    }
    assert (transcript.text, transcript.language, transcript.words) == ("What is up?", "de", ())


def test_a_pause_is_uploaded_once_and_the_finish_after_it_gives_the_same() -> None:
    with serve_transcriptions(Heard("the lamp")) as server, engine_at(server) as engine:
        recognizer = engine.recognizer()
        recognizer.accept(HALF_SECOND)
        paused = recognizer.pause()
        assert recognizer.pause() is paused
        assert recognizer.finish() is paused
        assert len(server.uploads) == 1


def test_speech_after_a_pause_is_uploaded_with_what_came_before_it() -> None:
    with serve_transcriptions(Heard("turn on"), Heard("turn on the lamp")) as server, engine_at(server) as engine:
        recognizer = engine.recognizer()
        recognizer.accept(HALF_SECOND)
        assert recognizer.pause().text == "turn on"
        assert recognizer.accept(HALF_SECOND) == "turn on"
        assert recognizer.finish().text == "turn on the lamp"
        recognizer.accept(HALF_SECOND)
        recognizer.finish()
        assert [len(upload.audio_s16) for upload in server.uploads] == [8_000, 16_000, 8_000]


def test_nothing_said_is_an_empty_transcript_without_an_upload() -> None:
    with serve_transcriptions() as server, engine_at(server) as engine:
        recognizer = engine.recognizer()
        assert recognizer.finish().text == ""
        recognizer.accept(bytes(2))
        assert recognizer.finish().text == ""
        recognizer.accept(HALF_SECOND)
        recognizer.reset()
        assert recognizer.finish().text == ""
        assert server.uploads == []


def test_two_recognizers_do_not_mix() -> None:
    with serve_transcriptions() as server, engine_at(server) as engine:
        one, other = engine.recognizer(), engine.recognizer()
        one.accept(HALF_SECOND)
        other.accept(HALF_SECOND * 2)
        one.accept(HALF_SECOND * 2)
        other.finish()
        one.finish()
        assert [len(upload.audio_s16) for upload in server.uploads] == [16_000, 24_000]


def test_an_utterance_too_long_to_upload_is_refused_and_the_next_one_works() -> None:
    with serve_transcriptions() as server, engine_at(server) as engine:
        recognizer = engine.recognizer()
        recognizer.accept(bytes(MAX_UTTERANCE_BYTES))
        with pytest.raises(EngineError, match=r"longer than 780 s: lower stt\.max_utterance_secs"):
            recognizer.accept(bytes(2))
        recognizer.accept(bytes(MAX_UTTERANCE_BYTES))
        assert recognizer.finish().text == "okay"
        assert MAX_UTTERANCE_BYTES < server.uploads[0].size_bytes < MAX_UPLOAD_BYTES


def test_confidence_is_the_mean_of_what_the_segments_tell() -> None:
    segments = [
        {"text": " One.", "start": 0.0, "end": 0.2, "avg_logprob": -0.1, "no_speech_prob": 0.01},
        {"text": " Two.", "start": 0.2, "end": 0.5, "avg_logprob": -0.3, "no_speech_prob": 0.01},
    ]
    with (
        serve_transcriptions(Heard("One. Two.", {"language": "english", "segments": segments})) as server,
        engine_at(server, language="auto") as engine,
    ):
        recognizer = engine.recognizer()
        recognizer.accept(HALF_SECOND)
        transcript = recognizer.finish()
        assert "language" not in server.uploads[0].fields
    assert (transcript.text, transcript.language) == ("One. Two.", "en")
    assert transcript.confidence == pytest.approx(math.exp(-0.2))


def test_a_segment_that_the_model_itself_doubts_to_be_speech_is_dropped() -> None:
    segments = [
        {"text": " Stop.", "start": 0.0, "end": 0.2, "avg_logprob": -0.2, "no_speech_prob": 0.1},
        {"text": " Thank you.", "start": 0.2, "end": 0.5, "avg_logprob": -1.3, "no_speech_prob": 0.9},
    ]
    answers = Heard("Stop. Thank you.", {"segments": segments}), Heard("Thank you.", {"segments": segments[1:]})
    with serve_transcriptions(*answers) as server, engine_at(server) as engine:
        recognizer = engine.recognizer()
        recognizer.accept(HALF_SECOND)
        assert recognizer.finish().text == "Stop."
        recognizer.accept(HALF_SECOND)
        nothing = recognizer.finish()
    assert (nothing.text, nothing.language, nothing.confidence) == ("", None, None)


@pytest.mark.parametrize(
    ("told", "code"),
    [("German", "de"), ("pt-BR", "pt"), ("fr", "fr"), ("klingon of the north", None), (7, None)],
)
def test_a_language_is_a_code_whatever_the_server_calls_it(told: Any, code: str | None) -> None:
    with serve_transcriptions(Heard("hm", {"language": told})) as server, engine_at(server, language="auto") as engine:
        recognizer = engine.recognizer()
        recognizer.accept(HALF_SECOND)
        assert recognizer.finish().language == code


def test_a_translation_asks_the_other_route_and_is_english() -> None:
    with (
        serve_transcriptions(Heard("Good day.", {"language": "german"})) as server,
        engine_at(server, language="de", task="translate") as engine,
    ):
        recognizer = engine.recognizer()
        recognizer.accept(HALF_SECOND)
        transcript = recognizer.finish()
    assert (transcript.text, transcript.language) == ("Good day.", "en")
    assert server.uploads[0].path == "/v1/audio/translations"
    assert server.uploads[0].fields == {"model": ["whisper-1"], "response_format": ["verbose_json"]}


def test_a_server_that_refuses_verbose_json_is_asked_for_json_from_then_on() -> None:
    with (
        serve_transcriptions(Heard("one"), Heard("two"), refused_formats=["verbose_json"]) as server,
        engine_at(server) as engine,
    ):
        recognizer = engine.recognizer()
        for expected in ("one", "two"):
            recognizer.accept(HALF_SECOND)
            assert recognizer.finish().text == expected
        formats = [upload.fields["response_format"][0] for upload in server.uploads]
    assert formats == ["verbose_json", "json", "json"]


def test_proxies_of_the_environment_are_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    class Proxy(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_error(502)

    with http.server.HTTPServer(("127.0.0.1", 0), Proxy) as proxy:
        thread = threading.Thread(target=proxy.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.server_port}")
        monkeypatch.delenv("no_proxy", raising=False)
        monkeypatch.delenv("NO_PROXY", raising=False)
        with serve_transcriptions() as server, engine_at(server) as engine:
            recognizer = engine.recognizer()
            recognizer.accept(HALF_SECOND)
            assert recognizer.finish().text == "okay"
        proxy.shutdown()
        thread.join()
    assert asked == []


def test_a_login_in_the_address_is_used_and_never_shown() -> None:
    with serve_transcriptions(Refused(500)) as server:
        engine = OpenAIRecognizerEngine(server.base_url.replace("http://", "http://me:secret@"))
        recognizer = engine.recognizer()
        recognizer.accept(HALF_SECOND)
        with pytest.raises(EngineError) as caught:
            recognizer.finish()
        engine.close()
    assert server.uploads[0].headers["authorization"] == "Basic bWU6c2VjcmV0"
    assert str(caught.value).startswith(f"the speech-to-text server at {server.base_url} failed")


@pytest.mark.parametrize(
    ("listed", "chosen"),
    [
        (["llama-3", "Systran/faster-whisper-small"], "Systran/faster-whisper-small"),
        (["nvidia/nemotron-nano-9b", "parakeet-tdt"], "parakeet-tdt"),
        (["kokoro", "nemotron-speech-streaming-en-0.6b"], "nemotron-speech-streaming-en-0.6b"),
        (["llama-3"], "whisper-1"),
        ([], "whisper-1"),
    ],
)
def test_the_model_is_the_first_listed_that_seems_to_listen(listed: list[str], chosen: str) -> None:
    assert choose_model(listed) == chosen
    with serve_transcriptions(models=listed) as server, engine_at(server) as engine:
        assert engine.model == chosen


@pytest.mark.parametrize("answer", [Refused(404), Refused(405), Refused(200, "<html>", "text/html"), Refused(200, "3")])
def test_a_server_without_a_list_of_models_is_taken(answer: Refused) -> None:
    with serve_transcriptions(models=answer) as server, engine_at(server) as engine:
        assert engine.model == "whisper-1"
        assert engine.warm_up() is None


def test_warming_up_uploads_half_a_second_of_silence() -> None:
    with serve_transcriptions() as server, engine_at(server) as engine:
        assert engine.warm_up() is None
    assert [(len(upload.audio_s16), int(upload.audio_s16.max())) for upload in server.uploads] == [(8_000, 0)]


def test_the_engine_is_usable_once_its_address_is_set() -> None:
    candidate = openai_candidate(settings_of())
    assert (candidate.reason, candidate.mend) == (
        "no stt.base_url is set",
        "--set stt.base_url=http://127.0.0.1:8000/v1",
    )
    with pytest.raises(EngineUnavailableError, match=r"stt\.engine = openai: no stt\.base_url is set: --set"):
        choose("stt", "openai", [candidate])
    with serve_transcriptions(Heard("yes")) as server:
        settings = settings_of(base_url=server.base_url, api_key=KEY, model="ears", language="auto", timeout_secs=60)
        choice = choose("stt", "auto", [openai_candidate(settings)])
        recognizer = choice.loaded.recognizer()
        recognizer.accept(HALF_SECOND)
        assert recognizer.finish().text == "yes"
        choice.loaded.close()
    assert (choice.engine, choice.model) == ("openai", "ears")
    assert server.uploads[0].headers["authorization"] == f"Bearer {KEY}"
    assert server.lookups[0]["authorization"] == f"Bearer {KEY}"


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("box:8000/v1", "box:8000/v1"),
        ("ftp://me:secret@box/v1", "ftp://box/v1"),
        ("http://", "http://"),
        ("http://box:port/v1", "http://box:port/v1"),
        ("http://[::1/v1", "http://[::1/v1"),
    ],
)
def test_an_address_that_is_no_url_is_named_in_one_line(address: str, shown: str) -> None:
    candidate = openai_candidate(settings_of(base_url=address))
    assert candidate.reason == f"stt.base_url is no URL: {shown}"
    assert candidate.mend == "--set stt.base_url=http://127.0.0.1:8000/v1"
    with pytest.raises(EngineUnavailableError, match=r"stt\.base_url is no URL"):
        candidate.load()
