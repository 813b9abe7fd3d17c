"""The real sherpa-onnx on fakes of Moonshine's networks, which write a word for each second of sound they are shown.

What they write says how much sound the engine showed them, and nothing of accuracy.
"""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest

from processors.errors import EngineError, EngineUnavailableError, UnsupportedRequestError
from processors.stt.moonshine import WINDOW, MoonshineEngine
from processors.stt.recognizer import SAMPLE_RATE_HZ, Pcm16, TranscriptionRequest
from processors.stt.utterance import UtteranceRecognizer
from transports.recording import load_recording

BLOCK_BYTES = 3200  # 100 ms
KINDS = ("v1", "v2")
MOON = "how_far_is_the_moon.wav"


@pytest.fixture(scope="module", params=KINDS)
def engine(request: pytest.FixtureRequest, fixtures_dir: Path) -> Iterator[MoonshineEngine]:
    loaded = MoonshineEngine(fixtures_dir / "micro_moonshine" / request.param, partial_interval_secs=0.2)
    yield loaded
    loaded.close()


@pytest.fixture
def export(request: pytest.FixtureRequest, fixtures_dir: Path, tmp_path: Path) -> Path:
    """A copy of an export, to be broken."""
    return Path(shutil.copytree(fixtures_dir / "micro_moonshine" / request.param, tmp_path / "moonshine-base"))


def voice(secs: float, level: float = 0.1) -> Pcm16:
    noise = np.random.default_rng(1).standard_normal(round(secs * SAMPLE_RATE_HZ)) * level
    return (np.clip(noise, -1, 1) * 32767).astype(np.int16)


def silence(secs: float) -> Pcm16:
    return np.zeros(round(secs * SAMPLE_RATE_HZ), np.int16)


def heard(recognizer: UtteranceRecognizer, *sounds: Pcm16) -> str:
    pcm16 = np.concatenate(sounds).astype("<i2").tobytes()
    for at in range(0, len(pcm16), BLOCK_BYTES):
        recognizer.accept(pcm16[at : at + BLOCK_BYTES])
    return recognizer.finish().text


def test_it_is_shown_the_speech_and_little_of_the_silence_around_it(engine: MoonshineEngine) -> None:
    # With all of the 4.2 s it would write four words; 2.2 s of voice and twice 0.05 s are two.
    assert heard(engine.recognizer(), silence(1.0), voice(2.2), silence(1.0)) == "one two"


def test_a_pause_tells_the_words_and_speech_that_follows_is_heard_with_them(engine: MoonshineEngine) -> None:
    recognizer = engine.recognizer()
    recognizer.accept(voice(1.2).tobytes())
    paused = recognizer.pause()
    assert (paused.text, paused.language) == ("one", "en")
    recognizer.accept(voice(1.2).tobytes())
    assert recognizer.finish().text == "one two"
    assert heard(recognizer, voice(1.2)) == "one"


def test_partials_come_while_the_user_speaks(engine: MoonshineEngine) -> None:
    recognizer = engine.recognizer()
    texts = []
    for _ in range(30):
        texts.append(recognizer.accept(voice(0.1).tobytes()))
        engine.partial_threads.submit(lambda: None).result()
    assert texts[-1] in ("one two", "one two three")
    # 3.0 s.
    assert recognizer.finish().text == "one two three"


def test_what_is_longer_than_eight_seconds_is_not_guessed_at(engine: MoonshineEngine) -> None:
    assert engine.guess(voice(8.1), lambda: True) is None
    assert engine.guess(voice(2.0), lambda: False) is None
    guess = engine.guess(voice(2.1), lambda: True)
    assert guess is not None
    assert guess.text == "one two"


def test_long_speech_is_cut_at_its_quietest_place_and_nothing_is_lost(engine: MoonshineEngine) -> None:
    # 10 s of voice, a breath, 6 s: more than the window's 14 s. Cut in the breath: ten words and six.
    text = heard(engine.recognizer(), voice(10.2), voice(0.5, 0.0002), voice(6.2))
    words = "one two three four five six seven eight nine ten"
    assert text == f"{words} one two three four five six"
    assert WINDOW.max_secs == 14.0


@pytest.mark.parametrize(
    "sound",
    [silence(0.0), silence(1.0), voice(0.05), voice(0.0001), voice(2.0, 0.0001), silence(30.0)],
    ids=["nothing", "silence", "50 ms", "one sample", "hiss at -80 dBFS", "half a minute of silence"],
)
def test_what_is_no_speech_is_no_text(engine: MoonshineEngine, sound: Pcm16) -> None:
    assert heard(engine.recognizer(), sound) == ""


def test_a_reset_forgets_what_was_said(engine: MoonshineEngine) -> None:
    recognizer = engine.recognizer()
    recognizer.accept(voice(3.0).tobytes())
    recognizer.reset()
    assert heard(recognizer, voice(1.2)) == "one"


