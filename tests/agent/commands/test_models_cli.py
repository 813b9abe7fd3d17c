"""`sotto models` and its commands, with a catalogue of one small model on a loopback server."""

import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

import agent.models.catalogue
import agent.models.upkeep
from agent.commands.models import models_app
from agent.models.catalogue import CATALOGUE, Model
from agent.models.machine import Machine
from agent.models.recommended import Wish
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

ROW = "small stt whisper 262.2 kB en MIT {installed} release a small one"
FROM = ", 2 files from 127.0.0.1"


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
    monkeypatch.setattr(agent.models.upkeep, "CATALOGUE", (model,))
    wish = Wish(("small",), is_needed=True)
    monkeypatch.setattr("agent.commands.pull_recommended.wishes", lambda *_: (wish,))
    monkeypatch.setattr("agent.commands.pull_recommended.this_machine", lambda: Machine(2, 8_000_000_000))


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
    assert rows[0].split() == ["name", "stage", "size", "here", "from", "what"]
    first_words = [row.split()[0] for row in rows[1:-1] if not row.startswith(" ")]
    assert first_words == [model.name for model in CATALOGUE]
    assert max(map(len, rows[:-1])) <= 80


@pytest.mark.usefixtures("archive_catalogue")
def test_an_archive_is_pulled_unpacked_listed_and_found(server: FileServer, tmp_path: Path) -> None:
    directory = tmp_path / "stt" / "small-archive"
    status, out, errors = run("pull", "small-archive", "--models-dir", tmp_path)
    assert (status, out) == (0, f"small-archive is ready in {directory}, {ARCHIVE} from 127.0.0.1\n")
    assert "unpacking small-archive" in errors
    assert f"small-archive/{ARCHIVE}" not in errors
    assert contents(directory) == UNPACKED
    _, out, _ = run("list", "--models-dir", tmp_path)
    size = f"{len(PACKED) / 1000:.1f} kB"
    assert out.splitlines()[1].split() == f"small-archive stt nemotron {size} en MIT yes release an archive".split()
    assert run("path", "small-archive", "--models-dir", tmp_path) == (0, f"{directory}\n", "")
    assert run("pull", "small-archive", "--models-dir", tmp_path)[0] == 0
    assert len(server.requests) == 1


@pytest.mark.usefixtures("small_catalogue")
def test_a_model_of_plain_files_shows_no_unpacking(tmp_path: Path) -> None:
    _, _, errors = run("pull", "small", "--models-dir", tmp_path)
    assert "262.2/262.2 kB" in errors
    assert "unpacking" not in errors


@pytest.mark.usefixtures("small_catalogue")
def test_path_prints_the_directory_once_the_model_is_installed(tmp_path: Path, directory: Path) -> None:
    assert run("path", "small", "--models-dir", tmp_path) == (
        1,
        "",
        f"sotto: small is not installed in {tmp_path}: `sotto models pull small` fetches it\n",
    )
    status, out, _ = run("pull", "small", "--models-dir", tmp_path)
    assert (status, out) == (0, f"small is ready in {directory}{FROM}\n")
    assert run("path", "small", "--models-dir", tmp_path) == (0, f"{directory}\n", "")


@pytest.mark.usefixtures("small_catalogue")
@pytest.mark.parametrize("command", ["pull", "path"])
def test_an_unknown_name_is_bad_input(tmp_path: Path, command: str) -> None:
    assert run(command, "smal", "--models-dir", tmp_path) == (
        2,
        "",
        "sotto: unknown model: 'smal': did you mean small? `sotto models list` shows them all\n",
    )


def plan(tmp_path: Path) -> str:
    return (
        f"Recommended for 2 cores and 8.0 GB of memory, in {tmp_path}:\n"
        "  small  262.2 kB  MIT  a small one\n    from 127.0.0.1\n262.2 kB to fetch\n"
    )


@pytest.mark.usefixtures("small_catalogue")
@pytest.mark.parametrize("answer", ["", "n\n", "\n"])
def test_without_a_name_nothing_is_fetched_unless_the_user_agrees(
    server: FileServer, tmp_path: Path, answer: str
) -> None:
    status, out, _ = run("pull", "--models-dir", tmp_path, answer=answer)
    assert status == 1
    assert out.startswith(plan(tmp_path))
    assert server.requests == []


