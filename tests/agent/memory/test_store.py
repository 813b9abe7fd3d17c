"""The file of the memory: the user's alone, all or nothing, and what is forgotten is gone from it."""

import sqlite3
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.memory.database import MemoryFailure
from agent.memory.item import Item, Kind
from agent.memory.store import MemoryStore
from processors.llm.turn_point import TurnPoint


def item(text: str, kind: Kind = "fact", owner: str = "anna", **fields: int) -> Item:
    return Item(owner, kind, text, 1_000.0, "c", **fields)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "memory" / "memory.sqlite3"


@pytest.fixture
def store(path: Path) -> Iterator[MemoryStore]:
    store = MemoryStore(path)
    yield store
    store.close()


def texts(store: MemoryStore, owner: str | None = "anna") -> list[str]:
    return [one.text for one in store.items(owner)]


def test_reading_and_forgetting_make_no_file_and_the_first_item_makes_one_for_the_user_alone(
    store: MemoryStore, path: Path
) -> None:
    assert (store.items(None), store.find("anna", "a", limit=5), store.forget("anna", None)) == ([], [], 0)
    assert not path.parent.exists()
    assert store.add([item("milk")]) == [1]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    # No journal, no log beside it.
    assert [one.name for one in path.parent.iterdir()] == ["memory.sqlite3"]


def test_each_owner_finds_only_his_own_and_the_best_first(store: MemoryStore) -> None:
    store.add([item("the key is under the mat"), item("milk"), item("the key of the shed is red", owner="ben")])
    store.add([item("the key to the shed hangs in the kitchen")])
    found = store.find("anna", "where is the key of the shed?", limit=5)
    assert [one.text for one in found] == ["the key to the shed hangs in the kitchen", "the key is under the mat"]
    assert not store.change("ben", 1, "his now")
    assert store.forget("ben", [1, 2]) == 0
    assert texts(store) == ["the key is under the mat", "milk", "the key to the shed hangs in the kitchen"]


def test_what_is_forgotten_or_changed_is_gone_from_the_file(store: MemoryStore, path: Path) -> None:
    store.add([item(f"filler number {number} about nothing") for number in range(300)])
    (secret,) = store.add([item("the combination is xylophonequartz")])
    (edited,) = store.add([item("the door code is zanzibarlantern")])
    store.add([item(f"more filler {number}") for number in range(300)])
    for word in (b"xylophonequartz", b"zanzibarlantern"):
        assert word in path.read_bytes()
    assert store.forget("anna", [secret]) == 1
    assert store.change("anna", edited, "the door code is secret")
    content = path.read_bytes()
    # Not in a page, nor in the index, where neighbours share beginnings.
    for word in (b"xylophone", b"quartz", b"zanzibar", b"lantern"):
        assert word not in content
    assert store.find("anna", "xylophonequartz", limit=5) == []
    assert [one.text for one in store.find("anna", "door code", limit=1)] == ["the door code is secret"]


def test_a_fact_is_forgotten_with_the_turn_in_which_it_was_said(store: MemoryStore) -> None:
    store.add(
        [item("remember my code", "user", turn=2), item("I will.", "agent", turn=2), item("Hello.", "user", turn=1)]
    )
    (number,) = store.add([item("the code", turn=2)])
    assert store.forget("anna", [number, number]) == 1
    assert texts(store) == ["Hello."]


def test_a_fact_that_is_changed_leaves_the_turn_in_which_its_old_words_were_said(
    store: MemoryStore, path: Path
) -> None:
    store.add([item("the PIN is 4711zz", "user", turn=2), item("4711zz, kept.", "agent", turn=2)])
    store.add([item("hello", "user", turn=1), item("the PIN, 4711zz", "user", "ben", turn=2)])
    (number,) = store.add([item("PIN 4711zz", turn=2)])
    # Saved as it was: nothing has changed.
    assert store.change("anna", number, "PIN 4711zz")
    assert len(texts(store)) == 4
    assert store.change("anna", number, "PIN secret")
    assert (texts(store), texts(store, "ben")) == (["hello", "PIN secret"], ["the PIN, 4711zz"])
    # A side of a turn that is edited leaves the other one.
    store.add([item("the code is 12ab", "user", turn=3), item("Noted.", "agent", turn=3)])
    assert store.change("anna", 6, "the code")
    assert texts(store)[-2:] == ["the code", "Noted."]
    store.forget("ben", None)
    assert b"4711zz" not in path.read_bytes()


