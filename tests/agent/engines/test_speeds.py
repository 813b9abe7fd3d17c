"""Which engine `auto` takes on this machine: the first that keeps up, measured once and remembered.

The engines are scripted, at the edge of the house, but for the bundled voice, which is really measured.
"""

import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from agent.engines import known_speeds as module
from agent.engines.candidates import Candidate, PassedOver, choose
from agent.engines.known_speeds import KnownSpeeds
from agent.engines.measure import measure
from agent.engines.speed import Speed, answer_secs, too_slow
from processors.errors import EngineError, EngineUnavailableError
from processors.tts.espeak import EspeakSynthesizer
from tests.support.scripted_engines import ScriptedRecognizerEngine, ScriptedSynthesizer

FAST, SLOW, SLOWER = Speed(0.1, 0.2), Speed(2.0, 1.2), Speed(3.0, 2.5)


class Engine(ScriptedSynthesizer):
    """Counts what is done with it."""

    def __init__(self, name: str, log: list[str]) -> None:
        super().__init__()
        self._called, self._log = name, log

    def warm_up(self) -> None:
        self._log.append(f"warm {self._called}")

    def close(self) -> None:
        self._log.append(f"close {self._called}")


def offers(log: list[str], *names: str) -> list[Candidate[Engine]]:
    def loader(name: str) -> Callable[[], Engine]:
        def load() -> Engine:
            log.append(f"load {name}")
            return Engine(name, log)

        return load

    return [Candidate(name, f"{name}-model", loader(name)) for name in names]


@pytest.fixture
def quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "getloadavg", lambda: (0.1, 0.1, 0.1))


def measured(monkeypatch: pytest.MonkeyPatch, **speeds: Speed) -> None:
    monkeypatch.setattr(module, "measure", lambda engine: speeds[engine._called])


@pytest.mark.usefixtures("quiet")
def test_the_best_that_keeps_up_is_taken_and_the_slow_one_never_loaded_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    measured(monkeypatch, kokoro=SLOW, piper=FAST)
    log: list[str] = []
    path = tmp_path / "cache" / "speeds.json"
    first = choose("tts", "auto", offers(log, "kokoro", "piper", "espeak"), KnownSpeeds(path))
    assert (first.engine, first.speed, first.note) == ("piper", FAST, None)
    slow = PassedOver("kokoro", "kokoro-model: it needs 1.2 s here for a second of speech", "")
    assert first.passed_over == [slow]
    assert log == ["load kokoro", "warm kokoro", "load piper", "warm piper", "close kokoro"]

    log.clear()
    remembered = KnownSpeeds(path)
    assert remembered.decides("tts", offers(log, "kokoro", "piper"))
    again = choose("tts", "auto", offers(log, "kokoro", "piper", "espeak"), remembered)
    assert (again.engine, again.passed_over) == ("piper", [slow])
    assert log == ["load piper", "warm piper"]


@pytest.mark.usefixtures("quiet")
def test_where_none_keeps_up_the_fastest_speaks_and_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    measured(monkeypatch, kokoro=SLOWER, piper=SLOW, other=SLOWER)
    log: list[str] = []
    path = tmp_path / "speeds.json"
    for _ in range(2):
        choice = choose("tts", "auto", offers(log, "kokoro", "piper", "other"), KnownSpeeds(path))
        assert choice.engine == "piper"
        assert choice.note == "too slow for a conversation: piper-model: it needs 1.2 s here for a second of speech"
        assert [passed.engine for passed in choice.passed_over] == ["kokoro"]
    loaded = [line for line in log if line.startswith("load")]
    closed = [line for line in log if line.startswith("close")]
    assert loaded == ["load kokoro", "load piper", "load other", "load piper"]
    assert closed == ["close kokoro", "close other"]


@pytest.mark.usefixtures("quiet")
def test_an_engine_that_was_named_is_taken_however_slow_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    measured(monkeypatch, kokoro=SLOW)
    choice = choose("tts", "kokoro", offers([], "kokoro", "espeak"), KnownSpeeds(tmp_path / "speeds.json"))
    assert choice.engine == "kokoro"
    assert choice.note == "too slow for a conversation: kokoro-model: it needs 1.2 s here for a second of speech"