@pytest.mark.usefixtures("small_catalogue")
@pytest.mark.parametrize(("arguments", "answer"), [((), "y\n"), (("--yes",), ""), (("recommended",), "")])
def test_the_recommended_models_are_fetched_on_a_yes_or_by_their_name(
    tmp_path: Path, directory: Path, arguments: tuple[str, ...], answer: str
) -> None:
    status, out, _ = run("pull", *arguments, "--models-dir", tmp_path, answer=answer)
    assert (status, out.splitlines()[-1]) == (0, f"small is ready in {directory}{FROM}")
    assert out.startswith(plan(tmp_path))
    assert contents(directory) == WHOLE
    again = f"Recommended for 2 cores and 8.0 GB of memory, in {tmp_path}:\n  small  is here\n"
    assert run("pull", "--models-dir", tmp_path) == (0, again, "")


@pytest.mark.usefixtures("small_catalogue")
@pytest.mark.parametrize(("is_needed", "status"), [(True, 1), (False, 0)])
def test_what_is_not_needed_may_be_left_out_and_is_said_to_be(
    server: FileServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_needed: bool, status: int
) -> None:
    server.faults = [Fault(status=404)]
    wish = Wish(("small",), is_needed)
    monkeypatch.setattr("agent.commands.pull_recommended.wishes", lambda *_: (wish,))
    code, out, errors = run("pull", "recommended", "--models-dir", tmp_path)
    assert code == status
    assert out == plan(tmp_path) + ("" if is_needed else "small is left out, and not needed\n")
    assert f"sotto: config.json: 404 Not Found at {server.url}{CONFIG_PATH}: try" in errors


@pytest.mark.usefixtures("small_catalogue")
def test_where_the_first_wish_cannot_be_had_the_next_is_taken(
    server: FileServer, model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    better = replace(model, name="better", files=(replace(model.files[0], url=f"{server.url}/gone/config.json"),))
    monkeypatch.setattr(agent.models.catalogue, "CATALOGUE", (better, model))
    wish = Wish(("better", "small"), is_needed=True)
    monkeypatch.setattr("agent.commands.pull_recommended.wishes", lambda *_: (wish,))
    status, out, _ = run("pull", "recommended", "--models-dir", tmp_path)
    assert (status, out.splitlines()[-1]) == (0, f"small is ready in {tmp_path / 'stt' / 'small'}{FROM}")


@pytest.mark.usefixtures("small_catalogue")
def test_verify_says_what_is_whole_and_how_the_rest_is_mended(tmp_path: Path, directory: Path) -> None:
    assert run("verify", "--models-dir", tmp_path) == (0, f"no model is installed in {tmp_path}\n", "")
    run("pull", "small", "--models-dir", tmp_path)
    assert run("verify", "--models-dir", tmp_path)[:2] == (0, "small is whole\n")
    (directory / "config.json").write_bytes(b"{}")
    status, out, errors = run("verify", "small", "--models-dir", tmp_path)
    assert (status, out) == (1, "")
    assert errors.splitlines()[-1] == (
        "small: config.json has 2 bytes where 15 are expected:"
        " `sotto models remove small`, then `sotto models pull small` mends it"
    )


@pytest.mark.usefixtures("small_catalogue")
def test_a_model_is_removed(tmp_path: Path, directory: Path) -> None:
    run("pull", "small", "--models-dir", tmp_path)
    assert run("remove", "small", "--models-dir", tmp_path) == (0, f"small is removed from {tmp_path} (262.2 kB)\n", "")
    assert not directory.exists()
    status, _, errors = run("remove", "small", "--models-dir", tmp_path)
    assert (status, errors) == (
        1,
        f"sotto: small is not installed in {tmp_path}: `sotto models list` shows what is\n",
    )


@pytest.mark.usefixtures("small_catalogue")
def test_files_are_imported_by_what_they_are_and_others_are_named(tmp_path: Path, directory: Path) -> None:
    for name, content in {"1": WHOLE["model.bin"], "2": WHOLE["config.json"], "3": b"poem"}.items():
        (tmp_path / name).write_bytes(content)
    status, out, errors = run("import", *(tmp_path / name for name in "312"), "--models-dir", tmp_path)
    assert (status, out) == (1, f"small is ready in {directory}\n")
    assert errors.splitlines()[-1] == (
        f"sotto: {tmp_path / '3'} is no file of the catalogue (`sotto models list`), or is damaged"
    )
    assert contents(directory) == WHOLE


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
