"""Checking, removing and taking in models, and what is recommended to a machine.

Faked: the catalogue (two small models that share a file) and the machine.
"""

import os
from pathlib import Path

import pytest

import agent.models.upkeep
from agent.commands.pull_bar import pull_bar
from agent.errors import InputError, SottoError
from agent.models.catalogue import Model, find
from agent.models.lock import hold
from agent.models.machine import Machine, this_machine
from agent.models.pull import LOCK_NAME, Hearers, pull
from agent.models.recommended import GB, wishes
from agent.models.sources.file import ModelFile
from agent.models.upkeep import faults, lacking, remove, take_in
from tests.support.small_model import (
    ARCHIVE,
    CONFIG,
    PACKED,
    UNPACKED,
    WEIGHTS,
    WHOLE,
    archive_at,
    contents,
    model_at,
    sha256,
)

OTHER = b"other weights"
SMALL = model_at("https://models.invalid")
LARGE = Model(
    "large",
    "stt",
    "whisper",
    "",
    "en",
    "MIT",
    (
        SMALL.files[0],
        ModelFile("model.bin", "https://models.invalid/large/model.bin", len(OTHER), sha256(OTHER)),
    ),
)
PACKED_MODEL = archive_at("https://models.invalid")


@pytest.fixture(autouse=True)
def _small_catalogue(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(agent.models.upkeep, "CATALOGUE", (SMALL, LARGE, PACKED_MODEL))


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "models" / "stt" / "small"


def given(tmp_path: Path, **files: bytes) -> list[Path]:
    """Files as a user has them: in a folder of their own, under any name."""
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    return [tmp_path / name for name in files]


def imported(paths: list[Path], tmp_path: Path) -> tuple[dict[str, list[str]], list[str], dict[str, list[str]]]:
    """What arrived with what it lacks, what is foreign, what is shared; by names."""
    result = take_in(paths, tmp_path / "models", lambda _model: Hearers())
    return (
        {model.name: [file.name for file in missing] for model, missing in result.arrived.items()},
        [path.name for path in result.foreign],
        {path.name: names for path, names in result.shared.items()},
    )


def test_the_bar_of_files_that_are_taken_in_ends_at_their_sum(tmp_path: Path) -> None:
    paths = given(tmp_path, one=WEIGHTS, two=CONFIG)
    with pull_bar((), tmp_path / "models") as shown:
        take_in(paths, tmp_path / "models", shown.hearers)
        (task,) = shown.bar.tasks
    assert (task.completed, task.total) == (len(WEIGHTS) + len(CONFIG), len(WEIGHTS) + len(CONFIG))


def test_the_bar_of_an_archive_that_is_taken_in_counts_what_comes_out_of_it(tmp_path: Path) -> None:
    with pull_bar((), tmp_path / "models") as shown:
        take_in(given(tmp_path, one=PACKED), tmp_path / "models", shown.hearers)
        (task,) = shown.bar.tasks
    assert task.completed == task.total
    assert task.total == len(PACKED) + sum(member.size_bytes for member in PACKED_MODEL.members)


@pytest.mark.parametrize("order", [1, -1])
def test_files_of_any_name_in_any_order_find_their_places(tmp_path: Path, directory: Path, order: int) -> None:
    paths = given(tmp_path, download=WEIGHTS, download1=CONFIG)[::order]
    assert imported(paths, tmp_path) == ({"small": []}, [], {})
    assert contents(directory) == WHOLE
    assert (tmp_path / "download").read_bytes() == WEIGHTS


def test_what_is_imported_is_a_copy(tmp_path: Path, directory: Path) -> None:
    paths = given(tmp_path, a=WEIGHTS, b=CONFIG)
    imported(paths, tmp_path)
    paths[0].write_bytes(b"changed")
    assert contents(directory) == WHOLE


def test_a_file_of_one_model_is_taken_and_the_rest_is_named(tmp_path: Path, directory: Path) -> None:
    assert imported(given(tmp_path, a=WEIGHTS), tmp_path) == ({"small": ["config.json"]}, [], {})
    assert contents(directory) == {"model.bin": WEIGHTS}
    assert lacking(SMALL, SMALL.files[:1]) == "small lacks config.json: `sotto models pull small` fetches the rest"


def test_a_shared_file_alone_is_not_guessed_at(tmp_path: Path, directory: Path) -> None:
    assert imported(given(tmp_path, a=CONFIG), tmp_path) == ({}, [], {"a": ["small", "large"]})
    assert not directory.exists()


def test_a_shared_file_goes_to_the_model_that_waits_for_it(tmp_path: Path, directory: Path) -> None:
    imported(given(tmp_path, a=WEIGHTS), tmp_path)
    assert imported(given(tmp_path, b=CONFIG), tmp_path) == ({"small": []}, [], {})
    assert contents(directory) == WHOLE


def test_two_models_are_taken_in_at_once(tmp_path: Path, directory: Path) -> None:
    assert imported(given(tmp_path, a=OTHER, b=CONFIG, c=WEIGHTS), tmp_path) == ({"small": [], "large": []}, [], {})
    assert contents(directory) == WHOLE
    assert contents(directory.with_name("large")) == {"config.json": CONFIG, "model.bin": OTHER}


def test_an_archive_is_unpacked_whatever_it_is_called(tmp_path: Path, directory: Path) -> None:
    assert imported(given(tmp_path, download=PACKED), tmp_path) == ({"small-archive": []}, [], {})
    assert contents(directory.with_name("small-archive")) == UNPACKED


def test_a_file_with_one_byte_changed_is_none_of_the_catalogues(tmp_path: Path, directory: Path) -> None:
    forged = WEIGHTS[:-1] + bytes([WEIGHTS[-1] ^ 1])
    assert imported(given(tmp_path, a=forged), tmp_path) == ({}, ["a"], {})
    assert not directory.exists()


@pytest.mark.parametrize("name", ["absent", "."])
def test_what_is_no_file_is_bad_input(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match=r"no such file \(name files, not folders\)$"):
        imported([tmp_path / name], tmp_path)


def test_verify_finds_one_byte_and_a_wrong_size(tmp_path: Path, directory: Path) -> None:
    imported(given(tmp_path, a=WEIGHTS, b=CONFIG), tmp_path)
    assert faults(SMALL, tmp_path / "models", lambda _file, _done: None) == []
    forged = WEIGHTS[:-1] + bytes([WEIGHTS[-1] ^ 1])
    (directory / "model.bin").write_bytes(forged)
    (directory / "config.json").write_bytes(b"{}")
    assert faults(SMALL, tmp_path / "models", lambda _file, _done: None) == [
        f"config.json has 2 bytes where {len(CONFIG)} are expected",
        f"model.bin has sha256 {sha256(forged)} where {sha256(WEIGHTS)} is expected",
    ]


def test_remove_takes_a_models_files_and_leftovers_and_nothing_else(tmp_path: Path, directory: Path) -> None:
    imported(given(tmp_path, a=WEIGHTS, b=CONFIG), tmp_path)
    (directory / "model.bin.part").write_bytes(b"half")
    (directory / ".packages" / "x-1").mkdir(parents=True)
    (directory / "notes.txt").write_text("mine")
    assert remove(SMALL, tmp_path / "models") == len(WEIGHTS) + len(CONFIG) + 4
    assert {path.name for path in directory.iterdir()} == {"notes.txt"}
    (directory / "notes.txt").unlink()
    remove(SMALL, tmp_path / "models")
    assert not directory.exists()


def test_remove_of_a_linked_file_leaves_the_other_tools(tmp_path: Path, directory: Path) -> None:
    theirs = tmp_path / "blob"
    theirs.write_bytes(WEIGHTS)
    directory.mkdir(parents=True)
    os.link(theirs, directory / "model.bin")
    remove(SMALL, tmp_path / "models")
    assert (theirs.read_bytes(), theirs.stat().st_nlink) == (WEIGHTS, 1)


def test_remove_refuses_what_is_not_there_and_what_is_a_link(tmp_path: Path, directory: Path) -> None:
    with pytest.raises(SottoError, match="small is not installed in "):
        remove(SMALL, tmp_path / "models")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "model.bin").write_bytes(WEIGHTS)
    directory.parent.mkdir(parents=True)
    directory.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(SottoError, match=f"is a link to {tmp_path / 'elsewhere'}: remove what you want gone by hand"):
        remove(SMALL, tmp_path / "models")
    assert (tmp_path / "elsewhere" / "model.bin").exists()