@pytest.mark.usefixtures("quiet")
@pytest.mark.parametrize(("speed", "taken"), [(Speed(2.0, 0.9), "whisper"), (Speed(6.0, 2.5), "pocketsphinx")])
def test_ears_that_mishear_are_taken_only_where_the_others_are_unbearably_slow(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, speed: Speed, taken: str
) -> None:
    measured(monkeypatch, whisper=speed, pocketsphinx=FAST)
    path = tmp_path / "speeds.json"
    for _ in range(2):
        whisper, pocketsphinx = offers([], "whisper", "pocketsphinx")
        last = Candidate("pocketsphinx", pocketsphinx.model, pocketsphinx.load, last_resort=True)
        assert choose("stt", "auto", [whisper, last], KnownSpeeds(path)).engine == taken


@pytest.mark.parametrize(("remembered", "taken"), [(False, "whisper"), (True, "pocketsphinx")])
def test_a_busy_machine_makes_nobody_mishear(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, quiet: None, remembered: bool, taken: str
) -> None:
    measured(monkeypatch, whisper=Speed(6.0, 2.5), pocketsphinx=FAST)
    whisper, pocketsphinx = offers([], "whisper", "pocketsphinx")
    ears = [whisper, replace(pocketsphinx, last_resort=True)]
    path = tmp_path / "speeds.json"
    if remembered:
        choose("stt", "auto", ears, KnownSpeeds(path))
    monkeypatch.setattr(os, "getloadavg", lambda: (100.0, 100.0, 100.0))
    choice = choose("stt", "auto", ears, KnownSpeeds(path))
    assert choice.engine == taken
    assert choice.note == (
        None if remembered else "too slow for a conversation: whisper-model: its words come 6.0 s after a pause here"
    )


def test_for_no_conversation_the_best_is_taken_at_any_speed_and_nothing_is_measured() -> None:
    log: list[str] = []
    choice = choose("tts", "auto", offers(log, "kokoro", "espeak"))
    assert (choice.engine, choice.speed, log) == ("kokoro", None, ["load kokoro"])


def test_what_a_busy_machine_says_against_an_engine_is_not_remembered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    measured(monkeypatch, kokoro=SLOW, espeak=FAST)
    monkeypatch.setattr(os, "getloadavg", lambda: (100.0, 100.0, 100.0))
    path = tmp_path / "speeds.json"
    assert choose("tts", "auto", offers([], "kokoro", "espeak"), KnownSpeeds(path)).engine == "espeak"
    known = KnownSpeeds(path)
    kokoro, espeak = offers([], "kokoro", "espeak")
    assert (known.known("tts", kokoro), known.known("tts", espeak)) == (None, FAST)
    assert not known.decides("tts", [kokoro, espeak])


