"""`sotto say`, with the bundled voice: what it writes, and what it refuses."""

import io
import sys
import wave
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from loguru import logger

from agent.commands import say
from agent.commands.say import run_say
from agent.engines.speaking import Wish
from agent.errors import InputError
from agent.settings.load import Settings
from processors.errors import EngineError, EngineUnavailableError
from processors.tts.espeak import EspeakSynthesizer
from tests.support.ports import free_port
from transports import desktop_devices
from transports.desktop_devices import DeviceError
from transports.sound_encoder import SOUND_KINDS
from transports.sound_file import decode_sound

SETTINGS = Settings.model_validate({"tts": {"engine": "espeak"}})


def said(*words: str, out: Path | None = None, kind: str | None = None, wish: Wish | None = None) -> None:
    how = wish or Wish()
    run_say(list(words), SETTINGS, out=out, kind=kind, voice=how.voice, language=how.language, speed=how.speed)


@pytest.mark.parametrize("name", [*(f"a.{kind}" for kind in SOUND_KINDS if kind != "pcm"), "a.OGG"])
def test_a_file_holds_the_whole_text_as_its_ending_says(tmp_path: Path, name: str) -> None:
    said("One two three.", "Four five six.", out=tmp_path / name)
    sound = decode_sound(tmp_path / name, max_secs=60)
    assert len(sound) > 16_000
    assert np.abs(sound).max() > 1_000
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_the_header_of_a_wav_is_true(tmp_path: Path) -> None:
    said("Hello there.", out=tmp_path / "a.wav")
    size = (tmp_path / "a.wav").stat().st_size
    with wave.open(str(tmp_path / "a.wav")) as file:
        assert file.getnframes() * 2 == size - 44
    data = (tmp_path / "a.wav").read_bytes()
    assert int.from_bytes(data[4:8], "little") == size - 8


def test_a_format_that_is_named_counts_more_than_the_ending(tmp_path: Path) -> None:
    said("Hello.", out=tmp_path / "a.wav", kind="flac")
    assert (tmp_path / "a.wav").read_bytes().startswith(b"fLaC")


def test_standard_input_and_output(monkeypatch: pytest.MonkeyPatch) -> None:
    class Standard:
        def __init__(self, held: bytes = b"") -> None:
            self.buffer = io.BytesIO(held)

        def isatty(self) -> bool:
            return False

    out = Standard()
    monkeypatch.setattr(sys, "stdin", Standard("Grüß dich.".encode()))
    monkeypatch.setattr(sys, "stdout", out)
    said("-", out=Path("-"), wish=Wish(language="German"))
    with wave.open(io.BytesIO(out.buffer.getvalue())) as file:
        assert file.getframerate() == 24_000
        assert len(file.readframes(file.getnframes())) > 24_000


@pytest.mark.parametrize(
    ("words", "options", "told"),
    [
        ([""], {}, "the text is empty"),
        (["\u0000"], {}, "the text is empty"),
        (["hi"], {"kind": "midi", "out": Path("a.wav")}, "--format midi: expected one of mp3, opus"),
        (["hi"], {"kind": "mp3"}, "--format belongs to --out FILE"),
        (["hi"], {"out": Path("a.doc")}, r"--out a\.doc: expected a name that ends in one of \.mp3"),
        (["hi"], {"out": Path("nowhere/a.mp3")}, "there is no folder nowhere"),
        (["hi"], {"out": Path(".")}, "it is a folder"),
        (["hi"], {"wish": Wish(speed=5)}, "--speed 5: from 0.25 to 4"),
        (["hi"], {"wish": Wish(speed=float("nan"))}, "--speed nan"),
    ],
)
def test_what_is_no_use_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], options: dict[str, Any], told: str
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=told):
        said(*words, **options)
    assert list(tmp_path.iterdir()) == []


def test_what_is_there_stays_where_the_voice_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.wav"
    path.write_bytes(b"mine")

    def fail(*_: object) -> None:
        raise EngineError("it is broken")

    monkeypatch.setattr(EspeakSynthesizer, "synthesize", fail)
    with pytest.raises(EngineError, match="text-to-speech: it is broken"):
        said("Hello.", out=path)
    with pytest.raises(EngineUnavailableError, match="there is no voice 'nobody': name one such as en-us"):
        said("Hello.", out=path, wish=Wish(voice="nobody"))
    assert [(one.name, one.read_bytes()) for one in tmp_path.iterdir()] == [("a.wav", b"mine")]


def test_a_server_that_was_named_and_does_not_answer_is_told_in_one_line(tmp_path: Path) -> None:
    url = f"http://127.0.0.1:{free_port()}/v1"
    lines: list[str] = []
    handler = logger.add(lambda message: lines.append(str(message).strip()), level="INFO", format="{level} {message}")
    try:
        for tts in ({"base_url": url}, {"base_url": url, "engine": "espeak"}, {"engine": "espeak"}, {}):
            settings = Settings.model_validate({"tts": tts, "models_dir": tmp_path})
            run_say(["Hello."], settings, out=tmp_path / "a.wav", kind=None, voice=None, language=None, speed=1)
    finally:
        logger.remove(handler)
    (line,) = lines
    assert line.startswith(f"WARNING tts: passed over openai: no text-to-speech server answers at {url} (")
    assert line.endswith(" (start it, or correct tts.base_url); espeak is used")


class Loudspeaker:
    """PortAudio's, as sounddevice gives it; a fake at the outer edge."""

    class PortAudioError(Exception):
        """As sounddevice calls it."""

    def __init__(self, *, is_there: bool) -> None:
        self.is_there = is_there
        self.played = b""
        self.did: list[str] = []

    def RawOutputStream(self, rate_hz: int, *, dtype: str, channels: int) -> "Loudspeaker":
        if not self.is_there:
            raise self.PortAudioError("Error querying device -1")
        assert (rate_hz, dtype, channels) == (24_000, "int16", 1)
        return self

    def __enter__(self) -> "Loudspeaker":
        return self

    def __exit__(self, *_: object) -> None:
        self.did.append("closed")

    def start(self) -> None:
        self.did.append("started")

    def write(self, pcm16: bytes) -> None:
        self.played += pcm16

    def stop(self) -> None:
        self.did.append("played to its end")


def test_without_a_file_the_loudspeaker_plays_it_to_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    loudspeaker = Loudspeaker(is_there=True)
    monkeypatch.setattr(desktop_devices, "load_sounddevice", lambda: loudspeaker)
    said("Hello there.")
    assert np.abs(np.frombuffer(loudspeaker.played, "<i2")).max() > 1_000
    assert loudspeaker.did == ["started", "played to its end", "closed"]


def test_without_a_loudspeaker_the_line_tells_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(desktop_devices, "load_sounddevice", lambda: Loudspeaker(is_there=False))
    with pytest.raises(DeviceError, match=r"there is no loudspeaker .*: sotto say TEXT --out FILE writes a file"):
        said("Hello there.")
    assert say.SUFFIXES[".ogg"] == "opus"
