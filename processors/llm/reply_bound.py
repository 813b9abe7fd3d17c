"""Where a reply ends that says more than was asked for: at the end of a sentence, once it is as long as suits the turn.

In:  the pieces of a reply.   Out: the same, up to that end.

A server's `max_tokens` cuts in the middle of a word, so it stands above, and the reply is ended here by hanging up.
"""

from collections.abc import AsyncGenerator
from contextlib import aclosing

from openai.types.chat import ChatCompletionChunk

from processors.llm.compaction import BYTES_PER_TOKEN
from processors.llm.requests import Length, wanted_length
from processors.text.clauses import Boundary, Strength, find_boundaries

# After so many tokens a reply ends with its sentence. The first are about 30 s of speech, the second 90 s.
TOKENS = {Length.BRIEF: 80, Length.PLAIN: 240}
# One that is read is read faster, and may be longer by a step.
LONGER = {Length.BRIEF: Length.PLAIN, Length.PLAIN: Length.LONG, Length.LONG: Length.LONG}
# Of the server's own limit, which would cut a long one in the middle of a sentence.
LONG_SHARE = 0.85
# A sentence without an end is cut at a word after so many times as much; code, which has no sentences, at this.
RUN_ON = 2.0
CODE_TOKENS = 512
# Where the sentence is looked for that is under way.
_BACK_CHARS = 200
_FENCE = "```"


class ReplyBound:
    """Of one reply.

    Args:
        words: Of the turn that it answers.
        max_tokens: What the server was asked to keep to.
        written: Whether it is read, not heard.

    Attributes:
        is_over: It has been ended: what follows is not said.
    """

    def __init__(self, words: str, max_tokens: int, *, written: bool) -> None:
        length = LONGER[wanted_length(words)] if written else wanted_length(words)
        # A long one has room for as much as the server gives it.
        self._soft = min(TOKENS.get(length, max_tokens), LONG_SHARE * max_tokens)
        self._hard = max_tokens if length is Length.LONG else RUN_ON * self._soft
        self.is_over = False
        self._n_tokens = 0.0
        self._text = ""
        # Where it became as long as was asked for.
        self._reached: int | None = None

    @property
    def is_spent(self) -> bool:
        """Whether even a call of a tool behind it is not waited for any more."""
        return self._n_tokens >= max(self._hard, CODE_TOKENS)

    def take(self, piece: str) -> str:
        """As much of a piece as is said.

        Args:
            piece: Of the text, with its white space.
        """
        before = self._n_tokens
        # A piece is a token at most servers; some send many at once.
        n_tokens = max(1.0, len(piece.encode("utf-8", "replace")) / BYTES_PER_TOKEN)
        self._n_tokens += n_tokens
        if self.is_over:
            return ""
        said, self._text = len(self._text), self._text + piece
        if self._n_tokens < self._soft:
            return piece
        if self._reached is None:
            self._reached = said + int(len(piece) * max(0.0, self._soft - before) / n_tokens)
        end = self._end(said, self._reached)
        if end is None:
            return piece
        self.is_over, self._text = True, self._text[:end]
        return self._text[said:]

    def _end(self, said: int, reached: int) -> int | None:
        """Where it ends; None while it goes on."""
        start = max(0, max(said, reached) - _BACK_CHARS)
        found = find_boundaries(self._text[start:], final=False, at_line_start=start == 0)
        words = [one for one in found if isinstance(one, Boundary) and start + one.start >= said]
        for one in words:
            end = start + one.end
            if one.strength is Strength.SENTENCE and end >= reached and not self._is_code(end):
                return max(end, said)
        hard = CODE_TOKENS if self._is_code(len(self._text)) else self._hard
        if self._n_tokens < max(hard, self._hard) or not words:
            return None
        return max(start + words[-1].end, said)

    def _is_code(self, end: int) -> bool:
        return self._text.count(_FENCE, 0, end) % 2 == 1


async def bounded(
    chunks: AsyncGenerator[ChatCompletionChunk, None], bound: ReplyBound, *, reads_on: bool
) -> AsyncGenerator[ChatCompletionChunk, None]:
    """The chunks of a reply up to its end.

    Args:
        chunks: Of the model; closed with this.
        bound: Of the reply.
        reads_on: Whether a call of a tool may follow, which is waited for in silence.
    """
    async with aclosing(chunks):
        async for chunk in chunks:
            if text := _text_of(chunk):
                said = bound.take(text)
                if said:
                    chunk.choices[0].delta.content = said
                    yield chunk
            else:
                yield chunk
            if bound.is_over and (bound.is_spent or not reads_on):
                return


def _text_of(chunk: ChatCompletionChunk) -> str:
    return (chunk.choices[0].delta.content or "") if chunk.choices else ""
