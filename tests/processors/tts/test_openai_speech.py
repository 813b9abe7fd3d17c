"""The voice of a speech server: what it is asked, what of its sound is played, and what comes of each way to fail."""

import io
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import av
import numpy as np
import pytest

from agent.engines.candidates import choose
from agent.engines.remote_tts import openai_voice
from agent.engines.tts import tts_candidates
from agent.settings.load import Settings
from processors.engine_threads import EngineThreads
from processors.errors import EngineError, EngineUnavailableError
from processors.openai_client import ServerError
from processors.tts.openai_speech import SAMPLE_RATE_HZ, OpenAISynthesizer, choose_model
from processors.tts.running import speech_chunks
from processors.tts.synthesizer import SpeechChunk, StoppableSpeech, Voice
from tests.support.speech_server import Answer, Said, SpeechServer, serve_speech, tone
from tests.support.transcription_server import Cut, Drip, Hang, Refused

TEXT = "The capital of Germany is Berlin."
LONG_SECS, SHORT_SECS = 60.0, 0.5
MEDIA = b"m=audio 5004 RTP/AVP 0\n"


@contextmanager
def voice_at(server: SpeechServer, **options: Any) -> Iterator[OpenAISynthesizer]:
    voice = OpenAISynthesizer(server.base_url, **options)
    try:
        yield voice
    finally:
        voice.close()


def said(voice: OpenAISynthesizer, text: str = TEXT) -> np.ndarray[Any, np.dtype[np.int16]]:
    return np.frombuffer(b"".join(chunk.pcm16 for chunk in voice.synthesize(text)), "<i2")


def test_a_text_is_asked_for_and_played_as_it_comes() -> None:
    with serve_speech() as server, voice_at(server, api_key="secret", voice="nova", speed=1.25) as voice:
        assert np.array_equal(said(voice), tone())
    assert server.asked == [
        {"model": "tts-1-hd", "input": TEXT, "voice": "nova", "speed": 1.25, "response_format": "wav"}
    ]
    assert server.tokens == ["Bearer secret"]


@pytest.mark.parametrize(
    "answer",
    [
        Said(of_unknown_length=True),
        Said(n_channels=2),
        Said(body=tone().astype("<i2").tobytes(), content_type="audio/pcm"),
        Said(body=tone().astype("<i2").tobytes(), content_type="audio/L16; rate=24000; channels=1"),
    ],
)
def test_sound_of_many_shapes_is_the_same_sound(answer: Said) -> None:
    with serve_speech(answer) as server, voice_at(server) as voice:
        assert np.array_equal(said(voice), tone())


@pytest.mark.parametrize("rate_hz", [16_000, 22_050, 48_000])
def test_another_rate_is_resampled(rate_hz: int) -> None:
    with serve_speech(Said(tone(1.0, rate_hz), rate_hz)) as server, voice_at(server) as voice:
        came = said(voice)
    assert len(came) == pytest.approx(SAMPLE_RATE_HZ, abs=5)
    middle = slice(4_000, 20_000)
    assert np.max(np.abs(came[middle].astype(int) - tone(1.0)[middle])) < 600


@pytest.mark.parametrize("form", ["mp3", "flac", "ogg"])
def test_a_server_that_sends_what_it_likes_is_played_all_the_same(form: str) -> None:
    file = io.BytesIO()
    with av.open(file, "w", format=form) as container:
        stream: Any = container.add_stream({"ogg": "libopus"}.get(form, form), rate=24_000, layout="mono")
        samples: Any = tone(1.0)[None, :]
        frame = av.AudioFrame.from_ndarray(samples, format="s16", layout="mono")
        frame.sample_rate = 24_000
        resampler = av.AudioResampler(stream.format, "mono", stream.rate, stream.frame_size)
        for ready in [*resampler.resample(frame), *resampler.resample(None)]:
            container.mux(stream.encode(ready))
        container.mux(stream.encode(None))
    with serve_speech(Said(body=file.getvalue(), content_type=f"audio/{form}")) as server, voice_at(server) as voice:
        came = said(voice)
    assert len(came) == pytest.approx(24_000, abs=2_500)
    assert np.abs(came).mean() == pytest.approx(np.abs(tone(1.0)).mean(), rel=0.1)


