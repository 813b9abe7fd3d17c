"""What a broken or hostile server may put into its JSON: the text is clean, the numbers are usable, nothing is raised.

The server is `tests/support/transcription_server.py`, a fake at the edge; it sends the JSON as it is written here.
"""

import json
import math

import pytest

from processors.clean_text import clean_text
from processors.stt.openai_answer import MAX_SECS, read_answer
from processors.stt.recognizer import Segment, Transcript, Word
from tests.support.transcription_server import HALF_SECOND, Refused, engine_at, serve_transcriptions

NUMBERS = ("9" * 400, "-" + "9" * 400, "1e400", "-1e400", "NaN", "Infinity", "-Infinity", "5000", "-1e308", "1e308")


def transcript_of(answer: str) -> Transcript:
    with serve_transcriptions(Refused(200, answer)) as server, engine_at(server) as engine:
        recognizer = engine.recognizer()
        recognizer.accept(HALF_SECOND)
        return recognizer.finish()


def segments_of(entries: str) -> list[Segment]:
    """Of an upload that lies from 10 s to 12 s."""
    answer = read_answer(json.loads(f'{{"text": "hi", "segments": [{entries}]}}'), "http://box", "en")
    return list(answer.placed(10.0, 12.0))


@pytest.mark.parametrize(
    ("sent", "read"),
    [
        (r"what is \ud800 this", "what is \ufffd this"),
        (r"\udc00\ud83d\ude00", "\ufffd\N{GRINNING FACE}"),
        (r"one\r\ntwo\tthree\u0085four\u000bfive", "one two three four five"),
        (r"\u001b[31mred\u0000\u0007\u007f\u009b", "[31mred"),
        (r"\u0000\u001b", ""),
    ],
)
def test_text_can_be_encoded_and_holds_no_control_characters(sent: str, read: str) -> None:
    transcript = transcript_of(f'{{"text": "{sent}"}}')
    assert transcript.text == read
    assert transcript.text.encode().decode() == read
    word = f'{{"word": "{sent}", "start": 0, "end": 1}}'
    segments = segments_of(f'{{"text": "{sent}", "start": 0, "end": 1, "words": [{word}]}}')
    words = (Word(read, 10.0, 11.0),)
    # Without a segment that holds text, the whole answer is the segment.
    assert segments == [Segment(read, 10.0, 11.0, words, "en") if read else Segment("hi", 10.0, 12.0, (), "en")]


def test_cleaning_leaves_ordinary_text_as_it_is() -> None:
    text = "Čau,\u00a0«你好» e\u0301\N{GRINNING FACE}\u200d — 5 °C"
    assert clean_text(text) == text


@pytest.mark.parametrize("number", NUMBERS)
@pytest.mark.parametrize(
    "field", ["start", "end", "avg_logprob", "no_speech_prob", "compression_ratio", "word start", "word end", "word p"]
)
def test_no_number_raises_and_every_time_and_confidence_is_within_its_bounds(field: str, number: str) -> None:
    fields = {
        "start": "0.5", "end": "1", "avg_logprob": "-0.1", "no_speech_prob": "0.1", "compression_ratio": "1",
        "word start": "0.5", "word end": "1", "word p": "0.5",
    } | {field: number}  # fmt: skip
    times = f'"start": {fields["word start"]}, "end": {fields["word end"]}'
    words = f'[{{"word": "hi", {times}, "probability": {fields["word p"]}}}]'
    inner = ", ".join(f'"{name}": {value}' for name, value in fields.items() if " " not in name)
    answer = f'{{"text": "hi", "words": {words}, "segments": [{{"text": "hi", {inner}, "words": {words}}}]}}'
    transcript = transcript_of(answer)
    assert transcript.text == "hi"
    assert transcript.confidence is None or 0.0 <= transcript.confidence <= 1.0
    assert all(0.0 <= word.start_secs <= word.end_secs <= MAX_SECS for word in transcript.words)
    (segment,) = read_answer(json.loads(answer), "http://box", "en").placed(10.0, 12.0)
    for part in (segment, *segment.words):
        assert 10.0 <= part.start_secs <= part.end_secs <= 12.0
    probabilities = [segment.confidence, segment.no_speech_probability, *(word.probability for word in segment.words)]
    assert all(value is None or 0.0 <= value <= 1.0 for value in probabilities)
    assert all(math.isfinite(value or 0.0) for value in (segment.average_log_probability, segment.compression_ratio))


def test_a_segment_outside_of_its_upload_is_placed_at_its_edges() -> None:
    huge = "9" * 400
    assert segments_of(
        f'{{"text": "early", "start": -100, "end": -50}}, {{"text": "late", "start": 1, "end": {huge}}},'
        '{"text": "backwards", "start": 1.5, "end": 0.5, "avg_logprob": 5000}'
    ) == [
        Segment("early", 10.0, 10.0, (), "en"),
        Segment("late", 11.0, 12.0, (), "en"),
        Segment("backwards", 11.5, 11.5, (), "en", 1.0, 0.0),
    ]


def test_a_model_whose_name_no_form_can_carry_is_not_chosen() -> None:
    listing = Refused(200, r'{"data": [{"id": "whisper\ud800"}, {"id": "whisper\n2"}, {"id": "my-whisper"}]}')
    with serve_transcriptions(models=listing) as server, engine_at(server) as engine:
        assert engine.model == "my-whisper"
