"""Names of files, as they are said: `notes dot text` is notes.txt, and no name leads out of a folder.

In:  a name in a person's or a language model's words.   Out: one that every system takes as a plain file; a ValueError
says what is wrong with any other.
"""

import re
import unicodedata
from pathlib import PurePath

# Some systems count bytes, 255 of them; the bin adds a date.
MAX_NAME_BYTES = 180
STANDARD_ENDING = ".txt"
_DOTS = "dot|punkt|point|punto|ponto"
_SAID_ENDINGS = {
    **dict.fromkeys(("text", "t x t", "texte", "texto", "testo"), "txt"),
    **dict.fromkeys(("markdown", "m d"), "md"),
    **dict.fromkeys(("python", "p y", "pie"), "py"),
    **dict.fromkeys(("jason", "jayson", "j s o n"), "json"),
    **dict.fromkeys(("c s v",), "csv"),
}
_SAID = re.compile(rf"^(?P<stem>.*\S)\s+(?:{_DOTS})\s+(?P<ending>[\w ]{{1,12}})$", re.IGNORECASE)
_ENDING = re.compile(r"\.[A-Za-z0-9]{1,10}$")
_NOT_IN_WINDOWS = set('<>:"|?*')
# https://learn.microsoft.com/windows/win32/fileio/naming-a-file: with any ending, too.
_RESERVED = {"con", "prn", "aux", "nul", "conin$", "conout$"} | {
    f"{port}{number}" for port in ("com", "lpt") for number in "0123456789¹²³"
}


def plain_name(name: str) -> str:
    """A name that stays within its folder, spaces tidied.

    Args:
        name: As it was given.

    Raises:
        ValueError: It is empty or too long, holds a separator or a character that nobody sees, or begins with a dot.
    """
    tidy = " ".join(unicodedata.normalize("NFC", name).split())
    if not tidy:
        raise ValueError("a file needs a name")
    if len(tidy.encode("utf-8", "replace")) > MAX_NAME_BYTES:
        raise ValueError(f"the name is longer than {MAX_NAME_BYTES} bytes; choose a shorter one")
    if "/" in tidy or "\\" in tidy:
        raise ValueError(f"{tidy!r} holds a path separator; all files are in one folder, which has none inside")
    if any(unicodedata.category(character).startswith("C") for character in name):
        raise ValueError(f"{tidy!r} holds a character that cannot be seen; leave it out")
    if tidy.startswith("."):
        raise ValueError(f"{tidy!r} begins with a dot; such files are hidden and not for the agent")
    return tidy


def file_name(name: str) -> str:
    """The name for a new file; one that says no ending gets `.txt`.

    Args:
        name: As it was given, such as `notes dot text` or `shopping list`.

    Raises:
        ValueError: No system-independent file can be called so.
    """
    tidy = plain_name(name).strip("'`").rstrip(". ")
    if found := _SAID.match(tidy):
        said = found["ending"].casefold()
        ending = _SAID_ENDINGS.get(said, said)
        tidy = f"{found['stem']}.{ending}" if " " not in ending else tidy
    wrong = sorted(_NOT_IN_WINDOWS.intersection(tidy))
    if wrong:
        raise ValueError(f"{tidy!r} holds {' '.join(wrong)}, which some systems allow in no name; leave it out")
    if not _ENDING.search(tidy):
        tidy = f"{tidy}{STANDARD_ENDING}"
    if tidy.partition(".")[0].rstrip().casefold() in _RESERVED:
        raise ValueError(f"{tidy!r} is the name of a device on Windows; choose another name")
    # What is left of it may begin otherwise than what was said, and is longer by its ending.
    return plain_name(tidy)


def caseless(name: str) -> str:
    """What names have in common that some systems take for one: those that differ in case, or in how accents are coded.

    Source: canonical caseless matching, The Unicode Standard 3.13, D145.
    """
    return unicodedata.normalize("NFC", unicodedata.normalize("NFD", name).casefold())


def ending(name: str) -> str:
    """The ending in lower case, with its dot; empty without one."""
    return PurePath(name).suffix.casefold()
