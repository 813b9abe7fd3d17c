"""Whole recordings on another server: what is cut, uploaded and asked for, and where the segments come to lie.

The server is `tests/support/transcription_server.py`, a fake at the edge; the speech detector and the recordings are
real.
"""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from processors.errors import UnsupportedRequestError
from processors.stt.pauses import Span, joined
from processors.stt.recognizer import Segment, TranscriptionRequest, Word
from tests.support.transcription_server import Heard, Refused, engine_at, serve_transcriptions
from transports.recording import load_recording

RATE_HZ = 16_000


def recording_of(fixtures_dir: Path, *parts: str | float) -> np.ndarray[Any, np.dtype[np.int16]]:
    """Fixtures by name, and silences by their seconds."""
    return np.concatenate(
        [
            load_recording(fixtures_dir / "speech" / part).audio_s16
            if isinstance(part, str)
            else np.zeros(round(part * RATE_HZ), np.int16)
            for part in parts
        ]
    )


def test_a_recording_is_one_upload_whose_segments_and_words_lie_on_its_timeline(fixtures_dir: Path) -> None:
    # The voice begins 0.30 s into the fixture, so at 3.30 s; the speech detector allows for up to 0.4 s before it.
    audio_s16 = recording_of(fixtures_dir, 3.0, "hello_world.wav")
    told = {
        "language": "english",
        "words": [{"word": " Hello", "start": 0.1, "end": 0.5}, {"word": "world", "start": 0.6, "end": 1.0}],
        "segments": [
            {"text": " Hello", "start": 0.0, "end": 0.5, "avg_logprob": 0.0, "compression_ratio": 0.9},
            # Whisper pads to 30 s and may place an end there.
            {"text": " world", "start": 0.5, "end": 30.0},
        ],
    }
    request = TranscriptionRequest(language="auto", prompt="Names", temperature=0.25, word_times=True)
    with serve_transcriptions(Heard("Hello world", told)) as server, engine_at(server, prompt="Other") as engine:
        segments = list(engine.transcribe(audio_s16, request))
    (upload,) = server.uploads
    assert upload.fields == {
        "model": ["whisper-1"],
        "response_format": ["verbose_json"],
        "timestamp_granularities[]": ["word", "segment"],
        "prompt": ["Names"],
        "temperature": ["0.25"],
    }
    start_secs = (len(audio_s16) - len(upload.audio_s16)) / RATE_HZ
    assert 2.9 <= start_secs <= 3.3
    assert segments == [
        Segment(
            "Hello", start_secs, start_secs + 0.5, (Word("Hello", start_secs + 0.1, start_secs + 0.5),), "en",
            1.0, 0.0, None, 0.9,
        ),
        Segment(
            "world", start_secs + 0.5, len(audio_s16) / RATE_HZ,
            (Word("world", start_secs + 0.6, start_secs + 1.0),), "en",
        ),
    ]  # fmt: skip


def test_words_inside_the_segments_are_read_too(fixtures_dir: Path) -> None:
    word = {"word": "hi", "start": 0.25, "end": 0.5, "probability": 0.75}
    segment = {"text": "hi", "start": 0.0, "end": 1.0, "words": [word, {"word": 3}, None]}
    audio_s16 = recording_of(fixtures_dir, "hello_world.wav")
    with serve_transcriptions(Heard("hi", {"segments": [segment, "?", {"text": "x"}]})) as server:
        with engine_at(server) as engine:
            (found,) = engine.transcribe(audio_s16, TranscriptionRequest(word_times=True))
        offset_secs = (len(audio_s16) - len(server.uploads[0].audio_s16)) / RATE_HZ
    assert found.words == (Word("hi", offset_secs + 0.25, offset_secs + 0.5, 0.75),)


