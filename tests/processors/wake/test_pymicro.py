"""pymicro's models: what they hear, what they do not, and what is told where the package or a word is missing."""

import importlib.util
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from agent.engines.wake import load_wake
from agent.settings.load import Settings
from processors.engine_threads import EngineThreads
from processors.errors import EngineError, EngineUnavailableError
from processors.wake import pymicro
from processors.wake.detector import HeardWake, WakeDetector
from processors.wake.listener import WakeListener
from processors.wake.pymicro import PymicroEngine
from tests.conftest import REPOSITORY
from tests.support.sounds import voice

pytestmark = pytest.mark.needs_extra("wake")

SECOND = bytes(32_000)


def pcm16(text: str, *, level_dbfs: float = -20.0) -> bytes:
    """A sentence with a second of silence on either side."""
    return SECOND + voice(text, level_dbfs=level_dbfs).audio_s16.astype("<i2").tobytes() + SECOND


def heard_in(detector: WakeDetector, sound: bytes, step: int) -> list[str]:
    """The words in a sound that comes in pieces."""
    return [one.word.name for at in range(0, len(sound), step) for one in detector.hear(sound[at : at + step])]


@pytest.mark.parametrize(("name", "text"), [("alexa", "Alexa."), ("okay_nabu", "Okay Nabu.")])
@pytest.mark.parametrize("step", [320, 640, 2_000, 1_111 * 2, 10**6])
def test_a_word_is_told_once_however_the_sound_comes(name: str, text: str, step: int) -> None:
    detector = PymicroEngine().detector([name])
    assert heard_in(detector, pcm16(text), step) == [name]
    # And once more the next time.
    assert heard_in(detector, pcm16(text), step) == [name]
    detector.reset()
    assert heard_in(detector, pcm16(text), step) == [name]
    detector.close()


@pytest.mark.parametrize("level_dbfs", [-45.0, -20.0, -12.0])
def test_a_word_is_heard_at_any_level(level_dbfs: float) -> None:
    detector = PymicroEngine().detector(["okay_nabu"])
    assert heard_in(detector, pcm16("Okay Nabu.", level_dbfs=level_dbfs), 640) == ["okay_nabu"]


def test_of_several_words_the_one_that_was_said_is_told() -> None:
    engine = PymicroEngine()
    assert sorted(engine.words) == ["alexa", "hey_jarvis", "hey_mycroft", "okay_nabu"]
    detector = engine.detector(sorted(engine.words))
    assert heard_in(detector, pcm16("Alexa.") + pcm16("Okay Nabu."), 640) == ["alexa", "okay_nabu"]


def test_other_speech_and_silence_are_none() -> None:
    engine = PymicroEngine()
    detector = engine.detector(sorted(engine.words))
    assert heard_in(detector, pcm16("What time is it? Tell me about the jars in the kitchen, okay now."), 640) == []
    assert heard_in(detector, SECOND * 5, 640) == []
    rng = np.random.default_rng(1)
    assert heard_in(detector, (rng.standard_normal(80_000) * 3000).astype("<i2").tobytes(), 640) == []


def test_it_tells_when_it_was_certain() -> None:
    sound = pcm16("Okay Nabu.")
    whole = PymicroEngine().detector(["okay_nabu"]).hear(sound)
    pieces = PymicroEngine().detector(["okay_nabu"])
    at = next(at for at in range(0, len(sound), 320) if pieces.hear(sound[at : at + 320]))
    assert [one.ago_samples for one in whole] == [(len(sound) - at - 320) // 2]


def test_without_the_package_one_line_names_the_command_that_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pymicro, "find_spec", lambda _: None)
    with pytest.raises(EngineUnavailableError) as refused:
        load_wake(Settings.model_validate({"wake": {"words": ["alexa"]}}))
    assert str(refused.value) == "wake words need the package pymicro-wakeword: uv sync --extra wake"
    assert load_wake(Settings()) is None


def test_an_unknown_word_is_refused_with_those_that_are_known() -> None:
    with pytest.raises(EngineUnavailableError, match=r"wake\.words = hey_you: pymicro knows no such word") as e:
        load_wake(Settings.model_validate({"wake": {"words": ["alexa", "hey_you"]}}))
    assert "alexa,hey_jarvis,hey_mycroft,okay_nabu" in str(e.value)


def test_a_library_that_cannot_be_loaded_is_told_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    from pymicro_wakeword import MicroWakeWord

    def refuse(_: Path) -> None:
        raise OSError("libc.so.6: version GLIBC_2.99\nnot found")

    monkeypatch.setattr(MicroWakeWord, "from_config", refuse)
    with pytest.raises(EngineUnavailableError) as refused:
        load_wake(Settings.model_validate({"wake": {"words": ["alexa"]}}))
    assert str(refused.value).startswith("wake: pymicro-wakeword cannot be loaded: ")
    assert "\n" not in str(refused.value)


def test_what_is_no_number_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    from pymicro_wakeword import MicroWakeWord

    detector = PymicroEngine().detector(["alexa"])
    monkeypatch.setattr(MicroWakeWord, "process_streaming_prob", lambda *_: float("nan"))
    with pytest.raises(EngineError, match="alexa: its model answers what is no probability"):
        detector.hear(SECOND)


async def test_fault_memory_that_is_short_is_told() -> None:
    class Short:
        def hear(self, pcm16: bytes) -> list[HeardWake]:
            raise MemoryError

        def reset(self) -> None: ...

        def close(self) -> None: ...

    threads = EngineThreads(1, "wake")
    loaded: list[Any] = []
    listener = WakeListener(lambda: loaded.append(1) or Short(), threads)
    for _ in range(2):
        with pytest.raises(MemoryError):
            await listener.hear(SECOND)
    # Each time with a new detector.
    assert len(loaded) == 2
    threads.shutdown()


def test_nothing_of_it_is_loaded_without_a_word() -> None:
    code = (
        "import sys, agent.cli, agent.conversation.pipeline, agent.engines.wake, agent.server.wyoming.server\n"
        "from agent.settings.load import Settings\n"
        "assert agent.engines.wake.load_wake(Settings()) is None\n"
        "print([name for name in sys.modules if 'micro' in name and 'pymicro' in name.split('.')[0]])"
    )
    said = subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, check=True)
    assert said.stdout.strip() == "[]"
    assert importlib.util.find_spec("pymicro_wakeword") is not None
    assert Path(pymicro.__file__).is_file()
