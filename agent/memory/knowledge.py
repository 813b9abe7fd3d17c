"""The knowledge folder: what its documents say about something, with the file and page that say it.

In:  words.   Out: pieces of documents, the best first.

The index is in memory alone, and is built when the folder is first searched: documents may hold what nobody wants
copied, and a folder of a few hundred is read in seconds. Before each search the files are looked at: what has changed
is read anew. One thread at a time works on it; who waits no longer is told how much is still to be read.
"""

import sqlite3
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from loguru import logger

from agent.errors import SottoError
from agent.memory.database import in_one
from agent.memory.documents import DocumentError, Piece, files_of, pieces_of
from agent.memory.search_words import indexed, queries, rarest

MAX_FOUND = 5
# Of all documents together.
MAX_CHARS = 30_000_000
WAIT_SECS = 8.0
# Files are looked at again after so long.
LOOK_SECS = 1.0


class KnowledgeError(SottoError):
    """The folder cannot be searched; one line says why."""


@dataclass(frozen=True)
class Found:
    """A piece of a document.

    Attributes:
        file: Path from the folder.
        piece: What it says.
    """

    file: str
    piece: Piece


@dataclass(frozen=True)
class Answer:
    """What a search gives.

    Attributes:
        found: The best first.
        unread: Why documents are left out, by path.
        n_to_read: How many are still to be read.
    """

    found: Sequence[Found]
    unread: dict[str, str]
    n_to_read: int


class Knowledge:
    """One folder.

    Args:
        folder: Where the documents are.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = threading.Lock()
        self._reading = threading.Lock()
        self._db = sqlite3.connect(":memory:", check_same_thread=False, isolation_level=None)
        self._db.execute(
            "create table pieces(id integer primary key, file text, page integer, heading text, text text)"
        )
        self._db.execute("create virtual table word_index using fts5(words, tokenize='unicode61 remove_diacritics 2')")
        self._known: dict[str, tuple[int, int]] = {}
        self._n_chars: dict[str, int] = {}
        self._left_out: dict[str, str] = {}
        self._unread: dict[str, str] = {}
        self._n_to_read = 0
        self._looked_secs = float("-inf")

    def search(self, about: str) -> Answer:
        """What the documents say; blocks, for eight seconds at most while they are being read.

        Args:
            about: Any text.

        Raises:
            KnowledgeError: There is no such folder, or it cannot be read.
        """
        if not self._folder.is_dir():
            raise KnowledgeError(f"there is no folder {self._folder}: set persona.knowledge to one with documents")
        if time.monotonic() - self._looked_secs > LOOK_SECS:
            reader = threading.Thread(target=self._read_changes, name="knowledge", daemon=True)
            reader.start()
            reader.join(WAIT_SECS)
        if error := self._left_out.get("."):
            raise KnowledgeError(f"the folder {self._folder} cannot be read: {error}")
        with self._lock:
            return Answer(self._find(about), {**self._left_out, **self._unread}, self._n_to_read)

    def _read_changes(self) -> None:
        if not self._reading.acquire(blocking=False):
            # Another search has it read already; what it has by then is searched.
            with self._reading:
                return
        try:
            self._refresh()
        finally:
            self._reading.release()

    def _refresh(self) -> None:
        try:
            files, left_out = files_of(self._folder)
        except OSError as error:
            self._left_out = {".": error.strerror or str(error)}
            return
        told = {**left_out}
        for name, why in told.items():
            if self._left_out.get(name) != why:
                logger.warning(f"knowledge: {name} is left out: {why}")
        self._left_out = told
        for name in [name for name in self._known if name not in files]:
            self._forget(name)
        changed = [name for name, state in files.items() if self._known.get(name) != state]
        self._n_to_read = len(changed)
        for name in changed:
            self._take(name, files[name])
            self._n_to_read -= 1
        self._looked_secs = time.monotonic()

    def _take(self, name: str, state: tuple[int, int]) -> None:
        self._forget(name)
        try:
            self._add(name)
        # A document is made by anybody: whatever it brings about is told of it alone.
        except Exception as error:  # noqa: BLE001
            self._n_chars.pop(name, None)
            why = str(error) if isinstance(error, DocumentError) else f"it cannot be read: {error!r}"[:200]
            self._unread[name] = why
            logger.warning(f"knowledge: {name} is left out: {why}")
        self._known[name] = state

    def _add(self, name: str) -> None:
        """A document into the index, whole or not at all."""
        # Read beside the lock: others may search meanwhile.
        pieces = pieces_of(self._folder / name)
        n_chars = sum(len(piece.text) for piece in pieces)
        if sum(self._n_chars.values()) + n_chars > MAX_CHARS:
            raise DocumentError(f"all documents together have more than {MAX_CHARS // 1_000_000} million characters")
        self._n_chars[name] = n_chars
        with self._lock, in_one(self._db):
            for piece in pieces:
                values = (name, piece.page, piece.heading, piece.text)
                row = self._db.execute("insert into pieces(file, page, heading, text) values (?, ?, ?, ?)", values)
                words = indexed(f"{Path(name).stem} {piece.heading} {piece.text}")
                self._db.execute("insert into word_index(rowid, words) values (?, ?)", (row.lastrowid, words))

    def _forget(self, name: str) -> None:
        for kept in (self._known, self._n_chars, self._unread):
            kept.pop(name, None)
        with self._lock, in_one(self._db):
            self._db.execute("delete from word_index where rowid in (select id from pieces where file = ?)", (name,))
            self._db.execute("delete from pieces where file = ?", (name,))

    def _find(self, about: str) -> list[Found]:
        query, ranked = rarest(queries(about), self._count)
        if not query:
            return []
        order = "bm25(word_index)" if ranked else "word_index.rowid"
        sql = (
            "select file, page, heading, text from word_index join pieces on pieces.id = word_index.rowid"  # noqa: S608
            f" where word_index match ? order by {order} limit ?"
        )
        rows = self._db.execute(sql, (query, MAX_FOUND)).fetchall()
        return [Found(file, Piece(text, page, heading)) for file, page, heading, text in rows]

    def _count(self, word: str, most: int) -> int:
        sql = "select count(*) from (select 1 from word_index where word_index match ? limit ?)"
        return self._db.execute(sql, (word, most)).fetchone()[0]
