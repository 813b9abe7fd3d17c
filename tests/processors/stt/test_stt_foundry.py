"""The engine on Foundry Local, driven through a scripted SDK: sessions, pauses, errors, and what a missing piece says.

The SDK is `tests/support/scripted_foundry.py`, a fake at the edge: no real session was run for these tests, for
want of the model. Where the real package is installed, the fake's signatures are compared with it.
"""

import inspect
import sys
import threading
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from agent.engines.candidates import choose
from agent.engines.remote_stt import foundry_candidate, pull_foundry_model
from agent.settings.load import Settings
from processors.errors import EngineError, EngineUnavailableError, UnsupportedRequestError
from processors.foundry_runtime import PRIVACY_NOTE
from processors.stt.foundry import FoundryEngine
from processors.stt.foundry_catalogue import DEFAULT_ALIAS
from processors.stt.recognizer import TranscriptionRequest
from tests.support.scripted_foundry import (
    FakeAudioClient,
    FakeCatalog,
    FakeConfiguration,
    FakeModel,
    FakeSdk,
    FakeSession,
    FoundryLocalException,
)
from transports.recording import load_recording

PUSH = np.arange(1_600, dtype="<i2").tobytes()  # 100 ms
HAS_REAL_SDK = find_spec("foundry_local_sdk") is not None


@pytest.fixture
def sdk(monkeypatch: pytest.MonkeyPatch) -> FakeSdk:
    fake = FakeSdk()
    monkeypatch.setitem(sys.modules, "foundry_local_sdk", fake)
    return fake


@pytest.fixture
def engine(sdk: FakeSdk) -> Iterator[FoundryEngine]:
    others = set(threading.enumerate())
    engine = FoundryEngine()
    yield engine
    engine.close()
    assert all(session.state == "DISPOSED" for session in sdk.model.sessions)
    assert not [thread for thread in set(threading.enumerate()) - others if thread.name == "foundry-reader"]


def settings_of(**stt: Any) -> Settings:
    return Settings(stt=stt)  # pyright: ignore[reportArgumentType]


