"""The memory's SQLite file: opened when it is needed, changed all or none, its troubles told in one line.

In:  SQL.   Out: rows. Blocks: one thread at a time may use it.

The folder is the user's alone (700), and so is the file (600); neither is made before there is something to keep. What
is deleted is gone from the file: `secure_delete` writes zeros over it (sqlite.org/pragma.html). The journal is a
rollback journal, deleted with each change, not a write-ahead log, which would hold old pages beside the file; there is
one writer and little to write.

MemoryFailure    it cannot be read or written; one line says why, and what mends it
"""

import errno
import os
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

from agent.errors import SottoError

VERSION = 2
BUSY_SECS = 2.0
PAGE_BYTES = 4096
# Of the whole file.
MAX_BYTES = 1024**3
_FULL = {errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC)}
# What each version adds to the one before.
_FIRST = (
    """create table items(
        id integer primary key autoincrement, owner text not null, kind text not null, text text not null,
        said_secs real not null, conversation text not null, turn integer not null, words text not null
    )""",
    "create index items_of on items(owner, kind, id)",
    """create virtual table word_index using fts5(
        words, content='items', content_rowid='id', tokenize='unicode61 remove_diacritics 2'
    )""",
    """create trigger item_added after insert on items begin
        insert into word_index(rowid, words) values (new.id, new.words);
    end""",
    """create trigger item_deleted after delete on items begin
        insert into word_index(word_index, rowid, words) values ('delete', old.id, old.words);
    end""",
    """create trigger item_changed after update on items begin
        insert into word_index(word_index, rowid, words) values ('delete', old.id, old.words);
        insert into word_index(rowid, words) values (new.id, new.words);
    end""",
)
_SECOND = (
    """create table titles(
        owner text not null, conversation text not null, title text not null, primary key(owner, conversation)
    )""",
)
_SCHEMAS = (_FIRST, _SECOND)

Result = TypeVar("Result")


class MemoryFailure(SottoError):
    """The memory cannot be read or written; nothing of it was changed."""


class Database:
    """One file.

    Args:
        path: Where it is, or is to be.
        max_bytes: Of the whole file.

    Attributes:
        path: The same.
    """

    def __init__(self, path: Path, *, max_bytes: int = MAX_BYTES) -> None:
        self.path = path
        self._max_bytes = max_bytes
        self._db: sqlite3.Connection | None = None
        self._file: tuple[int, int] | None = None

    def rows(self, sql: str, values: Sequence[object] | Mapping[str, object] = ()) -> list[tuple[Any, ...]]:
        """What a query gives; nothing where there is no file.

        Raises:
            MemoryFailure: It cannot be read.
        """
        if not self.path.exists():
            return []
        with self._told():
            return self._opened().execute(sql, values).fetchall()

    def change(self, write: Callable[[sqlite3.Connection], Result]) -> Result:
        """Make changes, all or none; the file is made if there is none.

        Raises:
            MemoryFailure: None was made.
        """
        with self._told():
            db = self._opened()
            with in_one(db):
                return write(db)

    def close(self) -> None:
        """Let go of the file; it is opened again when it is needed."""
        if self._db:
            self._db.close()
        self._db = self._file = None

    def _opened(self) -> sqlite3.Connection:
        if self._db and self._file != _identity(self.path):
            # The user deleted or replaced it.
            self.close()
        if self._db is None:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self.path.parent.chmod(0o700)
            os.close(os.open(self.path, os.O_CREAT | os.O_RDWR, 0o600))
            self.path.chmod(0o600)
            self._db = sqlite3.connect(self.path, timeout=BUSY_SECS, isolation_level=None, check_same_thread=False)
            self._file = _identity(self.path)
            self._prepare(self._db)
        return self._db

    def _prepare(self, db: sqlite3.Connection) -> None:
        db.execute("pragma secure_delete = on")
        db.execute("pragma journal_mode = delete")
        db.execute("pragma temp_store = memory")
        db.execute(f"pragma max_page_count = {max(1, self._max_bytes // PAGE_BYTES)}")
        (version,) = db.execute("pragma user_version").fetchone()
        if version > VERSION:
            raise MemoryFailure(f"the memory in {self.path} was made by a newer sotto; update this one")
        if version < VERSION:
            with in_one(db):
                _lay_out(db)

    @contextmanager
    def _told(self) -> Iterator[None]:
        """What SQLite and the file system raise, in one line; the file is opened anew the next time."""
        try:
            yield
        except MemoryFailure:
            self.close()
            raise
        except (sqlite3.Error, OSError) as error:
            with suppress(sqlite3.Error):
                self.close()
            raise MemoryFailure(_why(error, self.path)) from error


@contextmanager
def in_one(db: sqlite3.Connection) -> Iterator[None]:
    """Make changes within a block, all or none; for a connection that begins no transactions of its own."""
    db.execute("begin immediate")
    try:
        yield
        db.execute("commit")
    except BaseException:
        if db.in_transaction:
            db.execute("rollback")
        raise


def clear_away(db: sqlite3.Connection) -> None:
    """Have the index keep no word that was deleted, and no title of which no turn is left."""
    db.execute("insert into word_index(word_index) values ('optimize')")
    db.execute(
        """delete from titles where not exists (
            select 1 from items where items.owner = titles.owner and kind != 'fact'
            and substr(items.conversation, 1, length(titles.conversation) + 1) = titles.conversation || '/'
        )"""
    )


def storable(text: str) -> str:
    """A text as SQLite takes it: half characters become question marks."""
    return text.encode("utf-8", "replace").decode()


def _lay_out(db: sqlite3.Connection) -> None:
    # Another program may have done it meanwhile.
    (version,) = db.execute("pragma user_version").fetchone()
    for statements in _SCHEMAS[version:]:
        for statement in statements:
            db.execute(statement)
    db.execute(f"pragma user_version = {max(version, VERSION)}")


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _why(error: Exception, path: Path) -> str:
    name = getattr(error, "sqlite_errorname", "") or ""
    if name.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
        return f"the memory in {path} is in use by another program; try again in a moment"
    if name.startswith("SQLITE_FULL") or getattr(error, "errno", None) in _FULL:
        return (
            f"there is no room for more in the memory {path}: the disk is full, or it has reached its 1 GB;"
            " nothing was changed"
        )
    if name.startswith(("SQLITE_NOTADB", "SQLITE_CORRUPT")):
        return f"the memory in {path} is damaged ({error}); it was left as it is: move it away to begin a new one"
    return f"the memory in {path} cannot be used: {error}"
