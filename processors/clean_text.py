"""Text of a server, safe to log and to show."""

import re

_SPACING = re.compile(r"[\t\n\v\f\r\x85]+")
_CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f]")
# JSON can escape half a character; no file and no terminal takes it.
_LONE_SURROGATES = re.compile(r"[\ud800-\udfff]")


def clean_text(text: str) -> str:
    """Text on one line that can be encoded and does not steer a terminal.

    Args:
        text: As a server's JSON gave it.

    Returns:
        Line breaks and tabs as single spaces, without other C0 and C1 controls; lone surrogates as U+FFFD.
    """
    return _LONE_SURROGATES.sub("\ufffd", _CONTROLS.sub("", _SPACING.sub(" ", text)))