@pytest.mark.usefixtures("quiet")
@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"a": 1}', '{"a": [1]}', '{"a": ["x", "y"]}', '{"a": [-1, 2]}', "\0"]
)
def test_a_file_that_cannot_be_read_costs_a_measurement(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    measured(monkeypatch, espeak=FAST)
    path = tmp_path / "speeds.json"
    path.write_text(text)
    assert choose("tts", "auto", offers([], "espeak"), KnownSpeeds(path)).speed == FAST
    assert [tuple(entry) for entry in json.loads(path.read_text()).values()] == [(FAST.first_secs, FAST.factor)]


@pytest.mark.usefixtures("quiet")
def test_a_folder_that_cannot_be_written_costs_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    measured(monkeypatch, espeak=FAST)
    in_the_way = tmp_path / "file"
    in_the_way.write_text("")
    speeds = KnownSpeeds(in_the_way / "speeds.json")
    assert choose("tts", "auto", offers([], "espeak"), speeds).speed == FAST


@pytest.mark.usefixtures("quiet")
def test_other_threads_or_other_weights_are_measured_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    measured(monkeypatch, kokoro=FAST)
    path = tmp_path / "speeds.json"
    choose("tts", "auto", offers([], "kokoro"), KnownSpeeds(path, "2 threads"))
    (kokoro,) = offers([], "kokoro")
    other = Candidate("kokoro", "kokoro-model", kokoro.load, weights="kokoro-int8")
    assert KnownSpeeds(path, "2 threads").known("tts", kokoro) == FAST
    assert KnownSpeeds(path, "1 thread").known("tts", kokoro) is None
    assert KnownSpeeds(path, "2 threads").known("tts", other) is None


def test_a_server_elsewhere_is_not_asked_for_its_speed(tmp_path: Path) -> None:
    log: list[str] = []
    (own,) = offers(log, "openai")
    remote = Candidate("openai", "whisper-1", own.load, measurable=False)
    speeds = KnownSpeeds(tmp_path / "speeds.json")
    assert speeds.decides("stt", [remote])
    assert choose("stt", "auto", [remote], speeds).speed is None
    assert not (tmp_path / "speeds.json").exists()


def test_an_engine_that_fails_on_a_sentence_is_passed_over_and_closed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(engine: Engine) -> Speed:
        if engine._called == "kokoro":
            raise EngineUnavailableError("kokoro fails on a short sentence: no", "sotto doctor")
        return FAST

    monkeypatch.setattr(module, "measure", failing)
    log: list[str] = []
    choice = choose("tts", "auto", offers(log, "kokoro", "espeak"), KnownSpeeds(tmp_path / "speeds.json"))
    assert choice.passed_over == [PassedOver("kokoro", "kokoro fails on a short sentence: no", "sotto doctor")]
    assert log == ["load kokoro", "warm kokoro", "close kokoro", "load espeak", "warm espeak"]


def test_the_bundled_voice_is_measured_and_keeps_up() -> None:
    speed = measure(EspeakSynthesizer(voice="en-us"))
    assert speed is not None
    # It makes seconds of speech in milliseconds: even a busy machine is far from the limit.
    assert 0 < speed.factor < 0.5
    assert too_slow("tts", speed) is None


def test_a_recognizer_is_measured_on_speech_and_a_pause() -> None:
    engine = ScriptedRecognizerEngine()
    speed = measure(engine)
    assert speed is not None
    assert speed.first_secs >= 0
    assert speed.factor >= 0


def test_a_voice_without_a_sound_is_no_voice(monkeypatch: pytest.MonkeyPatch) -> None:
    voice = EspeakSynthesizer(voice="en-us")
    monkeypatch.setattr(voice, "synthesize", lambda text: iter(()))
    with pytest.raises(EngineUnavailableError, match="espeak fails on a short sentence: it gives no sound"):
        measure(voice)


def test_an_engine_error_names_the_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(text: str) -> None:
        raise EngineError("no memory")

    voice = EspeakSynthesizer(voice="en-us")
    monkeypatch.setattr(voice, "synthesize", fail)
    with pytest.raises(EngineUnavailableError, match="espeak fails on a short sentence: no memory"):
        measure(voice)


@pytest.mark.parametrize(
    ("stage", "speed", "reason"),
    [
        ("tts", Speed(0.2, 0.7), None),
        ("tts", Speed(0.2, 0.71), "it needs 0.7 s here for a second of speech"),
        ("stt", Speed(1.3, 0.5), "its words come 1.3 s after a pause here"),
        ("stt", Speed(0.3, 0.9), "it needs 0.9 s here to hear a second of speech"),
        ("stt", Speed(1.2, 0.7), None),
        ("llm", Speed(5.0, 0.2), None),
        ("llm", Speed(0.1, 0.8), "it needs 0.8 s here to write a second of speech"),
        ("llm", None, None),
    ],
)
def test_what_is_too_slow_for_a_conversation(stage: str, speed: Speed | None, reason: str | None) -> None:
    assert too_slow(stage, speed) == reason


def test_an_answer_takes_the_longer_of_the_decision_and_its_preparation() -> None:
    # 0.1 s until the pause is noticed, 0.2 words, 0.1 first token, 6 tokens at 0.1 s, 0.1 sound.
    assert answer_secs(Speed(0.2, 0.1), Speed(0.1, 0.4), Speed(0.1, 0.1)) == pytest.approx(1.1)
    assert answer_secs(Speed(0, 0), Speed(0, 0), Speed(0, 0)) == 0.3
    assert answer_secs(Speed(0.2, 0.1), None, Speed(0.1, 0.1)) is None
