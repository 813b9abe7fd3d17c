"""Subtitles that can be read: what was said, cut into cues of at most two lines and seven seconds.

In:  Segments, with the times of their words where the engine has them.   Out: Cues.
Sources: the limits of 42 characters a line, two lines and 7 s are those of Netflix's Timed Text Style Guide, which asks
for 5/6 s at least, too. Cues break at the ends of clauses; where the times of words are not known, they are spread.
"""

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from processors.stt.languages import SPACELESS
from processors.stt.recognizer import Segment

LINE_COLUMNS = 42
MAX_CUE_SECS = 7.0
MIN_CUE_SECS = 5 / 6
# What it costs to break a cue where no clause ends, and to show one for too short a time or with too few words.
_COST_INSIDE, _COST_AT_CLAUSE, _COST_AT_SENTENCE, _COST_FLASH, _COST_CUE = 6.0, 1.5, 0.0, 20.0, 2.0
_SENTENCE_ENDS, _CLAUSE_ENDS = ".!?…。！？", ",;:–—，、；："
# What stands on one line where there are no spaces: a character with what may not begin or end a line beside it (JIS X
# 4051), or a foreign word.
_CHARACTER = re.compile(
    r"[「『（《〈【(]*(?:[A-Za-z0-9][A-Za-z0-9.'%-]*|.)[、。，．！？：；…‥」』）》〉】)ー々ぁぃぅぇぉっゃゅょァィゥェォッャュョ]*",
    re.DOTALL,
)
# How many pieces a cue can hold at most.
_MOST_PIECES = 2 * LINE_COLUMNS


@dataclass(frozen=True)
class Cue:
    """What is shown at one time.

    Attributes:
        text: One line, or two with a line feed between.
        start_secs: From the first sample of the recording.
        end_secs: The same.
    """

    text: str
    start_secs: float
    end_secs: float


@dataclass(frozen=True)
class _Piece:
    text: str
    start_secs: float
    end_secs: float


def cues_of(segments: Sequence[Segment]) -> list[Cue]:
    """The cues of a recording, in order; a segment that fits stays whole, with its own times.

    Where its sides were transcribed on their own, cues may overlap as the voices do, and each says whose it is.
    """
    sides = dict.fromkeys(segment.side for segment in segments)
    cues = [cue for side in sides for cue in _cues_of_side([one for one in segments if one.side == side])]
    return sorted(cues, key=lambda cue: cue.start_secs) if len(sides) > 1 else cues


def label_of(segment: Segment) -> str:
    """Whose words they are, as it is written before them; empty where nobody knows."""
    return f"[{segment.side}]" if segment.side else ""


def _cues_of_side(segments: Sequence[Segment]) -> list[Cue]:
    cues: list[Cue] = []
    for index, segment in enumerate(segments):
        label = label_of(segment)
        joint = "" if segment.language in SPACELESS else " "
        text = " ".join(segment.text.split())
        words = text.split(" ") if joint or " " in text else _CHARACTER.findall(text)
        lines = _two_lines(_labelled(words, label), " " if " " in text else joint)
        if lines is not None and segment.end_secs - segment.start_secs <= MAX_CUE_SECS:
            cues.append(Cue(lines, segment.start_secs, segment.end_secs))
            continue
        until_secs = segments[index + 1].start_secs if index + 1 < len(segments) else float("inf")
        cues += _cut(_pieces(segment, text, joint), joint, until_secs, label)
    return _settled(cues, merge=not any(segment.side for segment in segments))


def _settled(cues: Sequence[Cue], *, merge: bool) -> list[Cue]:
    """The same in order, none over the next; what would flash by goes with the next one, or delays it.

    Args:
        cues: Of one voice.
        merge: Whether two may become one.
    """
    settled: list[Cue] = []
    ordered = sorted(cues, key=lambda cue: cue.start_secs)
    for at, cue in enumerate(ordered):
        start_secs = max(cue.start_secs, settled[-1].end_secs) if settled else cue.start_secs
        if merge and settled and (joined := _joined(settled[-1], cue)):
            settled[-1] = joined
            continue
        room_secs = ordered[at + 1].start_secs - start_secs if at + 1 < len(ordered) else MAX_CUE_SECS
        secs = min(max(cue.end_secs - start_secs, MIN_CUE_SECS), max(room_secs, MIN_CUE_SECS), MAX_CUE_SECS)
        settled.append(Cue(cue.text, start_secs, start_secs + secs))
    return settled


def _joined(flash: Cue, cue: Cue) -> Cue | None:
    """Both in one, where the first leaves the second too late and both fit."""
    if cue.start_secs >= flash.start_secs + MIN_CUE_SECS or cue.end_secs - flash.start_secs > MAX_CUE_SECS:
        return None
    text = _two_lines(f"{flash.text} {cue.text}".split(), " ")
    return Cue(text, flash.start_secs, max(flash.end_secs, cue.end_secs)) if text else None


