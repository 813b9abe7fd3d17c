"""PocketSphinx with its bundled model: what goes in as sound comes out as words."""

import json
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from processors.errors import EngineError, UnsupportedRequestError
from processors.stt.pocketsphinx import PocketSphinxEngine
from processors.stt.recognizer import Recognizer, TranscriptionRequest
from transports.recording import load_recording

BLOCK_BYTES = 3200  # 100 ms


def pcm16_of(path: Path) -> bytes:
    return load_recording(path).audio_s16.tobytes()


def partials_of(recognizer: Recognizer, pcm16: bytes) -> list[str]:
    return [recognizer.accept(pcm16[at : at + BLOCK_BYTES]) for at in range(0, len(pcm16), BLOCK_BYTES)]


@pytest.fixture(scope="module")
def pocketsphinx() -> Iterator[PocketSphinxEngine]:
    engine = PocketSphinxEngine()
    yield engine
    engine.close()


def words_of(fixtures_dir: Path, heard_by: str) -> dict[str, str]:
    manifest = json.loads((fixtures_dir / "speech" / "words.json").read_text(encoding="utf-8"))
    return {name: entry["words"] for name, entry in manifest.items() if entry.get("heard_by") == heard_by}


def test_pocketsphinx_hears_every_fixture_word_for_word(pocketsphinx: PocketSphinxEngine, fixtures_dir: Path) -> None:
    expected = words_of(fixtures_dir, "pocketsphinx")
    recognizer = pocketsphinx.recognizer()
    heard = {}
    for name in expected:
        partials_of(recognizer, pcm16_of(fixtures_dir / "speech" / name))
        heard[name] = recognizer.finish().text
    assert heard == expected


def test_partials_grow_and_words_have_times(pocketsphinx: PocketSphinxEngine, fixtures_dir: Path) -> None:
    recognizer = pocketsphinx.recognizer()
    pcm16 = pcm16_of(fixtures_dir / "speech" / "capital_of_germany.wav")
    partials = partials_of(recognizer, pcm16)
    transcript = recognizer.finish()
    assert partials[0] == ""
    assert len(set(partials)) >= 3
    assert [word.text for word in transcript.words] == transcript.text.split()
    starts = [word.start_secs for word in transcript.words]
    assert starts == sorted(starts)
    # The voice lies between 0.30 and 2.07 s of the recording.
    assert 0.2 <= starts[0] <= 0.5
    assert 1.9 <= transcript.words[-1].end_secs <= 2.3
    assert transcript.language == "en"
    assert 0 < (transcript.confidence or 0) <= 1


def test_two_speakers_at_once_each_get_their_own_words(pocketsphinx: PocketSphinxEngine, fixtures_dir: Path) -> None:
    one, other = pocketsphinx.recognizer(), pocketsphinx.recognizer()
    first = pcm16_of(fixtures_dir / "speech" / "capital_of_germany.wav")
    second = pcm16_of(fixtures_dir / "speech" / "hello_world.wav")
    half = len(first) // 2 // 2 * 2
    one.accept(first[:half])
    other.accept(second)
    assert other.finish().text == "hello world"
    one.accept(first[half:])
    assert one.finish().text == "what is the capital of germany"


def test_nothing_said_is_an_empty_transcript(pocketsphinx: PocketSphinxEngine) -> None:
    recognizer = pocketsphinx.recognizer()
    assert recognizer.finish().text == ""
    recognizer.accept(bytes(BLOCK_BYTES * 5))
    assert recognizer.finish().text == ""


def test_a_reset_forgets_what_was_said(pocketsphinx: PocketSphinxEngine, fixtures_dir: Path) -> None:
    recognizer = pocketsphinx.recognizer()
    recognizer.accept(pcm16_of(fixtures_dir / "speech" / "tell_me_a_story.wav"))
    recognizer.reset()
    recognizer.accept(pcm16_of(fixtures_dir / "speech" / "hello_world.wav"))
    assert recognizer.finish().text == "hello world"


def kill(engine: PocketSphinxEngine) -> None:
    assert engine.pid is not None
    os.kill(engine.pid, signal.SIGKILL)


