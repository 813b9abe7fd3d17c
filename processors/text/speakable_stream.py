"""A growing text, handed on as spoken pieces: the first as early as a clause ends, later ones at sentence ends, and any
sooner when the voice has nothing to say.

In:  tokens.   Out: pieces of speakable text that, joined by spaces, read as the whole text would.

What comes out does not depend on how the text is split into tokens, unless it is hurried.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from processors.text.clauses import Boundary, Strength, find_boundaries
from processors.text.joints import Joint, joint_at
from processors.text.language_pack import pack_of
from processors.text.markdown_stripper import closes_fence, fence_mark, inline_end
from processors.text.source_place import SourcePlace
from processors.text.spoken_text import code_phrase, speak_text
from processors.text.unbroken import end_of_endless, goes_on, may_part
from processors.text.written_places import SpokenPiece

FIRST_MIN_WORDS = 3
FIRST_MAX_CHARS = 60
MAX_CHARS = 200

# A text without any place to cut is let go at this length, so that no input is held for ever.
_HELD_MAX_CHARS = 4000
# So much longer than its limit a piece may grow before it is cut between a number and its unit.
_OVERDUE_CHARS = 120
# Digits, kana or anything else without a space is cut at this length.
_ENDLESS_MAX_CHARS = 240
# A longer token is taken in so many steps, between which others may run.
STEP_CHARS = 256
_CODE_LINE_MAX_CHARS = 200
# Better than any joint within a clause.
_CLAUSE_END_WORTH = Joint.NATURAL + 1
# Marks that may have opened something whose end is still to come; a number's dot may be a decimal point.
_MAY_BE_OPEN = re.compile(r"[`*_\[(<$|~]|\d\.$")
_MAY_DECIDE = re.compile(r"[\s。！？｡．，、；：—]")
# Without one of these a piece within its limit ends nowhere: the first at a pause, later ones at a sentence's end.
_PAUSE_MARK = re.compile("[.!?…。！？｡．؟।,;:，；：、،؛—\n]")
_END_MARK = re.compile("[.!?…。！？｡．؟।\n]")


@dataclass(frozen=True)
class _Cut:
    boundary: Boundary
    line_ends: bool


class SpeakableStream:
    """Collects the tokens of one response.

    Args:
        language: ISO 639-1 code.
        first_min_words: The first piece has at least this many words, unless the response is shorter.
        first_max_chars: Without a clause end in this many characters, the first piece ends at a word.
        max_chars: The same for later pieces.

    Raises:
        ValueError: A limit is below 1; the message shows it.
    """

    def __init__(
        self,
        *,
        language: str = "en",
        first_min_words: int = FIRST_MIN_WORDS,
        first_max_chars: int = FIRST_MAX_CHARS,
        max_chars: int = MAX_CHARS,
    ) -> None:
        limits = {"first_min_words": first_min_words, "first_max_chars": first_max_chars, "max_chars": max_chars}
        for name, value in limits.items():
            if value < 1:
                raise ValueError(f"{name} must be at least 1, not {value}")
        self._language = language
        self._pack = pack_of(language)
        self._first_min_words = first_min_words
        self._first_max_chars = first_max_chars
        self._max_chars = max_chars
        self.reset()

    def reset(self) -> None:
        """Forget everything; the next token begins a response."""
        self._held = ""
        self._place = SourcePlace()
        self._fence = ""
        self._at_line_start = True
        self._is_first = True
        self._least_joint: Joint | None = None

    @property
    def taken(self) -> int:
        """How many characters of the text, as it came, are spoken or passed over by now."""
        return self._place.taken

    def hurry(self, least_joint: Joint) -> list[SpokenPiece]:
        """The voice has nothing to say: the next piece may also end within a clause, at such a joint or a better one.

        Returns:
            The piece that may go now; none if the text must grow first.
        """
        self._least_joint = least_joint
        return self._take_pieces(final=False)

    def push(self, token: str) -> list[SpokenPiece]:
        """Add a token.

        Returns:
            The pieces that are complete now, none of them blank.
        """
        return [piece for piece in self.push_steps(token) if piece]

    def push_steps(self, token: str) -> Iterator[SpokenPiece | None]:
        """Add a token in steps of bounded work, for a caller that lets others run between them.

        Yields:
            After each step the piece that is complete now, or None.
        """
        for start in range(0, len(token), STEP_CHARS):
            part = self._place.show(token[start : start + STEP_CHARS])
            may_decide = _MAY_DECIDE.search(self._held[-1:] + part) or len(self._held) > _ENDLESS_MAX_CHARS
            self._held += part
            if may_decide and self._may_end():
                yield from self._steps(final=False)
            yield None

    def _may_end(self) -> bool:
        if self._least_joint is not None:
            return True
        max_chars = self._first_max_chars if self._is_first else self._max_chars
        mark = _PAUSE_MARK if self._is_first else _END_MARK
        return len(self._held) > max_chars or mark.search(self._held) is not None

    def flush(self) -> list[SpokenPiece]:
        """End the text.

        Returns:
            The pieces that were still held, none of them blank.
        """
        return self._take_pieces(final=True)

    def flush_steps(self) -> Iterator[SpokenPiece | None]:
        """End the text in steps of bounded work; see `push_steps`."""
        return self._steps(final=True)

    def settle(self, behind_dot: bool = True) -> list[SpokenPiece]:
        """Hand on what is held when no token comes for a while, if a sentence surely ends there.

        Args:
            behind_dot: Even behind a dot that no space follows yet, though it may be within an address.

        Returns:
            The pieces that are complete, none of them blank.
        """
        text = self._held.rstrip()
        if not text or self._fence or _MAY_BE_OPEN.search(text):
            return []
        if self._held.endswith(".") and not behind_dot:
            return []
        # With a capital after it, only a mark that ends a sentence is a boundary; an abbreviation's dot is not.
        boundaries = find_boundaries(f"{text} Next", False, self._at_line_start, inline_end, self._goes_on)
        ends = {
            found.end for found in boundaries if isinstance(found, Boundary) and found.strength is Strength.SENTENCE
        }
        if len(text) not in ends:
            return []
        line_ends = "\n" in self._held[len(text) :]
        pieces = self._take_pieces(final=True)
        self._at_line_start = line_ends
        return pieces

    def _take_pieces(self, final: bool) -> list[SpokenPiece]:
        return [piece for piece in self._steps(final) if piece]

    def _steps(self, final: bool) -> Iterator[SpokenPiece | None]:
        while self._held:
            if self._fence:
                if not self._skip_code(final):
                    break
                continue
            start = self.taken
            piece = self._take_piece(final)
            if piece is None:
                break
            if piece:
                self._is_first = False
                self._least_joint = None
            yield SpokenPiece(piece, start, self.taken) if piece else None

    def _take_piece(self, final: bool) -> str | None:
        """Cut one piece off what is held; None if more text is needed first, "" if there is nothing to say."""
        if self._at_line_start:
            self._take(len(self._held) - len(self._held.lstrip()))
            mark = fence_mark(self._held, 0, final) if self._held else None
            if mark is None:
                return None
            if mark:
                self._fence = mark
                line, line_break, _ = self._held.partition("\n")
                self._take(len(line + line_break))
                return code_phrase(self._language)
        cut = self._find_cut(final)
        if cut is None and not final:
            return None
        end, start = (cut.boundary.end, cut.boundary.start) if cut else (len(self._held), len(self._held))
        piece = speak_text(
            self._held[:end],
            self._language,
            at_line_start=self._at_line_start,
            line_ends=cut is not None and cut.line_ends,
        )
        self._at_line_start = "\n" in self._held[end:start]
        self._take(start)
        return piece

    def _take(self, n_chars: int) -> None:
        self._held = self._held[n_chars:]
        self._place.take(n_chars)

    def _find_cut(self, final: bool) -> _Cut | None:
        """Find the first place to cut; the same place however much of the text is already there."""
        max_chars = self._first_max_chars if self._is_first else self._max_chars
        best: Boundary | None = None
        between_words: list[Boundary] = []
        hurried, hurried_worth = None, 1
        words = token_start = 0
        # What lies further on decides nothing; looking no further keeps the work in proportion to the length.
        near = self._held[: _HELD_MAX_CHARS + 1]
        ends = final and len(near) == len(self._held)
        for boundary in find_boundaries(near, ends, self._at_line_start, inline_end, self._goes_on):
            judged = boundary if isinstance(boundary, int) else boundary.end
            if judged > max_chars and not final and self._begins_a_word(boundary, between_words):
                return None
            if judged > max_chars and (best := best or self._last_that_parts(between_words)) is not None:
                return self._cut_at(best)
            if judged - token_start > _ENDLESS_MAX_CHARS:
                end = end_of_endless(near, token_start + _ENDLESS_MAX_CHARS, token_start, ends)
                if end is None:
                    return None
                if end < judged:
                    return self._cut_at(Boundary(end, end, Strength.WORD))
            if isinstance(boundary, int):
                break
            if "\n" in self._held[boundary.end : boundary.start]:
                mark = fence_mark(self._held, boundary.start, final)
                if mark is None:
                    return None
                if mark:
                    return self._cut_at(boundary)
            words += any(char.isalnum() for char in self._held[token_start : boundary.end])
            token_start = boundary.start
            if self._ends_piece(boundary, words):
                return self._cut_at(boundary)
            if judged > max_chars:
                if judged > max_chars + _OVERDUE_CHARS or self._may_cut(boundary, words):
                    return self._cut_at(boundary)
            elif self._is_first and words < self._first_min_words:
                continue
            elif boundary.strength is Strength.WORD:
                between_words.append(boundary)
            elif best is None or boundary.strength >= best.strength:
                best = boundary
            if (worth := self._hurried_worth(boundary, words)) >= hurried_worth:
                hurried, hurried_worth = boundary, worth
        if hurried is not None:
            return self._cut_at(hurried)
        if len(self._held) > _HELD_MAX_CHARS:
            best = best or self._last_that_parts(between_words)
            return self._cut_at(best or Boundary(_HELD_MAX_CHARS, _HELD_MAX_CHARS, Strength.WORD))
        return None

    def _begins_a_word(self, boundary: Boundary | int, between_words: list[Boundary]) -> bool:
        """Whether no more than the first letter is there of a word before which the text may be cut."""
        last = boundary if isinstance(boundary, Boundary) else between_words[-1] if between_words else None
        return last is not None and last.start + 1 >= len(self._held)

    def _ends_piece(self, boundary: Boundary, words: int) -> bool:
        if not self._is_first:
            return boundary.strength is Strength.SENTENCE
        return boundary.strength >= Strength.CLAUSE and words >= self._first_min_words

    def _hurried_worth(self, boundary: Boundary, words: int) -> int:
        """How good an end of a hurried piece a place is; 0: none."""
        if self._least_joint is None or words < self._first_min_words:
            return 0
        if boundary.strength > Strength.WORD:
            return _CLAUSE_END_WORTH
        joint = joint_at(self._held, boundary.end, boundary.start, self._language.partition("-")[0].lower())
        return joint if joint >= self._least_joint else 0

    def _may_cut(self, boundary: Boundary, words: int) -> bool:
        """Whether a piece that grew too long may end here: at a clause end, else between two plain words."""
        if self._is_first and words < self._first_min_words:
            return False
        if boundary.strength > Strength.WORD:
            return True
        return may_part(self._held, boundary.end, boundary.start)

    def _goes_on(self, text: str, end: int, start: int, final: bool) -> bool | None:
        return goes_on(text, end, start, final, self._pack)

    def _last_that_parts(self, between_words: list[Boundary]) -> Boundary | None:
        """The last boundary between two plain words; those behind it need not be looked at again."""
        while between_words:
            boundary = between_words.pop()
            if may_part(self._held, boundary.end, boundary.start):
                return boundary
        return None

    def _cut_at(self, boundary: Boundary) -> _Cut:
        gap = self._held[boundary.end : boundary.start]
        return _Cut(boundary, "\n" in gap and boundary.strength is Strength.SENTENCE)

    def _skip_code(self, final: bool) -> bool:
        """Drop a line of code, or all that is held of it; False when no further line is there yet."""
        line, line_break, _ = self._held.partition("\n")
        if line_break:
            self._take(len(line) + 1)
            if closes_fence(line, self._fence):
                self._fence = ""
                self._at_line_start = True
            return True
        if final:
            self._take(len(line))
        elif len(line) > _CODE_LINE_MAX_CHARS:
            # What is left of a long line is no longer than a fence, and is none.
            self._take(len(line) - len("code"))
            self._held = "code"
        return False
