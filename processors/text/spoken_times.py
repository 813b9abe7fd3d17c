"""Times of day: `14:30`, `2:30 pm`, `14h30`, `14.30 Uhr`.

In:  a line and the index of a digit.   Out: the stretch that is a time, in words.
"""

import re
from functools import lru_cache

from processors.text import cldr
from processors.text.found import Found
from processors.text.language_pack import Pack
from processors.text.spoken_numbers import END, cardinal

_HALF = r"(?:\s?(?P<half>[apAP])\.?\s?[mM]\b\.?)"
_CLOCK = re.compile(
    r"(?P<hour>[01]?[0-9]|2[0-4]):(?P<minute>[0-5][0-9])(?::(?P<second>[0-5][0-9]))?"
    rf"{_HALF}?(?![0-9:]|[.,][0-9])"
)
_ENGLISH_HOUR = re.compile(rf"(?P<hour>1[0-2]|[1-9])(?:\.(?P<minute>[0-5][0-9]))?{_HALF}")
_GLUED_H = re.compile(rf"(?P<hour>[01]?[0-9]|2[0-4])[hH](?P<minute>[0-5][0-9])(?:min|m)?{END}")
_NOT_A_TIME = re.compile(r"[\w:.,$€£/-]")
_JOINT = re.compile(r"\s?[-–~～〜]\s?(?=[0-9])")


@lru_cache(maxsize=32)
def _marked(mark: str) -> re.Pattern[str]:
    """A time with the language's own mark: `14.30 Uhr`, `14 h 30`, `14h`."""
    after = rf"(?:{mark}{END}\.?)"
    dotted = rf"(?P<hour>[01]?[0-9]|2[0-4])[.:](?P<minute>[0-5][0-9])\s?{after}"
    if mark != "h":
        return re.compile(rf"{dotted}|(?P<hour2>[01]?[0-9]|2[0-4])(?P<minute2>)\s?{after}")
    spaced = r"(?P<hour2>[01]?[0-9]|2[0-4])\s?h\s?(?P<minute2>[0-5][0-9])(?:\s?min)?" + END
    return re.compile(f"{dotted}|{spaced}")


def find_time(line: str, floor: int, digit: int, pack: Pack) -> Found | None:
    """Find the time of day that begins at a digit, or a range of two."""
    if digit > floor and _NOT_A_TIME.match(line, digit - 1) and ord(line[digit - 1]) < 0x2E80:
        before = line[digit - 1]
        if before not in "-–" or not line[digit - 2 : digit - 1].isspace():
            return None
    first = _time(line, digit, pack)
    if first is None:
        return None
    joint = _JOINT.match(line, first.end)
    second = _time(line, joint.end(), pack) if joint and "to" in pack.words else None
    if second is None:
        return first
    since = pack.times.get("from", "")
    since = f"{since} " if since and line[digit - 2 : digit] != f"{since} " else ""
    return Found(digit, second.end, f"{since}{first.words}{pack.gap}{pack.words['to']}{pack.gap}{second.words}")


def _time(line: str, digit: int, pack: Pack) -> Found | None:
    if pack.is_english:
        match = _CLOCK.match(line, digit) or _ENGLISH_HOUR.match(line, digit) or _GLUED_H.match(line, digit)
        return Found(digit, match.end(), _english(match, pack)) if match else None
    if not pack.times:
        return None
    mark = pack.times.get("mark", "")
    match = _marked(mark).match(line, digit) if mark else None
    if match:
        hour = match["hour"] or match.groupdict().get("hour2") or ""
        minute = match["minute"] or match.groupdict().get("minute2") or ""
        return Found(digit, match.end(), _local(hour, minute, pack, _hour_names(line, digit, pack)))
    match = _CLOCK.match(line, digit) or _GLUED_H.match(line, digit) or _dotted(line, digit, pack)
    if match is None or match.groupdict().get("second"):
        return None
    words = _local(match["hour"], match["minute"], pack, _hour_names(line, digit, pack))
    half, end = match.groupdict().get("half"), match.end()
    if half:
        end = match.start("half")
        words += " "
    elif mark and (behind := re.compile(rf"\s?{mark}{END}").match(line, end)):
        end = behind.end()
    return Found(digit, end, words)


def _hour_names(line: str, digit: int, pack: Pack) -> list[str]:
    """The words for the hours, if the language's pack has them, in the case that the word before asks for."""
    behind = pack.times.get("oblique_behind", "").split()
    joined = line[digit - 1 : digit] in tuple("-–") and pack.words.get("to") in behind
    if behind and (
        joined or f" {line[max(0, digit - 12) : digit].lower()}".endswith(tuple(f" {word} " for word in behind))
    ):
        return pack.times["oblique_hours"].split()
    return pack.times.get("hours", "").split()


_DOTTED = re.compile(r"(?P<hour>[01]?[0-9]|2[0-4])\.(?P<minute>[0-5][0-9])(?![0-9]|[.,:][0-9]| ?[€$£%°])")


def _dotted(line: str, digit: int, pack: Pack) -> re.Match[str] | None:
    """A time with a dot behind one of the words that only a time follows: `alle 14.30`."""
    words = pack.times.get("before", "").split()
    return _DOTTED.match(line, digit) if words and line[:digit].endswith(tuple(f"{word} " for word in words)) else None


def _local(hour: str, minute: str, pack: Pack, names: list[str]) -> str:
    h, m = int(hour), int(minute or 0)
    return pack.times["full" if m else "exact"].format(
        h=names[h].replace("_", " ") if names else h,
        m=m,
        mm=f"{m:02}",
        hours=_counted(h, "duration-hour", pack),
        minutes=_counted(m, "duration-minute", pack),
    )


def _counted(value: int, unit: str, pack: Pack) -> str:
    pattern = cldr.unit_pattern(pack.locale, unit, pack.plural(value)) if pack.is_known else None
    return (pattern or "{0}").format(value)


def _english(match: re.Match[str], pack: Pack) -> str:
    groups = match.groupdict()
    hour, minute = int(groups["hour"]), int(groups["minute"] or 0)
    half = f" {groups['half'].lower()}.m." if groups.get("half") else ""
    second = f" and {cardinal(int(groups['second']), pack)} seconds" if groups.get("second") else ""
    if minute:
        minutes = f" oh {cardinal(minute, pack)}" if minute < 10 else f" {cardinal(minute, pack)}"
    elif half or second:
        minutes = ""
    elif 1 <= hour <= 12:
        minutes = " o'clock"
    else:
        minutes = " hundred"
    return f"{cardinal(hour, pack)}{minutes}{second}{half}"
