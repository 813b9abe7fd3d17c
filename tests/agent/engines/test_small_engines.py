"""Moonshine, Kitten and Pocket among the engines: found on disk, in their place in the order, or passed over."""

import shutil
from pathlib import Path
from typing import Any

import pytest

from agent.engines.candidates import choose
from agent.engines.moonshine import moonshine_candidates
from agent.engines.small_voices import kitten, pocket
from agent.engines.stt import stt_candidates
from agent.engines.tts import tts_candidates
from agent.models.catalogue import find, model_dir
from agent.settings.load import Settings
from processors.errors import EngineUnavailableError
from tests.support.house import FIXTURES, SPEECH


def settings(models_dir: Path, **sections: Any) -> Settings:
    return Settings.model_validate({"models_dir": models_dir, **sections})


def install(models_dir: Path, name: str, fixture: str) -> Path:
    """A fake where a model of the catalogue would lie, under the catalogue's names of files."""
    model = find(name)
    directory = model_dir(models_dir, model)
    shutil.copytree(FIXTURES / fixture, directory)
    for part in model.parts:
        if not (directory / part.name).is_file():
            (directory / f"{Path(part.name).stem}.onnx").rename(directory / part.name)
    return directory


@pytest.fixture
def pocket_folder(tmp_path: Path) -> Path:
    folder = Path(shutil.copytree(FIXTURES / "micro_pocket", tmp_path / "tts" / "pocket"))
    shutil.copy(SPEECH / "five_minutes.wav", folder / "anna.wav")
    return folder


def test_they_stand_in_the_order_where_measurements_put_them(tmp_path: Path) -> None:
    ears = [candidate.engine for candidate in stt_candidates(settings(tmp_path))]
    assert ears == ["nemotron", "whisper", "whisper", "moonshine", "pocketsphinx"]
    voices = [candidate.engine for candidate in tts_candidates(settings(tmp_path))]
    assert voices == ["kokoro", "pocket", "piper", "kitten", "espeak"]


def test_where_nothing_is_installed_each_says_what_mends_it(tmp_path: Path) -> None:
    (ears,) = moonshine_candidates(settings(tmp_path))
    assert (ears.reason, ears.mend) == ("no model is installed", "sotto models pull moonshine-base")
    voice = kitten(settings(tmp_path))
    assert (voice.reason, voice.mend) == ("no voice is installed", "sotto models pull kitten")
    assert pocket(settings(tmp_path)).reason == "no voice is installed"
    with pytest.raises(EngineUnavailableError, match="no model is installed: sotto models pull moonshine-base"):
        ears.load()


@pytest.mark.parametrize(
    ("stt", "reason"),
    [
        ({"language": "de"}, "it knows English only, not stt.language = de"),
        ({"task": "translate"}, "it does not translate (stt.task = translate)"),
        ({"model": "moonshine-tiny"}, "model moonshine-tiny is not installed"),
        ({"model": "tiny.en"}, "stt.model = tiny.en is neither a moonshine model nor a directory with one"),
    ],
)
def test_what_moonshine_cannot_do_is_said_before_it_is_loaded(tmp_path: Path, stt: dict[str, str], reason: str) -> None:
    (candidate,) = moonshine_candidates(settings(tmp_path, stt=stt))
    assert candidate.reason == reason


def test_a_folder_that_is_named_is_taken(tmp_path: Path, pocket_folder: Path) -> None:
    stt = {"engine": "moonshine", "model": str(FIXTURES / "micro_moonshine" / "v2")}
    chosen = choose("stt", "moonshine", stt_candidates(settings(tmp_path, stt=stt)))
    assert (chosen.engine, chosen.model) == ("moonshine", "v2")
    chosen.loaded.close()
    for engine, folder, voice in (
        ("kitten", FIXTURES / "micro_kitten", "expr-voice-2-m"),
        ("pocket", pocket_folder, "anna"),
    ):
        tts = {"engine": engine, "model": str(folder)}
        speaks = choose("tts", engine, tts_candidates(settings(tmp_path, tts=tts)))
        assert (speaks.engine, speaks.model) == (engine, voice)


def test_a_voice_that_speaks_another_language_is_passed_over(tmp_path: Path) -> None:
    install(tmp_path, "kitten", "micro_kitten")
    assert kitten(settings(tmp_path)).usable
    reason = kitten(settings(tmp_path, tts={"language": "de"})).reason
    assert reason == "it speaks English only, not tts.language = de"


def test_broken_files_are_one_line_and_the_next_engine_is_taken(tmp_path: Path, pocket_folder: Path) -> None:
    directory = install(tmp_path, "kitten", "micro_kitten")
    (pocket_folder / "vocab.json").write_text("{")
    (directory / "voices.bin").write_bytes(b"no voices")
    speaks = choose("tts", "auto", tts_candidates(settings(tmp_path)))
    assert speaks.engine == "espeak"
    reasons = {passed.engine: passed.reason for passed in speaks.passed_over}
    assert reasons["kitten"] == (
        f"kitten voices {directory} cannot be loaded (voices.bin does not hold 8 voices of 4 numbers)"
    )
    assert "vocab.json or token_scores.json cannot be read" in reasons["pocket"]
    assert not any("\n" in reason for reason in reasons.values())


def test_broken_ears_are_one_line_and_the_next_ones_are_taken(tmp_path: Path) -> None:
    base = install(tmp_path, "moonshine-base", "micro_moonshine/v2")
    (base / "decoder_model_merged.ort").write_bytes(b"something else")
    shutil.copytree(FIXTURES / "micro_moonshine" / "v2", tmp_path / "other")
    chosen = settings(tmp_path)
    ears = [one for one in stt_candidates(chosen) if one.engine in ("moonshine", "pocketsphinx")]
    choice = choose("stt", "auto", ears)
    assert choice.engine == "pocketsphinx"
    (passed,) = choice.passed_over
    assert passed.engine == "moonshine"
    assert "is no file of onnxruntime's format" in passed.reason
    assert "\n" not in passed.reason
    choice.loaded.close()
