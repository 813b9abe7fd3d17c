"""The real faster-whisper on a micro model: words, partials, windows, languages, recordings."""

import json
import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from processors.errors import EngineUnavailableError, UnsupportedRequestError
from processors.stt.pauses import Span, joined
from processors.stt.recognizer import KnowsLanguages, Pcm16, Transcript, TranscriptionRequest
from processors.stt.utterance import UtteranceRecognizer
from processors.stt.whisper import WhisperEngine
from processors.stt.whisper_decoder import Decoding
from processors.stt.whisper_model import WhisperOptions
from transports.recording import load_recording

BLOCK_BYTES = 640  # 20 ms
MOON, LIGHTS, TIMER = "how_far_is_the_moon.wav", "kitchen_lights.wav", "five_minutes.wav"
MOON_TEXT, LIGHTS_TEXT = "How far away is the moon?", "Turn on the kitchen lights please."


@pytest.fixture(scope="module")
def model(fixtures_dir: Path) -> Path:
    return fixtures_dir / "micro_whisper"


@pytest.fixture(scope="module")
def whisper(model: Path) -> Iterator[WhisperEngine]:
    engine = WhisperEngine(model, WhisperOptions("auto"))
    yield engine
    engine.close()


@pytest.fixture(scope="module")
def sound(fixtures_dir: Path) -> dict[str, Pcm16]:
    names = json.loads((fixtures_dir / "speech" / "words.json").read_text(encoding="utf-8"))
    heard = [name for name, entry in names.items() if entry.get("heard_by") == "whisper"]
    return {name: load_recording(fixtures_dir / "speech" / name).audio_s16 for name in heard}


class Counted(WhisperEngine):
    """Counts what is decoded."""

    def __init__(self, model: Path, options: WhisperOptions) -> None:
        super().__init__(model, options)
        self.decoded_secs: list[float] = []

    def decode(self, audio_s16: Pcm16) -> Transcript:
        self.decoded_secs.append(len(audio_s16) / 16_000)
        return super().decode(audio_s16)

    def guess(self, audio_s16: Pcm16, wanted: Callable[[], bool], *, language: str | None = None) -> Transcript | None:
        self.decoded_secs.append(len(audio_s16) / 16_000)
        return super().guess(audio_s16, wanted, language=language)


@pytest.fixture
def counted(model: Path) -> Iterator[Counted]:
    engine = Counted(model, WhisperOptions("en", partial_interval_secs=0.2))
    yield engine
    engine.close()


def feed(recognizer: UtteranceRecognizer, audio_s16: Pcm16, *, wait: bool = False) -> list[str]:
    """Give sound in frames; with `wait`, each partial is decoded before more comes, as on a machine with time."""
    pcm16 = audio_s16.tobytes()
    texts = []
    for at in range(0, len(pcm16), BLOCK_BYTES):
        texts.append(recognizer.accept(pcm16[at : at + BLOCK_BYTES]))
        while wait and recognizer._partial_running:
            time.sleep(0.001)
        if wait:
            # A slow machine would decode fewer partials.
            recognizer._decode_secs = 0.0
    return texts


def test_it_hears_the_sentences_it_was_trained_on(whisper: WhisperEngine, sound: dict[str, Pcm16]) -> None:
    heard = {}
    recognizer = whisper.recognizer()
    for name, audio_s16 in sound.items():
        feed(recognizer, audio_s16)
        transcript = recognizer.finish()
        heard[name] = (transcript.text, transcript.language)
    assert heard == {
        "buenos_dias.wav": ("Hola, buenos días amigo.", "es"),
        TIMER: ("Set a timer for five minutes.", "en"),
        MOON: (MOON_TEXT, "en"),
        LIGHTS: (LIGHTS_TEXT, "en"),
    }


def test_partials_grow_and_are_never_taken_back(counted: Counted, sound: dict[str, Pcm16]) -> None:
    for name in (MOON, LIGHTS, TIMER):
        recognizer = counted.recognizer()
        partials = feed(recognizer, sound[name], wait=True)
        for before, after in pairwise(partials):
            assert after.split()[: len(before.split())] == before.split()
        said = sorted(set(partials), key=len)
        assert said[0] == ""
        assert len(said) >= 2
        final = recognizer.finish().text
        assert final.split()[0] == said[-1].split()[0]