def test_an_empty_answer_about_speech_is_asked_for_again(
    engine: MoonshineEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown: list[int] = []

    def decoded(audio_f32: np.ndarray) -> tuple[str, None]:
        shown.append(len(audio_f32))
        return ("" if len(shown) == 1 else "words", None)

    monkeypatch.setattr(engine, "_decoded", decoded)
    sound = np.concatenate([silence(0.5), voice(0.96), silence(0.5)])
    assert engine.decode(sound).text == "words"
    # 33 blocks of 30 ms hold the voice; twice 50 ms around them, then nothing.
    assert [n - shown[1] for n in shown] == [1600, 0]


def test_a_recording_comes_back_as_one_segment_for_each_stretch_of_speech(
    engine: MoonshineEngine, fixtures_dir: Path
) -> None:
    speech = load_recording(fixtures_dir / "speech" / MOON).audio_s16
    voiced = json.loads((fixtures_dir / "speech" / "words.json").read_text("utf-8"))[MOON]
    sound = np.concatenate([speech, silence(2.0), speech])
    segments = list(engine.transcribe(sound, TranscriptionRequest()))
    second_secs = len(speech) / SAMPLE_RATE_HZ + 2.0
    assert [segment.text for segment in segments] == [segments[0].text] * 2
    for segment, from_secs in zip(segments, (0.0, second_secs), strict=True):
        assert segment.start_secs <= from_secs + voiced["voiced_start_secs"] + 0.2
        assert segment.end_secs >= from_secs + voiced["voiced_end_secs"] - 0.2


def test_what_it_cannot_do_is_refused_at_once(engine: MoonshineEngine, fixtures_dir: Path) -> None:
    with pytest.raises(UnsupportedRequestError, match="does not translate"):
        engine.transcribe(voice(1.0), TranscriptionRequest(task="translate"))
    with pytest.raises(UnsupportedRequestError, match="English only, not 'de'"):
        engine.transcribe(voice(1.0), TranscriptionRequest(language="de"))
    with pytest.raises(EngineUnavailableError, match=r"English only, not stt\.language = 'de': sotto models pull base"):
        MoonshineEngine(fixtures_dir / "micro_moonshine" / "v2", language="de")


def test_a_failure_of_the_library_is_one_line(engine: MoonshineEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    class Failing:
        def create_stream(self) -> Any:
            raise RuntimeError("out of\nmemory")

    monkeypatch.setattr(engine, "_recognizer", Failing())
    with pytest.raises(EngineError, match=r"^moonshine failed: out of memory$"):
        engine.decode(voice(1.0))


def message_of_loading(directory: Path) -> str:
    with pytest.raises(EngineUnavailableError) as caught:
        MoonshineEngine(directory)
    message = str(caught.value)
    assert "\n" not in message
    assert str(directory) in message
    assert message.endswith(": sotto models pull moonshine-base")
    return message


PARTS = [
    *(("v1", name) for name in ("preprocess.onnx", "encode.int8.onnx", "cached_decode.int8.onnx", "tokens.txt")),
    *(("v2", name) for name in ("encoder_model.onnx", "decoder_model_merged.onnx", "tokens.txt")),
]


@pytest.mark.parametrize(("export", "part"), PARTS, indirect=["export"])
def test_a_missing_part_is_said(export: Path, part: str) -> None:
    (export / part).unlink()
    assert "it lacks" in message_of_loading(export)


@pytest.mark.parametrize(("export", "part"), PARTS, indirect=["export"])
@pytest.mark.parametrize("content", [b"", b"no network\n", bytes(range(256)) * 8])
def test_a_part_that_is_something_else_is_named(export: Path, part: str, content: bytes) -> None:
    (export / part).write_bytes(content)
    assert part in message_of_loading(export)


@pytest.mark.parametrize(("export", "part"), [one for one in PARTS if one[1] != "tokens.txt"], indirect=["export"])
def test_a_part_that_is_cut_off_or_has_one_byte_changed_in_its_graph_is_refused(export: Path, part: str) -> None:
    path = export / part
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    message_of_loading(export)
    # The first operator's name: one that nobody knows.
    at = min(found for name in (b"Unsqueeze", b"Cast", b"Shape") if (found := data.find(name)) > 0)
    path.write_bytes(data[:at] + b"Q" + data[at + 1 :])
    message_of_loading(export)


@pytest.mark.parametrize("export", ["v2"], indirect=True)
def test_an_encoder_in_the_decoders_place_is_named(export: Path) -> None:
    encoder, decoder = export / "encoder_model.onnx", export / "decoder_model_merged.onnx"
    content = decoder.read_bytes()
    shutil.copy(encoder, decoder)
    assert "decoder_model_merged.onnx" in message_of_loading(export)
    decoder.write_bytes(content)
    shutil.copy(decoder, encoder)
    assert "encoder_model.onnx" in message_of_loading(export)


@pytest.mark.parametrize("export", ["v2"], indirect=True)
def test_onnxruntimes_own_format_is_heard_with_and_checked(export: Path) -> None:
    for name in ("encoder_model", "decoder_model_merged"):
        options = onnxruntime.SessionOptions()
        options.optimized_model_filepath = str(export / f"{name}.ort")
        options.add_session_config_entry("session.save_model_format", "ORT")
        onnxruntime.InferenceSession(export / f"{name}.onnx", options, providers=["CPUExecutionProvider"])
        (export / f"{name}.onnx").unlink()
    engine = MoonshineEngine(export)
    assert engine.decode(voice(2.2)).text == "one two"
    engine.close()
    decoder = (export / "decoder_model_merged.ort").read_bytes()
    for broken in (b"", b"ORTM", decoder[: len(decoder) // 2], (export / "encoder_model.ort").read_bytes()):
        (export / "decoder_model_merged.ort").write_bytes(broken)
        message_of_loading(export)
