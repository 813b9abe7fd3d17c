"""`sotto memory`: everything that is remembered can be seen, forgotten and taken along."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from agent.cli import app
from agent.errors import InputError
from agent.memory.item import Item
from agent.memory.memory import memory_path
from agent.memory.store import MemoryStore


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> MemoryStore:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    store = MemoryStore(memory_path())
    items = [
        Item("you", "fact", "the key is [red]", 1_000_000.0, "c", 1),
        Item("you", "user", "hello\x1b[31m\nthere", 1_000_001.0, "c", 2),
        Item("f" * 32, "fact", "鍵は赤い", 1_000_002.0),
    ]
    store.add(items)
    store.close()
    return store


def run(*arguments: str) -> str:
    result = CliRunner().invoke(app, ["memory", *arguments], catch_exceptions=False)
    assert result.exit_code == 0
    return result.stdout


def test_the_list_shows_all_in_lines_that_cannot_harm_a_terminal(store: MemoryStore) -> None:
    lines = run("list").splitlines()
    assert [line.split()[0] for line in lines] == ["number", "1", "2", "3", "in"]
    assert "asked to remember  the key is [red]" in lines[1]
    assert "user said" in lines[2]
    assert "hello\\x1b[31m there" in lines[2]
    assert "ffffffff" in lines[3]
    assert [line.split()[0] for line in run("list", "where is the key").splitlines()] == ["number", "1", "in"]


def test_the_export_is_json_lines(store: MemoryStore, tmp_path: Path) -> None:
    out = tmp_path / "all.jsonl"
    run("export", "--out", str(out))
    lines = [json.loads(line) for line in out.read_text(encoding="utf-8").splitlines()]
    assert [(line["number"], line["kind"], line["owner"], line["text"]) for line in lines] == [
        (1, "fact", "you", "the key is [red]"),
        (2, "user", "you", "hello\x1b[31m\nthere"),
        (3, "fact", "f" * 32, "鍵は赤い"),
    ]
    assert (lines[1]["conversation"], lines[1]["turn"]) == ("c", 2)


def test_some_or_all_are_forgotten(store: MemoryStore) -> None:
    assert run("forget", "1", "3") == "forgotten: 2\n"
    with pytest.raises(InputError, match="under the other numbers"):
        run("forget", "2", "7")
    store.add([Item("you", "fact", "milk", 0.0)])
    with pytest.raises(InputError, match="forget --all --yes"):
        run("forget", "--all")
    with pytest.raises(InputError, match="say what is to be forgotten"):
        run("forget")
    assert run("forget", "--all", "--yes") == "forgotten: 1\n"
    assert store.items(None) == []


@pytest.mark.parametrize("text", ["dog", "0", "1.5", "٣", "9" * 5000])
def test_what_is_no_number_is_named_and_nothing_is_forgotten(store: MemoryStore, text: str) -> None:
    n_items = len(store.items(None))
    with pytest.raises(InputError, match=r"is no number of what is remembered; to see them: sotto memory list"):
        run("forget", "1", text)
    assert len(store.items(None)) == n_items > 0


def test_without_a_memory_nothing_is_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    assert run("list").startswith("nothing is remembered\n")
    assert (run("export"), run("forget", "1", "--help")[:1] != "") == ("", True)
    assert list(tmp_path.iterdir()) == []