def reason_of(**options: Any) -> str:
    with pytest.raises(EngineUnavailableError) as caught:
        FoundryEngine(**options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_sound_is_pushed_in_tenths_of_a_second_from_the_engines_own_thread(sdk: FakeSdk, engine: FoundryEngine) -> None:
    recognizer = engine.recognizer()
    sound = PUSH * 3 + PUSH[:1_000]
    for at in range(0, len(sound), 640):  # 20 ms
        recognizer.accept(sound[at : at + 640])
    recognizer.finish()
    (session,) = sdk.model.sessions
    assert [len(push) for push in session.pushes] == [3_200, 3_200, 3_200, 1_000]
    assert b"".join(session.pushes) == sound
    assert session.pushing_threads == {threading.current_thread().name}
    assert vars(session.settings) == {"sample_rate": 16_000, "channels": 1, "bits_per_sample": 16, "language": "en"}


def test_partials_are_joined_as_they_come_and_the_final_text_replaces_them(sdk: FakeSdk, engine: FoundryEngine) -> None:
    sdk.model.scripts = [["turn", " on", " the la", "mp"]]
    recognizer = engine.recognizer()
    partials = [recognizer.accept(PUSH) for _ in range(4)]
    assert partials == ["turn", "turn on", "turn on the la", "turn on the lamp"]
    transcript = recognizer.finish()
    assert (transcript.text, transcript.language, transcript.words) == ("TURN ON THE LAMP", "en", ())
    assert sdk.model.sessions[0].n_stops == 1


def test_a_pause_stops_the_session_and_more_sound_opens_another(sdk: FakeSdk, engine: FoundryEngine) -> None:
    sdk.model.scripts = [["turn on"], [" the lamp"]]
    recognizer = engine.recognizer()
    recognizer.accept(PUSH)
    assert recognizer.pause().text == "TURN ON"
    assert recognizer.pause().text == "TURN ON"
    assert [session.state for session in sdk.model.sessions] == ["DISPOSED"]
    assert recognizer.accept(PUSH[:100]) == "TURN ON"
    assert len(sdk.model.sessions) == 1
    assert recognizer.accept(PUSH[100:]) == "TURN ON the lamp"
    assert recognizer.finish().text == "TURN ON THE LAMP"
    assert [session.n_stops for session in sdk.model.sessions] == [1, 1]
    assert recognizer.finish().text == ""


def test_each_session_has_a_reader_of_its_own_that_ends_with_it(sdk: FakeSdk, engine: FoundryEngine) -> None:
    recognizer = engine.recognizer()
    for _ in range(2):
        recognizer.accept(PUSH)
        recognizer.finish()
    readers = [reader for session in sdk.model.sessions for reader in session.readers]
    assert len(set(readers)) == 2
    assert not any(reader.is_alive() for reader in readers)
    assert threading.current_thread() not in readers


def test_two_recognizers_do_not_mix(sdk: FakeSdk, engine: FoundryEngine) -> None:
    sdk.model.scripts = [["one", " one"], ["two", " two"]]
    one, other = engine.recognizer(), engine.recognizer()
    assert [one.accept(PUSH), other.accept(PUSH[::-1])] == ["one", "two"]
    assert [one.accept(PUSH), other.accept(PUSH[::-1])] == ["one one", "two two"]
    assert [other.finish().text, one.finish().text] == ["TWO TWO", "ONE ONE"]
    assert [session.pushes for session in sdk.model.sessions] == [[PUSH] * 2, [PUSH[::-1]] * 2]


def test_a_reset_stops_the_session_and_forgets_what_was_said(sdk: FakeSdk, engine: FoundryEngine) -> None:
    sdk.model.scripts = [["never"], ["mind"], ["hello"]]
    recognizer = engine.recognizer()
    recognizer.accept(PUSH)
    recognizer.pause()
    recognizer.accept(PUSH + PUSH[:500])
    recognizer.reset()
    assert [(session.n_stops, session.state) for session in sdk.model.sessions] == [(1, "DISPOSED")] * 2
    assert recognizer.accept(PUSH) == "hello"
    assert recognizer.finish().text == "HELLO"
    assert sdk.model.sessions[2].pushes == [PUSH]


def test_nothing_said_opens_no_session(sdk: FakeSdk, engine: FoundryEngine) -> None:
    transcript = engine.recognizer().finish()
    assert (transcript.text, transcript.language) == ("", None)
    assert sdk.model.sessions == []


@pytest.mark.parametrize("failure", [FoundryLocalException("device\nlost"), ValueError("device lost")])
def test_a_failure_in_the_sdks_own_thread_loses_one_utterance(
    sdk: FakeSdk, engine: FoundryEngine, failure: Exception
) -> None:
    sdk.model.scripts = [["he", failure], ["hello"]]
    recognizer = engine.recognizer()
    recognizer.accept(PUSH)

    def say_the_rest() -> None:
        # It shows at once or at the end, as the SDK's thread has it.
        recognizer.accept(PUSH)
        recognizer.finish()

    with pytest.raises(EngineError, match=r"^foundry failed: device lost$"):
        say_the_rest()
    assert [(session.n_stops, session.state) for session in sdk.model.sessions] == [(1, "DISPOSED")]
    recognizer.accept(PUSH)
    assert recognizer.finish().text == "HELLO"


def test_a_session_that_does_not_start_loses_one_utterance(sdk: FakeSdk, engine: FoundryEngine) -> None:
    sdk.model.start_error = FoundryLocalException("no memory")
    recognizer = engine.recognizer()
    with pytest.raises(EngineError, match=r"^foundry failed: no memory$"):
        recognizer.accept(PUSH)
    assert sdk.model.sessions[0].state == "DISPOSED"
    sdk.model.start_error = None
    recognizer.accept(PUSH)
    recognizer.finish()
    assert sdk.model.sessions[1].pushes == [PUSH]


def test_a_session_that_does_not_stop_is_closed_and_its_reader_ends(sdk: FakeSdk, engine: FoundryEngine) -> None:
    recognizer = engine.recognizer()
    recognizer.accept(PUSH)
    sdk.model.stop_error = FoundryLocalException("cannot stop")
    session = sdk.model.sessions[0]
    with pytest.raises(EngineError, match=r"^foundry failed: cannot stop$"):
        recognizer.finish()
    assert session.state == "DISPOSED"
    session._results.put(None)
    session.readers[0].join()
    sdk.model.stop_error = None
    assert recognizer.finish().text == ""


def test_closing_stops_what_runs_unloads_the_model_and_ends_the_runtime(sdk: FakeSdk) -> None:
    engine = FoundryEngine()
    one, other = engine.recognizer(), engine.recognizer()
    one.accept(PUSH)
    other.accept(PUSH)
    engine.close()
    assert [(session.n_stops, session.state) for session in sdk.model.sessions] == [(1, "DISPOSED")] * 2
    assert not any(reader.is_alive() for session in sdk.model.sessions for reader in session.readers)
    assert sdk.model.calls == ["load", "unload"]
    assert sdk.FoundryLocalManager.instance is None
    with pytest.raises(EngineError, match=r"Session must be Started to append audio \(was DISPOSED\)"):
        one.accept(PUSH)
    with pytest.raises(EngineError, match="foundry is closed"):
        engine.recognizer().accept(PUSH)


def test_a_runtime_that_somebody_else_started_is_used_and_left_running(sdk: FakeSdk) -> None:
    sdk.FoundryLocalManager.initialize(FakeConfiguration("other"))
    theirs = sdk.FoundryLocalManager.instance
    FoundryEngine().close()
    assert sdk.FoundryLocalManager.instance is theirs
    assert len(sdk.configurations) == 1


def test_the_language_auto_gives_the_model_no_hint(sdk: FakeSdk) -> None:
    sdk.model.scripts = [["hola"]]
    engine = FoundryEngine(language="auto")
    recognizer = engine.recognizer()
    recognizer.accept(PUSH)
    assert recognizer.finish().language is None
    assert sdk.model.sessions[0].settings.language is None
    engine.close()


def test_a_recording_is_transcribed_from_pause_to_pause(
    sdk: FakeSdk, engine: FoundryEngine, fixtures_dir: Path
) -> None:
    part_s16 = load_recording(fixtures_dir / "speech" / "hello_world.wav").audio_s16
    audio_s16 = np.concatenate([part_s16, np.zeros(32_000, np.int16), part_s16])
    sdk.model.scripts = [["one"], ["two"]]
    segments = list(engine.transcribe(audio_s16, TranscriptionRequest()))
    assert [(segment.text, segment.language) for segment in segments] == [("ONE", "en"), ("TWO", "en")]
    # The second part begins after 1.63 + 2.0 s.
    assert segments[1].start_secs - segments[0].start_secs == pytest.approx(3.63, abs=0.3)
    assert all(session.n_stops == 1 for session in sdk.model.sessions)


def test_leaving_a_transcription_stops_its_session(sdk: FakeSdk, engine: FoundryEngine, fixtures_dir: Path) -> None:
    part_s16 = load_recording(fixtures_dir / "speech" / "hello_world.wav").audio_s16
    sdk.model.scripts = [["one"]]
    segments = iter(engine.transcribe(np.tile(part_s16, 2), TranscriptionRequest()))
    next(segments)
    segments.close()  # pyright: ignore[reportAttributeAccessIssue]
    assert [session.state for session in sdk.model.sessions] == ["DISPOSED"]


def test_what_it_cannot_do_is_an_unsupported_request(engine: FoundryEngine) -> None:
    audio_s16 = np.zeros(1_600, np.int16)
    with pytest.raises(UnsupportedRequestError, match="does not translate") as translating:
        engine.transcribe(audio_s16, TranscriptionRequest(task="translate"))
    with pytest.raises(UnsupportedRequestError, match="knows English only, not language = 'de'") as in_german:
        engine.transcribe(audio_s16, TranscriptionRequest(language="de"))
    assert (translating.value.parameter, in_german.value.parameter) == ("task", "language")


def test_warming_up_runs_a_session_and_tells_what_leaves_the_machine(sdk: FakeSdk, engine: FoundryEngine) -> None:
    assert engine.warm_up() == PRIVACY_NOTE
    (session,) = sdk.model.sessions
    assert (b"".join(session.pushes), session.n_stops) == (bytes(16_000), 1)


def test_the_runtime_starts_in_its_own_directory_without_what_telemetry_can_be_turned_off(
    sdk: FakeSdk, tmp_path: Path
) -> None:
    FoundryEngine(app_data_dir=tmp_path).close()
    assert sdk.configurations == [("sotto", str(tmp_path), "Fatal", True)]


def test_a_missing_package_names_the_command_that_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "foundry_local_sdk", None)
    assert reason_of().startswith("the foundry-local-sdk package ")
    assert reason_of().endswith(": uv sync --extra foundry")


