"""Text to speech over HTTP on a scripted voice: what callers send, what the engine is asked, what comes back."""

import asyncio
import base64
import io
import json
import threading
from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx
import numpy as np
import openai
import pytest

from agent.engines.voice_names import OPENAI_VOICES
from processors.llm.options import LLMOptions
from processors.tts.openai_speech import OpenAISynthesizer
from processors.tts.synthesizer import SpeechChunk
from tests.support.faulty_engines import ReadyStandby
from tests.support.scripted_engines import WORD_SECS, ScriptedRecognizerEngine, ScriptedSynthesizer
from tests.support.served import serving_engine, serving_page
from transports.sound_encoder import MEDIA_TYPES, SOUND_KINDS, SoundKind
from transports.sound_file import decode_sound

SPEECH = "/v1/audio/speech"
NO_MODEL = LLMOptions("http://127.0.0.1:9/v1", "none")
TEXT = "One two three. Four five six seven. Eight nine ten eleven twelve."


class SteppingVoice(ScriptedSynthesizer):
    """Says each text when it may; a scripted one at the edge."""

    def __init__(self) -> None:
        super().__init__()
        self.may_go_on = threading.Semaphore(0)
        self.begun: list[str] = []

    def synthesize(self, text: str) -> Iterator[SpeechChunk]:
        self.begun.append(text)
        self.may_go_on.acquire()
        yield from super().synthesize(text)


@pytest.fixture
async def voice() -> ScriptedSynthesizer:
    return ScriptedSynthesizer()


@pytest.fixture
async def client(voice: ScriptedSynthesizer) -> AsyncIterator[httpx.AsyncClient]:
    async with (
        serving_page(ScriptedRecognizerEngine(), NO_MODEL, voice) as server,
        httpx.AsyncClient(base_url=server.url, timeout=60) as client,
    ):
        yield client


def secs_of(sound: bytes, kind: str = "mp3") -> float:
    if kind == "pcm":
        return len(sound) / 2 / 24_000
    return len(decode_sound(io.BytesIO(sound), max_secs=600, name=kind)) / 16_000


def error_of(answer: httpx.Response, status: int) -> dict[str, Any]:
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/json"
    return answer.json()["error"]


def n_words(text: str) -> int:
    return len(text.split())


@pytest.mark.parametrize("kind", SOUND_KINDS)
async def test_a_text_becomes_a_whole_sound_of_each_kind(client: httpx.AsyncClient, kind: SoundKind) -> None:
    asked = {"model": "tts-1", "voice": "alloy", "input": TEXT, "response_format": kind}
    answer = await client.post(SPEECH, json=asked)
    assert answer.status_code == 200
    assert answer.headers["content-type"].partition(";")[0] == MEDIA_TYPES[kind]
    assert "content-length" not in answer.headers
    assert secs_of(answer.content, kind) == pytest.approx(n_words(TEXT) * WORD_SECS, abs=0.12)


async def test_what_was_left_out_is_as_usual_and_what_nobody_knows_is_passed_over(client: httpx.AsyncClient) -> None:
    answer = await client.post(
        SPEECH, json={"input": "Hello there.", "instructions": "Whisper.", "speed": None, "x": 1}
    )
    assert (answer.status_code, answer.headers["content-type"]) == (200, "audio/mpeg")


async def test_the_first_sound_comes_once_the_first_clause_is_spoken() -> None:
    voice = SteppingVoice()
    async with (
        serving_page(ScriptedRecognizerEngine(), NO_MODEL, voice) as server,
        httpx.AsyncClient(base_url=server.url, timeout=60) as client,
    ):
        voice.may_go_on.release()
        async with client.stream("POST", SPEECH, json={"input": TEXT, "response_format": "pcm"}) as answer:
            sound = answer.aiter_raw()
            first = await anext(sound)
            assert first
            # Nothing of the rest has been made.
            assert voice.spoken == [voice.begun[0]]
            voice.may_go_on.release(10)
            rest = b"".join([piece async for piece in sound])
    assert " ".join(voice.spoken) == TEXT
    assert secs_of(first + rest, "pcm") == pytest.approx(n_words(TEXT) * WORD_SECS, abs=0.01)


async def test_markdown_and_numbers_are_spoken_as_answers_are(
    client: httpx.AsyncClient, voice: ScriptedSynthesizer
) -> None:
    assert (await client.post(SPEECH, json={"input": "**Bold**, at 5 km.\n- [a link](http://h/)"})).status_code == 200
    assert " ".join(voice.spoken) == "Bold, at five kilometers. a link"


