"""Text that callers sent, made fit for everything behind it."""

KEPT_CONTROLS = "\n\t"


def plain_text(text: str) -> str:
    """The text without what no encoding or engine takes: control characters go, half a character becomes `?`.

    Args:
        text: As it came out of JSON, which can carry both.
    """
    whole = text.encode("utf-8", "replace").decode()
    return "".join(one for one in whole if one.isprintable() or one in KEPT_CONTROLS or ord(one) >= 0xA0)
