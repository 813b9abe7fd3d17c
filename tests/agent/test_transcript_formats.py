"""Transcripts written down: the exact text of every format, whatever the words hold."""

import json

import pytest

from agent.transcripts import Transcription, written
from processors.stt.languages import LANGUAGE_NAMES, language_code, language_name
from processors.stt.recognizer import Segment, Word

SEGMENTS = (
    Segment("Hello there.", 0.0, 1.5, (Word("Hello", 0.1, 0.5), Word("there.", 0.6, 1.4)), "en", 0.9, -0.1, 0.02, 1.1),
    Segment("How are you?", 3661.25, 3662.9999, (Word("How", 3661.25, 3661.5),), "en"),
)
TALK = Transcription(SEGMENTS, 3663.2)


def test_plain_text_is_one_line() -> None:
    assert written(TALK, "text") == "Hello there. How are you?\n"


def test_subrip_numbers_its_cues_and_writes_commas() -> None:
    assert written(TALK, "srt") == (
        "1\n00:00:00,000 --> 00:00:01,500\nHello there.\n\n2\n01:01:01,250 --> 01:01:03,000\nHow are you?\n"
    )


def test_webvtt_starts_with_its_name_and_writes_points() -> None:
    assert written(TALK, "vtt") == (
        "WEBVTT\n\n00:00:00.000 --> 00:00:01.500\nHello there.\n\n01:01:01.250 --> 01:01:03.000\nHow are you?\n"
    )


def test_words_cannot_break_a_subtitle() -> None:
    odd = Transcription((Segment("a < b & c > d\n\n2\n1 --> 2", 0, 1),), 1)
    assert written(odd, "srt") == "1\n00:00:00,000 --> 00:00:01,000\na < b & c > d 2 1 -> 2\n"
    assert written(odd, "vtt") == "WEBVTT\n\n00:00:00.000 --> 00:00:01.000\na &lt; b &amp; c &gt; d 2 1 --&gt; 2\n"


def test_a_cue_always_lasts() -> None:
    odd = Transcription((Segment("now", 1.0, 1.0), Segment("then", 3.0, 2.0), Segment("before", -0.2, 0.5)), 3)
    assert [line for line in written(odd, "srt").splitlines() if "-->" in line] == [
        "00:00:00,000 --> 00:00:00,633",
        "00:00:01,000 --> 00:00:01,833",
        "00:00:03,000 --> 00:00:03,833",
    ]


def test_nothing_said_is_valid_in_every_format() -> None:
    silence = Transcription((), 2.0, language="en", with_words=True)
    assert written(silence, "text") == "\n"
    assert written(silence, "srt") == ""
    assert written(silence, "vtt") == "WEBVTT\n"
    assert json.loads(written(silence, "json")) == {"text": "", "usage": {"type": "duration", "seconds": 2}}
    assert json.loads(written(silence, "verbose_json")) == {
        "task": "transcribe",
        "language": "english",
        "duration": 2.0,
        "text": "",
        "segments": [],
        "words": [],
        "usage": {"type": "duration", "seconds": 2},
    }


def test_json_is_the_text_and_the_seconds_rounded_up() -> None:
    assert json.loads(written(TALK, "json")) == {
        "text": "Hello there. How are you?",
        "usage": {"type": "duration", "seconds": 3664},
    }


def test_verbose_json_has_every_number_a_client_wants() -> None:
    talk = Transcription(SEGMENTS, 3663.2, temperature=0.2, with_words=True)
    answer = json.loads(written(talk, "verbose_json"))
    assert answer == {
        "task": "transcribe",
        "language": "english",
        "duration": 3663.2,
        "text": "Hello there. How are you?",
        "segments": [
            {
                "id": 0,
                "seek": 0,
                "start": 0.0,
                "end": 1.5,
                "text": "Hello there.",
                "tokens": [],
                "temperature": 0.2,
                "avg_logprob": -0.1,
                "compression_ratio": 1.1,
                "no_speech_prob": 0.02,
            },
            {
                "id": 1,
                "seek": 366_125,
                "start": 3661.25,
                "end": 3663.0,
                "text": "How are you?",
                "tokens": [],
                "temperature": 0.2,
                "avg_logprob": 0.0,
                # zlib makes 20 bytes of its 12.
                "compression_ratio": 0.6,
                "no_speech_prob": 0.0,
            },
        ],
        "words": [
            {"word": "Hello", "start": 0.1, "end": 0.5},
            {"word": "there.", "start": 0.6, "end": 1.4},
            {"word": "How", "start": 3661.25, "end": 3661.5},
        ],
        "usage": {"type": "duration", "seconds": 3664},
    }


def test_words_alone_leave_the_segments_out() -> None:
    answer = json.loads(written(Transcription(SEGMENTS, 1, with_words=True, with_segments=False), "verbose_json"))
    assert "segments" not in answer
    assert len(answer["words"]) == 3


def test_a_translation_is_english_whatever_was_spoken() -> None:
    spanish = Transcription((Segment("Good day", 0, 1, language="es"),), 1, task="translate")
    answer = json.loads(written(spanish, "verbose_json"))
    assert (answer["task"], answer["language"]) == ("translate", "english")


def test_languages_without_spaces_are_joined_without_them() -> None:
    chinese = (Segment("你好。", 0, 1, language="zh"), Segment("再见。", 1, 2, language="zh"))
    assert written(Transcription(chinese, 2), "text") == "你好。再见。\n"
    assert json.loads(written(Transcription(chinese, 2), "verbose_json"))["language"] == "chinese"


@pytest.mark.parametrize("named", ["en", "EN", " en ", "en-US", "en_us", "English"])
def test_a_language_may_be_named_in_many_ways(named: str) -> None:
    assert language_code(named) == "en"


def test_every_language_of_whisper_has_a_name() -> None:
    from faster_whisper.tokenizer import _LANGUAGE_CODES

    assert set(_LANGUAGE_CODES) <= set(LANGUAGE_NAMES)
    assert language_name("yue") == "cantonese"
    assert [language_name(code) for code in ("en-US", "tlh", None)] == ["english", "tlh", "unknown"]
