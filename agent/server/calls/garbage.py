"""When Python's garbage collector looks, and at what: never for long while somebody talks."""

import gc


def set_aside_what_stays() -> None:
    """Spare the garbage collector what is loaded: a whole round over it would stop every call for 0.2 s."""
    gc.collect()
    gc.freeze()
    # A whole round waits until a quarter more is there than the last one left, frozen or not: as much garbage as that
    # would pile up, 8 kB with each typed question.
    gc.collect()


def clear_away() -> None:
    """Free what an ended call has left in circles, before the next call needs as much again.

    By itself the collector comes by every minute or two. A round over what is not set aside takes 3 to 10 ms.
    """
    gc.collect()
