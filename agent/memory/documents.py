"""The documents of a folder: txt, md and pdf, in pieces that can be told, each with its file and page.

In:  a folder.   Out: its files; the pieces of a file, or why it cannot be read. Blocks.

Bounded: so many files, bytes and characters. A link that leads out of the folder is not followed, hidden files are left
alone, and a PDF is read in a process of its own that is ended when it takes too long.
"""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from agent.errors import SottoError
from agent.memory import pdf_worker
from processors.child_process import start_child
from processors.errors import EngineUnavailableError

ENDINGS = (".txt", ".md", ".pdf")
MAX_FILES = 1_000
# Of all that is looked at, so that a folder such as a home does not take minutes.
MAX_ENTRIES = 20_000
MAX_FILE_BYTES = 20_000_000
MAX_FILE_CHARS = 2_000_000
PIECE_CHARS = 700
PDF_SECS = 30.0
_HEADING = re.compile(r"^#{1,6}\s+(.+?)\s*#*$")
_BOMS = {b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16", b"\xef\xbb\xbf": "utf-8-sig"}


class DocumentError(SottoError):
    """A document cannot be read; a few words say why."""


@dataclass(frozen=True)
class Piece:
    """Some sentences of a document.

    Attributes:
        text: Its words.
        page: Of a PDF, from 1; 0 elsewhere.
        heading: What it stands under, in Markdown.
    """

    text: str
    page: int = 0
    heading: str = ""


def files_of(folder: Path) -> tuple[Mapping[str, tuple[int, int]], Mapping[str, str]]:
    """The documents of a folder and the folders in it.

    Args:
        folder: It is there.

    Returns:
        By path from the folder: time of change in ns and size in bytes; and why others are left out.

    Raises:
        OSError: The folder cannot be read.
    """
    root = folder.resolve(strict=True)
    found: dict[str, tuple[int, int]] = {}
    left_out: dict[str, str] = {}
    os.listdir(root)
    for n_entries, path in enumerate(_entries(root)):
        name = path.relative_to(root).as_posix()
        if n_entries >= MAX_ENTRIES or len(found) >= MAX_FILES:
            left_out["(others)"] = f"there are more than {MAX_FILES} documents or {MAX_ENTRIES} files"
            break
        if path.suffix.lower() not in ENDINGS and not (path.is_symlink() and path.is_dir()):
            continue
        if (shown := _shown(name)) != name:
            left_out[shown] = "its name is not UTF-8"
            continue
        try:
            target = path.resolve(strict=True)
            status = target.stat()
        except (OSError, RuntimeError):
            left_out[name] = "it leads nowhere"
            continue
        if not target.is_relative_to(root):
            left_out[name] = "it leads out of the folder"
        elif target.is_file() and status.st_size > MAX_FILE_BYTES:
            left_out[name] = f"it is larger than {MAX_FILE_BYTES // 1_000_000} MB"
        elif target.is_file():
            found[name] = (status.st_mtime_ns, status.st_size)
    return found, left_out


def pieces_of(path: Path) -> list[Piece]:
    """The pieces of a document.

    Args:
        path: One that `files_of` has found.

    Raises:
        DocumentError: It cannot be read.
    """
    try:
        if path.suffix.lower() == ".pdf":
            pages = _pdf_pages(path)
            return [piece for number, text in enumerate(pages, 1) for piece in _pieces(text, page=number)]
        text = _text(path.read_bytes()[:MAX_FILE_BYTES])
    except OSError as error:
        raise DocumentError(error.strerror or "it cannot be read") from error
    return list(_pieces(text, headings=path.suffix.lower() == ".md"))


def _entries(root: Path) -> Iterator[Path]:
    """Everything but what is hidden, in order; linked folders are told, not entered."""
    for where, folders, names in os.walk(root):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        links = [name for name in folders if (Path(where) / name).is_symlink()]
        for name in sorted([*names, *links]):
            if not name.startswith("."):
                yield Path(where) / name


def _shown(name: str) -> str:
    """A file's name as text; the file system's bytes need not be any."""
    return os.fsencode(name).decode("utf-8", "replace")


def _text(content: bytes) -> str:
    encoding = next((name for mark, name in _BOMS.items() if content.startswith(mark)), "utf-8")
    if encoding == "utf-8" and b"\0" in content[:8_192]:
        raise DocumentError("it is no text")
    try:
        text = content.decode(encoding)
    except UnicodeDecodeError:
        # What old Windows programs write.
        text = content.decode("cp1252", "replace")
    return text[:MAX_FILE_CHARS]


def _pdf_pages(path: Path) -> list[str]:
    # -P: the worker's folder holds modules named like the libraries it imports.
    command = [sys.executable, "-P", str(Path(pdf_worker.__file__).resolve()), str(path), str(MAX_FILE_CHARS)]
    try:
        process = start_child(command)
    except EngineUnavailableError as error:
        raise DocumentError(str(error)) from error
    try:
        out, _ = process.communicate(timeout=PDF_SECS)
        told = json.loads(out)
    except subprocess.TimeoutExpired:
        raise DocumentError(f"reading it takes longer than {PDF_SECS:.0f} s") from None
    except ValueError:
        raise DocumentError("it is broken, or takes too much memory") from None
    finally:
        process.kill()
        process.communicate()
    if "error" in told:
        raise DocumentError(str(told["error"]))
    pages = [str(page) for page in told["pages"]]
    if not any(page.strip() for page in pages):
        raise DocumentError("it holds no text, only pictures")
    return pages


def _pieces(text: str, *, page: int = 0, headings: bool = False) -> Iterator[Piece]:
    """Paragraphs, short ones joined and long ones cut at white space."""
    heading, held = "", ""
    for block in re.split(r"\n\s*\n|(?=^#{1,6}\s)" if headings else r"\n\s*\n", text, flags=re.MULTILINE):
        words = " ".join(block.split())
        if headings and (found := _HEADING.match(block.strip().split("\n")[0])):
            yield from _cut(held, page, heading)
            heading, held = found[1], " ".join(block.strip().partition("\n")[2].split())
        elif len(held) + len(words) > PIECE_CHARS:
            yield from _cut(held, page, heading)
            held = words
        else:
            held = f"{held} {words}".strip()
    yield from _cut(held, page, heading)


def _cut(text: str, page: int, heading: str) -> Iterator[Piece]:
    while text:
        end = len(text) if len(text) <= PIECE_CHARS else text.rfind(" ", PIECE_CHARS // 2, PIECE_CHARS)
        end = PIECE_CHARS if end < 0 else end
        yield Piece(text[:end].strip(), page, heading)
        text = text[end:].strip()