@pytest.mark.parametrize("text", ["**", "😀", "...", "`"])
async def test_a_text_without_a_word_is_a_short_silence(client: httpx.AsyncClient, text: str) -> None:
    answer = await client.post(SPEECH, json={"input": text, "response_format": "wav"})
    assert answer.status_code == 200
    assert not np.any(decode_sound(io.BytesIO(answer.content), max_secs=10, name="wav"))


@pytest.mark.parametrize(
    ("asked", "taken"),
    [
        ({}, (None, "en-us", 1.0)),
        ({"voice": "ton"}, ("ton", "de", 1.0)),
        ({"voice": " TON "}, ("ton", "de", 1.0)),
        ({"voice": {"id": "ton"}}, ("ton", "de", 1.0)),
        ({"voice": "shimmer"}, ("tone", "en-us", 1.0)),
        ({"language": "German"}, (None, "de", 1.0)),
        ({"voice": "nova", "language": "de"}, ("ton", "de", 1.0)),
        ({"speed": 1.5}, (None, "en-us", 1.5)),
        ({"speed": 4}, (None, "en-us", 2.0)),
        ({"speed": 0.25}, (None, "en-us", 0.5)),
    ],
)
async def test_voice_language_and_speed_reach_the_engine(
    client: httpx.AsyncClient, voice: ScriptedSynthesizer, asked: dict[str, Any], taken: object
) -> None:
    answer = await client.post(SPEECH, json={"input": "One two three four.", "response_format": "pcm", **asked})
    assert answer.status_code == 200
    assert voice.voices_taken == [taken]
    # The engine's speed changes nothing here; what it cannot do is done to its sound.
    stretch = {4: 0.5, 0.25: 2.0}.get(asked.get("speed", 1), 1.0)
    assert secs_of(answer.content, "pcm") == pytest.approx(4 * WORD_SECS * stretch, abs=0.1)


async def test_every_voice_of_openai_speaks(client: httpx.AsyncClient) -> None:
    for name in OPENAI_VOICES:
        assert (await client.post(SPEECH, json={"input": "Hi.", "voice": name})).status_code == 200
    listed = (await client.get("/v1/audio/voices")).json()["voices"]
    assert [one["id"] for one in listed] == ["tone", "ton", *OPENAI_VOICES]
    assert listed[1] == {"id": "ton", "name": "Ein Ton", "language": "de"}
    assert (await client.get("/v1/audio/models")).json() == {"models": [{"id": "scripted", "name": "scripted"}]}


@pytest.mark.parametrize(
    ("body", "param", "told"),
    [
        ({}, "input", "input is missing"),
        ({"input": ""}, "input", "input has no words"),
        ({"input": "  \n"}, "input", "input has no words"),
        ({"input": 5}, "input", "input: Input should be a valid string"),
        ({"input": "x" * 20_001}, "input", "input: String should have at most 20000 characters"),
        ({"input": "hi", "voice": "nobody"}, "voice", "there is no voice 'nobody': name one such as tone, ton"),
        ({"input": "hi", "voice": 5}, "voice", "voice = '5'"),
        ({"input": "hi", "speed": 5}, "speed", "speed = '5': Input should be less than or equal to 4"),
        ({"input": "hi", "speed": "2"}, "speed", "speed = '2': Input should be a valid number"),
        ({"input": "hi", "response_format": "midi"}, "response_format", "response_format = 'midi'"),
        ({"input": "hi", "stream_format": "none"}, "stream_format", "stream_format = 'none'"),
        ({"input": "hi", "language": "Klingonish"}, "language", "language = 'Klingonish'"),
        ({"input": "hi", "language": "xx"}, "language", "language = "),
    ],
)
async def test_what_is_wrong_is_told_with_its_field(
    client: httpx.AsyncClient, voice: ScriptedSynthesizer, body: dict[str, Any], param: str, told: str
) -> None:
    error = error_of(await client.post(SPEECH, json=body), 400)
    assert error["param"] == param
    assert told in error["message"]
    assert voice.spoken == []


@pytest.mark.parametrize("body", [b"", b"[1]", b"{", b"\xff"])
async def test_a_body_that_is_no_object_is_refused(client: httpx.AsyncClient, body: bytes) -> None:
    assert error_of(await client.post(SPEECH, content=body), 400)["code"] == "invalid_body"


async def test_events_hold_the_same_sound(client: httpx.AsyncClient) -> None:
    asked = {"input": TEXT, "response_format": "pcm"}
    whole = (await client.post(SPEECH, json=asked)).content
    answer = await client.post(SPEECH, json={**asked, "stream_format": "sse"})
    assert answer.headers["content-type"].startswith("text/event-stream")
    events = [json.loads(line.removeprefix("data: ")) for line in answer.text.split("\n\n") if line]
    assert [one["type"] for one in events[:-1]] == ["speech.audio.delta"] * (len(events) - 1)
    assert (events[-1]["type"], events[-1]["usage"]["total_tokens"]) == ("speech.audio.done", 0)
    assert b"".join(base64.b64decode(one["audio"]) for one in events[:-1]) == whole


