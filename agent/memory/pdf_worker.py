"""Reads the text of a PDF file in a process of its own, for a page may take seconds of Python, or never end.

In:  a path and the most characters, as arguments.   Out: JSON on standard output: {"pages": [text, ...]} or {"error"}.
It imports nothing of ours, opens nothing but the file, and is ended from outside.
"""

import contextlib
import json
import logging
import sys

MAX_PAGES = 2_000
MAX_MEMORY_BYTES = 1024**3
MAX_CPU_SECS = 60


def _bound() -> None:
    """Where the system can, bound what a file made for harm may take."""
    with contextlib.suppress(ImportError, ValueError, OSError):
        import resource

        resource.setrlimit(resource.RLIMIT_CPU, (MAX_CPU_SECS, MAX_CPU_SECS))
        resource.setrlimit(resource.RLIMIT_AS, (MAX_MEMORY_BYTES, MAX_MEMORY_BYTES))


def read(path: str, max_chars: int) -> dict[str, object]:
    """The text of each page, up to a number of characters.

    Args:
        path: Of the file.
        max_chars: Of all pages.
    """
    import pypdf

    pages: list[str] = []
    n_chars = 0
    try:
        reader = pypdf.PdfReader(path)
        if reader.is_encrypted and not reader.decrypt(""):
            return {"error": "it is encrypted"}
        for page in reader.pages[:MAX_PAGES]:
            text = page.extract_text()
            pages.append(text[: max_chars - n_chars].encode("utf-8", "replace").decode())
            n_chars += len(text)
            if n_chars >= max_chars:
                break
    except Exception as error:  # noqa: BLE001 - whatever a broken file does to its reader
        if not any(pages):
            return {"error": f"it is broken ({type(error).__name__})"}
    return {"pages": pages}


if __name__ == "__main__":
    _bound()
    logging.disable()
    sys.stdout.write(json.dumps(read(sys.argv[1], int(sys.argv[2]))))