def test_formats_are_refused_one_by_one_down_to_plain_text(fixtures_dir: Path) -> None:
    audio_s16 = recording_of(fixtures_dir, "hello_world.wav")
    with (
        serve_transcriptions(Heard("hello world"), refused_formats=["word", "verbose_json"]) as server,
        engine_at(server) as engine,
    ):
        (segment,) = engine.transcribe(audio_s16, TranscriptionRequest(word_times=True))
        asked = [
            (upload.fields["response_format"][0], upload.fields.get("timestamp_granularities[]"))
            for upload in server.uploads
        ]
    assert asked == [("verbose_json", ["word", "segment"]), ("verbose_json", ["segment"]), ("json", None)]
    start_secs = (len(audio_s16) - len(server.uploads[0].audio_s16)) / RATE_HZ
    assert segment == Segment("hello world", start_secs, len(audio_s16) / RATE_HZ, (), "en")


def test_neighbours_share_an_upload_and_a_long_silence_is_not_sent(fixtures_dir: Path) -> None:
    audio_s16 = recording_of(fixtures_dir, "hello_world.wav", 1.0, "kitchen_lights.wav", 20.0, "capital_of_germany.wav")
    with serve_transcriptions(Heard("one two"), Heard("three")) as server, engine_at(server) as engine:
        segments = list(engine.transcribe(audio_s16, TranscriptionRequest()))
    assert [segment.text for segment in segments] == ["one two", "three"]
    # 1.63 + 1.0 + 2.47 s without the edges, then 2.57 s; the second begins after 1.63 + 1.0 + 2.47 + 20 s.
    durations_secs = [len(upload.audio_s16) / RATE_HZ for upload in server.uploads]
    assert durations_secs == [pytest.approx(5.09, abs=0.4), pytest.approx(2.57, abs=0.4)]
    assert segments[1].start_secs == pytest.approx(25.1, abs=0.4)


def test_silence_is_not_uploaded() -> None:
    with serve_transcriptions() as server, engine_at(server) as engine:
        assert list(engine.transcribe(np.zeros(RATE_HZ * 3, np.int16), TranscriptionRequest())) == []
        assert list(engine.transcribe(np.zeros(0, np.int16), TranscriptionRequest())) == []
    assert server.uploads == []


def test_leaving_a_transcription_ends_its_uploads(fixtures_dir: Path) -> None:
    audio_s16 = recording_of(fixtures_dir, "hello_world.wav", 20.0, "kitchen_lights.wav")
    with serve_transcriptions() as server, engine_at(server) as engine:
        segments = iter(engine.transcribe(audio_s16, TranscriptionRequest()))
        assert next(segments).text == "okay"
        segments.close()  # pyright: ignore[reportAttributeAccessIssue]
        assert len(server.uploads) == 1


def test_a_server_that_does_not_translate_is_an_unsupported_request(fixtures_dir: Path) -> None:
    audio_s16 = recording_of(fixtures_dir, "hello_world.wav")
    with serve_transcriptions(Refused(404)) as server, engine_at(server) as engine:
        with pytest.raises(UnsupportedRequestError, match="/audio/translations") as caught:
            list(engine.transcribe(audio_s16, TranscriptionRequest(task="translate")))
        assert caught.value.parameter == "task"
        assert server.uploads[0].path == "/v1/audio/translations"


def spans_of(*secs: tuple[float, float]) -> list[Span]:
    return [Span(round(start * RATE_HZ), round(end * RATE_HZ)) for start, end in secs]


def test_spans_are_merged_up_to_the_longest_upload_and_over_short_pauses_only() -> None:
    spans = spans_of((0, 100), (101, 200), (204, 299), (300, 310), (316, 700), (701, 702))
    # 0 to 299 fits into 300 s; 310 to 316 is a long pause; 316 to 700 is too long by itself.
    assert list(joined(spans, max_secs=300.0, max_gap_secs=5.0)) == spans_of(
        (0, 299), (300, 310), (316, 700), (701, 702)
    )
    assert list(joined([], max_secs=300.0, max_gap_secs=5.0)) == []
