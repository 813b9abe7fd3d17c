"""The clients that the API is made for, against the real server and its bundled engine: openai and curl."""

import asyncio
import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import openai
import psutil
import pytest
from openai.types.audio import Transcription, TranscriptionTextDoneEvent, TranscriptionVerbose, TranslationVerbose

from tests.support.house import FIXTURES, SPEECH
from tests.support.served import Served, serving
from tests.support.sound_files import encoded, wav_of
from transports.recording import load_recording
from transports.sound_file import Pcm16

# Foreign clients.
pytestmark = pytest.mark.long
QUESTION = "what is the capital of germany"
QUESTION_FILE = SPEECH / "capital_of_germany.wav"
RATE_HZ = 16_000
# OpenAI no longer recommends the method; other servers' users still call it.
DEPRECATED_TRANSLATIONS = pytest.mark.filterwarnings("ignore:deprecated:DeprecationWarning")


@pytest.fixture(scope="module")
def ears(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serving(tmp_path_factory.mktemp("ears"), "--api-only", "--stt", "pocketsphinx") as server:
        yield server


@pytest.fixture(scope="module")
def whisper(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    model = f"stt.model={FIXTURES / 'micro_whisper'}"
    arguments = ("--api-only", "--stt", "whisper", "--set", model, "--set", "stt.language=auto")
    with serving(tmp_path_factory.mktemp("whisper"), *arguments) as server:
        yield server


@pytest.fixture
def client(ears: Served) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{ears.url}/v1", api_key="none", max_retries=0) as client:
        yield client


@pytest.fixture
def whisper_client(whisper: Served) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{whisper.url}/v1", api_key="none", max_retries=0) as client:
        yield client


def two_sentences() -> Pcm16:
    """Two questions with a second of silence between them."""
    parts = [load_recording(SPEECH / name).audio_s16 for name in ("capital_of_germany.wav", "days_in_a_week.wav")]
    return np.concatenate([parts[0], np.zeros(RATE_HZ, np.int16), parts[1]])


def test_the_openai_client_gets_json(client: openai.OpenAI) -> None:
    answer = client.audio.transcriptions.create(model="whisper-1", file=QUESTION_FILE, language="en")
    assert type(answer) is Transcription
    assert answer.text == QUESTION


def test_the_openai_client_gets_every_segment_and_word(client: openai.OpenAI) -> None:
    answer = client.audio.transcriptions.create(
        model="gpt-4o-transcribe",
        file=("talk.wav", wav_of(two_sentences())),
        response_format="verbose_json",
        timestamp_granularities=["word", "segment"],
    )
    assert type(answer) is TranscriptionVerbose
    assert (answer.language, answer.text) == ("english", f"{QUESTION} how many days are in a week")
    assert answer.duration == pytest.approx(len(two_sentences()) / RATE_HZ, abs=0.001)
    assert answer.segments
    assert answer.words
    assert [segment.text for segment in answer.segments] == [QUESTION, "how many days are in a week"]
    assert [word.word for word in answer.words] == answer.text.split()
    times = [at for word in answer.words for at in (word.start, word.end)]
    assert times == sorted(times)
    # The second question begins where the first and the second of silence end: 41044 samples and 1 s.
    second = next(word for word in answer.words if word.word == "how")
    assert second.start == pytest.approx(41_044 / RATE_HZ + 1 + 0.3, abs=0.15)


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("text", [QUESTION]),
        ("srt", ["1", "00:00:", QUESTION]),
        ("vtt", ["WEBVTT", "", "00:00:", QUESTION]),
    ],
)
def test_the_openai_client_gets_plain_formats(client: openai.OpenAI, kind: str, expected: list[str]) -> None:
    create: Any = client.audio.transcriptions.create
    answer = create(model="whisper-1", file=QUESTION_FILE, response_format=kind)
    assert isinstance(answer, str)
    lines = answer.splitlines()
    assert [line[: len(start)] for line, start in zip(lines, expected, strict=True)] == expected


def test_the_openai_client_streams(client: openai.OpenAI) -> None:
    stream = client.audio.transcriptions.create(
        model="gpt-4o-mini-transcribe", file=("talk.wav", wav_of(two_sentences())), stream=True
    )
    *deltas, done = list(stream)
    assert [event.type for event in deltas] == ["transcript.text.delta"] * 2
    assert isinstance(done, TranscriptionTextDoneEvent)
    assert done.text == f"{QUESTION} how many days are in a week"
    assert "".join(event.delta for event in deltas if event.type == "transcript.text.delta") == done.text


def test_the_openai_client_takes_compressed_files(client: openai.OpenAI) -> None:
    audio_s16 = load_recording(QUESTION_FILE).audio_s16
    content = encoded(audio_s16, RATE_HZ, "flac", "flac")
    answer = client.audio.transcriptions.create(model="whisper-1", file=("talk.flac", BytesIO(content)))
    assert answer.text == QUESTION


