"""Short windows, doubts about them, numbers of 8 bits, and finals before all else."""

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from processors.stt import whisper_compute, whisper_window
from processors.stt.finals_first import FinalsFirst
from processors.stt.hallucination import Guards
from processors.stt.recognizer import Pcm16, TranscriptionRequest
from processors.stt.whisper import WhisperEngine
from processors.stt.whisper_decoder import Decoding
from processors.stt.whisper_model import WhisperOptions
from processors.stt.whisper_window import Window, is_doubtful, max_tokens, window_secs
from transports.recording import load_recording

LIGHTS_TEXT = "Turn on the kitchen lights please."


@pytest.fixture
def lights(fixtures_dir: Path) -> Pcm16:
    return load_recording(fixtures_dir / "speech" / "kitchen_lights.wav").audio_s16


@pytest.fixture
def encoded_secs(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The windows that encoders are shown, in order."""
    from faster_whisper import WhisperModel

    seen: list[float] = []
    encode = WhisperModel.encode

    def noting(self: WhisperModel, features: np.ndarray) -> Any:
        seen.append(features.shape[-1] / 100)
        return encode(self, features)

    monkeypatch.setattr(WhisperModel, "encode", noting)
    return seen


@pytest.fixture
def short(fixtures_dir: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[WhisperEngine]:
    """The micro model, as though a window of 20 s had been measured to cost nothing."""
    monkeypatch.setitem(whisper_window.MEASURED, ("micro_whisper", "en"), Window(20.0, 2.0))
    engine = WhisperEngine(fixtures_dir / "micro_whisper", WhisperOptions("en"))
    yield engine
    engine.close()


def decoding(text: str, avg_logprob: float = -0.2, compression_ratio: float = 1.0, cut_off: bool = False) -> Decoding:
    return Decoding(text, len(text.split()), "en", avg_logprob, 0.0, compression_ratio, cut_off)


def test_a_window_is_as_short_as_was_measured_and_full_for_all_else() -> None:
    window = whisper_window.MEASURED["tiny.en", "en"]
    assert window_secs("tiny.en", "en", 1.0) == window.floor_secs
    assert window_secs("tiny.en", "en", 15.0) == 15.0 + window.margin_secs
    assert window_secs("tiny.en", "en", 29.0) == 30.0
    assert window_secs("base", "es", 1.0) == 30.0
    assert window_secs("base", None, 1.0) == 30.0
    assert window_secs("my-fine-tuned-model", "en", 1.0) == 30.0


@pytest.mark.parametrize(
    ("said", "doubted"),
    [
        (decoding(" Turn on the lights."), False),
        (decoding(" Turn on the lights. Turn on the lights."), True),
        (decoding(" Stop. Stop."), True),
        (decoding(" Well, turn on the lights, turn on the lights and wait."), True),
        (decoding(" No, no, I said blue."), False),
        (decoding(" Turn on the lights.", avg_logprob=-0.9), True),
        (decoding(" a b a b", compression_ratio=2.5), True),
        (decoding(" Turn on", cut_off=True), True),
        (decoding(""), False),
    ],
)
def test_a_short_window_is_doubted_where_it_repeats_or_guesses(said: Decoding, doubted: bool) -> None:
    assert is_doubtful(said, Guards()) == doubted


def test_no_person_says_as_many_tokens_as_end_a_decoding() -> None:
    # Fast speech is some 6 syllables a second, and hardly more tokens than syllables.
    assert max_tokens(1.0) == 8 + 12
    assert max_tokens(0.2) >= 10


def test_an_utterance_is_decoded_in_the_short_window(
    short: WhisperEngine, lights: Pcm16, encoded_secs: list[float]
) -> None:
    assert short.decode(lights).text == LIGHTS_TEXT
    assert encoded_secs == [20.0]


def test_a_doubtful_one_is_decoded_again_in_the_full_window(
    short: WhisperEngine, lights: Pcm16, encoded_secs: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(whisper_window, "DOUBTED_LOG_PROBABILITY", 0.0)
    assert short.decode(lights).text == LIGHTS_TEXT
    assert encoded_secs == [20.0, 30.0]
    # A partial is not worth as much.
    assert short.guess(lights, lambda: True) is None
    assert encoded_secs == [20.0, 30.0, 20.0]


def test_a_text_without_end_is_cut_off_and_decoded_again(
    short: WhisperEngine, lights: Pcm16, encoded_secs: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(whisper_window, "MAX_TOKENS_PER_SEC", 0.0)
    monkeypatch.setattr(whisper_window, "SPARE_TOKENS", 2)
    assert short.decode(lights).text == LIGHTS_TEXT
    assert encoded_secs == [20.0, 30.0]


def test_a_short_recording_is_transcribed_in_a_short_window(
    short: WhisperEngine, lights: Pcm16, encoded_secs: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    (segment,) = short.transcribe(lights, TranscriptionRequest())
    assert segment.text == LIGHTS_TEXT
    assert encoded_secs == [20.0]
    encoded_secs.clear()
    monkeypatch.setattr(whisper_window, "DOUBTED_LOG_PROBABILITY", 0.0)
    (again,) = short.transcribe(lights, TranscriptionRequest())
    assert again.text == LIGHTS_TEXT
    assert encoded_secs == [20.0, 30.0]


def test_sound_longer_than_a_window_loses_nothing(
    short: WhisperEngine, lights: Pcm16, encoded_secs: list[float]
) -> None:
    silence_s16 = np.zeros(29 * 16_000, np.int16)
    transcript = short.decode(np.concatenate([lights, silence_s16]))
    assert transcript.text.startswith(LIGHTS_TEXT)
    assert len(encoded_secs) == 2


@pytest.mark.parametrize("faster", ["int8", "float32"])
def test_the_numbers_are_those_that_are_faster_here(
    faster: str, fixtures_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = {"secs": 0.0, "encoding": "int8"}

    class Model:
        n_mels = 80

        def __init__(self, path: str, *, compute_type: str, intra_threads: int) -> None:
            self.takes_secs = 0.1 if compute_type == faster else 0.2

        def encode(self, sound: object) -> None:
            now["secs"] = float(now["secs"]) + self.takes_secs

    monkeypatch.setattr("ctranslate2.models.Whisper", Model)
    monkeypatch.setattr(whisper_compute.time, "perf_counter", lambda: now["secs"])
    whisper_compute.fastest_on_cpu.cache_clear()
    assert whisper_compute.fastest_on_cpu(fixtures_dir / "micro_whisper", 1) == faster
    whisper_compute.fastest_on_cpu.cache_clear()


def test_the_numbers_can_be_named(fixtures_dir: Path) -> None:
    engine = WhisperEngine(fixtures_dir / "micro_whisper", WhisperOptions("en", compute_type="float32"))
    assert engine.library.model.compute_type == "float32"
    engine.close()


def test_a_partial_stops_for_a_final_and_none_begins_beside_it(
    short: WhisperEngine, lights: Pcm16, encoded_secs: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(short.finals_first, "_room_for", 0)
    with short.finals_first.final():
        # Already under way: it ends between encoder and decoder.
        assert short.guess(lights, lambda: True) is None
        assert encoded_secs == [20.0]
        recognizer = short.recognizer()
        recognizer.accept(lights[4_800:].tobytes())
        assert not recognizer._partial_running
    transcript = short.guess(lights, lambda: True)
    assert transcript is not None
    assert transcript.text == LIGHTS_TEXT
    assert short.guess(lights, lambda: False) is None


@pytest.mark.parametrize(("cores", "threads", "room"), [(1, 1, 0), (2, 1, 0), (4, 2, 0), (8, 1, 6), (16, 4, 2)])
def test_as_many_finals_leave_room_as_leave_a_core_free(
    cores: int, threads: int, room: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.cpu_count", lambda: cores)
    finals = FinalsFirst(threads)
    running = [finals.final() for _ in range(room + 1)]
    for final in running[:room]:
        final.__enter__()
    assert not finals.busy
    running[room].__enter__()
    assert finals.busy
    for final in running:
        final.__exit__(None, None, None)
    assert not finals.busy


def test_a_recording_waits_while_finals_leave_no_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.cpu_count", lambda: 2)
    finals = FinalsFirst(1)
    finals.wait()
    waited = threading.Event()

    def wait() -> None:
        finals.wait()
        waited.set()

    with finals.final():
        thread = threading.Thread(target=wait)
        thread.start()
        assert not waited.wait(0.05)
    assert waited.wait(5)
    thread.join()
