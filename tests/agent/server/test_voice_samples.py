"""What the settings panel shows before anybody talks: personas in words, and a sample of each voice."""

import io

import httpx
import numpy as np
import pytest
import soundfile

from agent.server.routes.samples import SENTENCES, sentence_in
from tests.support.llm_session import options
from tests.support.scripted_engines import WORD_SECS, ScriptedRecognizerEngine, ScriptedSynthesizer
from tests.support.scripted_llm import ScriptedLLM
from tests.support.served import serving_page
from tests.support.virtual_time import in_virtual_time


@in_virtual_time
async def test_a_sample_is_the_engines_own_voice_in_its_language_outside_of_any_call() -> None:
    voice = ScriptedSynthesizer()
    async with (
        ScriptedLLM() as llm,
        serving_page(ScriptedRecognizerEngine(), options(llm), voice) as served,
        httpx.AsyncClient(base_url=served.url, timeout=60) as client,
    ):
        answer = await client.get("/api/voices/sample", params={"engine": "scripted", "voice": "ton"})
        assert (answer.status_code, answer.headers["content-type"]) == (200, "audio/wav")
        audio_s16, rate_hz = soundfile.read(io.BytesIO(answer.content), dtype="int16")
        assert "".join(text for text, _ in voice.said_in).split() == SENTENCES["de"].split()
        assert {language for _, language in voice.said_in} == {"de"}
        assert len(audio_s16) / rate_hz == pytest.approx(len(SENTENCES["de"].split()) * WORD_SECS, rel=0.1)
        assert np.abs(audio_s16.astype(int)).max() > 10_000


@pytest.mark.parametrize(
    ("asked", "status", "words"),
    [
        ({"engine": "kokoro", "voice": "ton"}, 404, "no voice of 'kokoro' is loaded; choose the engine first"),
        ({"engine": "scripted", "voice": "nobody"}, 404, "scripted has no voice 'nobody'"),
        ({"engine": "scripted", "voice": "../../etc"}, 404, "scripted has no voice '../../etc'"),
    ],
)
def test_no_sample_is_made_of_what_is_not_there(asked: dict[str, str], status: int, words: str) -> None:
    @in_virtual_time
    async def ask() -> None:
        voice = ScriptedSynthesizer()
        async with (
            ScriptedLLM() as llm,
            serving_page(ScriptedRecognizerEngine(), options(llm), voice) as served,
            httpx.AsyncClient(base_url=served.url, timeout=60) as client,
        ):
            answer = await client.get("/api/voices/sample", params=asked)
            assert (answer.status_code, answer.json()) == (status, {"error": words})
            assert voice.said_in == []

    ask()


@in_virtual_time
async def test_the_options_tell_personas_in_words_and_what_changes_within_a_call() -> None:
    async with (
        ScriptedLLM() as llm,
        serving_page(ScriptedRecognizerEngine(), options(llm)) as served,
        httpx.AsyncClient(base_url=served.url, timeout=60) as client,
    ):
        told = (await client.get("/api/options")).json()
        known = {one["name"]: one["description"] for one in told["personas"]}
        assert known["assistant"] == "The assistant that answers when nothing else was chosen."
        assert list(known) == told["settings"]["persona.name"]["choices"]
        assert {"tts.voice", "tts.speed", "turn.mode", "persona.name", "stt.engine"} <= set(told["live"])
        assert not {"tools.clock", "interpreter.languages"} & set(told["live"])


@pytest.mark.parametrize(
    ("language", "code"),
    [("en-us", "en"), ("en-gb-x-rp", "en"), ("de", "de"), ("cmn", "cmn"), ("es-419", "es"), ("lb", "en"), ("", "en")],
)
def test_a_voice_says_a_sentence_of_its_language_where_there_is_one(language: str, code: str) -> None:
    assert sentence_in(language) == SENTENCES[code]
