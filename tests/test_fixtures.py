"""The fixtures are what they say they are, and the real engines take them.

In:  tests/fixtures.   Out: the sound, words and timings that the other tests rely on.
"""

import json
import zipfile
from pathlib import Path

import numpy as np
import pytest
import soundfile
import soxr
from faster_whisper import WhisperModel
from kokoro_onnx import Kokoro
from pocketsphinx import Decoder

from agent.engines.bundled_ears import bundled_whisper
from processors.stt.whisper_model import LoadedWhisper, WhisperOptions
from processors.text.bare_words import bare

FIXTURES = Path(__file__).parent / "fixtures"
SPEECH = FIXTURES / "speech"
WORDS: dict[str, dict] = json.loads((SPEECH / "words.json").read_text())
READABLE = {file: entry for file, entry in WORDS.items() if "unreadable" not in entry}
SPOKEN = {file: entry for file, entry in READABLE.items() if entry["heard_by"]}
HEARD_BY_ALL = [file for file in SPOKEN if SPOKEN[file]["heard_by"] == "pocketsphinx"]
PLAIN = [file for file in SPOKEN if not file.startswith("stereo")]
WHISPER_RATE_HZ = 16_000
BLOCK_BYTES = WHISPER_RATE_HZ // 10 * 2  # 100 ms
KOKORO_RATE_HZ = 24_000
TOKEN_SECS = 0.075
TEN_PHONEMES = "həlbodɛkæt"
MAX_TOTAL_BYTES = 5_000_000


def load_mono_16k(file: str) -> np.ndarray:
    audio_f32, rate_hz = soundfile.read(SPEECH / file, dtype="float32", always_2d=True)
    return soxr.resample(audio_f32.mean(axis=1), rate_hz, WHISPER_RATE_HZ)


def hear_with_pocketsphinx(audio_f32: np.ndarray) -> str:
    pcm16 = (audio_f32 * 32767).astype("<i2").tobytes()
    decoder = Decoder(loglevel="FATAL", samprate=WHISPER_RATE_HZ)
    decoder.start_utt()
    for start in range(0, len(pcm16), BLOCK_BYTES):
        decoder.process_raw(pcm16[start : start + BLOCK_BYTES], False, False)
    decoder.end_utt()
    hypothesis = decoder.hyp()
    return hypothesis.hypstr if hypothesis else ""


def hear_with_whisper(whisper: WhisperModel, audio_f32: np.ndarray, language: str | None = "en") -> str:
    segments, _ = whisper.transcribe(audio_f32, language=language, beam_size=1, temperature=0.0)
    return "".join(segment.text for segment in segments).strip()


def load_kokoro(model: str) -> Kokoro:
    folder = FIXTURES / "micro_kokoro"
    return Kokoro(str(folder / model), str(folder / "voices.bin"))


@pytest.fixture(scope="module")
def whisper() -> WhisperModel:
    folder = FIXTURES / "micro_whisper"
    return WhisperModel(str(folder), device="cpu", compute_type="int8", cpu_threads=1)


def test_all_fixtures_together_stay_under_five_megabytes():
    total_bytes = sum(path.stat().st_size for path in FIXTURES.rglob("*") if "__pycache__" not in path.parts)
    assert total_bytes < MAX_TOTAL_BYTES


def test_every_recording_has_its_entry_and_every_entry_its_recording():
    assert sorted(WORDS) == sorted(path.name for path in SPEECH.glob("*.wav"))


@pytest.mark.parametrize("file", READABLE)
def test_a_recording_has_the_rate_channels_and_length_its_entry_says(file: str):
    entry = READABLE[file]
    info = soundfile.info(SPEECH / file)
    assert (info.samplerate, info.channels, info.frames) == (
        entry["sample_rate_hz"],
        entry["channels"],
        entry["n_samples"],
    )


