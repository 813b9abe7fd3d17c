"""The speech-to-text API on a scripted engine: what callers send, what the engine is asked, what comes back."""

import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from processors.errors import EngineError, UnsupportedRequestError
from processors.stt.recognizer import TranscriptionRequest
from tests.support.served import ServedEngine, serving_engine
from tests.support.sound_files import encoded, tone_s16
from tests.support.speech_callers import TALK, TRANSCRIPTIONS, TRANSLATIONS, NotingEngine, error_of, post


@pytest.fixture
async def engine() -> NotingEngine:
    return NotingEngine()


@pytest.fixture
async def served(engine: NotingEngine) -> AsyncIterator[ServedEngine]:
    async with serving_engine(engine) as server:
        yield server


@pytest.fixture
async def client(served: ServedEngine) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=served.url, timeout=20) as client:
        yield client


async def test_a_recording_becomes_text_with_its_length(client: httpx.AsyncClient, engine: NotingEngine) -> None:
    response = await post(client)
    assert (response.status_code, response.headers["content-type"]) == (200, "application/json")
    assert response.json() == {"text": "Good day. Café?", "usage": {"type": "duration", "seconds": 2}}
    # 1.5 s at 16 kHz, and the engine's own settings for all that was not said.
    assert engine.asked == [(24_000, TranscriptionRequest())]
    assert all(name.startswith("files") for name in engine.threads)


async def test_every_field_reaches_the_engine(client: httpx.AsyncClient, engine: NotingEngine) -> None:
    fields: dict[str, Any] = {
        "language": "English",
        "prompt": "Names: Zoë.",
        "temperature": "0.4",
        "response_format": "verbose_json",
        "timestamp_granularities[]": ["word", "segment"],
    }
    assert (await post(client, **fields)).status_code == 200
    assert (await post(client, TRANSLATIONS, stream="true")).status_code == 200
    assert [request for _, request in engine.asked] == [
        TranscriptionRequest("en", "transcribe", "Names: Zoë.", 0.4, word_times=True),
        TranscriptionRequest(None, "translate", prompt_results=True),
    ]


@pytest.mark.parametrize(
    ("named", "code"),
    [("en-US", "en"), ("EN", "en"), ("zh_Hans_CN", "zh"), ("Auto", "auto"), ("deu", "de"), ("Haitian Creole", "ht")],
)
async def test_a_language_is_understood_however_it_is_written(
    client: httpx.AsyncClient, engine: NotingEngine, named: str, code: str
) -> None:
    assert (await post(client, language=named)).status_code == 200
    assert engine.asked[0][1] == TranscriptionRequest(language=code)


async def test_newer_clients_hints_are_used_and_the_rest_is_passed_over(
    client: httpx.AsyncClient, engine: NotingEngine
) -> None:
    fields: dict[str, Any] = {
        "languages[]": ["de"],
        "keywords[]": ["sotto", "voce"],
        "include[]": ["logprobs"],
        "chunking_strategy[type]": "server_vad",
        "chunking_strategy[threshold]": "0.5",
        "known_speaker_references[]": ["data:audio/wav;base64," + "A" * 500_000],
        "language": "",
        "anything": "at all",
    }
    response = await post(client, **fields)
    assert response.status_code == 200
    assert engine.asked[0][1] == TranscriptionRequest(language="de", prompt="sotto, voce")


@pytest.mark.parametrize(
    ("kind", "media_type", "body"),
    [
        ("text", "text/plain; charset=utf-8", "Good day. Café?\n"),
        (
            "srt",
            "text/plain; charset=utf-8",
            "1\n00:00:00,000 --> 00:00:01,000\nGood day.\n\n2\n00:00:01,000 --> 00:00:01,833\nCafé?\n",
        ),
        (
            "vtt",
            "text/plain; charset=utf-8",
            "WEBVTT\n\n00:00:00.000 --> 00:00:01.000\nGood day.\n\n00:00:01.000 --> 00:00:01.833\nCafé?\n",
        ),
    ],
)
async def test_plain_formats_come_as_plain_text(
    client: httpx.AsyncClient, kind: str, media_type: str, body: str
) -> None:
    response = await post(client, response_format=kind)
    assert (response.status_code, response.headers["content-type"], response.text) == (200, media_type, body)


async def test_verbose_json_lists_words_only_where_they_are_asked_for(client: httpx.AsyncClient) -> None:
    plain = (await post(client, response_format="verbose_json")).json()
    assert set(plain) == {"task", "language", "duration", "text", "segments", "usage"}
    assert (plain["task"], plain["language"], plain["duration"]) == ("transcribe", "english", 1.5)
    assert [segment["text"] for segment in plain["segments"]] == ["Good day.", "Café?"]
    fields = {"response_format": "verbose_json", "timestamp_granularities[]": "word"}
    words = (await post(client, **fields)).json()
    assert "segments" not in words
    assert words["words"] == [{"word": "Good", "start": 0.1, "end": 0.4}, {"word": "day.", "start": 0.5, "end": 0.9}]


async def test_any_container_may_be_sent(client: httpx.AsyncClient, engine: NotingEngine) -> None:
    content = encoded(tone_s16(1, 48_000), 48_000, "webm", "libopus")
    response = await client.post(TRANSCRIPTIONS, files={"file": ("talk.webm", content)})
    assert response.status_code == 200
    assert engine.asked[0][0] == pytest.approx(16_000, abs=800)