def test_a_decoding_that_is_at_hand_is_not_done_again(counted: Counted, sound: dict[str, Pcm16]) -> None:
    recognizer = counted.recognizer()
    feed(recognizer, sound[LIGHTS], wait=True)
    before = len(counted.decoded_secs)
    assert recognizer.pause().text == LIGHTS_TEXT
    assert recognizer.pause().text == LIGHTS_TEXT
    assert recognizer.finish().text == LIGHTS_TEXT
    assert len(counted.decoded_secs) == before + 1
    assert recognizer.finish().text == ""


def test_words_after_a_pause_are_heard_with_those_before_it(counted: Counted, sound: dict[str, Pcm16]) -> None:
    recognizer = counted.recognizer()
    # Cut after "turn on the": too little for the whole sentence, which needs what follows.
    half = len(sound[LIGHTS]) // 2
    feed(recognizer, sound[LIGHTS][:half])
    assert recognizer.pause().text != LIGHTS_TEXT
    feed(recognizer, sound[LIGHTS][half:])
    assert recognizer.finish().text == LIGHTS_TEXT


def test_a_reset_forgets_sound_and_partials(counted: Counted, sound: dict[str, Pcm16]) -> None:
    recognizer = counted.recognizer()
    feed(recognizer, sound[LIGHTS])
    recognizer.reset()
    assert recognizer.accept(bytes(640)) == ""
    feed(recognizer, sound[MOON])
    assert recognizer.finish().text == MOON_TEXT


def test_no_partial_is_decoded_in_what_looks_like_a_pause(counted: Counted, sound: dict[str, Pcm16]) -> None:
    recognizer = counted.recognizer()
    feed(recognizer, sound[LIGHTS], wait=True)
    feed(recognizer, np.zeros(3_200, np.int16), wait=True)  # the last 0.2 s are silent now
    before = len(counted.decoded_secs)
    feed(recognizer, np.zeros(16_000, np.int16), wait=True)
    assert len(counted.decoded_secs) == before


def test_slow_decoding_makes_partials_rarer(
    counted: Counted, sound: dict[str, Pcm16], monkeypatch: pytest.MonkeyPatch
) -> None:
    recognizer = counted.recognizer()
    monkeypatch.setattr(recognizer, "_decode_secs", 0.5)
    voice_s16 = np.concatenate([sound[name][4_800:-8_000] for name in (LIGHTS, TIMER)])
    recognizer.accept(voice_s16[: 16_000 - 640].tobytes())
    # 0.96 s have come; half a second of decoding is worth 1.0 s of new sound.
    assert not counted.decoded_secs
    recognizer.accept(voice_s16[16_000 - 640 : 17_600].tobytes())
    counted.partial_threads.shutdown(wait=True)
    assert counted.decoded_secs == [1.1]


def test_a_long_turn_is_decoded_in_windows_and_loses_no_sentence(counted: Counted, sound: dict[str, Pcm16]) -> None:
    recognizer = counted.recognizer()
    n_times = 9
    for _ in range(n_times):
        # 0.3 s of silence, the sentence, 0.5 s of silence, and more: 3.5 s each, 31 s in all.
        audio_s16 = np.concatenate([sound[LIGHTS], np.zeros(16_000, np.int16)])
        feed(recognizer, audio_s16)
        recognizer.pause()
    transcript = recognizer.finish()
    assert max(counted.decoded_secs) < 30
    assert transcript.text.count(LIGHTS_TEXT) >= 1
    assert recognizer.finish().text == ""


def test_speech_without_a_pause_is_cut_where_it_is_quietest(counted: Counted, sound: dict[str, Pcm16]) -> None:
    recognizer = counted.recognizer()
    noise_s16 = np.random.default_rng(5).normal(0, 3_000, 30 * 16_000).astype(np.int16)
    quiet = slice(int(23.0 * 16_000), int(23.4 * 16_000))
    noise_s16[quiet] = 0
    recognizer.accept(noise_s16[: 26 * 16_000 - 16].tobytes())
    counted.decoded_secs.clear()
    recognizer.accept(noise_s16[26 * 16_000 - 16 : 27 * 16_000].tobytes())
    # The window ended within the quiet 0.4 s.
    assert 23.0 <= counted.decoded_secs[0] <= 23.4
    recognizer.pause()
    assert counted.decoded_secs[-1] == pytest.approx(27.0 - counted.decoded_secs[0], abs=0.001)


def test_without_sound_nothing_is_said(whisper: WhisperEngine) -> None:
    assert whisper.recognizer().finish().text == ""


