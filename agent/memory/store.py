"""What is remembered, in one SQLite file with a full-text index (FTS5).

In:  items.   Out: items, by number, by words, by time. Blocks: one thread at a time may use a store.

What is forgotten is gone from the file at once: the index is merged into one piece, for until then FTS5 keeps deleted
words (sqlite.org/fts5.html, 6.6).
"""

import functools
import sqlite3
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from agent.memory.bounds import EVERYTHING, Bounds
from agent.memory.conversations import KeptConversations
from agent.memory.database import MAX_BYTES, Database, clear_away, storable
from agent.memory.item import MAX_TURN_CHARS, Item
from agent.memory.search_words import indexed, queries, rarest
from processors.llm.turn_point import TurnPoint

_COLUMNS = "items.id, owner, kind, text, said_secs, conversation, turn"
_IN_CONVERSATION = "substr(conversation, 1, length(?)) = ?"


class MemoryStore:
    """One file.

    Args:
        path: Where it is, or is to be.
        max_bytes: Of the whole file.

    Attributes:
        conversations: Those whose turns are kept.
    """

    def __init__(self, path: Path, *, max_bytes: int = MAX_BYTES) -> None:
        self.path = path
        self._file = Database(path, max_bytes=max_bytes)
        self.conversations = KeptConversations(self._file)
        self._n_emptied: Counter[str | None] = Counter()

    def add(self, items: Sequence[Item]) -> list[int]:
        """Keep items, all or none.

        Returns:
            Their numbers.

        Raises:
            MemoryFailure: They are not kept.
        """

        def write(db: sqlite3.Connection) -> list[int]:
            return [self._insert(db, item) for item in items]

        return self._file.change(write) if items else []

    def find(
        self, owner: str, about: str, *, limit: int, all_words: bool = False, within: Bounds = EVERYTHING
    ) -> list[Item]:
        """Items of one owner that share words with a text, the best first.

        Args:
            owner: Whose.
            about: Any text.
            limit: How many at most.
            all_words: Whether each of its words must be there.
            within: Which of them.

        Raises:
            MemoryFailure: It cannot be read.
        """
        words = queries(about)
        if not words:
            return []
        where, values = self._where(owner, within)
        count = functools.partial(self._count, where, values)
        query, ranked = (" AND ".join(words), False) if all_words else rarest(words, count)
        order = "bm25(word_index), items.id desc" if ranked else "word_index.rowid desc"
        # cross: else SQLite looks each item of the owner up in the index, which takes seconds.
        sql = (
            f"select {_COLUMNS} from word_index cross join items on items.id = word_index.rowid"  # noqa: S608 - no value in it
            f" where word_index match ? and {where} order by {order} limit ?"
        )
        return self._read(sql, (query, *values, limit)) if query else []

    def same(self, owner: str, fact: str) -> Item | None:
        """The fact of one owner that is kept in these words.

        Raises:
            MemoryFailure: It cannot be read.
        """
        sql = (
            f"select {_COLUMNS} from items"  # noqa: S608 - no value in it
            " where owner = ? and kind = 'fact' and text = ? collate nocase limit 1"
        )
        return next(iter(self._read(sql, (owner, storable(fact)))), None)

    def item(self, owner: str, number: int) -> Item | None:
        """The item of one owner that has a number.

        Raises:
            MemoryFailure: It cannot be read.
        """
        return next(iter(self._numbered(owner, [number])), None)

    def items(self, owner: str | None) -> list[Item]:
        """All items by number, the earliest first.

        Args:
            owner: Whose; None: everybody's.

        Raises:
            MemoryFailure: It cannot be read.
        """
        sql = f"select {_COLUMNS} from items where ? is null or owner = ? order by id"  # noqa: S608 - no value in it
        return self._read(sql, (owner, owner))

    def newest(self, owner: str, *, before: int, limit: int) -> list[Item]:
        """Items of one owner by number, the newest first.

        Args:
            owner: Whose.
            before: Only those with a lower number.
            limit: How many at most.

        Raises:
            MemoryFailure: It cannot be read.
        """
        sql = f"select {_COLUMNS} from items where owner = ? and id < ? order by id desc limit ?"  # noqa: S608
        return self._read(sql, (owner, before, limit))

    def latest(self, owner: str, *, limit: int, within: Bounds = EVERYTHING) -> list[Item]:
        """Items of one owner by time, the latest first.

        Args:
            owner: Whose.
            limit: How many at most.
            within: Which of them.

        Raises:
            MemoryFailure: It cannot be read.
        """
        where, values = self._where(owner, within)
        sql = f"select {_COLUMNS} from items where {where} order by said_secs desc, id desc limit ?"  # noqa: S608
        return self._read(sql, (*values, limit))

    def change(self, owner: str, number: int, text: str) -> bool:
        """Give an item other words; the turn of the conversation in which a fact was said in the old ones goes.

        Returns:
            Whether this owner has it.

        Raises:
            MemoryFailure: It stays as it was.
        """

        def write(db: sqlite3.Connection) -> bool:
            item = self.item(owner, number)
            if item and item.text != storable(text):
                sql = "update items set text = ?, words = ? where id = ?"
                db.execute(sql, (storable(text), indexed(text), number))
                _forget_turn_of(db, item)
                clear_away(db)
            return item is not None

        return self.path.exists() and self._file.change(write)

    def forget(self, owner: str | None, numbers: Sequence[int] | None) -> int:
        """Delete items, and with each fact the turn of the conversation in which it was said.

        Args:
            owner: Whose; None: anybody's.
            numbers: Which; None: all.

        Returns:
            How many of these there were.

        Raises:
            MemoryFailure: All of them stay.
        """
        if numbers is None:
            self._n_emptied[owner] += 1
        if not self.path.exists():
            return 0

        def write(db: sqlite3.Connection) -> int:
            wanted = self.items(owner) if numbers is None else self._numbered(owner, numbers)
            for item in wanted:
                db.execute("delete from items where id = ?", (item.number,))
                _forget_turn_of(db, item)
            if wanted:
                clear_away(db)
            return len(wanted)

        return self._file.change(write)

    def n_emptied(self, owner: str) -> int:
        """How often this program was to forget everything of an owner; from any thread."""
        return self._n_emptied[owner] + self._n_emptied[None]

    def holds(self, fact: Item) -> bool:
        """Whether a fact is kept still, in its very words.

        Raises:
            MemoryFailure: It cannot be read.
        """
        kept = self.item(fact.owner, fact.number)
        return kept is not None and kept.text == storable(fact.text)

    def forget_turn(self, owner: str, conversation: str, turn: int) -> None:
        """Delete what both said in one turn.

        Raises:
            MemoryFailure: It stays.
        """

        def write(db: sqlite3.Connection) -> None:
            if _forget_turn(db, owner, conversation, turn):
                clear_away(db)

        if self.path.exists():
            self._file.change(write)

    def forget_conversation(self, conversation: str) -> int:
        """Delete what both said in a conversation, whoever had it; facts that were asked to be remembered stay.

        Args:
            conversation: Its id, which nobody can guess.

        Returns:
            How many turns' sides there were.

        Raises:
            MemoryFailure: All of them stay.
        """

        def write(db: sqlite3.Connection) -> int:
            sql = f"delete from items where {_IN_CONVERSATION} and kind != 'fact'"  # noqa: S608 - no value in it
            n_deleted = db.execute(sql, (f"{storable(conversation)}/",) * 2).rowcount
            if n_deleted:
                clear_away(db)
            return n_deleted

        return self._file.change(write) if self.path.exists() else 0

    def forget_from(self, owner: str, conversation: str, point: TurnPoint, *, taken: bool = True) -> None:
        """Delete what both said from a turn on; nothing where it was not kept in these very words.

        Args:
            owner: Whose.
            conversation: Its id.
            point: The turn.
            taken: Whether the history held it; else it goes only where nothing was kept after it.

        Raises:
            MemoryFailure: All of it stays.
        """
        point = replace(point, text=storable(point.text[:MAX_TURN_CHARS]))

        def write(db: sqlite3.Connection) -> None:
            here = f"owner = ? and kind != 'fact' and {_IN_CONVERSATION}"
            values = (owner, *(f"{storable(conversation)}/",) * 2)
            sql = f"select id, text, kind from items where {here} order by id"  # noqa: S608 - no value in it
            kept = db.execute(sql, values).fetchall()
            said = [one for one in kept if one[2] == "user"]
            found = point.index_in([text for _, text, _ in said], joined=False)
            if found is not None and (taken or said[found] == kept[-1]):
                db.execute(f"delete from items where {here} and id >= ?", (*values, said[found][0]))  # noqa: S608
                clear_away(db)

        if self.path.exists():
            self._file.change(write)

    def close(self) -> None:
        """Let go of the file; it is opened again when it is needed."""
        self._file.close()

    def _where(self, owner: str, within: Bounds) -> tuple[str, tuple[object, ...]]:
        """A condition on items, without any value in it, and its values."""
        where, values = "owner = ? and said_secs >= ? and said_secs < ?", (owner, within.since_secs, within.until_secs)
        if within.facts_alone:
            return f"{where} and kind = 'fact'", values
        if not within.without or within.n_turns <= 0:
            return where, values
        here = f"{storable(within.without)}/"
        first = (
            f"select id from items where owner = ? and kind = 'user' and {_IN_CONVERSATION} order by id desc limit 1"  # noqa: S608
        )
        found = self._file.rows(f"{first} offset ?", (owner, here, here, within.n_turns - 1))
        number = found[0][0] if found else 0
        return f"{where} and (kind = 'fact' or items.id < ? or not {_IN_CONVERSATION})", (*values, number, here, here)

    def _count(self, where: str, values: Sequence[object], word: str, most: int) -> int:
        """How many of the items that may be found have a word: others' words must not decide what is found."""
        sql = (
            "select count(*) from (select 1 from word_index cross join items on items.id = word_index.rowid"  # noqa: S608
            f" where word_index match ? and {where} limit ?)"
        )
        return sum(count for (count,) in self._file.rows(sql, (word, *values, most)))

    def _numbered(self, owner: str | None, numbers: Sequence[int]) -> list[Item]:
        found: list[Item] = []
        for number in dict.fromkeys(numbers):
            sql = f"select {_COLUMNS} from items where id = ? and (? is null or owner = ?)"  # noqa: S608 - no value in it
            found += self._read(sql, (number, owner, owner))
        return found

    @staticmethod
    def _insert(db: sqlite3.Connection, item: Item) -> int:
        sql = "insert into items(owner, kind, text, said_secs, conversation, turn, words) values (?, ?, ?, ?, ?, ?, ?)"
        text = storable(item.text)
        values = (item.owner, item.kind, text, item.said_secs, item.conversation, item.turn, indexed(text))
        return db.execute(sql, values).lastrowid or 0

    def _read(self, sql: str, values: Sequence[object]) -> list[Item]:
        return [
            Item(owner, kind, text, said_secs, conversation, turn, number)
            for number, owner, kind, text, said_secs, conversation, turn in self._file.rows(sql, values)
        ]


def _forget_turn_of(db: sqlite3.Connection, item: Item) -> None:
    if item.kind == "fact" and item.turn:
        _forget_turn(db, item.owner, item.conversation, item.turn)


def _forget_turn(db: sqlite3.Connection, owner: str, conversation: str, turn: int) -> bool:
    sql = "delete from items where owner = ? and conversation = ? and turn = ? and kind != 'fact'"
    return db.execute(sql, (owner, conversation, turn)).rowcount > 0