async def events_of(lines: AsyncIterator[str]) -> AsyncIterator[tuple[str | None, Any]]:
    """Server-sent events: their name, and their data as JSON where it is."""
    name = None
    async for line in lines:
        if line.startswith("event: "):
            name = line.removeprefix("event: ")
        elif line.startswith("data: "):
            data = line.removeprefix("data: ")
            yield name, data if data == "[DONE]" else json.loads(data)
        else:
            assert line == ""
            name = None


async def test_deltas_arrive_while_decoding_goes_on(client: httpx.AsyncClient, engine: NotingEngine) -> None:
    engine.may_go_on.clear()
    request = client.build_request(
        "POST", TRANSCRIPTIONS, files={"file": ("a.wav", TALK)}, data={"stream": "true", "model": "x"}
    )
    response = await client.send(request, stream=True)
    assert response.status_code == 200
    assert response.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert response.headers["x-accel-buffering"] == "no"
    events = events_of(response.aiter_lines())
    assert await anext(events) == (None, {"type": "transcript.text.delta", "delta": "Good day."})
    engine.may_go_on.set()
    assert [event async for event in events] == [
        (None, {"type": "transcript.text.delta", "delta": " Café?"}),
        (
            None,
            {
                "type": "transcript.text.done",
                "text": "Good day. Café?",
                "usage": {"type": "duration", "seconds": 2},
            },
        ),
        (None, "[DONE]"),
    ]


async def test_an_engine_that_fails_mid_stream_ends_it_with_an_error_event() -> None:
    failing = NotingEngine(EngineError("whisper failed: out of memory"), fails_at=1)
    async with serving_engine(failing) as served, httpx.AsyncClient(base_url=served.url) as client:
        response = await post(client, stream="true")
    assert response.status_code == 200

    async def lines() -> AsyncIterator[str]:
        for line in response.text.split("\n"):
            yield line

    assert [event async for event in events_of(lines())] == [
        (None, {"type": "transcript.text.delta", "delta": "Good day."}),
        (
            "error",
            {
                "error": {
                    "message": "whisper failed: out of memory",
                    "type": "server_error",
                    "param": None,
                    "code": "engine_failed",
                }
            },
        ),
    ]


@pytest.mark.parametrize("fields", [{}, {"stream": "true"}])
@pytest.mark.parametrize(
    ("failure", "status", "error"),
    [
        (
            EngineError("whisper failed"),
            500,
            {"message": "whisper failed", "type": "server_error", "param": None, "code": "engine_failed"},
        ),
        (
            UnsupportedRequestError("it knows English only: sotto models pull base", "language"),
            400,
            {
                "message": "it knows English only: sotto models pull base",
                "type": "invalid_request_error",
                "param": "language",
                "code": "unsupported_value",
            },
        ),
    ],
)
async def test_a_failure_before_the_first_word_has_its_own_status(
    fields: dict[str, str], failure: Exception, status: int, error: dict[str, Any]
) -> None:
    async with serving_engine(NotingEngine(failure)) as served:
        async with httpx.AsyncClient(base_url=served.url) as client:
            response = await post(client, **fields)
        assert (response.status_code, error_of(response)) == (status, error)
        assert served.jobs.n_active == 0


async def test_nothing_said_is_an_empty_text(client: httpx.AsyncClient, engine: NotingEngine) -> None:
    engine.transcribe = lambda audio_s16, request: iter(())
    assert (await post(client)).json()["text"] == ""
    streamed = await post(client, stream="true")
    first = streamed.text.split("\n\n")[0].removeprefix("data: ")
    assert json.loads(first) == {
        "type": "transcript.text.done",
        "text": "",
        "usage": {"type": "duration", "seconds": 2},
    }


@pytest.mark.parametrize(
    ("fields", "param", "message"),
    [
        ({"response_format": "xml"}, "response_format", "response_format = 'xml': Input should be 'json', 'text', "),
        ({"response_format": "diarized_json"}, "response_format", "response_format = 'diarized_json': Input should"),
        ({"temperature": "warm"}, "temperature", "temperature = 'warm': Input should be a valid number"),
        ({"temperature": "1.5"}, "temperature", "temperature = '1.5': Input should be less than or equal to 1"),
        ({"temperature": "nan"}, "temperature", "temperature = 'nan': Input should be a finite number"),
        ({"stream": "perhaps"}, "stream", "stream = 'perhaps': Input should be a valid boolean"),
        ({"stream": "true", "response_format": "srt"}, "stream", "stream = true needs response_format json or text"),
        ({"timestamp_granularities[]": ["word", "x"]}, "timestamp_granularities", "timestamp_granularities = 'x': In"),
        ({"language": ["en", "de"]}, "language", "language is given 2 times"),
        ({"language": "klingon"}, "language", "language = 'klingon' is no language that is known: give a code such as"),
        ({"language": "xx-US"}, "language", "language = 'xx-US' is no language that is known: give a code such as en"),
        ({"language": "k" * 5000}, "language", "language = 'kkkkkk"),
        ({"languages[]": ["de", "klingon"]}, "languages", "languages = 'klingon' is no language that is known: give"),
        ({"prompt": "p" * 70_000}, "prompt", "prompt is longer than 65536 bytes"),
    ],
)
async def test_a_bad_field_is_named(
    client: httpx.AsyncClient, engine: NotingEngine, fields: dict[str, Any], param: str, message: str
) -> None:
    response = await post(client, **fields)
    error = error_of(response)
    assert (response.status_code, error["type"], error["param"]) == (400, "invalid_request_error", param)
    assert error["message"].startswith(message)
    assert engine.asked == []