def test_silence_is_not_a_thank_you(whisper: WhisperEngine) -> None:
    # The micro model says "Thank you." of silence, as the real ones do.
    assert whisper.options.guards.phantom_level_dbfs == -50
    recognizer = whisper.recognizer()
    for level_s16 in (0, 10):
        noise_s16 = np.random.default_rng(1).integers(-level_s16, level_s16 + 1, 32_000).astype(np.int16)
        feed(recognizer, noise_s16)
        assert recognizer.finish().text == ""


def test_it_translates_what_is_spoken(model: Path, sound: dict[str, Pcm16]) -> None:
    engine = WhisperEngine(model, WhisperOptions("es", "translate"))
    recognizer = engine.recognizer()
    feed(recognizer, sound["buenos_dias.wav"])
    transcript = recognizer.finish()
    assert (transcript.text, transcript.language) == ("Hello, good morning friend.", "en")
    engine.close()


@pytest.mark.parametrize(("configured", "final_language"), [("es", "es"), ("auto", None)])
def test_a_translation_listens_in_the_language_that_is_spoken(
    model: Path,
    sound: dict[str, Pcm16],
    monkeypatch: pytest.MonkeyPatch,
    configured: str,
    final_language: str | None,
) -> None:
    engine = WhisperEngine(model, WhisperOptions(configured, "translate", partial_interval_secs=0.2))
    listened: list[str | None] = []
    decode = engine._decoder.decode

    def noting(audio_s16: Pcm16, *, language: str | None, **options: Any) -> Decoding | None:
        listened.append(language)
        return decode(audio_s16, language=language, **options)

    monkeypatch.setattr(engine._decoder, "decode", noting)
    recognizer = engine.recognizer()
    feed(recognizer, sound["buenos_dias.wav"], wait=True)
    transcript = recognizer.finish()
    assert (transcript.text, transcript.language) == ("Hello, good morning friend.", "en")
    assert len(listened) >= 3
    # A final detects the language afresh where it is left open; a language that is set is kept to throughout.
    assert listened[-1] == final_language
    assert configured == "auto" or set(listened) == {"es"}
    engine.close()


def test_a_failing_partial_stops_neither_the_next_one_nor_the_final(
    counted: Counted, sound: dict[str, Pcm16], monkeypatch: pytest.MonkeyPatch
) -> None:
    guess, failures = counted.guess, [IndexError("odd"), ValueError("odder")]

    def failing(*arguments: Any, **options: Any) -> Transcript | None:
        if failures:
            raise failures.pop()
        return guess(*arguments, **options)

    monkeypatch.setattr(counted, "guess", failing)
    recognizer = counted.recognizer()
    partials = feed(recognizer, sound[LIGHTS], wait=True)
    assert partials[-1].startswith("Turn on")
    assert recognizer.finish().text == LIGHTS_TEXT


def test_every_language_that_it_tells_is_one_that_it_takes(whisper: WhisperEngine) -> None:
    assert isinstance(whisper, KnowsLanguages)
    assert "en" in whisper.languages
    for language in whisper.languages:
        whisper.transcribe(np.zeros(160, np.int16), TranscriptionRequest(language=language))


def test_a_language_that_the_model_lacks_is_refused(model: Path, whisper: WhisperEngine) -> None:
    with pytest.raises(EngineUnavailableError, match=r"stt\.language = 'xx'"):
        WhisperEngine(model, WhisperOptions("xx"))
    with pytest.raises(UnsupportedRequestError, match="language = 'xx'"):
        whisper.transcribe(np.zeros(16_000, np.int16), TranscriptionRequest(language="xx"))


@pytest.mark.parametrize("broken", ["empty", "truncated"])
def test_a_broken_model_is_named_in_one_line(tmp_path: Path, model: Path, broken: str) -> None:
    directory = tmp_path / "base.en"
    directory.mkdir()
    if broken == "truncated":
        for path in model.iterdir():
            (directory / path.name).write_bytes(path.read_bytes()[:1000])
    with pytest.raises(EngineUnavailableError) as caught:
        WhisperEngine(directory)
    assert str(directory) in str(caught.value)
    assert "sotto models pull base.en" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_clipped_and_a_silent_utterance_do_no_harm(whisper: WhisperEngine, sound: dict[str, Pcm16]) -> None:
    recognizer = whisper.recognizer()
    square_s16 = np.where(np.arange(16_000) % 100 < 50, 32767, -32768).astype(np.int16)
    feed(recognizer, square_s16)
    recognizer.finish()
    recognizer.accept(bytes(2))
    assert recognizer.finish().text == ""
    feed(recognizer, sound[MOON])
    assert recognizer.finish().text == MOON_TEXT