async def test_a_voice_that_fails_at_once_is_an_error_and_later_ends_the_answer_unfinished() -> None:
    voice = ScriptedSynthesizer(failing=["Four"])
    async with (
        serving_page(ScriptedRecognizerEngine(), NO_MODEL, voice) as server,
        httpx.AsyncClient(base_url=server.url, timeout=60) as client,
    ):
        error = error_of(await client.post(SPEECH, json={"input": "Four five."}), 500)
        assert (error["code"], error["message"]) == (
            "engine_failed",
            "text-to-speech: scripted failure on 'Four five.'",
        )
        with pytest.raises(httpx.RemoteProtocolError):
            await client.post(SPEECH, json={"input": TEXT, "response_format": "pcm"})
        answer = await client.post(SPEECH, json={"input": TEXT, "stream_format": "sse"})
        last = answer.text.strip().split("\n\n")[-1]
        assert last.startswith("event: error\ndata: ")
        assert "scripted failure" in last
        assert (await client.post(SPEECH, json={"input": "Six."})).status_code == 200


class EndlessVoice(ScriptedSynthesizer):
    """Never ends, or never begins; a scripted one at the edge."""

    def __init__(self, *, sounds: bool) -> None:
        super().__init__()
        self._sounds = sounds

    def synthesize(self, text: str) -> Iterator[SpeechChunk]:
        while self._sounds:
            yield SpeechChunk(bytes(48_000))


@pytest.mark.parametrize(("sounds", "told"), [(True, "does not end its speech"), (False, "makes no sound")])
async def test_a_voice_that_does_not_end_or_begin_is_given_up(sounds: bool, told: str) -> None:
    voice = EndlessVoice(sounds=sounds)
    asked = {"input": "Hi.", "response_format": "pcm", "stream_format": "sse"}
    async with (
        serving_page(ScriptedRecognizerEngine(), NO_MODEL, voice) as server,
        httpx.AsyncClient(base_url=server.url, timeout=60) as client,
    ):
        answer = await client.post(SPEECH, json=asked)
    assert told in answer.text
    assert answer.status_code == (200 if sounds else 500)


async def test_the_next_engine_says_what_one_cannot() -> None:
    voice, other = ScriptedSynthesizer(failing=["Four"]), ScriptedSynthesizer()
    async with serving_page(ScriptedRecognizerEngine(), NO_MODEL, voice) as server:
        assert server.state.loaded
        standby = ReadyStandby(other)
        server.state.host().tts_standby = standby
        async with httpx.AsyncClient(base_url=server.url, timeout=60) as client:
            answer = await client.post(SPEECH, json={"input": TEXT, "response_format": "pcm"})
        standby.shutdown()
    assert secs_of(answer.content, "pcm") == pytest.approx(n_words(TEXT) * WORD_SECS, abs=0.01)
    assert other.spoken == ["Four five six seven."]


async def test_where_the_next_engine_fails_as_well_its_failure_is_told() -> None:
    voice, other = ScriptedSynthesizer(failing=["Hi"]), ScriptedSynthesizer(failing=["Hi"])
    async with (
        serving_page(ScriptedRecognizerEngine(), NO_MODEL, voice) as server,
        httpx.AsyncClient(base_url=server.url, timeout=60) as client,
    ):
        standby = ReadyStandby(other)
        server.state.host().tts_standby = standby
        error = error_of(await client.post(SPEECH, json={"input": "Hi."}), 500)
        standby.shutdown()
    assert (error["code"], error["message"]) == ("engine_failed", "text-to-speech: scripted failure on 'Hi.'")
    assert (voice.spoken, other.spoken) == (["Hi."], ["Hi."])


async def test_so_many_are_spoken_at_once_and_a_caller_who_leaves_frees_the_place() -> None:
    voice = SteppingVoice()
    async with (
        serving_page(ScriptedRecognizerEngine(), NO_MODEL, voice, max_speeches=1) as server,
        httpx.AsyncClient(base_url=server.url, timeout=60) as client,
    ):
        voice.may_go_on.release()
        async with client.stream("POST", SPEECH, json={"input": TEXT, "response_format": "pcm"}) as answer:
            await anext(answer.aiter_raw())
            error = error_of(await client.post(SPEECH, json={"input": "Hi."}), 429)
            assert "setting server.max_speeches" in error["message"]

        # Its engine is still at the second clause.
        async with asyncio.timeout(60):
            while (await client.post(SPEECH, json={})).status_code == 429:
                pass
        voice.may_go_on.release(10)
        assert (await client.post(SPEECH, json={"input": "Hi."})).status_code == 200
    # What nobody waits for is not made.
    assert "Eight" not in " ".join(voice.spoken)


