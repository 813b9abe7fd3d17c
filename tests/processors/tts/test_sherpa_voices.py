"""The real sherpa-onnx on fakes of Kitten's and Pocket's networks, which make tones: what they say is no speech."""

import json
import shutil
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import soundfile

from processors.errors import EngineError, EngineUnavailableError
from processors.tts.kitten import KittenSynthesizer
from processors.tts.pocket import PocketSynthesizer, read_reference
from processors.tts.sherpa_voice import SherpaSpeech
from processors.tts.speech_level import speech_level_dbfs
from processors.tts.synthesizer import SpokenWord, StoppableSpeech

RATE_HZ = 24_000
TEXT = "Hello there, this is a sentence of words. And another one!"
Voice = KittenSynthesizer | PocketSynthesizer


def reference(path: Path, secs: float = 2.0, subtype: str = "PCM_16") -> Path:
    sound = 0.1 * np.sin(2 * np.pi * 150 * np.arange(int(16_000 * secs)) / 16_000)
    soundfile.write(path, sound, 16_000, subtype=subtype)
    return path


@pytest.fixture(scope="module")
def kitten(fixtures_dir: Path) -> KittenSynthesizer:
    return KittenSynthesizer(fixtures_dir / "micro_kitten")


@pytest.fixture(scope="module")
def pocket_folder(fixtures_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = Path(shutil.copytree(fixtures_dir / "micro_pocket", tmp_path_factory.mktemp("voices") / "pocket"))
    (folder / "test_wavs").mkdir()
    reference(folder / "test_wavs" / "anna.wav")
    reference(folder / "ben.wav")
    return folder


@pytest.fixture(scope="module")
def pocket(pocket_folder: Path) -> PocketSynthesizer:
    return PocketSynthesizer(pocket_folder)


@pytest.fixture(params=["kitten", "pocket"])
def voice(request: pytest.FixtureRequest) -> Voice:
    return request.getfixturevalue(request.param)


def spoken(voice: Voice, text: str) -> tuple[np.ndarray, list[SpokenWord]]:
    chunks = list(voice.synthesize(text))
    audio = np.frombuffer(b"".join(chunk.pcm16 for chunk in chunks), "<i2")
    return audio.astype(np.float32) / 32768, [word for chunk in chunks for word in chunk.words]


@pytest.mark.parametrize("text", [TEXT, "It has 42 bridges, and naïve “quoted” words.", "x " * 200, "a" * 120])
def test_all_words_come_in_order_within_the_sound(voice: Voice, text: str) -> None:
    audio, words = spoken(voice, text)
    assert [word.text for word in words] == text.split()
    edges = [word.start_secs for word in words]
    assert edges == sorted(edges)
    assert all(word.start_secs <= word.end_secs <= len(audio) / RATE_HZ + 1e-6 for word in words)
    assert np.abs(audio).max() > 0.05


@pytest.mark.parametrize("text", ["", "   ", "…", "— , !", "...", "?", "-", "\n"])
def test_bare_punctuation_is_no_sound(voice: Voice, text: str) -> None:
    assert list(voice.synthesize(text)) == []


def test_a_word_of_more_phonemes_takes_more_of_the_time(kitten: KittenSynthesizer) -> None:
    _, words = spoken(kitten, "A potato")
    short, long = (word.end_secs - word.start_secs for word in words)
    # "eɪ" with a stress mark against "pətˈeɪɾoʊ": three characters and nine.
    assert long == pytest.approx(3 * short, rel=0.05)
    assert all(before.end_secs == pytest.approx(after.start_secs) for before, after in pairwise(words))


def test_kittens_tokens_last_as_long_as_the_pace_says(kitten: KittenSynthesizer) -> None:
    secs = {}
    for speed in (0.5, 1.0, 2.0):
        audio, _ = spoken(kitten.in_voice(None, language="en-us", speed=speed), "potato")
        secs[speed] = len(audio) / RATE_HZ
    # 40 ms a token at speed 1, and 20 + 60 ms kept around the speech.
    assert secs[0.5] - secs[1.0] == pytest.approx(2 * (secs[1.0] - secs[2.0]), abs=0.02)
    assert secs[0.5] > secs[1.0] > secs[2.0] > 0.1


def test_voices_are_equally_loud_and_no_sample_is_clipped(kitten: KittenSynthesizer) -> None:
    names = [one.name for one in kitten.voices()]
    assert len(names) == 8
    levels = []
    for name in (names[1], names[-2]):
        one = kitten.in_voice(name, language="en-us", speed=1.0)
        one.warm_up()
        audio, _ = spoken(one, "The weather is fine today.")
        levels.append(speech_level_dbfs(audio, RATE_HZ))
        assert np.abs(audio).max() <= 0.98
    # The fakes sing at amplitudes from 0.05 to 0.4.
    assert levels == pytest.approx([-20.0, -20.0], abs=1.0)


def test_pocket_speaks_in_the_voice_of_a_recording(pocket: PocketSynthesizer) -> None:
    assert [one.name for one in pocket.voices()] == ["anna", "ben"]
    assert pocket.in_voice("ben", language="en-gb", speed=1.0).model == "ben"


def test_pockets_sound_is_handed_on_as_it_is_made(pocket: PocketSynthesizer) -> None:
    chunks = list(pocket.synthesize("Hello there, this is a sentence of words."))
    # Stretches of 1.2 s.
    assert len(chunks) >= 5
    assert max(len(chunk.pcm16) for chunk in chunks) / 2 / RATE_HZ <= 1.25


def test_a_stop_in_the_middle_of_a_sentence_ends_the_work(
    pocket: PocketSynthesizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[float] = []
    speech: SherpaSpeech | None = None
    generate = pocket._generator()

    def stopping(piece: str, take: Callable[[object, float], int]) -> object:
        def stopping_take(samples: object, share: float) -> int:
            calls.append(share)
            if len(calls) == 2 and speech is not None:
                speech.stop()
            return take(samples, share)

        return generate(piece, stopping_take)

    monkeypatch.setattr(pocket, "_generator", lambda: stopping)
    speech = pocket.synthesize("Hello there, this is a sentence of words. And one more follows it.")
    assert isinstance(speech, StoppableSpeech)
    chunks = list(speech)
    # Nine stretches in all: the second call is answered with a stop, and no sentence follows.
    assert len(calls) == 2
    assert len(chunks) <= 2
    # What is stopped leaves the voice free for the next.
    assert spoken(pocket, "Hello.")[1][0].text == "Hello."


def test_a_stopped_kitten_makes_no_further_piece(kitten: KittenSynthesizer, monkeypatch: pytest.MonkeyPatch) -> None:
    pieces: list[str] = []
    generate = kitten._generator()
    monkeypatch.setattr(
        kitten, "_generator", lambda: lambda piece, take: (pieces.append(piece), generate(piece, take))[1]
    )
    speech = kitten.synthesize("One is here. Two is here. Three is here.")
    next(speech)
    speech.close()
    assert list(speech) == []
    assert pieces == ["One is here."]


def test_a_failure_of_the_library_is_one_line(voice: Voice, monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(piece: str, take: object) -> None:
        raise RuntimeError("out of\nmemory")

    monkeypatch.setattr(voice, "_generator", lambda: failing)
    with pytest.raises(EngineError, match=rf"^{voice.name} failed on 6 characters: out of memory$"):
        list(voice.synthesize("Hello."))


@pytest.mark.parametrize("language", ["de", "fr-fr"])
def test_another_language_is_refused(voice: Voice, language: str) -> None:
    with pytest.raises(EngineUnavailableError, match=f"speaks English only, not tts.language = '{language}'"):
        voice.in_voice(None, language=language, speed=1.0)


def test_an_unknown_voice_is_refused_with_the_known_ones(voice: Voice) -> None:
    with pytest.raises(EngineUnavailableError, match=r"does not know the voice tts\.voice = 'nobody': choose of "):
        voice.in_voice("nobody", language="en-us", speed=1.0)


def message_of(load: Callable[[Path], object], folder: Path) -> str:
    with pytest.raises(EngineUnavailableError) as caught:
        load(folder)
    message = str(caught.value)
    assert "\n" not in message
    assert str(folder) in message
    return message


KITTEN_PARTS, POCKET_PARTS = (
    ("model.fp16.onnx", "voices.bin", "tokens.txt"),
    (
        *("lm_main.int8.onnx", "lm_flow.int8.onnx", "encoder.onnx", "decoder.int8.onnx", "text_conditioner.onnx"),
        *("vocab.json", "token_scores.json"),
    ),
)
PARTS = [
    *((KittenSynthesizer, "micro_kitten", part) for part in KITTEN_PARTS),
    *((PocketSynthesizer, "micro_pocket", part) for part in POCKET_PARTS),
]


@pytest.mark.parametrize(("load", "fixture", "part"), PARTS)
def test_a_part_that_is_missing_or_something_else_is_said(
    load: Callable[[Path], object], fixture: str, part: str, fixtures_dir: Path, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(fixtures_dir / fixture, tmp_path / "voices"))
    reference(folder / "anna.wav")
    load(folder)
    for content in (b"", b"nothing of the kind\n", bytes(range(256)) * 8):
        (folder / part).write_bytes(content)
        assert part in message_of(load, folder)
    (folder / part).unlink()
    assert "it lacks one of" in message_of(load, folder)


def test_one_changed_byte_of_a_graph_is_refused(fixtures_dir: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(fixtures_dir / "micro_kitten", tmp_path / "voices"))
    model = folder / "model.fp16.onnx"
    whole = model.read_bytes()
    for found in (b"Gather", b"kitten-tts", b"style_dim"):
        model.write_bytes(whole.replace(found, b"Q" + found[1:], 1))
        message_of(KittenSynthesizer, folder)


def test_networks_in_each_others_place_are_named(pocket_folder: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(pocket_folder, tmp_path / "voices"))
    shutil.copy(folder / "lm_main.int8.onnx", folder / "text_conditioner.onnx")
    assert "text_conditioner.onnx is another network" in message_of(PocketSynthesizer, folder)


def test_token_numbers_with_a_gap_are_refused(pocket_folder: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(pocket_folder, tmp_path / "voices"))
    vocabulary = json.loads((folder / "vocab.json").read_text("utf-8"))
    (folder / "vocab.json").write_text(json.dumps(vocabulary | {"z": 100_000}), "utf-8")
    assert "do not fit each other" in message_of(PocketSynthesizer, folder)


def test_a_voice_needs_a_recording_of_a_second_in_16_bits(fixtures_dir: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(fixtures_dir / "micro_pocket", tmp_path / "voices"))
    assert "it holds no recording of a voice" in message_of(PocketSynthesizer, folder)
    for path in (
        reference(tmp_path / "short.wav", 0.5),
        reference(tmp_path / "float.wav", subtype="FLOAT"),
        reference(tmp_path / "wide.wav", subtype="PCM_24"),
    ):
        message_of(read_reference, path)
    (tmp_path / "text.wav").write_text("no sound")
    message_of(read_reference, tmp_path / "text.wav")
    assert len(read_reference(reference(tmp_path / "long.wav", 12.0))) == 10 * RATE_HZ
