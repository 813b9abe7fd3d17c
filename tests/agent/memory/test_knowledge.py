"""The knowledge folder: what its documents say is found with its file and page, and what cannot be read is told."""

import ast
import os
import sys
from pathlib import Path
from typing import Any

import pypdf
import pytest

from agent.memory import documents
from agent.memory import knowledge as knowledge_module
from agent.memory.documents import PIECE_CHARS, DocumentError, Piece, files_of, pieces_of
from agent.memory.knowledge import Knowledge, KnowledgeError
from tests.support.small_pdf import small_pdf


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr("agent.memory.knowledge.LOOK_SECS", -1.0)
    # What a search is given up after; a busy machine reads slowly.
    monkeypatch.setattr("agent.memory.knowledge.WAIT_SECS", 100.0)
    monkeypatch.setattr("agent.memory.documents.PDF_SECS", 100.0)
    folder = tmp_path / "papers"
    folder.mkdir()
    return folder


def asked(knowledge: Knowledge, about: str) -> list[tuple[str, int, str]]:
    return [(found.file, found.piece.page, found.piece.text) for found in knowledge.search(about).found]


def test_text_markdown_and_pdf_are_found_with_file_page_and_section(folder: Path) -> None:
    (folder / "hours.txt").write_text("We are open from nine to five.\n\nOn Sundays we are closed.")
    (folder / "prices").mkdir()
    (folder / "prices" / "list.md").write_text("# Shoes\n\nA pair costs 40 euros.\n\n## Repair\nSoles cost 12 euros.")
    (folder / "manual.pdf").write_bytes(small_pdf(["The red lamp means power.", "Press the knob to reset."]))
    (folder / "photo.jpg").write_bytes(b"\xff\xd8 knob")
    knowledge = Knowledge(folder)
    assert asked(knowledge, "how do I reset it with the knob?")[0] == ("manual.pdf", 2, "Press the knob to reset.")
    assert asked(knowledge, "when are you closed")[0][0] == "hours.txt"
    (found,) = knowledge.search("soles").found
    assert (found.file, found.piece) == ("prices/list.md", Piece("Soles cost 12 euros.", 0, "Repair"))
    # A section's name and a file's are words of it, too.
    assert asked(knowledge, "shoes")[0] == ("prices/list.md", 0, "A pair costs 40 euros.")
    assert asked(knowledge, "manuals")[0][0] == "manual.pdf"
    assert asked(knowledge, "zebra") == asked(knowledge, "?!") == []


def test_what_is_changed_added_and_deleted_is_noticed(folder: Path) -> None:
    (folder / "a.txt").write_text("the code is seven")
    knowledge = Knowledge(folder)
    assert asked(knowledge, "code") == [("a.txt", 0, "the code is seven")]
    (folder / "a.txt").write_text("the code is eight now")
    (folder / "b.txt").write_text("another code")
    assert asked(knowledge, "code") == [("b.txt", 0, "another code"), ("a.txt", 0, "the code is eight now")]
    (folder / "a.txt").unlink()
    assert asked(knowledge, "seven eight code") == [("b.txt", 0, "another code")]


def test_links_out_of_the_folder_are_not_followed_and_loops_end(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "secret.txt").write_text("the secret word")
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "more.txt").write_text("secret, too")
    (folder / "a.txt").symlink_to(tmp_path / "secret.txt")
    (folder / "b.txt").symlink_to("../secret.txt")
    (folder / "c").symlink_to(tmp_path / "outside")
    (folder / "d").symlink_to(".")
    (folder / "e.txt").symlink_to("e.txt")
    (folder / "g.txt").symlink_to("real.txt")
    (folder / "real.txt").write_text("here")
    (folder / ".hidden.txt").write_text("secret")
    answer = Knowledge(folder).search("secret")
    assert list(answer.found) == []
    out, nowhere = "it leads out of the folder", "it leads nowhere"
    assert answer.unread == {"a.txt": out, "b.txt": out, "c": out, "e.txt": nowhere}
    assert set(files_of(folder)[0]) == {"g.txt", "real.txt"}


def test_the_folder_itself_may_be_a_link(folder: Path, tmp_path: Path) -> None:
    (folder / "a.txt").write_text("milk")
    (tmp_path / "link").symlink_to(folder)
    assert asked(Knowledge(tmp_path / "link"), "milk") == [("a.txt", 0, "milk")]