def test_an_unreachable_catalogue_is_said_to_be_one(sdk: FakeSdk) -> None:
    # As the real SDK behaves on a machine without a network: no error, an empty list.
    sdk.models = []
    assert reason_of() == (
        "Foundry Local's catalogue cannot be reached, and it keeps no copy of it: "
        "connect this machine to the internet and run `sotto models pull foundry`"
    )
    assert sdk.FoundryLocalManager.instance is None


def test_an_unknown_alias_names_the_speech_models_that_there_are(sdk: FakeSdk) -> None:
    sdk.models += [FakeModel("phi-4", "chat-completion"), FakeModel("whisper-tiny")]
    assert reason_of(model_alias="nemo") == (
        f"Foundry Local's catalogue has no model nemo: set stt.model to one of {DEFAULT_ALIAS}, whisper-tiny"
    )


def test_a_model_that_is_not_there_or_does_not_load_ends_the_runtime_again(sdk: FakeSdk) -> None:
    sdk.model.is_cached = False
    assert reason_of() == f"Foundry Local's model {DEFAULT_ALIAS} is not downloaded: sotto models pull foundry"
    assert sdk.model.calls == []
    sdk.model.is_cached = True
    sdk.model.load_error = FoundryLocalException("bad\nfile")
    assert reason_of().startswith(f"Foundry Local's model {DEFAULT_ALIAS} does not load (bad file): ")
    sdk.manager_error = OSError("no library")
    assert reason_of().startswith("Foundry Local does not start (no library): ")
    assert sdk.FoundryLocalManager.instance is None
    assert "knows English only, not stt.language = 'de'" in reason_of(language="de")


