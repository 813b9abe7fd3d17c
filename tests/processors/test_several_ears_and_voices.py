"""Ears and voices at several addresses: an upload and a text move on while they have given nothing, and not after.

The servers are fakes at the edge; HTTP and its failures are real, in threads as engines use them.
"""

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest

from processors.address import Group
from processors.addresses import AddressGroup
from processors.errors import EngineError, EngineUnavailableError
from processors.openai_client import ServerError
from processors.stt.openai_compatible import OpenAIRecognizerEngine
from processors.tts.openai_speech import OpenAISynthesizer
from processors.tts.synthesizer import StoppableSpeech
from tests.support.ports import free_port
from tests.support.speech_server import Said, SpeechServer, serve_speech, tone
from tests.support.transcription_server import (
    HALF_SECOND,
    Cut,
    Drip,
    Hang,
    Heard,
    Refused,
    TranscriptionServer,
    serve_transcriptions,
)

TEXT = "The capital of Germany is Berlin."
SILENT_SECS = 0.3
# Longer than a busy machine holds anything up.
PATIENT_SECS = 60.0


def group_of(stage: str, urls: Sequence[str], **told: Any) -> AddressGroup:
    return AddressGroup(Group(stage, tuple(urls), **{"silent_secs": SILENT_SECS, **told}))


@contextmanager
def ears_at(*servers: TranscriptionServer, **told: Any) -> Iterator[OpenAIRecognizerEngine]:
    group = group_of("stt", [one.base_url for one in servers], **told)
    engine = OpenAIRecognizerEngine("", timeout_secs=PATIENT_SECS, addresses=group)
    try:
        yield engine
    finally:
        engine.close()


@contextmanager
def voice_at(*servers: SpeechServer, timeout_secs: float = PATIENT_SECS, **told: Any) -> Iterator[OpenAISynthesizer]:
    group = group_of("tts", [one.base_url for one in servers], **told)
    voice = OpenAISynthesizer("", timeout_secs=timeout_secs, voice="nova", addresses=group)
    try:
        yield voice
    finally:
        voice.close()


def states(engine: OpenAIRecognizerEngine | OpenAISynthesizer) -> list[str]:
    assert engine.addresses is not None
    return [one.gone for one in engine.addresses.addresses]


def in_flight(engine: OpenAIRecognizerEngine | OpenAISynthesizer) -> list[int]:
    assert engine.addresses is not None
    return [one.n_in_flight for one in engine.addresses.addresses]


def said(voice: OpenAISynthesizer) -> np.ndarray[Any, np.dtype[np.int16]]:
    return np.frombuffer(b"".join(chunk.pcm16 for chunk in voice.synthesize(TEXT)), "<i2")


@pytest.mark.parametrize(
    ("failure", "reason"),
    [
        (Refused(503, "loading"), "HTTP 503"),
        (Refused(500, "out of memory"), "HTTP 500"),
        (Cut(), "broke off"),
        (Hang(), "nothing within 0.3 s"),
        (Drip(b"", b"HTTP/1.1 100 Continue\r\n\r\n"), "nothing within 0.3 s"),
    ],
)
def test_an_upload_moves_on_and_what_failed_is_left_alone(failure: Any, reason: str) -> None:
    with serve_transcriptions(failure) as bad, serve_transcriptions(Heard("hello"), Heard("again")) as good:
        with ears_at(bad, good) as ears:
            assert ears.hear(HALF_SECOND).text == "hello"
            assert states(ears)[0].startswith(reason)
            assert states(ears)[1] == ""
            assert ears.hear(HALF_SECOND).text == "again"
            assert in_flight(ears) == [0, 0]
        assert (len(bad.uploads), len(good.uploads)) == (1, 2)
        assert np.array_equal(bad.uploads[0].audio_s16, good.uploads[0].audio_s16)
        assert bad.uploads[0].fields == good.uploads[0].fields


def test_what_the_servers_refuse_in_one_form_is_asked_in_another_and_blames_none() -> None:
    with (
        serve_transcriptions(refused_formats=["verbose_json"]) as first,
        serve_transcriptions(refused_formats=["verbose_json"]) as second,
        ears_at(first, second) as ears,
    ):
        assert ears.hear(HALF_SECOND).text == "okay"
        assert states(ears) == ["", ""]
        assert len(first.uploads) + len(second.uploads) == 2


def test_uploads_at_the_same_time_are_spread() -> None:
    with serve_transcriptions(*[Heard("a")] * 8) as first, serve_transcriptions(*[Heard("b")] * 8) as second:
        with ears_at(first, second, silent_secs=PATIENT_SECS) as ears:
            group = ears.addresses
            assert group is not None
            busy = group.take()  # Somebody is listened to at the first address all the time.
            assert [ears.hear(HALF_SECOND).text for _ in range(4)] == ["b"] * 4
            group.give_back(busy)
        assert first.uploads == []