def test_remove_waits_for_no_pull(tmp_path: Path, directory: Path) -> None:
    directory.mkdir(parents=True)
    with hold(directory / LOCK_NAME), pytest.raises(SottoError, match=f"being pulled by process {os.getpid()}"):
        remove(SMALL, tmp_path / "models")


def test_a_pull_after_an_import_of_the_archive_fetches_nothing(tmp_path: Path) -> None:
    imported(given(tmp_path, x=PACKED), tmp_path)
    assert pull(PACKED_MODEL, tmp_path / "models", among=()) == tmp_path / "models" / "stt" / "small-archive"
    assert not (tmp_path / "models" / "stt" / "small-archive" / ARCHIVE).exists()


@pytest.mark.parametrize(
    ("cores", "memory_gb", "names"),
    [
        (1, 2, ["tiny.en", "piper-joe"]),
        (2, 32, ["tiny.en", "piper-joe"]),
        (16, 4, ["tiny.en", "piper-joe"]),
        (16, 0, ["tiny.en", "piper-joe"]),
        (4, 8, ["base", "piper-joe", "kokoro-int8-timed", "qwen3-0.6b"]),
        (8, 16, ["nemotron-en-560ms", "piper-joe", "kokoro", "qwen3-1.7b"]),
    ],
)
def test_what_is_recommended_grows_with_the_machine(cores: int, memory_gb: int, names: list[str]) -> None:
    found = wishes(Machine(cores, memory_gb * GB))
    assert [wish.names[0] for wish in found] == names
    assert [find(wish.names[0]).stage for wish in found if wish.is_needed] == ["stt", "tts"]
    assert all(find(name).stage == find(wish.names[0]).stage for wish in found for name in wish.names)