def _labelled(words: Sequence[str], label: str) -> list[str]:
    """The words of a cue, the first with its label."""
    return [f"{label} {words[0]}".lstrip(), *words[1:]]


def _pieces(segment: Segment, text: str, joint: str) -> list[_Piece]:
    """Words, or characters where there are no spaces, with their times."""
    words = text.split(" ") if joint else _CHARACTER.findall(text.replace(" ", ""))
    words = [part for word in words for part in _parts(word)]
    timed = segment.words
    if joint and len(timed) == len(words) and all(word.end_secs >= word.start_secs for word in timed):
        return [_Piece(text, word.start_secs, word.end_secs) for text, word in zip(words, timed, strict=True)]
    secs_each = max(0.0, segment.end_secs - segment.start_secs) / max(1, sum(len(word) + 1 for word in words))
    pieces: list[_Piece] = []
    at_secs = segment.start_secs
    for word in words:
        end_secs = at_secs + (len(word) + 1) * secs_each
        pieces.append(_Piece(word, at_secs, end_secs))
        at_secs = end_secs
    return pieces


def _parts(word: str) -> list[str]:
    """A word that is longer than a line, in lines."""
    return (
        [word[at : at + LINE_COLUMNS // 2] for at in range(0, len(word), LINE_COLUMNS // 2)]
        if (_columns(word) > LINE_COLUMNS)
        else [word]
    )


def _cut(pieces: Sequence[_Piece], joint: str, until_secs: float, label: str) -> list[Cue]:
    """The cheapest way to cut a segment into cues."""
    best: list[tuple[float, int]] = [(0.0, 0)]
    for end in range(1, len(pieces) + 1):
        options: list[tuple[float, int]] = []
        for start in range(end - 1, max(-1, end - 1 - _MOST_PIECES), -1):
            cost = _cost(pieces[start:end], joint, label)
            if cost is None:
                break
            options.append((best[start][0] + cost, start))
        best.append(min(options) if options else (best[end - 1][0] + _COST_FLASH, end - 1))
    bounds = [len(pieces)]
    while bounds[-1]:
        bounds.append(best[bounds[-1]][1])
    bounds.reverse()
    groups = [pieces[start:end] for start, end in pairwise(bounds)]
    cues: list[Cue] = []
    for index, group in enumerate(groups):
        next_secs = groups[index + 1][0].start_secs if index + 1 < len(groups) else until_secs
        start_secs = group[0].start_secs
        end_secs = min(max(group[-1].end_secs, min(start_secs + MIN_CUE_SECS, next_secs)), start_secs + MAX_CUE_SECS)
        words = _labelled([piece.text for piece in group], label)
        cues.append(Cue(_two_lines(words, joint) or joint.join(words), start_secs, end_secs))
    return cues


def _cost(group: Sequence[_Piece], joint: str, label: str) -> float | None:
    """What it costs to show these together; None if they do not fit."""
    secs = group[-1].end_secs - group[0].start_secs
    words = _labelled([piece.text for piece in group], label)
    if len(group) > 1 and (secs > MAX_CUE_SECS or _two_lines(words, joint) is None):
        return None
    last = group[-1].text.rstrip("\"'”’»)")[-1:]
    end = _COST_AT_SENTENCE if last in _SENTENCE_ENDS else _COST_AT_CLAUSE if last in _CLAUSE_ENDS else _COST_INSIDE
    return _COST_CUE + (end if last else 0.0) + (_COST_FLASH if secs < MIN_CUE_SECS else 0.0)


def _two_lines(words: Sequence[str], joint: str) -> str | None:
    """The words on one line, or on two as even as can be; None if they do not fit."""
    whole = joint.join(words)
    if _columns(whole) <= LINE_COLUMNS:
        return whole
    if _columns(whole) > 2 * LINE_COLUMNS + 1:
        return None
    halves = [(joint.join(words[:at]), joint.join(words[at:])) for at in range(1, len(words))]
    fitting = [(first, second) for first, second in halves if max(_columns(first), _columns(second)) <= LINE_COLUMNS]
    if not fitting:
        return None
    ends = _SENTENCE_ENDS + _CLAUSE_ENDS
    # A line that ends with a clause may be shorter by ten columns.
    return "\n".join(
        min(fitting, key=lambda pair: abs(_columns(pair[0]) - _columns(pair[1])) - (10 if pair[0][-1] in ends else 0))
    )


def _columns(text: str) -> int:
    """How wide it is: Chinese and Japanese characters count twice."""
    return len(text) + sum(unicodedata.east_asian_width(character) in "WF" for character in text)
