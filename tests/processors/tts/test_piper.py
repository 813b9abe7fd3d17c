"""Piper's voices: the network in two halves, words where they sound, any installed voice by its name."""

import json
import shutil
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from processors.errors import EngineUnavailableError
from processors.tts.piper import PiperSynthesizer
from processors.tts.piper_model import PiperModel, Utterance
from processors.tts.speech_level import speech_level_dbfs
from processors.tts.synthesizer import SpokenWord
from tests.support.listening import Ears, Heard, understood_share

RATE_HZ = 24_000


@pytest.fixture(scope="module")
def folder(fixtures_dir: Path) -> Path:
    return fixtures_dir / "micro_piper"


@pytest.fixture(scope="module")
def piper(folder: Path) -> PiperSynthesizer:
    return PiperSynthesizer({"one": folder / "one.onnx", "two": folder / "two.onnx"})


def loaded(path: Path) -> PiperModel:
    return PiperModel(path, threads=1, providers=["CPUExecutionProvider"])


def spoken(piper: PiperSynthesizer, text: str) -> tuple[np.ndarray, list[SpokenWord]]:
    chunks = list(piper.synthesize(text))
    audio = np.frombuffer(b"".join(chunk.pcm16 for chunk in chunks), "<i2")
    return audio.astype(np.float32) / 32768, [word for chunk in chunks for word in chunk.words]


def test_stretches_of_the_decoder_join_to_the_samples_of_the_whole(folder: Path) -> None:
    model = loaded(folder / "one.onnx")
    utterance = model.encode("həlˈoʊ wˈɜːld " * 6, speed=1.0)
    stretches = list(model.decode(utterance))
    # 24 frames, then twice as many each time, up to 96.
    assert [len(stretch) // 256 for stretch in stretches[:4]] == [24, 48, 96, 96]
    (whole,) = model._run(model._decoder, {model._latent: utterance.latent})
    np.testing.assert_array_equal(np.concatenate(stretches), whole.ravel())


def test_a_phoneme_ends_where_the_networks_durations_say(folder: Path) -> None:
    utterance = loaded(folder / "one.onnx").encode("a☃b", speed=1.0)
    # Two frames each: begin, padding, then a and padding, nothing for the snowman, b and padding.
    assert utterance.phoneme_frames.tolist() == [8, 8, 12]
    assert utterance.latent.shape == (1, 8, 14)


def test_speed_shortens_every_phoneme(folder: Path) -> None:
    model = loaded(folder / "one.onnx")
    frames = {speed: model.encode("abc", speed=speed).latent.shape[2] for speed in (0.5, 1.0, 2.0)}
    assert frames == {0.5: 36, 1.0: 18, 2.0: 9}


def test_each_word_sounds_where_it_is_said_to(piper: PiperSynthesizer) -> None:
    audio, words = spoken(piper, "Nine, nine, potatoes.")
    assert [word.text for word in words] == ["Nine,", "nine,", "potatoes."]
    levels = [np.abs(audio[round(w.start_secs * RATE_HZ) : round(w.end_secs * RATE_HZ)]).mean() for w in words]
    assert min(levels) > 0.05
    # The space and the comma between words are silent in this voice.
    for before, after in pairwise(words):
        middle = round((before.end_secs + after.start_secs) / 2 * RATE_HZ)
        assert np.abs(audio[middle - 64 : middle + 64]).max() < 0.02


@pytest.mark.parametrize(
    "text",
    [
        "It has 42 bridges, and of the chairs one.",
        "naïve “quoted” words",
        "日本語 text",
        "a" * 3000,
        "x " * 400,
        "\x07bell",
    ],
)
def test_all_words_come_in_order_whatever_the_text(piper: PiperSynthesizer, text: str) -> None:
    audio, words = spoken(piper, text)
    assert [word.text for word in words] == [word for word in text.split() if any(map(str.isalnum, word))]
    edges = [edge for word in words for edge in (word.start_secs, word.end_secs)]
    assert edges == sorted(edges)
    assert edges[-1] <= len(audio) / RATE_HZ + 1e-6
    assert np.abs(audio).max() > 0.05


@pytest.mark.parametrize("text", ["", "   ", "…", "— , !", "...", "?", "-", "\n"])
def test_bare_punctuation_is_no_sound(piper: PiperSynthesizer, text: str) -> None:
    assert list(piper.synthesize(text)) == []


def test_punctuation_between_sentences_is_not_spoken(piper: PiperSynthesizer) -> None:
    assert [word.text for word in spoken(piper, "One. … ? — Two.")[1]] == ["One.", "Two."]


def test_sound_begins_and_ends_with_the_speech(piper: PiperSynthesizer) -> None:
    audio, words = spoken(piper, "potatoes")
    loud = np.flatnonzero(np.abs(audio) > 0.01)
    assert loud[0] / RATE_HZ < 0.03
    assert (len(audio) - loud[-1]) / RATE_HZ < 0.09
    assert words[0].start_secs < 0.05
    # A full stop is a pause of 0.2 s.
    assert len(spoken(piper, "potatoes.")[0]) - len(audio) == pytest.approx(0.2 * RATE_HZ, abs=0.05 * RATE_HZ)


def test_speakers_of_a_file_are_voices_and_equally_loud(piper: PiperSynthesizer) -> None:
    assert [voice.name for voice in piper.voices()] == ["one", "two/loud", "two/soft"]
    levels = []
    for name in ("one", "two/loud", "two/soft"):
        voice = piper.in_voice(name, language="en-us", speed=1.0)
        voice.warm_up()
        levels.append(speech_level_dbfs(spoken(voice, "The weather is fine today.")[0], RATE_HZ))
    # Their models sing at amplitudes of 0.2, 0.2 and 0.05.
    assert levels == pytest.approx([-20.0] * 3, abs=1.0)


def test_sound_that_is_no_longer_wanted_is_not_made(piper: PiperSynthesizer, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[int] = []
    decode = PiperModel.decode

    def counted(model: PiperModel, utterance: Utterance) -> Iterator[np.ndarray]:
        for stretch in decode(model, utterance):
            made.append(len(stretch))
            yield stretch

    monkeypatch.setattr(PiperModel, "decode", counted)
    speech = piper.synthesize("This is a long sentence of many words that goes on for quite a while, and on.")
    next(speech)
    speech.close()  # pyright: ignore[reportAttributeAccessIssue]
    assert len(made) <= 2


def test_a_voice_is_found_by_its_language(piper: PiperSynthesizer, folder: Path, tmp_path: Path) -> None:
    german = json.loads((folder / "one.onnx.json").read_text("utf-8"))
    german["espeak"]["voice"] = "de"
    shutil.copy(folder / "one.onnx", tmp_path / "de.onnx")
    (tmp_path / "de.onnx.json").write_text(json.dumps(german), "utf-8")
    both = PiperSynthesizer({"one": folder / "one.onnx", "deutsch": tmp_path / "de.onnx"})
    assert both.model == "one"
    assert both.in_voice(None, language="de", speed=1.0).model == "deutsch"
    assert both.in_voice(None, language="en-gb", speed=1.0).model == "one"
    with pytest.raises(EngineUnavailableError, match=r"no piper voice is installed for tts\.language = 'sv'"):
        both.in_voice(None, language="sv", speed=1.0)
    with pytest.raises(EngineUnavailableError, match=r"tts\.voice = 'nobody': choose one such as one, two/loud"):
        piper.in_voice("nobody", language="en-us", speed=1.0)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"phoneme_type": "pinyin"}, "phonemes of the kind 'pinyin' are not known"),
        ({"phoneme_id_map": {"_": [0], "^": [1]}}, r"phoneme_id_map lacks '\$'"),
        ({"audio": {}}, "'sample_rate' is missing"),
        (None, "Expecting"),
    ],
)
def test_a_broken_configuration_is_named_in_one_line(
    folder: Path, tmp_path: Path, change: dict | None, reason: str
) -> None:
    shutil.copy(folder / "one.onnx", tmp_path / "one.onnx")
    config = json.loads((folder / "one.onnx.json").read_text("utf-8"))
    text = "x" if change is None else json.dumps({**config, **change})
    (tmp_path / "one.onnx.json").write_text(text, "utf-8")
    with pytest.raises(EngineUnavailableError, match=reason) as caught:
        PiperSynthesizer({"one": tmp_path / "one.onnx"})
    assert "\n" not in str(caught.value)