async def test_a_server_without_a_mind_speaks_all_the_same() -> None:
    async with (
        serving_engine(ScriptedRecognizerEngine(), voice=ScriptedSynthesizer()) as server,
        httpx.AsyncClient(base_url=server.url, timeout=60) as client,
    ):
        spoken = await client.post(SPEECH, json={"input": "One two.", "response_format": "pcm"})
        assert spoken.status_code == 200
        assert (np.abs(np.frombuffer(spoken.content, "<i2").astype(int)) > 1000).any()
        assert (await client.get("/v1/audio/voices")).status_code == 200
        assert set((await client.get("/health")).json()["engines"]) == {"stt", "tts"}


async def test_ears_alone_say_that_there_is_no_voice() -> None:
    async with (
        serving_engine(ScriptedRecognizerEngine()) as server,
        httpx.AsyncClient(base_url=server.url, timeout=60) as client,
    ):
        error = error_of(await client.post(SPEECH, json={"input": "Hi."}), 501)
        assert error["message"] == "this server found no voice, and has ears alone; why: sotto doctor"
        assert error_of(await client.get("/v1/audio/voices"), 501)["code"] == "no_voice_loaded"


async def test_a_key_is_asked_for_here_too() -> None:
    async with (
        serving_page(ScriptedRecognizerEngine(), NO_MODEL, api_key="secret-key") as server,
        httpx.AsyncClient(base_url=server.url, timeout=60) as client,
    ):
        error_of(await client.post(SPEECH, json={"input": "Hi."}), 401)
        right = {"Authorization": "Bearer secret-key"}
        assert (await client.post(SPEECH, json={"input": "Hi."}, headers=right)).status_code == 200


async def test_openais_client_streams_both_ways(client: httpx.AsyncClient) -> None:
    async with openai.AsyncOpenAI(base_url=f"{client.base_url}/v1", api_key="none", timeout=60) as caller:
        speech = caller.audio.speech.with_streaming_response
        async with speech.create(model="tts-1", voice="alloy", input=TEXT, response_format="flac") as answer:
            sound = b"".join([piece async for piece in answer.iter_bytes()])
        assert secs_of(sound, "flac") == pytest.approx(n_words(TEXT) * WORD_SECS, abs=0.01)
        with pytest.raises(openai.BadRequestError, match="there is no voice 'nobody'"):
            await caller.audio.speech.create(model="tts-1", voice="nobody", input="Hi.")


async def test_another_sotto_speaks_with_this_ones_voice() -> None:
    theirs = ScriptedSynthesizer()
    async with serving_page(ScriptedRecognizerEngine(), NO_MODEL, theirs) as server:

        def speak() -> tuple[bytes, list[str], set[str]]:
            voice = OpenAISynthesizer(f"{server.url}/v1", language="en-us")
            try:
                voice.warm_up()
                chunks = list(voice.synthesize("One two three."))
                names = {one.name for one in voice.voices()}
                return b"".join(one.pcm16 for one in chunks), [w.text for one in chunks for w in one.words], names
            finally:
                voice.close()

        pcm16, words, names = await asyncio.to_thread(speak)
    assert len(pcm16) / 2 / 24_000 == pytest.approx(3 * WORD_SECS, abs=0.03)
    assert words == ["One", "two", "three."]
    assert names >= {one.name for one in theirs.voices()}


class CountingStandby:
    """Counts how often another engine would be loaded; there is none."""

    n_asked = 0

    async def next(self) -> None:
        self.n_asked += 1


async def test_what_the_voice_cannot_speak_is_refused_and_no_other_engine_is_loaded_for_it() -> None:
    voice, standby = ScriptedSynthesizer(), CountingStandby()
    async with (
        serving_page(ScriptedRecognizerEngine(), NO_MODEL, voice) as server,
        httpx.AsyncClient(base_url=server.url, timeout=60) as client,
    ):
        server.state.host().tts_standby = standby
        for asked in ({"language": "lb"}, {"voice": "nobody"}, {"voice": "alloy", "language": "lb"}) * 2:
            error = error_of(await client.post(SPEECH, json={"input": "Moien.", **asked}), 400)
            assert error["param"] == "voice"
    assert (standby.n_asked, voice.spoken) == (0, [])