def test_a_full_disk_is_one_line_and_nothing_is_lost(path: Path) -> None:
    store = MemoryStore(path, max_bytes=120_000)
    kept = [f"{number} " + "word " * 100 for number in range(40)]
    for text in kept:
        store.add([item(text)])
    # All or none: what did not fit left nothing.
    with pytest.raises(MemoryFailure, match="there is no room for more in the memory") as told:
        store.add([item("small"), item("word " * 20_000)])
    assert "\n" not in str(told.value)
    assert texts(store) == kept
    store.close()


def test_a_damaged_file_is_told_and_left_as_it_is(store: MemoryStore, path: Path) -> None:
    path.parent.mkdir()
    path.write_bytes(b"not a database at all" * 500)
    with pytest.raises(MemoryFailure, match=r"is damaged .* move it away"):
        store.add([item("milk")])
    assert path.read_bytes() == b"not a database at all" * 500
    path.rename(path.with_suffix(".broken"))
    assert store.add([item("milk")]) == [1]


def test_a_file_that_is_damaged_within_is_told(store: MemoryStore, path: Path) -> None:
    store.add([item(f"fact {number} " * 20) for number in range(200)])
    store.close()
    content = bytearray(path.read_bytes())
    content[4096:] = b"\xff" * (len(content) - 4096)
    path.write_bytes(content)
    with pytest.raises(MemoryFailure, match="is damaged"):
        store.items("anna")


def test_a_file_that_another_program_holds_is_told_and_works_afterwards(
    store: MemoryStore, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agent.memory.database.BUSY_SECS", 0.05)
    store.add([item("milk")])
    store.close()
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("begin exclusive")
    with pytest.raises(MemoryFailure, match="in use by another program"):
        store.add([item("bread")])
    other.execute("rollback")
    other.close()
    assert store.add([item("bread")]) == [2]


def test_two_programs_share_the_file_and_one_that_was_deleted_begins_anew(store: MemoryStore, path: Path) -> None:
    other = MemoryStore(path)
    assert (store.add([item("one")]), other.add([item("two")]), texts(store)) == ([1], [2], ["one", "two"])
    other.close()
    path.unlink()
    assert (store.items("anna"), store.add([item("three")]), texts(store)) == ([], [1], ["three"])


def test_a_newer_file_is_not_touched(store: MemoryStore, path: Path) -> None:
    store.add([item("milk")])
    store.close()
    with sqlite3.connect(path) as db:
        db.execute("pragma user_version = 99")
    db.close()
    with pytest.raises(MemoryFailure, match="made by a newer sotto"):
        store.items("anna")


def test_what_others_have_said_does_not_decide_what_is_found(store: MemoryStore) -> None:
    store.add([item("the key is under the mat"), item("the shed has a lamp")])
    alone = [store.find("anna", about, limit=5) for about in ("key of the shed", "the", "key", "shed")]
    # More than are ranked have the key, and one the shed.
    store.add([item(f"the key thing number {number} of it", "user", "ben") for number in range(1_100)])
    store.add([item("the shed is green", owner="ben")])
    assert [
        [one.text for one in store.find("anna", about, limit=5)] for about in ("key of the shed", "the", "key", "shed")
    ] == [[one.text for one in found] for found in alone]
    assert {one.text for one in alone[0]} == {"the key is under the mat", "the shed has a lamp"}


def said(text: str, kind: Kind = "user") -> Item:
    return Item("anna", kind, text, 1_000.0, "c/1")


@pytest.mark.parametrize(
    ("point", "taken", "n_kept"),
    [
        (TurnPoint("yes", 1), True, 2),
        (TurnPoint("tell", 2), True, 5),
        (TurnPoint("yes", 0), True, 5),
        (TurnPoint("tell me", 0), True, 5),
        (TurnPoint("and then", 0), True, 4),
        # What the history did not hold goes alone, and only if nothing came of it.
        (TurnPoint("and then", 0), False, 4),
        (TurnPoint("yes", 0), False, 5),
    ],
)
def test_going_back_deletes_no_more_than_the_history_took_back(
    store: MemoryStore, point: TurnPoint, taken: bool, n_kept: int
) -> None:
    store.add([said("tell me"), said("Shall I?", "agent"), said("yes"), said("It rained.", "agent"), said("and then")])
    store.forget_from("anna", "c", point, taken=taken)
    assert len(texts(store)) == n_kept


def test_a_turn_that_was_answered_stays_where_the_history_took_nothing_back(store: MemoryStore) -> None:
    store.add([said("yes"), said("It rained.", "agent")])
    store.forget_from("anna", "c", TurnPoint("yes"), taken=False)
    assert texts(store) == ["yes", "It rained."]
    store.forget_from("anna", "c", TurnPoint("yes"))
    assert texts(store) == []