@pytest.mark.parametrize(
    ("cores", "heard", "spoken", "names"),
    [
        (2, "de", "de-de", ["base", "tiny", "piper-thorsten"]),
        (2, "auto", "es-mx", ["base", "tiny", "piper-davefx"]),
        (2, "en", "en-gb", ["tiny.en", "piper-cori"]),
        (2, "pl", "pl", ["base", "tiny"]),
        (4, "fr", "fr-fr", ["base", "kokoro-int8-timed", "qwen3-0.6b"]),
        (8, "de", "de", ["nemotron-3.5-560ms", "piper-thorsten", "qwen3-1.7b"]),
        (8, "ja", "ja", ["nemotron-3.5-560ms", "kokoro", "qwen3-1.7b"]),
    ],
)
def test_what_is_recommended_knows_the_language(cores: int, heard: str, spoken: str, names: list[str]) -> None:
    found = wishes(Machine(cores, 16 * GB), heard, spoken)
    assert [wish.names[0] for wish in found] == names
    ears = [find(name) for wish in found for name in wish.names if find(name).stage == "stt"]
    assert all(heard == "en" or model.language == "multilingual" for model in ears)


@pytest.mark.parametrize(
    ("cpu", "memory", "cores", "memory_bytes"),
    [("100000 100000", "4000000000", 1, 4_000_000_000), ("50000 100000", "1", 1, 1)],
)
def test_a_containers_limits_count(tmp_path: Path, cpu: str, memory: str, cores: int, memory_bytes: int) -> None:
    (tmp_path / "cpu.max").write_text(f"{cpu}\n")
    (tmp_path / "memory.max").write_text(f"{memory}\n")
    assert this_machine(tmp_path) == Machine(cores, memory_bytes)


def test_without_limits_the_hardware_counts(tmp_path: Path) -> None:
    (tmp_path / "cpu.max").write_text("max 100000\n")
    (tmp_path / "memory.max").write_text("max\n")
    assert this_machine(tmp_path) == this_machine(tmp_path / "absent")
    assert this_machine(tmp_path).cores >= 1