def test_a_recording_gives_its_sentences_with_their_times(whisper: WhisperEngine, sound: dict[str, Pcm16]) -> None:
    gap_s16 = np.zeros(4 * 16_000, np.int16)
    audio_s16 = np.concatenate([gap_s16, sound[LIGHTS], gap_s16, sound[MOON]])
    segments = list(whisper.transcribe(audio_s16, TranscriptionRequest(language="en")))
    assert [segment.text for segment in segments] == [LIGHTS_TEXT, MOON_TEXT]
    # Voice begins 0.3 s into each clip; a window begins up to 0.4 s before the voice.
    second_secs = (2 * len(gap_s16) + len(sound[LIGHTS])) / 16_000 + 0.3
    assert segments[0].start_secs == pytest.approx(4.3, abs=0.5)
    assert segments[1].start_secs == pytest.approx(second_secs, abs=0.5)
    assert all(segment.end_secs <= len(audio_s16) / 16_000 + 0.1 for segment in segments)
    assert {segment.language for segment in segments} == {"en"}
    assert all(0 < (segment.confidence or 0) <= 1 for segment in segments)


@pytest.mark.parametrize("prompt_results", [False, True])
def test_a_recording_is_transcribed_and_translated_in_its_own_language(
    whisper: WhisperEngine, sound: dict[str, Pcm16], prompt_results: bool
) -> None:
    audio_s16 = sound["buenos_dias.wav"]
    heard = [
        [(segment.text, segment.language) for segment in whisper.transcribe(audio_s16, request)]
        for request in (
            TranscriptionRequest(language="auto", prompt_results=prompt_results),
            TranscriptionRequest(language="es", task="translate", prompt_results=prompt_results),
        )
    ]
    assert heard == [[("Hola, buenos días amigo.", "es")], [("Hello, good morning friend.", "en")]]


def test_each_window_comes_as_soon_as_it_is_decoded_when_results_are_awaited(
    model: Path, sound: dict[str, Pcm16], monkeypatch: pytest.MonkeyPatch
) -> None:
    from faster_whisper import BatchedInferencePipeline

    batches: list[int] = []
    generate = BatchedInferencePipeline.generate_segment_batched

    def counting(self: BatchedInferencePipeline, features: np.ndarray, *rest: object) -> object:
        batches.append(len(features))
        return generate(self, features, *rest)  # pyright: ignore[reportArgumentType]

    monkeypatch.setattr(BatchedInferencePipeline, "generate_segment_batched", counting)
    engine = WhisperEngine(model)
    gap_s16 = np.zeros(4 * 16_000, np.int16)
    audio_s16 = np.concatenate([sound[LIGHTS], gap_s16, sound[MOON], gap_s16, sound[TIMER]])
    segments = engine.transcribe(audio_s16, TranscriptionRequest(prompt_results=True))
    assert next(segments).text == LIGHTS_TEXT
    assert batches == [1]
    segments.close()  # pyright: ignore[reportAttributeAccessIssue]
    assert batches == [1]
    assert len(list(engine.transcribe(audio_s16, TranscriptionRequest()))) == 3
    assert batches == [1, 3]
    engine.close()


def test_a_recording_without_speech_has_no_segments(whisper: WhisperEngine) -> None:
    for n_samples in (0, 1, 400, 480_000):
        assert list(whisper.transcribe(np.zeros(n_samples, np.int16), TranscriptionRequest())) == []


def test_words_of_a_recording_lie_within_it(whisper: WhisperEngine, sound: dict[str, Pcm16]) -> None:
    segment = next(whisper.transcribe(sound[LIGHTS], TranscriptionRequest(word_times=True)))
    assert [word.text for word in segment.words] == LIGHTS_TEXT.split()
    assert all(0 <= word.start_secs <= word.end_secs <= len(sound[LIGHTS]) / 16_000 + 0.1 for word in segment.words)


def test_windows_join_neighbours_as_far_as_whisper_sees() -> None:
    def span(start_secs: float, end_secs: float) -> Span:
        return Span(round(start_secs * 16_000), round(end_secs * 16_000))

    spans = [span(0, 5), span(6, 20), span(21, 29), span(30, 31), span(40, 41)]
    # 0 to 29 s would be more than 28; 31 to 40 s is too long a silence.
    assert list(joined(spans, max_secs=28, max_gap_secs=3)) == [span(0, 20), span(21, 31), span(40, 41)]