def test_a_server_without_wav_is_asked_for_pcm_and_not_for_wav_again() -> None:
    with serve_speech(refused_forms=["wav"]) as server, voice_at(server) as voice:
        assert np.array_equal(said(voice), tone())
        assert np.array_equal(said(voice), tone())
    assert [asked["response_format"] for asked in server.asked] == ["wav", "pcm", "pcm"]


def test_a_server_whose_wav_is_not_read_is_asked_for_pcm() -> None:
    header = b"RIFF\0\0\0\0WAVEfmt " + struct.pack("<IHHIIHH", 16, 3, 1, 24_000, 96_000, 4, 32) + b"data\0\0\0\0"
    with serve_speech(Said(body=header + bytes(400), content_type="audio/wav")) as server, voice_at(server) as voice:
        assert np.array_equal(said(voice), tone())
        assert np.array_equal(said(voice), tone())
    assert [asked["response_format"] for asked in server.asked] == ["wav", "pcm", "pcm"]


def test_a_text_that_is_refused_in_every_form_is_refused_and_nothing_is_remembered() -> None:
    refusal = Refused(400, {"error": {"message": "no such voice"}})
    with serve_speech(refusal, refusal) as server, voice_at(server) as voice:
        with pytest.raises(ServerError, match="no such voice"):
            said(voice)
        assert np.array_equal(said(voice), tone())
    assert [asked["response_format"] for asked in server.asked] == ["wav", "pcm", "wav"]


def test_words_stand_in_order_within_the_sound_at_the_pace_of_what_was_spoken() -> None:
    with serve_speech(Said(tone(4.0)), Said(tone(4.0))) as server, voice_at(server) as voice:
        first, second = (list(voice.synthesize(TEXT)) for _ in range(2))
    for chunks in (first, second):
        words = [word for chunk in chunks for word in chunk.words]
        assert [word.text for word in words] == TEXT.split()
        times = [time for word in words for time in (word.start_secs, word.end_secs)]
        assert times == sorted(times)
        assert times[0] >= 0
        assert times[-1] <= 4.01
    # The first was spoken slower than most voices do; by then that is known in part.
    ends = [[word.start_secs for chunk in chunks for word in chunk.words][-1] for chunks in (first, second)]
    assert ends[0] < ends[1]


def test_what_has_no_word_is_not_asked_for() -> None:
    with serve_speech() as server, voice_at(server) as voice:
        assert list(voice.synthesize(" ... !")) == []
    assert server.asked == []


def test_stopping_ends_a_request_that_waits_for_more() -> None:
    came: list[SpeechChunk] = []
    begun = threading.Event()

    def listen(speech: Iterator[SpeechChunk]) -> None:
        for chunk in speech:
            came.append(chunk)
            begun.set()

    with (
        serve_speech(Said(tone(0.4), of_unknown_length=True, hangs=True)) as server,
        voice_at(server, timeout_secs=LONG_SECS) as voice,
    ):
        speech = voice.synthesize(TEXT)
        listener = threading.Thread(target=listen, args=(speech,))
        listener.start()
        assert begun.wait(30)
        assert isinstance(speech, StoppableSpeech)
        speech.stop()
        listener.join(30)
        assert not listener.is_alive()
        # The next text is spoken on a line of its own.
        assert np.array_equal(said(voice), tone())
    assert sum(len(chunk.pcm16) for chunk in came) <= 2 * len(tone(0.4))