def test_what_is_huge_broken_binary_or_empty_is_told_and_the_rest_is_found(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(documents, "MAX_FILE_BYTES", 5_000_000)
    (folder / "good.txt").write_text("milk")
    (folder / "huge.txt").write_bytes(b"milk " * 1_100_000)
    (folder / "binary.txt").write_bytes(b"milk\0\1\2")
    (folder / "broken.pdf").write_bytes(b"%PDF-1.7 milk" + os.urandom(500))
    (folder / "cut.pdf").write_bytes(small_pdf(["milk"])[:150])
    (folder / "no.pdf").write_bytes(b"")
    (folder / "picture.pdf").write_bytes(small_pdf([""]))
    answer = Knowledge(folder).search("milk")
    assert [found.file for found in answer.found] == ["good.txt"]
    broken = {name: answer.unread.pop(name).partition(" (")[0] for name in ("broken.pdf", "cut.pdf", "no.pdf")}
    assert set(broken.values()) <= {"it is broken", "it holds no text, only pictures"}
    assert answer.unread == {
        "huge.txt": "it is larger than 5 MB",
        "binary.txt": "it is no text",
        "picture.pdf": "it holds no text, only pictures",
    }


@pytest.mark.skipif(sys.platform != "linux", reason="other file systems take UTF-8 names alone")
def test_a_name_that_is_not_utf8_costs_its_own_file_alone(folder: Path) -> None:
    (folder / "a.txt").write_text("milk here")
    with open(os.fsencode(folder) + b"/Gr\xfc\xdfe.txt", "w") as file:
        file.write("milk there")
    (folder / "z.txt").write_text("milk everywhere")
    knowledge = Knowledge(folder)
    for _ in range(2):
        answer = knowledge.search("milk")
        assert sorted(found.file for found in answer.found) == ["a.txt", "z.txt"]
        assert (answer.unread, answer.n_to_read) == ({"Gr\ufffd\ufffde.txt": "its name is not UTF-8"}, 0)


@pytest.mark.parametrize("where", ["pieces_of", "indexed"])
def test_whatever_fails_at_one_document_is_told_of_it_and_leaves_nothing_open(
    where: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("a", "b", "c"):
        (folder / f"{name}.txt").write_text("milk\n\n" * 3 + name * PIECE_CHARS)
    real: Any = getattr(knowledge_module, where)

    def fails(given: Any) -> Any:
        if "b.txt" in str(given) or "bbb" in str(given):
            raise RecursionError("too deep")
        return real(given)

    knowledge = Knowledge(folder)
    monkeypatch.setattr(knowledge_module, where, fails)
    answer = knowledge.search("milk")
    assert sorted({found.file for found in answer.found}) == ["a.txt", "c.txt"]
    assert (answer.unread, answer.n_to_read) == ({"b.txt": "it cannot be read: RecursionError('too deep')"}, 0)
    monkeypatch.undo()
    (folder / "b.txt").write_text("milk at last")
    monkeypatch.setattr("agent.memory.knowledge.LOOK_SECS", -1.0)
    assert "b.txt" in {found.file for found in knowledge.search("milk").found}


def test_a_pdf_that_takes_too_long_is_given_up(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(documents, "PDF_SECS", 0.0)
    (folder / "slow.pdf").write_bytes(small_pdf(["milk"]))
    with pytest.raises(DocumentError, match="takes longer than"):
        pieces_of(folder / "slow.pdf")


def test_there_are_bounds_for_files_and_characters(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(documents, "MAX_FILES", 3)
    monkeypatch.setattr("agent.memory.knowledge.MAX_CHARS", 25)
    for number in range(5):
        (folder / f"{number}.txt").write_text("milk and bread")
    answer = Knowledge(folder).search("milk")
    assert [found.file for found in answer.found] == ["0.txt"]
    assert list(answer.unread) == ["(others)", "1.txt", "2.txt"]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
def test_texts_of_usual_encodings_are_read(encoding: str, folder: Path) -> None:
    (folder / "a.txt").write_bytes("Das Café schließt um acht.".encode(encoding))
    assert pieces_of(folder / "a.txt") == [Piece("Das Café schließt um acht.")]


def test_long_texts_come_in_pieces_and_no_word_is_lost(folder: Path) -> None:
    words = [f"word{number}" for number in range(3_000)]
    (folder / "a.txt").write_text(" ".join(words[:2_000]) + "\n\n" + "\n\n".join(words[2_000:]) + "x" * 2_000)
    pieces = pieces_of(folder / "a.txt")
    assert max(len(piece.text) for piece in pieces) <= PIECE_CHARS
    assert "".join(piece.text.replace(" ", "") for piece in pieces) == "".join(words) + "x" * 2_000


def test_a_folder_that_is_not_there_says_what_to_set(folder: Path) -> None:
    with pytest.raises(KnowledgeError, match=r"there is no folder .*none: set persona\.knowledge"):
        Knowledge(folder / "none").search("milk")


def test_nothing_is_written_and_the_reader_of_pdfs_cannot_fetch(folder: Path) -> None:
    (folder / "a.pdf").write_bytes(small_pdf(["milk"], link="http://127.0.0.1:9/fetch"))
    assert asked(Knowledge(folder), "milk") == [("a.pdf", 1, "milk")]
    assert [path.name for path in folder.iterdir()] == ["a.pdf"]
    network = {"socket", "urllib.request", "http", "http.client", "requests", "httpx", "aiohttp", "ftplib"}
    imported: set[str] = set()
    for path in Path(pypdf.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            names: Any = getattr(node, "names", []) if isinstance(node, ast.Import) else []
            imported |= {alias.name for alias in names}
            imported |= {node.module or ""} if isinstance(node, ast.ImportFrom) else set()
    assert imported & network == set()