@DEPRECATED_TRANSLATIONS
def test_the_openai_client_raises_its_own_errors(client: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        client.audio.transcriptions.create(model="whisper-1", file=("talk.wav", b"no sound"))
    assert (caught.value.param, caught.value.code) == ("file", "invalid_file")
    with pytest.raises(openai.BadRequestError) as caught:
        client.audio.transcriptions.create(model="whisper-1", file=QUESTION_FILE, language="fr")
    assert (caught.value.param, caught.value.code) == ("language", "unsupported_value")
    with pytest.raises(openai.BadRequestError) as caught:
        client.audio.translations.create(model="whisper-1", file=QUESTION_FILE)
    assert caught.value.code == "unsupported_value"
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("gpt-4o")
    assert [model.id for model in client.models.list()] == ["en-us"]


@DEPRECATED_TRANSLATIONS
def test_whisper_detects_the_language_and_translates(whisper_client: openai.OpenAI) -> None:
    spanish = SPEECH / "buenos_dias.wav"
    heard = whisper_client.audio.transcriptions.create(
        model="whisper-1", file=spanish, response_format="verbose_json", timestamp_granularities=["word"]
    )
    assert (heard.language, heard.text) == ("spanish", "Hola, buenos días amigo.")
    assert heard.words
    assert " ".join(word.word for word in heard.words) == heard.text
    translated = whisper_client.audio.translations.create(
        model="whisper-1", file=spanish, response_format="verbose_json"
    )
    assert type(translated) is TranslationVerbose
    assert (translated.language, translated.text) == ("english", "Hello, good morning friend.")


@pytest.fixture
def curl() -> str:
    """The program; skipped without it, unless CI=true."""
    path = shutil.which("curl")
    if path is None:
        reason = "curl is not installed: apt-get install curl"
        if os.environ.get("CI") == "true":
            pytest.fail(reason, pytrace=False)
        pytest.skip(reason)
    return path


def test_curl_uploads_a_file(curl: str, ears: Served) -> None:
    command = [curl, "-sS", "-F", f"file=@{QUESTION_FILE}", "-F", "model=whisper-1"]
    url = f"{ears.url}/v1/audio/transcriptions"
    plain = subprocess.run([*command, url], capture_output=True, text=True, timeout=30, check=True)
    assert json.loads(plain.stdout) == {"text": QUESTION, "usage": {"type": "duration", "seconds": 3}}
    text = subprocess.run(
        [*command, "-F", "response_format=text", url], capture_output=True, text=True, timeout=30, check=True
    )
    assert text.stdout == QUESTION + "\n"


def test_curl_reads_server_sent_events(curl: str, ears: Served) -> None:
    command = [curl, "-sSN", "-F", f"file=@{QUESTION_FILE}", "-F", "stream=true"]
    url = f"{ears.url}/v1/audio/transcriptions"
    result = subprocess.run([*command, url], capture_output=True, text=True, timeout=30, check=True)
    events = result.stdout.split("\n\n")
    assert json.loads(events[0].removeprefix("data: ")) == {"type": "transcript.text.delta", "delta": QUESTION}
    assert events[2:] == ["data: [DONE]", ""]


def test_curl_is_told_that_a_file_is_too_large(curl: str, ears: Served, tmp_path: Path) -> None:
    # The limit is 100 MB.
    large = tmp_path / "large.wav"
    with large.open("wb") as file:
        file.truncate(110 * 2**20)
    command = [curl, "-sS", "-w", "\n%{http_code}", "-F", f"file=@{large}", f"{ears.url}/v1/audio/transcriptions"]
    result = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    body, status = result.stdout.rsplit("\n", 1)
    assert (status, json.loads(body)["error"]["code"]) == ("413", "file_too_large")


def test_alone_the_api_loads_the_ears_and_the_voice_and_nothing_else(ears: Served) -> None:
    report = httpx.get(f"{ears.url}/health").json()
    assert report["status"] == "ready"
    assert report["engines"]["stt"]["engine"] == "pocketsphinx"
    assert set(report["engines"]) == {"stt", "tts"}
    assert report["transcriptions"] == {"active": 0, "max": 8}
    assert "sessions" not in report
    assert httpx.get(ears.url).status_code == 404
    assert httpx.post(f"{ears.url}/api/offer", json={}).status_code == 404
    commands = [" ".join(child.cmdline()) for child in psutil.Process(ears.process.pid).children(recursive=True)]
    assert commands
    assert all("pocketsphinx_worker" in command for command in commands)


def test_the_voice_is_there_without_the_page(client: openai.OpenAI) -> None:
    spoken = client.audio.speech.create(model="tts-1", voice="alloy", input="Hello.", response_format="wav").content
    assert spoken[:4] == b"RIFF"
    assert len(spoken) > RATE_HZ // 2


def test_beside_the_page_the_same_engine_serves_the_api(tmp_path: Path) -> None:
    with serving(tmp_path, "--stt", "pocketsphinx") as server:
        assert "<title>" in httpx.get(server.url).text
        assert set(httpx.get(f"{server.url}/health").json()["engines"]) == {"stt", "llm", "tts", "vad", "turn"}
        with openai.OpenAI(base_url=f"{server.url}/v1", api_key="none", max_retries=0) as client:
            assert client.audio.transcriptions.create(model="x", file=QUESTION_FILE).text == QUESTION
        missing = httpx.get(f"{server.url}/v1/nothing")
        assert (missing.status_code, missing.json()["error"]["code"]) == (404, "unknown_url")


async def test_a_signal_during_a_transcription_ends_everything_within_three_seconds(tmp_path: Path) -> None:
    with serving(tmp_path, "--api-only", "--stt", "pocketsphinx") as server:
        # A hundred questions take a minute or so.
        talk = np.tile(load_recording(QUESTION_FILE).audio_s16, 100)
        async with httpx.AsyncClient(base_url=server.url, timeout=60) as client:
            request = client.build_request(
                "POST", "/v1/audio/transcriptions", files={"file": ("a.wav", wav_of(talk))}, data={"stream": "true"}
            )
            response = await client.send(request, stream=True)
            assert (await anext(response.aiter_lines())).startswith("data: ")
            children = psutil.Process(server.process.pid).children(recursive=True)
            asked_secs = time.monotonic()
            status = await asyncio.to_thread(server.stop)
            took_secs = time.monotonic() - asked_secs
            await response.aclose()
    assert status == 0
    # The promise to the user, not a speed.
    assert took_secs < 3
    assert len(children) == 2
    assert not any(child.is_running() for child in children)
    assert "Traceback" not in "".join(server.lines)
