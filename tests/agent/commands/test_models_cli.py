"""`sotto models list | pull | path`, with a catalogue of one small model on a loopback server."""

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

import agent.models.catalogue
from agent.commands.models import models_app
from agent.models.catalogue import CATALOGUE, Model
from tests.conftest import REPOSITORY
from tests.support.file_server import Fault, FileServer
from tests.support.small_model import (
    ARCHIVE,
    ARCHIVE_PATH,
    CONFIG_PATH,
    PACKED,
    UNPACKED,
    WHOLE,
    archive_at,
    contents,
    model_at,
    serve_small,
)

ROW = "small stt whisper 262.2 kB en MIT {installed} a small one"


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


@pytest.fixture
def server() -> Iterator[FileServer]:
    with serve_small() as state:
        yield state


@pytest.fixture
def model(server: FileServer) -> Model:
    return model_at(server.url)


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "stt" / "small"


@pytest.fixture
def small_catalogue(model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(agent.models.catalogue, "CATALOGUE", (model,))
    monkeypatch.setattr("agent.commands.models.CATALOGUE", (model,))
    monkeypatch.setattr("agent.commands.models.RECOMMENDED", ("small",))


@pytest.fixture
def archive_catalogue(server: FileServer, monkeypatch: pytest.MonkeyPatch) -> None:
    server.files[ARCHIVE_PATH] = PACKED
    model = archive_at(server.url)
    monkeypatch.setattr(agent.models.catalogue, "CATALOGUE", (model,))
    monkeypatch.setattr("agent.commands.models.CATALOGUE", (model,))


def run(*arguments: str | Path, answer: str = "") -> tuple[int, str, str]:
    result = CliRunner().invoke(models_app, [str(argument) for argument in arguments], input=answer)
    return result.exit_code, result.stdout, result.stderr


@pytest.mark.usefixtures("small_catalogue")
def test_list_shows_each_model_with_size_licence_and_whether_it_is_installed(tmp_path: Path) -> None:
    status, out, _ = run("list", "--models-dir", tmp_path)
    rows = [line.split() for line in out.splitlines()]
    assert (status, rows[1]) == (0, ROW.format(installed="no").split())
    run("pull", "small", "--models-dir", tmp_path)
    _, out, _ = run("list", "--models-dir", tmp_path)
    assert out.splitlines()[1].split() == ROW.format(installed="yes").split()


def test_a_narrow_terminal_shows_the_names_and_what_is_installed_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {"FORCE_COLOR": "1", "TERM": "xterm", "COLUMNS": "80"}.items():
        monkeypatch.setenv(name, value)
    _, out, _ = run("list", "--models-dir", tmp_path)
    rows = [re.sub(r"\x1b\[[\d;]*m", "", line) for line in out.splitlines()]
    assert rows[0].split() == ["name", "stage", "size", "language", "installed", "what"]
    first_words = [row.split()[0] for row in rows[1:-1] if not row.startswith(" ")]
    assert first_words == [model.name for model in CATALOGUE]
    assert max(map(len, rows[:-1])) <= 80


@pytest.mark.usefixtures("archive_catalogue")
def test_an_archive_is_pulled_unpacked_listed_and_found(server: FileServer, tmp_path: Path) -> None:
    directory = tmp_path / "stt" / "small-archive"
    status, out, errors = run("pull", "small-archive", "--models-dir", tmp_path)
    assert (status, out) == (0, f"small-archive is ready in {directory}\n")
    assert "unpacking small-archive" in errors
    assert ARCHIVE not in errors
    assert contents(directory) == UNPACKED
    _, out, _ = run("list", "--models-dir", tmp_path)
    size = f"{len(PACKED) / 1000:.1f} kB"
    assert out.splitlines()[1].split() == f"small-archive stt nemotron {size} en MIT yes an archive".split()
    assert run("path", "small-archive", "--models-dir", tmp_path) == (0, f"{directory}\n", "")
    assert run("pull", "small-archive", "--models-dir", tmp_path)[0] == 0
    assert len(server.requests) == 1


@pytest.mark.usefixtures("small_catalogue")
def test_a_model_of_plain_files_shows_no_unpacking(tmp_path: Path) -> None:
    _, _, errors = run("pull", "small", "--models-dir", tmp_path)
    assert "small/model.bin" in errors
    assert "unpacking" not in errors


@pytest.mark.usefixtures("small_catalogue")
def test_path_prints_the_directory_once_the_model_is_installed(tmp_path: Path, directory: Path) -> None:
    assert run("path", "small", "--models-dir", tmp_path) == (
        1,
        "",
        f"sotto: small is not installed in {tmp_path}: `sotto models pull small` fetches it\n",
    )
    status, out, _ = run("pull", "small", "--models-dir", tmp_path)
    assert (status, out) == (0, f"small is ready in {directory}\n")
    assert run("path", "small", "--models-dir", tmp_path) == (0, f"{directory}\n", "")


@pytest.mark.usefixtures("small_catalogue")
@pytest.mark.parametrize("command", ["pull", "path"])
def test_an_unknown_name_is_bad_input(tmp_path: Path, command: str) -> None:
    assert run(command, "smal", "--models-dir", tmp_path) == (
        2,
        "",
        "sotto: unknown model: 'smal': did you mean small? `sotto models list` shows them all\n",
    )


@pytest.mark.usefixtures("small_catalogue")
@pytest.mark.parametrize("answer", ["", "n\n", "\n"])
def test_without_a_name_nothing_is_fetched_unless_the_user_agrees(
    server: FileServer, tmp_path: Path, answer: str
) -> None:
    status, out, _ = run("pull", "--models-dir", tmp_path, answer=answer)
    assert status == 1
    assert out.startswith(f"Recommended, to be fetched into {tmp_path}:\n  small  262.2 kB  MIT  a small one\n")
    assert server.requests == []


@pytest.mark.usefixtures("small_catalogue")
@pytest.mark.parametrize(("flags", "answer"), [((), "y\n"), (("--yes",), "")])
def test_without_a_name_the_recommended_models_are_fetched_on_a_yes(
    tmp_path: Path, directory: Path, flags: tuple[str, ...], answer: str
) -> None:
    status, out, _ = run("pull", *flags, "--models-dir", tmp_path, answer=answer)
    assert (status, out.splitlines()[-1]) == (0, f"small is ready in {directory}")
    assert contents(directory) == WHOLE
    assert run("pull", "--models-dir", tmp_path) == (0, "the recommended models are installed: small\n", "")


@pytest.mark.usefixtures("small_catalogue")
def test_a_failed_pull_is_one_line_on_stderr_and_exit_1(server: FileServer, tmp_path: Path) -> None:
    server.faults = [Fault(status=404)]
    status, out, errors = run("pull", "small", "--models-dir", tmp_path)
    last = errors.splitlines()[-1]
    assert (status, out) == (1, "")
    assert last.startswith(f"sotto: config.json: 404 Not Found at {server.url}{CONFIG_PATH}: try `sotto models pull")


def test_a_bad_mirror_is_exit_2(tmp_path: Path) -> None:
    status, _, errors = run("pull", "tiny.en", "--mirror", "cache.local", "--models-dir", tmp_path)
    assert status == 2
    assert errors.splitlines()[-1] == (
        "sotto: --mirror 'cache.local': expected an address such as https://mirror.example/path"
    )


def test_the_commands_import_no_http_client_until_something_is_fetched() -> None:
    late = "{'httpx', 'rich.table', 'agent.settings.load'}"
    script = f"import sys, agent.commands.models; print(sorted({late} & set(sys.modules)))"
    result = subprocess.run([sys.executable, "-c", script], cwd=REPOSITORY, capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"