def test_pulling_downloads_the_model_and_ends_the_runtime(sdk: FakeSdk, tmp_path: Path) -> None:
    settings = Settings(models_dir=tmp_path)
    percents: list[float] = []
    assert pull_foundry_model(settings, percents.append) == DEFAULT_ALIAS
    assert (sdk.model.calls, percents) == (["download"], [100.0])
    assert sdk.configurations[0][1] == str(tmp_path / "foundry")
    assert sdk.FoundryLocalManager.instance is None
    sdk.model.load_error = FoundryLocalException("disk full")
    with pytest.raises(EngineUnavailableError, match=rf"^{DEFAULT_ALIAS} was not downloaded \(disk full\)"):
        pull_foundry_model(settings, percents.append)


def test_the_engine_is_usable_with_its_package_and_a_language_of_its_model(sdk: FakeSdk, tmp_path: Path) -> None:
    choice = choose("stt", "foundry", [foundry_candidate(Settings(models_dir=tmp_path))])
    assert (choice.engine, choice.model) == ("foundry", DEFAULT_ALIAS)
    choice.loaded.close()
    assert foundry_candidate(settings_of(language="auto")).reason is None
    assert foundry_candidate(settings_of(language="de", model="nemotron-many")).reason is None
    german = foundry_candidate(settings_of(language="de"))
    assert german.reason == f"{DEFAULT_ALIAS} knows English only, not stt.language = de"
    assert foundry_candidate(settings_of(task="translate")).reason == "it does not translate (stt.task = translate)"


@pytest.mark.skipif(HAS_REAL_SDK, reason="foundry-local-sdk is installed")
def test_without_its_package_the_engine_is_passed_over_with_the_command() -> None:
    candidate = foundry_candidate(settings_of())
    assert (candidate.reason, candidate.mend) == (
        "the foundry-local-sdk package is not installed",
        "uv sync --extra foundry",
    )


@pytest.mark.skipif(not HAS_REAL_SDK, reason="foundry-local-sdk is not installed: uv sync --extra foundry")
def test_the_scripted_sdk_has_the_signatures_of_the_real_one() -> None:
    import foundry_local_sdk  # pyright: ignore[reportMissingImports]
    from foundry_local_sdk.openai import audio_client, live_audio_session  # pyright: ignore[reportMissingImports]

    pairs = [
        (FakeConfiguration, foundry_local_sdk.Configuration, ["__init__"]),
        (FakeSdk().FoundryLocalManager, foundry_local_sdk.FoundryLocalManager, ["initialize", "close"]),
        (FakeCatalog, foundry_local_sdk.Catalog, ["get_model", "list_models"]),
        (FakeModel, foundry_local_sdk.IModel, ["download", "load", "unload", "get_audio_client"]),
        (FakeAudioClient, audio_client.AudioClient, ["create_live_transcription_session"]),
        (
            FakeSession,
            live_audio_session.LiveAudioTranscriptionSession,
            ["start", "append", "get_stream", "stop", "close"],
        ),
    ]
    for fake, real, names in pairs:
        for name in names:
            assert names_of(getattr(fake, name)) == names_of(getattr(real, name)), f"{fake.__name__}.{name}"
    real_fields = set(live_audio_session.LiveAudioTranscriptionOptions.__dataclass_fields__)
    assert set(vars(FakeSession("id", FakeModel()).settings)) <= real_fields


def names_of(function: Callable[..., Any]) -> list[tuple[str, Any]]:
    parameters = inspect.signature(inspect.unwrap(function)).parameters.values()
    return [(parameter.name, parameter.kind) for parameter in parameters]
