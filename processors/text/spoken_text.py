"""The steps from written to spoken text, line by line.

In:  any part of an answer that begins and ends where text may be cut.   Out: one line of spoken text.
"""

import re

from processors.text.language_pack import pack_of
from processors.text.markdown_stripper import closes_fence, fence_mark, strip_inline_marks, strip_line_marks
from processors.text.recognise import say_numbers
from processors.text.speakable_characters import (
    drop_invisible,
    keep_speakable,
    speak_dashes,
    tidy_marks,
    unify_characters,
)
from processors.text.spoken_addresses import speak_addresses
from processors.text.spoken_math import unify_powers
from processors.text.spoken_symbols import speak_symbols, unify_operators
from processors.text.spoken_words import expand_abbreviations, say_romans
from processors.text.written_forms import unify_written_forms

_LINE_ENDERS = ".!?…:;,。！？：；，、؟।"
_LOOSE_COLON = re.compile(" +:")
_FULL_STOP_SCRIPTS = range(0x3040, 0xA000)


def speak_text(text: str, language: str, at_line_start: bool = True, line_ends: bool = False) -> str:
    """Turn a text, or a part of one, into spoken words.

    Args:
        text: Raw text.
        language: ISO 639-1 code.
        at_line_start: The text begins a line, so that a list mark may stand in front.
        line_ends: A new line that is no continuation follows the text, so that its last line ends a sentence.

    Returns:
        One line; empty if nothing can be said.
    """
    spoken: list[str] = []
    fence = ""
    at_start = at_line_start
    lines = drop_invisible(text).split("\n")
    for index, line in enumerate(lines):
        if fence:
            fence = "" if closes_fence(line, fence) else fence
        elif at_start and (fence := fence_mark(line.lstrip())):
            spoken.append(code_phrase(language))
        else:
            words = _speak_line(line, language, at_start)
            if words and _sentence_ends_at(lines, index, line_ends):
                words = end_sentence(words)
            spoken.append(words)
        at_start = True
    return tidy_marks(" ".join(spoken))


def code_phrase(language: str) -> str:
    """What is said in place of a block of code; nothing in a language that has no phrase for it."""
    return pack_of(language).words.get("code_block", "")


def end_sentence(words: str) -> str:
    """Add a full stop where a line ends without punctuation."""
    last = words.rstrip("\"')」』》")[-1:]
    if not last or last in _LINE_ENDERS:
        return words
    return words + ("。" if ord(last) in _FULL_STOP_SCRIPTS else ".")


def _sentence_ends_at(lines: list[str], index: int, line_ends: bool) -> bool:
    """Whether the line is followed by something else than its own continuation in lower case."""
    following = index + 1
    while following < len(lines) and not lines[following].strip():
        following += 1
    if following == len(lines):
        return line_ends
    return following > index + 1 or not lines[following].lstrip()[0].islower()


def _speak_line(line: str, language: str, at_line_start: bool) -> str:
    if not line or line.isspace():
        return ""
    pack = pack_of(language)
    line = " ".join(line.split(" "))
    if at_line_start:
        line = strip_line_marks(line, pack)
    was_tight = " :" not in line
    line = unify_written_forms(unify_characters(strip_inline_marks(line, pack)), pack)
    line = unify_powers(line, pack)
    if was_tight and " :" in line:
        line = _LOOSE_COLON.sub(":", line)
    line = speak_addresses(expand_abbreviations(line, pack), pack)
    line = unify_operators(say_romans(line, pack), pack)
    line = speak_dashes(speak_symbols(say_numbers(line, pack), pack))
    return keep_speakable(line, keep_signs=not pack.symbols, unknown_signs=pack.unknown_signs)