async def test_sound_without_an_end_is_given_up_however_quickly_it_comes() -> None:
    threads, came = EngineThreads(1, "t"), 0

    async def listen(voice: OpenAISynthesizer) -> None:
        nonlocal came
        async for chunk in speech_chunks(voice, TEXT, threads, SAMPLE_RATE_HZ):
            came += len(chunk.pcm16)

    with (
        serve_speech(Said(tone(80.0, 4_000), 4_000)) as server,
        voice_at(server, timeout_secs=LONG_SECS) as voice,
        pytest.raises(EngineError, match="does not end its speech"),
    ):
        await listen(voice)
    threads.shutdown()
    assert 0 < came <= 2 * SAMPLE_RATE_HZ * (10 + 2 * len(TEXT))


def test_leaving_early_ends_the_request() -> None:
    with (
        serve_speech(Said(tone(0.4), of_unknown_length=True, hangs=True)) as server,
        voice_at(server, timeout_secs=LONG_SECS) as voice,
    ):
        assert next(iter(voice.synthesize(TEXT))).pcm16
        assert np.array_equal(said(voice), tone())


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (Hang(), r"gave no answer within"),
        (Cut(), "broke off"),
        (Said(tone(0.2), of_unknown_length=True, hangs=True), "gave no answer within"),
        (Drip(b"HTTP/1.1 200 OK\r\nContent-Type: audio/wav\r\n\r\n", b""), "gave no answer within"),
        (Refused(401, {"error": {"message": "bad key secret"}}), r"refused the API key .*\*\*\*.*: set tts.api_key"),
        (Refused(404, {"detail": "unknown model"}), r"does not know model tts-1-hd .*: set tts.model to one"),
        (Refused(500, "oops"), "failed"),
        (Refused(302, "", headers={"Location": "http://elsewhere/"}), "redirects"),
        (Refused(200, "<html>", "text/html"), "answers text/html, no sound"),
        (Refused(200, {"url": "x"}), "answers application/json, no sound"),
        (Said(body=b"garbage " * 2000, content_type="audio/wav"), "what is no sound"),
        (Said(body=b"RIFF\0\0\0\0WAVEjunk", content_type="audio/wav"), "broken WAV"),
        (Said(rate_hz=1), "1 channels at 1 Hz"),
        (Said(encoding="gzip"), r"answers packed \(gzip\), which it was asked not to"),
        # What opens other files and addresses, and what takes any rate for true.
        (Said(body=b"ffconcat version 1.0\nfile 'other.wav'\n", content_type="audio/wav"), "what is no sound"),
        (Said(body=b"v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\n" + MEDIA), "what is no sound"),
        (Said(body=b".snd" + struct.pack(">5I", 24, 0xFFFFFFFF, 3, 1, 1) + bytes(9_000)), "what is no sound"),
    ],
)
def test_every_way_to_fail_is_one_line_that_helps(answer: Answer, message: str) -> None:
    never_ends = isinstance(answer, Hang | Drip) or (isinstance(answer, Said) and answer.hangs)
    with serve_speech(answer) as server, voice_at(server, api_key="secret", timeout_secs=LONG_SECS) as voice:
        client = voice._server.client
        # A busy machine may take longer than this for what does come.
        client.timeout_secs = SHORT_SECS if never_ends else LONG_SECS
        with pytest.raises(EngineError, match=message) as raised:
            said(voice)
        assert "secret" not in str(raised.value)
        assert "\n" not in str(raised.value)
        client.timeout_secs = LONG_SECS
        assert np.array_equal(said(voice), tone())


def test_a_server_that_went_away_is_named_with_what_helps() -> None:
    with serve_speech() as server, voice_at(server) as voice:
        server.closing.set()
        base_url = server.base_url
        said(voice)
    with pytest.raises(
        EngineUnavailableError, match=f"no text-to-speech server answers at {base_url} .*: start it, or"
    ):
        OpenAISynthesizer(base_url)