def test_another_network_is_refused(folder: Path, fixtures_dir: Path, tmp_path: Path) -> None:
    shutil.copy(folder / "one.onnx.json", tmp_path / "one.onnx.json")
    for data, reason in (
        ((fixtures_dir / "micro_kokoro" / "kokoro.onnx").read_bytes(), "it is no VITS voice that Piper exported"),
        ((folder / "one.onnx").read_bytes()[:300], "it ends too early"),
        (b"", "it is no ONNX file"),
    ):
        (tmp_path / "one.onnx").write_bytes(data)
        with pytest.raises(EngineUnavailableError, match=reason):
            PiperSynthesizer({"one": tmp_path / "one.onnx"})


def test_a_real_voice_is_understood_at_the_right_length_and_level(real_weights: Path) -> None:
    (model,) = (real_weights / "tts" / "piper-joe").glob("*.onnx")
    piper = PiperSynthesizer({"piper-joe": model})
    piper.warm_up()
    ears = Ears(real_weights)
    all_heard: list[Heard] = []
    late_secs: list[float] = []
    for text in (
        "The quick brown fox that lives in the old forest jumps over the lazy dog.",
        "Hello, world! The town has old bridges and wooden chairs.",
        "Please call me tomorrow morning, and bring your sister.",
    ):
        audio, words = spoken(piper, text)
        # A word takes 0.2 to 0.5 s at a natural pace.
        assert 0.2 * len(words) < len(audio) / RATE_HZ < 0.5 * len(words)
        assert speech_level_dbfs(audio, RATE_HZ) == pytest.approx(-20.0, abs=2.5)
        assert np.abs(audio).max() < 0.99
        heard = ears.listen(audio, RATE_HZ, [word.text for word in words])
        late_secs += [abs(words[i].start_secs - start_secs) for i, start_secs in heard.understood.items()]
        all_heard.append(heard)
    assert understood_share(all_heard) > 0.8
    # Whisper's own times are right to a tenth of a second or two, single ones to half a second.
    assert np.median(late_secs) < 0.2
    assert np.quantile(late_secs, 0.8) < 0.4
