"""The streaming recognizer on a micro model: words come out while the sound goes in, and none is lost at an edge."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path
from threading import Barrier

import numpy as np
import pytest
import soxr

from processors.errors import EngineError, UnsupportedRequestError
from processors.stt.nemotron import NemotronEngine
from processors.stt.nemotron_streams import NemotronStreams
from processors.stt.recognizer import SAMPLE_RATE_HZ, KnowsLanguages, Recognizer, TranscriptionRequest, Word
from processors.tts.espeak import SAMPLE_RATE_HZ as ESPEAK_RATE_HZ
from tests.support.sounds import said_afresh
from transports.recording import load_recording

BLOCK_BYTES = 3200  # 100 ms
MS_BYTES = SAMPLE_RATE_HZ // 1000 * 2
CHUNK_MS = 160
# All that the micro model knows, its builder's corpus.
SENTENCES = (
    "Hello there, can you hear me?",
    "What is the weather like today?",
    "Turn on the kitchen lights please.",
    "Set a timer for five minutes.",
    "Tell me a short story about a dragon.",
    "What time is it in London?",
    "Stop talking now.",
    "Book a table for two at seven.",
    "My phone number is four two nine one.",
    "Play some quiet music.",
    "Yes, that is correct.",
    "No, I want the blue one.",
    "How far away is the moon?",
    "Remind me to call my mother tomorrow.",
    "Thanks, that is all for now.",
    "The quick brown fox jumps over the lazy dog.",
)
LIGHTS, TIMER, MOON = SENTENCES[2], SENTENCES[3], SENTENCES[12]
FILES = {"kitchen_lights.wav": LIGHTS, "five_minutes.wav": TIMER, "how_far_is_the_moon.wav": MOON}


@pytest.fixture(scope="module")
def engine(fixtures_dir: Path) -> Iterator[NemotronEngine]:
    engine = NemotronEngine(fixtures_dir / "micro_nemotron")
    yield engine
    engine.close()


@pytest.fixture(scope="module")
def speech(fixtures_dir: Path) -> dict[str, bytes]:
    """The recordings of the sentences, 0.3 s of silence before and 0.5 s after the voice."""
    return {text: load_recording(fixtures_dir / "speech" / file).audio_s16.tobytes() for file, text in FILES.items()}


@pytest.fixture(scope="module")
def voiced_secs(fixtures_dir: Path) -> dict[str, tuple[float, float]]:
    """Where the voice of each recording begins and ends."""
    manifest = json.loads((fixtures_dir / "speech" / "words.json").read_text(encoding="utf-8"))
    return {
        text: (manifest[file]["voiced_start_secs"], manifest[file]["voiced_end_secs"]) for file, text in FILES.items()
    }


@pytest.fixture(scope="module")
def voices(speech: dict[str, bytes], voiced_secs: dict[str, tuple[float, float]]) -> dict[str, bytes]:
    """The same sentences from the first to the last voiced sample."""
    return {
        text: pcm16[slice(*(round(secs * SAMPLE_RATE_HZ) * 2 for secs in voiced_secs[text]))]
        for text, pcm16 in speech.items()
    }


def silence(ms: int) -> bytes:
    return bytes(ms * MS_BYTES)


def partials_of(recognizer: Recognizer, pcm16: bytes) -> list[str]:
    return [recognizer.accept(pcm16[at : at + BLOCK_BYTES]) for at in range(0, len(pcm16), BLOCK_BYTES)]


def later(words: tuple[Word, ...], secs: float) -> list[tuple[str, float, float]]:
    return [(word.text, round(word.start_secs + secs, 3), round(word.end_secs + secs, 3)) for word in words]


def test_words_come_while_the_sentence_is_spoken_and_are_never_taken_back(
    engine: NemotronEngine, speech: dict[str, bytes]
) -> None:
    recognizer = engine.recognizer()
    for text, pcm16 in speech.items():
        partials = partials_of(recognizer, pcm16)
        transcript = recognizer.finish()
        assert transcript.text == text
        assert partials[0] == ""
        assert len(set(partials)) >= 5
        grown = [*partials, transcript.text]
        assert all(after.startswith(before) for before, after in pairwise(grown))


def test_most_sentences_that_the_model_knows_come_back_letter_for_letter(engine: NemotronEngine) -> None:
    recognizer = engine.recognizer()
    heard = []
    for text in SENTENCES:
        # 170 words a minute.
        spoken = np.frombuffer(b"".join(chunk.pcm16 for chunk in said_afresh(text, speed=1.03)), "<i2")
        recognizer.accept(silence(300) + soxr.resample(spoken, ESPEAK_RATE_HZ, SAMPLE_RATE_HZ).tobytes() + silence(500))
        heard.append(recognizer.finish().text)
    # It stutters in one of sixteen, depending on where the sentence meets its chunks.
    assert sum(said == text for said, text in zip(heard, SENTENCES, strict=True)) >= 12


def test_words_have_times_and_probabilities(
    engine: NemotronEngine, speech: dict[str, bytes], voiced_secs: dict[str, tuple[float, float]]
) -> None:
    recognizer = engine.recognizer()
    for text, pcm16 in speech.items():
        recognizer.accept(pcm16)
        transcript = recognizer.finish()
        assert [word.text for word in transcript.words] == text.split()
        times = [secs for word in transcript.words for secs in (word.start_secs, word.end_secs)]
        assert times == sorted(times)
        # This model writes a word two outputs after its end: 16 to 24 frames past it, less the 17 of its kernel and
        # plus the 9 of its look-back, which makes 80 to 160 ms.
        start_secs, end_secs = voiced_secs[text]
        assert start_secs < times[0] < end_secs
        assert end_secs + 0.07 <= transcript.words[-1].start_secs <= end_secs + 0.17
        assert all(0 < (word.probability or 0) <= 1 for word in transcript.words)
        assert 0.5 < (transcript.confidence or 0) <= 1
        assert transcript.language == "en"


def test_two_more_chunks_of_silence_before_speech_shift_its_words_by_just_that(
    engine: NemotronEngine, speech: dict[str, bytes]
) -> None:
    recognizer = engine.recognizer()
    recognizer.accept(speech[LIGHTS])
    early = recognizer.finish()
    recognizer.accept(silence(2 * CHUNK_MS) + speech[LIGHTS])
    assert later(recognizer.finish().words, 0) == later(early.words, 2 * CHUNK_MS / 1000)


@pytest.mark.parametrize("text", FILES.values())
@pytest.mark.parametrize("lead_ms", range(0, CHUNK_MS, 10))
def test_neither_the_first_nor_the_last_word_is_lost_wherever_speech_meets_the_chunks(
    engine: NemotronEngine, voices: dict[str, bytes], text: str, lead_ms: int
) -> None:
    recognizer = engine.recognizer()
    recognizer.accept(silence(lead_ms) + voices[text])
    paused, finished = recognizer.pause(), recognizer.finish()
    assert (paused.text.split()[0], paused.text.split()[-1]) == (text.split()[0], text.split()[-1])
    assert finished == paused


def test_speech_after_a_pause_adds_its_words_at_their_own_times(
    engine: NemotronEngine, speech: dict[str, bytes]
) -> None:
    recognizer = engine.recognizer()
    alone = {}
    for text in (LIGHTS, MOON):
        recognizer.accept(speech[text])
        alone[text] = recognizer.finish()
    partials_of(recognizer, speech[LIGHTS])
    assert recognizer.pause() == alone[LIGHTS]
    partials = partials_of(recognizer, speech[MOON])
    both = recognizer.finish()
    assert both.text == f"{LIGHTS} {MOON}"
    assert partials[0] == LIGHTS
    assert all(f"{LIGHTS} {MOON}".startswith(partial) for partial in partials)
    first_secs = len(speech[LIGHTS]) / 2 / SAMPLE_RATE_HZ
    assert later(both.words, 0) == later(alone[LIGHTS].words, 0) + later(alone[MOON].words, first_secs)


def test_a_second_pause_and_the_finish_decode_nothing_more(
    engine: NemotronEngine, speech: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    recognizer = engine.recognizer()
    recognizer.accept(speech[TIMER])
    first = recognizer.pause()

    def refuse(streams: NemotronStreams, stream: object) -> None:
        raise AssertionError("decoded again")

    monkeypatch.setattr(NemotronStreams, "decode", refuse)
    assert first.text == TIMER
    assert recognizer.pause() == first
    assert recognizer.accept(b"") == TIMER
    assert recognizer.finish() == first
    assert recognizer.finish().text == ""


@pytest.mark.parametrize("file", ["silence.wav", "cough.wav"])
def test_what_is_no_speech_gives_no_words(engine: NemotronEngine, fixtures_dir: Path, file: str) -> None:
    recognizer = engine.recognizer()
    assert set(partials_of(recognizer, load_recording(fixtures_dir / "speech" / file).audio_s16.tobytes())) == {""}
    assert recognizer.finish().words == ()


def test_the_next_sentence_is_heard_after_noise_a_square_wave_and_a_single_sample(
    engine: NemotronEngine, speech: dict[str, bytes]
) -> None:
    recognizer = engine.recognizer()
    noise = np.random.default_rng(0).integers(-32768, 32767, 2 * SAMPLE_RATE_HZ).astype("<i2").tobytes()
    square = np.where(np.arange(SAMPLE_RATE_HZ) % 100 < 50, 32767, -32768).astype("<i2").tobytes()
    for sound in (noise, square, bytes(2), b""):
        recognizer.accept(sound)
        recognizer.finish()
    recognizer.accept(speech[MOON])
    assert recognizer.finish().text == MOON


def test_a_reset_forgets_what_was_said(engine: NemotronEngine, speech: dict[str, bytes]) -> None:
    recognizer = engine.recognizer()
    recognizer.accept(speech[LIGHTS])
    recognizer.pause()
    recognizer.accept(speech[TIMER])
    recognizer.reset()
    recognizer.accept(speech[MOON])
    transcript = recognizer.finish()
    assert transcript.text == MOON
    assert transcript.words[0].start_secs < 1


def test_two_speakers_in_two_threads_each_get_their_own_words(engine: NemotronEngine, speech: dict[str, bytes]) -> None:
    side_by_side = Barrier(2, timeout=30)

    def listen(text: str) -> list[str]:
        recognizer = engine.recognizer()
        heard = []
        for _ in range(10):
            for at in range(0, 2 * SAMPLE_RATE_HZ * 3, BLOCK_BYTES):
                side_by_side.wait()
                recognizer.accept(speech[text][at : at + BLOCK_BYTES])
            heard.append(recognizer.finish().text)
        return heard

    with ThreadPoolExecutor(engine.max_threads) as threads:
        assert list(threads.map(listen, [LIGHTS, MOON])) == [[LIGHTS] * 10, [MOON] * 10]


def test_a_failure_loses_one_utterance_and_no_more(
    engine: NemotronEngine, speech: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Broken:
        """sherpa-onnx out of memory: the outer edge."""

        def is_ready(self, stream: object) -> bool:
            raise RuntimeError("bad\nalloc")

    recognizer = engine.recognizer()
    recognizer.accept(speech[LIGHTS])
    with monkeypatch.context() as patch:
        patch.setattr(recognizer._streams, "_sherpa", Broken())
        with pytest.raises(EngineError, match=r"^nemotron failed: bad alloc$"):
            recognizer.pause()
    recognizer.accept(speech[MOON])
    assert recognizer.finish().text == MOON


def test_a_recording_comes_back_as_one_segment_for_each_stretch_of_speech(
    engine: NemotronEngine, speech: dict[str, bytes]
) -> None:
    gap = silence(1500)
    recording = np.frombuffer(speech[LIGHTS] + gap + speech[MOON], "<i2")
    segments = list(engine.transcribe(recording, TranscriptionRequest(word_times=True)))
    assert [segment.text for segment in segments] == [LIGHTS, MOON]
    second_secs = (len(speech[LIGHTS]) + len(gap)) / 2 / SAMPLE_RATE_HZ
    # The voices lie at 0.30 to 1.97 s and at 0.30 to 1.63 s of their recordings; words come up to 0.3 s late.
    assert 0.3 <= segments[0].start_secs < segments[0].end_secs <= 2.3
    assert second_secs + 0.3 <= segments[1].start_secs < segments[1].end_secs <= second_secs + 2.0
    for segment in segments:
        assert [word.text for word in segment.words] == segment.text.split()
        assert (segment.words[0].start_secs, segment.words[-1].end_secs) == (segment.start_secs, segment.end_secs)
    assert [segment.words for segment in engine.transcribe(recording, TranscriptionRequest())] == [(), ()]


def test_an_english_model_tells_that_it_knows_english(engine: NemotronEngine) -> None:
    assert isinstance(engine, KnowsLanguages)
    assert engine.languages == ["en"]


def test_what_it_cannot_do_with_a_recording_is_refused_at_once(engine: NemotronEngine) -> None:
    nothing = np.zeros(0, np.int16)
    with pytest.raises(UnsupportedRequestError, match="does not translate") as translation:
        engine.transcribe(nothing, TranscriptionRequest(task="translate"))
    with pytest.raises(UnsupportedRequestError, match="language 'de'") as language:
        engine.transcribe(nothing, TranscriptionRequest(language="de"))
    assert (translation.value.parameter, language.value.parameter) == ("task", "language")
    assert list(engine.transcribe(nothing, TranscriptionRequest(language="en"))) == []