@pytest.mark.parametrize(
    ("listing", "language", "voice"),
    [
        (None, "en-us", "alloy"),
        ({"voices": ["af_bella", "am_adam"]}, "en-us", "af_bella"),
        ({"voices": [{"id": "anna", "name": "Anna", "language": "de"}, {"id": "alloy"}]}, "de-at", "anna"),
        ({"voices": [{"id": "anna", "language": "de"}, {"id": "alloy"}]}, "en-us", "alloy"),
        ([{"voice_id": "v1", "language": "en_GB"}], "en-us", "v1"),
        ({"data": [{"name": "only"}]}, "fr", "only"),
        ({"voices": "nonsense"}, "en-us", "alloy"),
        ({"voices": [None, 3, {"id": 7}, {"id": "a\nb"}]}, "en-us", "alloy"),
    ],
)
def test_the_first_voice_of_the_language_speaks(listing: Any, language: str, voice: str) -> None:
    with serve_speech(voices=listing) as server, voice_at(server, language=language) as speaking:
        assert speaking.voice == voice
        assert voice in {one.name for one in speaking.voices()}


def test_a_language_that_no_voice_speaks_is_refused() -> None:
    with serve_speech(voices={"voices": [{"id": "anna", "language": "de"}]}) as server:
        refusal = pytest.raises(
            EngineUnavailableError, match=r"no voice of the server speaks tts.language = 'fr-fr'.*de"
        )
        with refusal:
            OpenAISynthesizer(server.base_url, language="fr-fr")


def test_another_voice_is_the_same_server() -> None:
    listing = {"voices": [{"id": "anna", "name": "Anna", "language": "de"}, {"id": "joe", "language": "en-us"}]}
    with serve_speech(voices=listing) as server, voice_at(server) as voice:
        assert voice.voices() == [Voice("anna", "de", "Anna"), Voice("joe", "en-us", "joe")]
        other = voice.in_voice(None, language="de", speed=0.8)
        said(other)
        said(voice.in_voice("hidden", language="en-us", speed=1))
    assert [(asked["voice"], asked.get("speed")) for asked in server.asked] == [("anna", 0.8), ("hidden", None)]


def test_the_warm_up_shows_what_will_fail_and_waits_for_what_is_only_slow() -> None:
    with (
        serve_speech(Refused(404, {"detail": "unknown model"}), Refused(503), Said(np.zeros(0, np.int16))) as server,
        voice_at(server) as voice,
    ):
        with pytest.raises(EngineUnavailableError, match="does not know model"):
            voice.warm_up()
        voice.warm_up()
        with pytest.raises(EngineUnavailableError, match="makes no sound"):
            voice.warm_up()
        voice.warm_up()


def test_the_model_is_the_first_that_looks_as_if_it_speaks() -> None:
    assert choose_model(["whisper-1", "kokoro", "piper"]) == "kokoro"
    assert choose_model(["whisper-1"]) == "tts-1"


def test_an_address_makes_it_the_first_choice_and_no_address_is_told() -> None:
    named = Settings.model_validate({"tts": {"engine": "openai"}})
    candidate = openai_voice(named)
    assert (candidate.reason, candidate.mend) == (
        "no tts.base_url is set",
        "--set tts.base_url=http://127.0.0.1:8880/v1",
    )
    with serve_speech() as server:
        settings = Settings.model_validate({"tts": {"base_url": server.base_url, "voice": "nova"}})
        candidates = tts_candidates(settings)
        assert candidates[0].engine == "openai"
        choice = choose("tts", "auto", candidates)
        choice.loaded.close()
    assert (choice.engine, choice.model) == ("openai", "nova")
    # Without it the next one speaks.
    assert choose("tts", "auto", tts_candidates(settings)).engine != "openai"
    broken = Settings.model_validate({"tts": {"base_url": "box:8880"}})
    assert openai_voice(broken).reason == "tts.base_url is no URL: box:8880"
