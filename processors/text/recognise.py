"""What a stretch of digits is: each kind is asked in turn, the first that knows it says it.

In:  one line without markup.   Out: the line, its numbers said; what no kind knows stays as it was written.
"""

import re
from collections.abc import Callable, Iterator

from processors.text.found import Found
from processors.text.language_pack import Pack
from processors.text.spoken_dates import find_date
from processors.text.spoken_fractions import find_fraction
from processors.text.spoken_identifiers import find_identifier
from processors.text.spoken_ordinals import find_ordinal
from processors.text.spoken_quantities import find_quantity
from processors.text.spoken_times import find_time

_KINDS: tuple[Callable[[str, int, int, Pack], Found | None], ...] = (
    find_date,
    find_time,
    find_identifier,
    find_ordinal,
    find_fraction,
    find_quantity,
)
_DIGIT = re.compile("[0-9]")
# What is skipped when no kind knows it, so that it is never half changed.
_UNKNOWN = re.compile(r"[0-9]+(?:[.,:/'-][0-9]+|[A-Za-z_][0-9A-Za-z_]*)*")
# A comma that groups nothing in English parts the numbers of a list.
_LIST_COMMA = re.compile(r"(?<=[0-9]),(?=(?:[0-9]{1,2}|[0-9]{4,15})(?![0-9]|,[0-9]{2,3}(?![0-9])))")
_NAME = re.compile(r"[0-9A-Za-z_]+")
_LETTER_BEFORE = re.compile(r"[A-Za-z_\u00c0-\u024f\u0370-\u04ff]")
_GLUED_PREFIX = re.compile(r"(?:(?<![A-Za-z])(?:v|V|[A-Z]{3}|Rs))\Z")


def find_tokens(line: str, pack: Pack) -> Iterator[Found]:
    """Find what is known in a line, from left to right, without overlap."""
    floor = 0
    while (match := _DIGIT.search(line, floor)) is not None:
        digit = match.start()
        if digit and _LETTER_BEFORE.match(line, digit - 1) and not _may_follow_letters(line, floor, digit, pack):
            name = _NAME.match(line, digit)
            floor = name.end() if name else digit + 1
            continue
        found = next((token for kind in _KINDS if (token := kind(line, floor, digit, pack))), None)
        if found:
            yield found
            floor = found.end
            continue
        unknown = _UNKNOWN.match(line, digit)
        floor = unknown.end() if unknown else digit + 1


def _may_follow_letters(line: str, floor: int, digit: int, pack: Pack) -> bool:
    if digit == floor:
        return True
    prefix = _GLUED_PREFIX.search(line, max(floor, digit - 4), digit)
    return bool(prefix) and (prefix[0] in ("v", "V", "Rs") or prefix[0] in pack.currency_codes)


def say_numbers(line: str, pack: Pack) -> str:
    """Write the numbers of a line as they are said."""
    if pack.is_english and "," in line:
        line = _LIST_COMMA.sub(", ", line)
    parts: list[str] = []
    end = 0
    for found in find_tokens(line, pack):
        parts += (line[end : found.start], found.words)
        end = found.end
    return "".join([*parts, line[end:]])
