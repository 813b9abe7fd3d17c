"""The real synthesizers: words become sound of the right length and level, each word where it sounds."""

import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from processors.errors import EngineUnavailableError
from processors.tts.espeak import EspeakSynthesizer
from processors.tts.kokoro import KokoroSynthesizer
from processors.tts.kokoro_stretches import FIRST_FRAMES, Supply, next_cut
from processors.tts.service import cut_at_words
from processors.tts.silence import SilenceTrimmer
from processors.tts.speech_level import at_gain, speech_level_dbfs
from processors.tts.synthesizer import SpeechChunk, SpokenWord, Synthesizer
from processors.tts.word_times import spread_words, word_spans
from tests.support.listening import Ears, understood_share

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


def dbfs_of(pieces: list[bytes]) -> float:
    audio = np.frombuffer(b"".join(pieces), "<i2").astype(np.float32) / np.float32(32768)
    return speech_level_dbfs(audio, RATE_HZ)


def test_kokoros_voices_are_equally_loud(fixtures_dir: Path) -> None:
    # The micro model sings with amplitudes of 0.3 and 0.15.
    engine = kokoro(fixtures_dir)
    levels = []
    for voice, language in (("af_heart", "en-us"), ("bm_george", "en-gb")):
        other = engine.in_voice(voice, language=language, speed=1.0)
        other.warm_up()
        levels.append(dbfs_of([chunk.pcm16 for chunk in other.synthesize("one two three four five")]))
    assert levels == pytest.approx([-20.0, -20.0], abs=1.0)


def test_peaks_are_bent_below_full_scale_and_quiet_sound_is_untouched() -> None:
    quiet = np.linspace(-0.7, 0.7, 101, dtype=np.float32)
    np.testing.assert_array_equal(np.frombuffer(at_gain(quiet, 1.0), "<i2"), np.round(quiet * 32767))
    loud = np.frombuffer(at_gain(np.linspace(-3, 3, 101, dtype=np.float32), 2.0), "<i2")
    assert np.abs(loud.astype(int)).max() <= round(0.98 * 32767)
    assert (np.diff(loud.astype(int)) >= 0).all()


def test_silence_around_speech_is_trimmed_however_it_comes() -> None:
    tone = np.sin(np.arange(2400) * 0.1).astype(np.float32)  # 0.1 s
    whole = np.concatenate(
        [np.zeros(4800, np.float32), tone, np.zeros(960, np.float32), tone, np.zeros(9600, np.float32)]
    )
    for step in (100, 1000, len(whole)):
        trimmer = SilenceTrimmer(RATE_HZ, 0.01)
        pieces = [trimmer.push(whole[at : at + step]) for at in range(0, len(whole), step)]
        trimmed = np.concatenate([*pieces, trimmer.finish()])
        # 20 ms are kept in front and 60 ms behind; the pause inside stays.
        assert trimmer.head_samples == pytest.approx(4800 - 480, abs=120)
        assert len(trimmed) == pytest.approx(480 + 2400 + 960 + 2400 + 1440, abs=240)
        assert trimmed[0] == 0.0
        assert trimmed[-1] == 0.0


def test_stretches_grow_with_what_is_queued() -> None:
    supply = Supply()
    assert supply.frames_in_time() == FIRST_FRAMES
    supply.note_work(0.5, 40)  # 0.5 s for a second of sound
    supply.note_sound(2.0)
    # 2 s are queued; 0.8 of them make 3.2 s of sound, 128 frames, 8 of them around the stretch.
    assert supply.frames_in_time() == pytest.approx(120, abs=4)
    supply.drop()
    assert supply.frames_in_time() == FIRST_FRAMES


def test_a_clause_is_cut_in_the_quietest_frame_between_words() -> None:
    loudness = np.ones(100, np.float32)
    loudness[[31, 58]] = 0.0
    gaps = [(10, 12), (30, 33), (57, 59), (95, 97)]
    assert next_cut(0, 100, 28, gaps, loudness) == 31
    assert next_cut(31, 100, 30, gaps, loudness) == 58
    # What would be left is too short for a stretch of its own.
    assert next_cut(58, 100, 40, gaps, loudness) == 100
    assert next_cut(0, 100, 28, [], loudness) == 100


def real_kokoro(real_weights: Path) -> KokoroSynthesizer:
    folder = real_weights / "tts" / "kokoro-int8"
    return KokoroSynthesizer(next(folder.glob("*.onnx")), folder / "voices-v1.0.bin")


def test_real_kokoro_sounds_a_few_words_first_with_the_prosody_of_the_whole(real_weights: Path) -> None:
    engine = real_kokoro(real_weights)
    assert engine.has_durations
    text = "The quick brown fox that lives in the old forest jumps over dogs."
    chunks = list(engine.synthesize(text))
    audio = np.frombuffer(b"".join(chunk.pcm16 for chunk in chunks), "<i2").astype(np.float32) / np.float32(32768)
    assert 0.2 < len(chunks[0].pcm16) / 2 / RATE_HZ < 1.0
    words = [word for chunk in chunks for word in chunk.words]
    assert " ".join(word.text for word in words) == text
    assert speech_level_dbfs(audio, RATE_HZ) == pytest.approx(-20.0, abs=2.5)
    heard = Ears(real_weights).listen(audio, RATE_HZ, [word.text for word in words])
    assert understood_share([heard]) > 0.8


def test_real_kokoro_stops_in_the_middle_of_its_work_and_speaks_again(real_weights: Path) -> None:
    engine = real_kokoro(real_weights)
    speech = engine.synthesize("This sentence is not wanted any more, long before it has come to its very end.")
    next(speech)
    stopping = threading.Timer(0.1, speech.stop)
    stopping.start()
    began = time.thread_time()
    assert len(list(speech)) < 6
    stopped_secs = time.thread_time() - began
    stopping.join()
    began = time.thread_time()
    assert len(list(engine.synthesize("This sentence is wanted, and is spoken to its end."))) > 1
    assert stopped_secs < 0.5 * (time.thread_time() - began)
