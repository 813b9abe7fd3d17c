"""The conversations whose turns are kept: listed, titled, read whole, forgotten.

In:  an owner, a conversation's id.   Out: what is known of it. Blocks: one thread at a time may use it.

A title is the first question, unless its owner has given another one.
"""

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from agent.memory.database import Database, clear_away, storable
from agent.memory.item import Item
from agent.memory.search_words import matches

MAX_TITLE_CHARS = 120
SHOWN_TITLE_CHARS = 80
_LIST = """
    with said as (
        select id, kind, said_secs, substr(conversation, 1, instr(conversation || '/', '/') - 1) as named
        from items where owner = :owner and kind != 'fact'
    ), each_one as (
        select named, min(id) as first, max(id) as last, min(case kind when 'user' then id end) as asked,
            min(said_secs) as begun, max(said_secs) as ended, sum(kind = 'user') as n_turns
        from said group by named
    )
    select named, last, begun, ended, n_turns, text, title from each_one
        join items on items.id = coalesce(asked, first)
        left join titles on titles.owner = :owner and titles.conversation = named
"""
_OF_ONE = "owner = ? and kind != 'fact' and substr(conversation, 1, length(?)) = ?"


@dataclass(frozen=True)
class Kept:
    """One conversation.

    Attributes:
        id: Its own.
        title: At most MAX_TITLE_CHARS.
        begun_secs: When its first turn was said, in seconds since the epoch.
        said_secs: When its last one was.
        n_turns: How many the user has said.
        last: The number of its last item, which orders them.
    """

    id: str
    title: str
    begun_secs: float
    said_secs: float
    n_turns: int
    last: int


class KeptConversations:
    """Of everybody, in one file.

    Args:
        file: Which.
    """

    def __init__(self, file: Database) -> None:
        self._file = file

    def newest(self, owner: str, *, before: int, limit: int) -> list[Kept]:
        """Those that were gone on with last, first.

        Args:
            owner: Whose.
            before: Only those whose last item has a lower number.
            limit: How many at most.

        Raises:
            MemoryFailure: They cannot be read.
        """
        return self._listed(owner, "where last < :before order by last desc limit :limit", before=before, limit=limit)

    def about(self, owner: str, about: str, found: Sequence[Item], *, limit: int) -> list[Kept]:
        """Those whose titles or turns have words of a text.

        Args:
            owner: Whose.
            about: Any text.
            found: Turns of his that have them, the best first.
            limit: How many at most.

        Raises:
            MemoryFailure: They cannot be read.
        """
        best = [item.conversation.partition("/")[0] for item in found if item.kind != "fact"]
        titled = self._file.rows("select conversation, title from titles where owner = ?", (owner,))
        names = list(dict.fromkeys([*(name for name, title in titled if matches(about, title)), *best]))[:limit]
        marks = {f"n{at}": name for at, name in enumerate(names)}
        listed = self._listed(owner, f"where named in ({', '.join(f':{mark}' for mark in marks)})", **marks)
        return sorted(listed, key=lambda one: names.index(one.id))

    def one(self, owner: str, conversation: str) -> Kept | None:
        """A conversation of one owner.

        Raises:
            MemoryFailure: It cannot be read.
        """
        return next(iter(self._listed(owner, "where named = :named", named=storable(conversation))), None)

    def turns(self, owner: str, conversation: str) -> list[Item]:
        """What both said in it, in order; nothing where this owner has none of that id.

        Raises:
            MemoryFailure: It cannot be read.
        """
        sql = f"select id, kind, text, said_secs, turn from items where {_OF_ONE} order by id"  # noqa: S608 - no value in it
        rows = self._file.rows(sql, _of_one(owner, conversation))
        return [Item(owner, kind, text, secs, conversation, turn, number) for number, kind, text, secs, turn in rows]

    def rename(self, owner: str, conversation: str, title: str) -> bool:
        """Give it a title; an empty one gives it back its own.

        Returns:
            Whether this owner has it.

        Raises:
            MemoryFailure: It keeps the one that it had.
        """
        if self.one(owner, conversation) is None:
            return False

        def write(db: sqlite3.Connection) -> None:
            db.execute("delete from titles where owner = ? and conversation = ?", (owner, storable(conversation)))
            if title:
                values = (owner, storable(conversation), storable(title)[:MAX_TITLE_CHARS])
                db.execute("insert into titles(owner, conversation, title) values (?, ?, ?)", values)

        self._file.change(write)
        return True

    def forget(self, owner: str, conversation: str) -> int:
        """Delete what both said in it, and its title; facts that were asked to be remembered stay.

        Returns:
            How many sides of turns there were.

        Raises:
            MemoryFailure: All of them stay.
        """

        def write(db: sqlite3.Connection) -> int:
            n_deleted = db.execute(f"delete from items where {_OF_ONE}", _of_one(owner, conversation)).rowcount  # noqa: S608
            if n_deleted:
                clear_away(db)
            return n_deleted

        return self._file.change(write) if self._file.path.exists() else 0

    def _listed(self, owner: str, which: str, **values: Any) -> list[Kept]:
        rows = self._file.rows(f"{_LIST} {which}", {"owner": owner, **values})
        return [
            Kept(name, title or first_words(text), begun, ended, n_turns, last)
            for name, last, begun, ended, n_turns, text, title in rows
        ]


def first_words(text: str) -> str:
    """A title out of what was asked first.

    Args:
        text: Any.
    """
    line = " ".join(text.split())
    return line if len(line) <= SHOWN_TITLE_CHARS else f"{line[: SHOWN_TITLE_CHARS - 1].rstrip()}…"


def _of_one(owner: str, conversation: str) -> tuple[str, str, str]:
    here = f"{storable(conversation)}/"
    return owner, here, here
