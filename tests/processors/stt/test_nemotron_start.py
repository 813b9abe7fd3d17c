"""What the streaming recognizer checks when it starts: language, hotwords, and whether the machine keeps up."""

from pathlib import Path

import pytest

from processors.errors import EngineUnavailableError
from processors.stt import nemotron_speed
from processors.stt.nemotron import NemotronEngine
from processors.stt.nemotron_speed import speed_note
from transports.recording import load_recording


@pytest.fixture
def model_path(fixtures_dir: Path) -> Path:
    return fixtures_dir / "micro_nemotron"


def test_an_english_model_refuses_another_language_and_takes_auto_for_english(model_path: Path) -> None:
    with pytest.raises(EngineUnavailableError, match=r"stt\.language = 'de'.*nemotron-3\.5-560ms"):
        NemotronEngine(model_path, language="de")
    recognizer = NemotronEngine(model_path, language="auto").recognizer()
    assert recognizer.finish().language == "en"


def test_hotwords_are_listened_for_and_those_that_cannot_be_spelled_are_named(
    model_path: Path, fixtures_dir: Path
) -> None:
    engine = NemotronEngine(model_path, hotwords=["quiet music.", "Kubernetes", ":5"])
    note = engine.warm_up()
    assert note == (
        "stt.hotwords: micro_nemotron cannot spell 'Kubernetes'; stt.hotwords: micro_nemotron cannot spell ':5'"
    )
    recognizer = engine.recognizer()
    recognizer.accept(load_recording(fixtures_dir / "speech" / "five_minutes.wav").audio_s16.tobytes())
    assert recognizer.finish().text == "Set a timer for five minutes."


def test_a_machine_that_keeps_up_has_no_note(model_path: Path) -> None:
    assert NemotronEngine(model_path).warm_up() is None


def test_a_machine_that_is_too_slow_is_told_so_at_the_start(model_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nemotron_speed, "MAX_REAL_TIME_FACTOR", 0.0)
    note = NemotronEngine(model_path).warm_up() or ""
    assert "in chunks of 160 ms" in note
    assert "stt.chunk_ms = 560 or stt.engine = whisper" in note


@pytest.mark.parametrize(
    ("real_time_factor", "chunk_ms", "note"),
    [
        (0.7, 160, None),
        (
            0.71,
            160,
            "nemotron needs 0.71 s of computing for each second of speech in chunks of 160 ms, "
            "more than 0.7 is too slow for conversation: choose stt.chunk_ms = 560 or stt.engine = whisper",
        ),
        (
            1.5,
            560,
            "nemotron needs 1.50 s of computing for each second of speech in chunks of 560 ms, "
            "more than 0.7 is too slow for conversation: choose stt.engine = whisper",
        ),
    ],
)
def test_the_note_gives_the_factor_the_chunk_and_what_to_choose_instead(
    real_time_factor: float, chunk_ms: int, note: str | None
) -> None:
    assert speed_note(real_time_factor, chunk_ms) == note
