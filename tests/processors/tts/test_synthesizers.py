"""The real synthesizers: words become sound of the right length and level, each word where it sounds."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from processors.errors import EngineUnavailableError
from processors.tts.espeak import EspeakSynthesizer
from processors.tts.kokoro import KokoroSynthesizer
from processors.tts.service import cut_at_words
from processors.tts.synthesizer import SpeechChunk, SpokenWord, Synthesizer
from processors.tts.word_times import spread_words, word_spans

RATE_HZ = 24_000


def spoken(synthesizer: Synthesizer, text: str) -> tuple[np.ndarray, list[SpokenWord]]:
    chunks = list(synthesizer.synthesize(text))
    audio = np.frombuffer(b"".join(chunk.pcm16 for chunk in chunks), "<i2")
    return audio, [word for chunk in chunks for word in chunk.words]


@pytest.fixture(scope="module")
def espeak() -> EspeakSynthesizer:
    return EspeakSynthesizer()


def kokoro(fixtures_dir: Path, model: str = "kokoro-timed.onnx") -> KokoroSynthesizer:
    folder = fixtures_dir / "micro_kokoro"
    return KokoroSynthesizer(folder / model, folder / "voices.bin")


def test_espeak_speaks_at_a_natural_pace_and_level(espeak: EspeakSynthesizer) -> None:
    audio, words = spoken(espeak, "The capital of France is Paris.")
    # Six words at about 165 words a minute: 2.2 s, give or take the length of the words.
    assert 1.5 <= len(audio) / RATE_HZ <= 3.0
    assert -30 <= 20 * np.log10(np.sqrt((audio.astype(float) ** 2).mean()) / 32768) <= -10
    assert [word.text for word in words] == ["The", "capital", "of", "France", "is", "Paris."]


def test_words_follow_each_other_to_the_end(espeak: EspeakSynthesizer, fixtures_dir: Path) -> None:
    text = "Hello, world! It has 42 bridges — and café chairs."
    for synthesizer in (espeak, kokoro(fixtures_dir), kokoro(fixtures_dir, "kokoro.onnx")):
        audio, words = spoken(synthesizer, text)
        duration_secs = len(audio) / RATE_HZ
        assert [word.text for word in words] == [w for w in text.split() if w != "—"]
        starts = [word.start_secs for word in words]
        assert starts == sorted(starts)
        assert all(word.start_secs <= word.end_secs <= duration_secs + 1e-6 for word in words)
        assert words[-1].end_secs >= 0.8 * duration_secs


def test_a_word_sounds_where_it_is_said_to(espeak: EspeakSynthesizer) -> None:
    whole, words = spoken(espeak, "Nine, nine, nine, potatoes.")
    last = words[-1]
    alone, _ = spoken(espeak, "potatoes.")
    # The last word's share of the sentence is about as long as the word alone.
    assert last.end_secs - last.start_secs == pytest.approx(len(alone) / RATE_HZ, abs=0.15)
    assert last.end_secs == pytest.approx(len(whole) / RATE_HZ, abs=0.01)


def test_speed_changes_the_length_in_proportion() -> None:
    text = "The quick brown fox jumps over the lazy dog."
    slow, _ = spoken(EspeakSynthesizer(speed=0.8), text)
    fast, _ = spoken(EspeakSynthesizer(speed=1.6), text)
    assert len(slow) / len(fast) == pytest.approx(2.0, rel=0.25)


@pytest.mark.parametrize("text", ["", "   ", "…", "— , !", "\n"])
def test_nothing_to_say_is_no_sound(espeak: EspeakSynthesizer, fixtures_dir: Path, text: str) -> None:
    assert list(espeak.synthesize(text)) == []
    assert list(kokoro(fixtures_dir).synthesize(text)) == []


def test_odd_text_is_spoken_without_harm(espeak: EspeakSynthesizer, fixtures_dir: Path) -> None:
    for text in ("日本語 text", "naïve “quoted” words", "a" * 3000, "x " * 400, "\x07bell", "100% <b>&amp;"):
        for synthesizer in (espeak, kokoro(fixtures_dir)):
            audio, _ = spoken(synthesizer, text)
            assert np.abs(audio.astype(int)).max() > 1000


def test_an_unknown_voice_is_named(fixtures_dir: Path) -> None:
    with pytest.raises(EngineUnavailableError, match=r"tts\.voice = 'nobody'"):
        EspeakSynthesizer(voice="nobody")
    folder = fixtures_dir / "micro_kokoro"
    with pytest.raises(EngineUnavailableError, match=r"tts\.voice = 'nobody': choose one such as af_heart"):
        KokoroSynthesizer(folder / "kokoro.onnx", folder / "voices.bin", voice="nobody")


def test_voices_do_not_disturb_each_other() -> None:
    english, spanish = EspeakSynthesizer(), EspeakSynthesizer(voice="es")
    before, _ = spoken(english, "one two three")
    spoken(spanish, "uno dos tres")
    after, _ = spoken(english, "one two three")
    assert len(before) == pytest.approx(len(after), rel=0.02)


def test_kokoro_sounds_its_first_clause_first(fixtures_dir: Path) -> None:
    text = "Well, that is a long story, and it began on a cold morning in a small town, far away from here."
    chunks = list(kokoro(fixtures_dir).synthesize(text))
    assert len(chunks) >= 2
    assert " ".join(word.text for chunk in chunks for word in chunk.words) == text
    assert len(chunks[0].pcm16) < 0.6 * sum(len(chunk.pcm16) for chunk in chunks)


def test_kokoro_knows_durations_only_where_the_file_reports_them(fixtures_dir: Path) -> None:
    assert kokoro(fixtures_dir, "kokoro-timed.onnx").has_durations
    assert not kokoro(fixtures_dir, "kokoro.onnx").has_durations


def test_a_broken_kokoro_file_is_named_in_one_line(tmp_path: Path, fixtures_dir: Path) -> None:
    folder = fixtures_dir / "micro_kokoro"
    broken = tmp_path / "kokoro.onnx"
    broken.write_bytes((folder / "kokoro.onnx").read_bytes()[:100])
    for model, voices in ((broken, folder / "voices.bin"), (folder / "kokoro.onnx", broken)):
        with pytest.raises(EngineUnavailableError, match="sotto models pull kokoro") as caught:
            KokoroSynthesizer(model, voices)
        assert "\n" not in str(caught.value)


def test_word_spans_skip_lone_marks() -> None:
    assert word_spans("Hi — there, 7!") == [("Hi", 0, 2), ("there,", 5, 11), ("7!", 12, 14)]


def test_words_are_spread_by_weight() -> None:
    words = spread_words(["a", "bcd"], [1, 3], 1.0, 3.0)
    assert words == (SpokenWord("a", 1.0, 1.5), SpokenWord("bcd", 1.5, 3.0))
    with pytest.raises(ValueError, match="2 words but 1 weights"):
        spread_words(["a", "b"], [1], 0, 1)


def test_a_chunk_is_cut_in_the_middle_of_each_word() -> None:
    pcm16 = np.arange(2400, dtype="<i2").tobytes()  # 0.1 s
    words = (SpokenWord("one", 1.00, 1.04), SpokenWord("two", 1.04, 1.10))
    pieces = cut_at_words(SpeechChunk(pcm16, words), 1.0, RATE_HZ)
    assert b"".join(piece for piece, _ in pieces) == pcm16
    # Middles at 20 ms and 70 ms: 480 and 1680 samples.
    assert [(len(piece) // 2, word.text if word else None) for piece, word in pieces] == [
        (480, "one"),
        (1200, "two"),
        (720, None),
    ]


@pytest.mark.parametrize("language", ["en-gb", "fr-fr", "de", "es", "en-us"])
def test_espeak_speaks_every_language_that_it_lists(language: str) -> None:
    espeak = EspeakSynthesizer()
    listed = {voice.name: voice.label for voice in espeak.voices()}
    assert language in listed
    spoken = espeak.in_voice(None, language=language, speed=1.0)
    assert spoken.model == language
    (chunk,) = spoken.synthesize("radio")
    assert len(chunk.pcm16) / 2 > 0.2 * RATE_HZ


def test_espeak_lists_no_voice_that_the_package_leaves_without_its_dictionary() -> None:
    names = [voice.name for voice in EspeakSynthesizer().voices()]
    assert names == sorted(names)
    # Faroese: the voice is there, `fo_dict` is not.
    assert "fo" not in names


@pytest.mark.parametrize("make", [EspeakSynthesizer, None])
def test_another_voice_of_a_loaded_model_changes_nothing_for_the_first(make: Any, fixtures_dir: Path) -> None:
    first = make() if make else kokoro(fixtures_dir)
    before = b"".join(chunk.pcm16 for chunk in first.synthesize("one two three"))
    other = first.in_voice(None, language="en-us", speed=2.0)
    faster = b"".join(chunk.pcm16 for chunk in other.synthesize("one two three"))
    again = b"".join(chunk.pcm16 for chunk in first.synthesize("one two three"))
    # espeak's samples differ a little from take to take.
    assert abs(len(again) - len(before)) < 0.05 * len(before)
    assert 0.3 < len(faster) / len(before) < 0.8
    with pytest.raises(EngineUnavailableError, match=r"does not know the voice tts\.voice = 'nobody'"):
        first.in_voice("nobody", language="en-us", speed=1.0)


def test_kokoro_takes_a_voice_of_the_language_that_is_asked_for(fixtures_dir: Path) -> None:
    with pytest.raises(EngineUnavailableError, match=r"kokoro has no voice for tts\.language = 'sv'"):
        kokoro(fixtures_dir).in_voice(None, language="sv", speed=1.0)