def test_a_killed_decoder_loses_nothing(fixtures_dir: Path) -> None:
    engine = PocketSphinxEngine()
    try:
        recognizer = engine.recognizer()
        story = pcm16_of(fixtures_dir / "speech" / "tell_me_a_story.wav")
        half = len(story) // 4 * 2
        for _ in range(2):
            recognizer.accept(story[:half])
            kill(engine)
            # The new process is given what the old one had heard.
            recognizer.accept(story[half:])
            assert recognizer.finish().text == "tell me a story"
        kill(engine)
        recognizer.accept(story)
        kill(engine)
        assert recognizer.pause().text == "tell me a story"
    finally:
        engine.close()


def test_closing_ends_the_decoding_process() -> None:
    engine = PocketSphinxEngine()
    pid = engine.pid
    assert pid is not None
    engine.close()
    assert not Path(f"/proc/{pid}").exists()
    with pytest.raises(EngineError, match="closed"):
        engine.recognizer().accept(b"\0\0")


def test_an_interrupt_from_the_keyboard_does_not_end_the_decoder(pocketsphinx: PocketSphinxEngine) -> None:
    assert pocketsphinx.pid is not None
    os.kill(pocketsphinx.pid, signal.SIGINT)
    time.sleep(0.1)  # a signal that ended it would have done so by then
    recognizer = pocketsphinx.recognizer()
    recognizer.accept(bytes(BLOCK_BYTES))
    assert recognizer.finish().text == ""


def test_a_pause_inside_an_utterance_loses_no_word(pocketsphinx: PocketSphinxEngine, fixtures_dir: Path) -> None:
    recognizer = pocketsphinx.recognizer()
    first = pcm16_of(fixtures_dir / "speech" / "tell_me_a_story.wav")
    second = pcm16_of(fixtures_dir / "speech" / "hello_world.wav")
    partials_of(recognizer, first)
    assert recognizer.pause().text == "tell me a story"
    assert recognizer.pause().text == "tell me a story"
    partials = partials_of(recognizer, second)
    assert all(partial.startswith("tell me a story") for partial in partials)
    transcript = recognizer.finish()
    assert transcript.text == "tell me a story hello world"
    # The second recording's voice begins 0.3 s after the first one's end.
    hello = transcript.words[4]
    assert (hello.text, hello.start_secs) == ("hello", pytest.approx(len(first) / 32_000 + 0.3, abs=0.15))
    partials_of(recognizer, second)
    assert recognizer.finish().text == "hello world"


def test_a_recording_is_cut_at_its_pauses(pocketsphinx: PocketSphinxEngine, fixtures_dir: Path) -> None:
    first = load_recording(fixtures_dir / "speech" / "tell_me_a_story.wav").audio_s16
    second = load_recording(fixtures_dir / "speech" / "what_time_is_it.wav").audio_s16
    silence_s16 = np.zeros(24_000, np.int16)
    audio_s16 = np.concatenate([silence_s16, first, silence_s16, second])
    segments = list(pocketsphinx.transcribe(audio_s16, TranscriptionRequest(word_times=True)))
    assert [segment.text for segment in segments] == ["tell me a story", "what time is it"]
    # Each begins where its voice does: 0.3 s into the recording, which itself begins after 1.5 s, and so on.
    assert segments[0].start_secs == pytest.approx(1.8, abs=0.15)
    assert segments[1].start_secs == pytest.approx(3.0 + len(first) / 16_000 + 0.3, abs=0.15)
    assert segments[1].words[0].start_secs == pytest.approx(3.0 + len(first) / 16_000 + 0.3, abs=0.15)


def test_silence_has_no_segments(pocketsphinx: PocketSphinxEngine) -> None:
    for n_samples in (0, 1, 511, 160_000):
        assert list(pocketsphinx.transcribe(np.zeros(n_samples, np.int16), TranscriptionRequest())) == []


def test_pocketsphinx_refuses_other_languages_and_translation(pocketsphinx: PocketSphinxEngine) -> None:
    with pytest.raises(UnsupportedRequestError, match="language = 'es'"):
        pocketsphinx.transcribe(np.zeros(16_000, np.int16), TranscriptionRequest(language="es"))
    with pytest.raises(UnsupportedRequestError, match="does not translate"):
        pocketsphinx.transcribe(np.zeros(16_000, np.int16), TranscriptionRequest(task="translate"))