def test_all_gone_is_one_line_and_the_next_utterance_is_heard_once_one_is_back() -> None:
    with serve_transcriptions(Cut()) as first, serve_transcriptions(Cut()) as second, ears_at(first, second) as ears:
        with pytest.raises(EngineError) as caught:
            ears.hear(HALF_SECOND)
        assert "\n" not in str(caught.value)
        assert f"the speech-to-text server at {first.base_url}, {second.base_url} broke off" in str(caught.value)
        assert ears.hear(HALF_SECOND).text == "okay"


def test_nobody_there_at_the_start_is_one_line_that_names_them_all() -> None:
    urls = [f"http://127.0.0.1:{free_port()}/v1" for _ in range(2)]
    with pytest.raises(EngineUnavailableError) as caught:
        OpenAIRecognizerEngine("", addresses=group_of("stt", urls))
    assert f"no speech-to-text server answers at {urls[0]}, {urls[1]} (" in str(caught.value)


def test_no_key_is_shown_to_the_other_address_nor_repeated() -> None:
    keys = ("first-key", "second-key")
    refusal = Refused(401, {"error": {"message": "wrong key: second-key"}})
    with serve_transcriptions(refusal) as first, serve_transcriptions(refusal) as second:
        with ears_at(first, second, keys=keys) as ears, pytest.raises(EngineError) as caught:
            ears.hear(HALF_SECOND)
        assert "***" in str(caught.value)
        assert "second-key" not in str(caught.value)
    for server, key in zip((first, second), keys, strict=True):
        shown = {one.headers["authorization"] for one in server.uploads}
        shown |= {one["authorization"] for one in server.lookups if "authorization" in one}
        assert shown == {f"Bearer {key}"}


@pytest.mark.parametrize("failure", [Refused(503, "loading"), Cut(), Hang()])
def test_a_text_moves_on_before_its_first_sound(failure: Any) -> None:
    with serve_speech(failure) as bad, serve_speech() as good, voice_at(bad, good) as voice:
        assert np.array_equal(said(voice), tone())
        assert states(voice)[0] != ""
        assert in_flight(voice) == [0, 0]
        assert bad.asked == good.asked


def test_a_text_that_has_begun_to_sound_is_not_begun_again_elsewhere() -> None:
    whole, _ = Said().in_form("wav")
    broken = Said(body=whole[:20_000], content_type="audio/wav", hangs=True)
    with serve_speech(broken) as bad, serve_speech() as good, voice_at(bad, good, timeout_secs=0.6) as voice:
        chunks: list[bytes] = []
        with pytest.raises(ServerError) as caught:
            chunks += [chunk.pcm16 for chunk in voice.synthesize(TEXT)]
        assert "gave no answer within 0.6 s" in str(caught.value)
        assert good.asked == []


def stopped_while_it_waits(voice: OpenAISynthesizer, *servers: SpeechServer) -> list[Any]:
    """What is heard of a text that is stopped before the server has answered."""
    speech = voice.synthesize(TEXT)
    assert isinstance(speech, StoppableSpeech)
    heard: list[Any] = []
    thread = threading.Thread(target=lambda: heard.extend(speech))
    thread.start()
    while not any(one.asked for one in servers):
        threading.Event().wait(0.01)
    speech.stop()
    thread.join(PATIENT_SECS / 2)
    assert not thread.is_alive()
    return heard


def test_a_text_is_stopped_from_another_thread_while_it_waits() -> None:
    with serve_speech(Hang()) as first, serve_speech(Hang()) as second:
        with voice_at(first, second, silent_secs=PATIENT_SECS) as voice:
            assert stopped_while_it_waits(voice, first, second) == []
            assert in_flight(voice) == [0, 0]
        alone = OpenAISynthesizer(first.base_url, voice="nova", timeout_secs=PATIENT_SECS)
        first.script.append(Hang())
        first.asked.clear()
        assert stopped_while_it_waits(alone, first) == []
        alone.close()


def test_what_was_gone_at_the_start_is_found_though_nobody_asks() -> None:
    with serve_transcriptions() as first, serve_transcriptions() as second:
        group, is_back = group_of("stt", [first.base_url, second.base_url]), threading.Event()
        group.failed(group.addresses[0], "nothing listens there")
        group.listeners.append(lambda _: is_back.set())
        engine = OpenAIRecognizerEngine("", addresses=group)
        assert is_back.wait(PATIENT_SECS)
        assert group.addresses[0].gone == ""
        engine.close()


def test_the_thread_of_the_connections_ends_with_the_engine() -> None:
    with serve_transcriptions() as first, serve_transcriptions() as second:
        with ears_at(first, second):
            assert "stt-addresses" in [one.name for one in threading.enumerate()]
        assert "stt-addresses" not in [one.name for one in threading.enumerate()]