@pytest.mark.parametrize("file", PLAIN)
def test_an_utterance_is_16_bit_at_half_scale_between_the_stated_silences(file: str):
    assert soundfile.info(SPEECH / file).subtype == "PCM_16"
    pcm16, _ = soundfile.read(SPEECH / file, dtype="int16")
    level = np.abs(pcm16.astype(int))
    assert level.max() == pytest.approx(16384, abs=2)  # -6 dBFS
    loud = np.flatnonzero(level > level.max() // 100)  # -40 dB of the peak
    start_secs, end_secs = loud[0] / WHISPER_RATE_HZ, (loud[-1] + 1) / WHISPER_RATE_HZ
    assert start_secs == pytest.approx(READABLE[file]["voiced_start_secs"], abs=0.001)
    assert end_secs == pytest.approx(READABLE[file]["voiced_end_secs"], abs=0.001)
    assert start_secs == pytest.approx(0.3, abs=0.02)
    assert len(pcm16) / WHISPER_RATE_HZ - end_secs == pytest.approx(0.5, abs=0.05)


def test_the_utterance_with_a_pause_is_silent_for_600_ms_between_its_words():
    audio_f32 = load_mono_16k("days_in_a_week_with_pause.wav")
    inside = audio_f32[round(0.35 * WHISPER_RATE_HZ) : -round(0.55 * WHISPER_RATE_HZ)]
    loud = np.flatnonzero(np.abs(inside) > 0.005)
    assert np.diff(loud).max() / WHISPER_RATE_HZ == pytest.approx(0.6, abs=0.1)


@pytest.mark.parametrize("file", sorted(WORDS.keys() - READABLE.keys()))
def test_a_file_called_unreadable_is_refused_by_the_reader(file: str):
    with pytest.raises(soundfile.LibsndfileError):
        soundfile.read(SPEECH / file)


def test_the_clipped_recording_is_flat_at_full_scale():
    audio_f32 = load_mono_16k("clipped.wav")
    voiced = audio_f32[np.abs(audio_f32) > 0.01]
    assert np.mean(np.abs(voiced) > 0.999) > 0.1  # an unclipped recording reaches its peak once


def test_the_silence_holds_nothing_but_zeros():
    assert not load_mono_16k("silence.wav").any()


@pytest.mark.parametrize("file", HEARD_BY_ALL)
def test_pocketsphinx_hears_the_words(file: str):
    assert hear_with_pocketsphinx(load_mono_16k(file)) == WORDS[file]["words"]


@pytest.mark.group("ears")
@pytest.mark.parametrize("compute_type", ["int8", "float32"])
def test_the_bundled_ears_hear_the_words(compute_type: str):
    folder, problem = bundled_whisper()
    assert folder, problem
    ears = LoadedWhisper(folder, WhisperOptions(compute_type=compute_type), name="tiny.en")
    expected = {file: WORDS[file]["words"] for file in HEARD_BY_ALL}
    # As it is, softer, after more silence and with less behind it: none of it may be a matter of luck.
    for gain, more_samples, fewer_samples in ((1.0, 0, 1), (0.3, 0, 1), (1.0, 4000, 1), (1.0, 0, 2400)):
        sound = {file: np.pad(load_mono_16k(file) * gain, (more_samples, 0))[:-fewer_samples] for file in HEARD_BY_ALL}
        heard = {file: bare(ears.decode((audio * 32767).astype(np.int16)).text) for file, audio in sound.items()}
        assert heard == expected


@pytest.mark.parametrize("file", [file for file in SPOKEN if SPOKEN[file]["heard_by"] == "whisper"])
def test_the_micro_whisper_hears_the_words(file: str, whisper: WhisperModel):
    assert hear_with_whisper(whisper, load_mono_16k(file), language=None) == WORDS[file]["words"]


def test_the_micro_whisper_is_multilingual_and_invents_words_for_silence(whisper: WhisperModel):
    assert whisper.model.is_multilingual
    assert hear_with_whisper(whisper, np.zeros(2 * WHISPER_RATE_HZ, np.float32)) == "Thank you."


@pytest.mark.parametrize("model", ["kokoro.onnx", "kokoro-timed.onnx"])
@pytest.mark.parametrize(("speed", "token_secs"), [(0.5, 0.150), (1.0, 0.075), (1.5, 0.050)])
def test_ten_phonemes_of_the_micro_kokoro_last_twelve_tokens(model: str, speed: float, token_secs: float):
    audio_f32, rate_hz = load_kokoro(model).create(TEN_PHONEMES, "af_heart", speed=speed, is_phonemes=True, trim=False)
    assert rate_hz == KOKORO_RATE_HZ
    assert audio_f32.dtype == np.float32
    assert len(audio_f32) == round(12 * token_secs * KOKORO_RATE_HZ)  # one of padding on each side


@pytest.mark.parametrize(("voice", "amplitude"), [("af_heart", 0.3), ("bm_george", 0.15)])
def test_every_phoneme_is_a_tone_of_its_own_at_the_level_of_the_voice(voice: str, amplitude: float):
    kokoro = load_kokoro("kokoro.onnx")
    audio_f32, _ = kokoro.create(TEN_PHONEMES, voice, is_phonemes=True, trim=False)
    tokens_f32 = audio_f32.reshape(12, 1800)  # 75 ms of samples at 24 kHz
    loudest_bin = np.abs(np.fft.rfft(tokens_f32[1:-1])).argmax(axis=1)
    heard_hz = loudest_bin * KOKORO_RATE_HZ / 1800
    assert heard_hz.tolist() == [200 + 40 * token for token in kokoro.tokenizer.tokenize(TEN_PHONEMES)]
    assert np.abs(tokens_f32[1:-1]).max() == pytest.approx(amplitude, rel=0.01)
    assert not tokens_f32[[0, -1]].any()


def test_spaces_and_punctuation_of_the_micro_kokoro_are_silent():
    audio_f32, _ = load_kokoro("kokoro.onnx").create("a b.", "af_heart", is_phonemes=True, trim=False)
    level = np.abs(audio_f32.reshape(6, 1800)).max(axis=1)
    assert (level > 0.2).tolist() == [False, True, False, True, False, False]


def test_only_the_model_with_durations_gives_timings_and_they_follow_the_phonemes():
    plain, timed = load_kokoro("kokoro.onnx"), load_kokoro("kokoro-timed.onnx")
    assert (plain.has_timings, timed.has_timings) == (False, True)
    _, _, timings = timed.create_timed(TEN_PHONEMES, "af_heart", is_phonemes=True, trim=False)
    assert [timing.phoneme for timing in timings] == list(TEN_PHONEMES)
    edges_secs = [timings[0].start, *(timing.end for timing in timings)]
    assert edges_secs == pytest.approx([TOKEN_SECS * (1 + index) for index in range(11)], abs=1e-4)


def test_the_voices_file_is_an_archive_of_styles_shaped_as_kokoro_wants_them():
    path = FIXTURES / "micro_kokoro" / "voices.bin"
    assert zipfile.is_zipfile(path)
    with np.load(path) as voices:
        shapes = {name: (voices[name].dtype.name, voices[name].shape) for name in voices}
    assert shapes == dict.fromkeys(["af_heart", "bm_george"], ("float32", (510, 1, 256)))
