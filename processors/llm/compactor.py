"""Has older turns summarised in the background while the language model is idle; nothing of it is spoken.

In:  every frame behind the language model.   Out: the same; NotesMadeFrame.

It begins when a reply is complete, and is hung up on when the next one begins: that one is asked for at once, and most
local servers answer one request after the other. What it may cost the next turn is the rest of a batch of the prompt
that the server has begun to read, and, at a server that keeps one prompt alone, reading the conversation anew. So a
summary that gave way is not tried again at every reply, but after 1, 2, 4 and at last every 8 of them, and one that
failed, was empty or too long after 3, 6, 12 and 24; none of them changes anything. A server that answers many at once
is left to finish, while the turn goes on with the history as it is.

Pipecat's own LLMContextSummarizer (1.14) puts its summary in by the index of a message, which is wrong once turns are
joined, marked or left out meanwhile; it keeps messages, not turns, goes on while the next turn asks, takes any length,
and tells the summary as a message of the user's, to which the user's next words would be joined.
"""

import asyncio
from collections.abc import Awaitable, Callable

from loguru import logger
from pipecat.frames.frames import CancelFrame, EndFrame, Frame, LLMFullResponseEndFrame
from pipecat.processors.aggregators.llm_context import LLMContext
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor

from processors.frames import NotesMadeFrame, ReplyBegunFrame
from processors.llm.compaction import INSTRUCTION, Excerpt, excerpt_of

# A tool's result, or words that the user adds, may ask for the next reply right away.
PAUSE_SECS = 0.5
LIMIT_SECS = 60.0
# After a summary that was of no use, and one that gave way; twice as many each time, at most so many times as many.
SKIPPED_REPLIES = 3
SKIPPED_AFTER_GIVING_WAY = 1
MOST_TIMES = 8

# From a request, the instruction and the most tokens to what the model wrote.
Summarise = Callable[[LLMContext, str, int], Awaitable[str | None]]


class Compactor(FrameProcessor):
    """Keeps one history within its model's context.

    Args:
        context: The history.
        summarise: Asks the language model outside of the conversation.
        room_tokens: For everything but the reply; None: not known.
        ask_room: Asks for that anew: after the first reply, for only then some servers know, and before each summary.
        beside_tokens: Of what is sent beside the history, as it is now.
        answers_many: Whether the model answers the next turn as soon while it still summarises.
        is_placeholder: Whether a tool's whole message only stands for a result that is to come.
    """

    def __init__(
        self,
        context: LLMContext,
        summarise: Summarise,
        *,
        room_tokens: int | None,
        ask_room: Callable[[], Awaitable[int | None]] | None = None,
        beside_tokens: Callable[[], int] = lambda: 0,
        answers_many: bool = False,
        is_placeholder: Callable[[str], bool] = lambda content: False,
    ) -> None:
        super().__init__()
        self._context = context
        self._summarise = summarise
        self._room_tokens = room_tokens
        self._ask_room = ask_room
        self._has_asked_room = False
        self._beside_tokens = beside_tokens
        self._answers_many = answers_many
        self._is_placeholder = is_placeholder
        self._n_skipped = 0
        self._n_in_vain = 0
        self._is_asking = False
        self._working: asyncio.Task[None] | None = None

    def change(
        self,
        *,
        room_tokens: int | None,
        ask_room: Callable[[], Awaitable[int | None]] | None,
        beside_tokens: Callable[[], int],
        answers_many: bool,
    ) -> None:
        """Keep the history within another model's context from now on; see the class."""
        self._room_tokens, self._ask_room, self._has_asked_room = room_tokens, ask_room, False
        self._beside_tokens, self._answers_many = beside_tokens, answers_many
        self._n_skipped = self._n_in_vain = 0

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        """Pass everything on."""
        await super().process_frame(frame, direction)
        is_in_the_way = isinstance(frame, ReplyBegunFrame) and not (self._answers_many and self._is_asking)
        if self._working and (is_in_the_way or isinstance(frame, (EndFrame, CancelFrame))):
            # Not awaited: the reply does not wait until the connection is closed.
            self._working.cancel()
        await self.push_frame(frame, direction)
        if isinstance(frame, LLMFullResponseEndFrame) and direction is FrameDirection.DOWNSTREAM:
            self._begin()

    async def cleanup(self) -> None:
        """Stop."""
        if self._working and not self._working.done():
            await self.cancel_task(self._working)
        await super().cleanup()

    def _begin(self) -> None:
        if self._n_skipped > 0:
            self._n_skipped -= 1
        elif self._working is None or self._working.done():
            self._working = self.create_task(self._compact(), "compaction")

    def _put_off(self, n_replies: int) -> None:
        """Not to be tried again at once, the less the more often it was in vain."""
        self._n_skipped = n_replies * min(2**self._n_in_vain, MOST_TIMES)
        self._n_in_vain += 1

    async def _compact(self) -> None:
        await asyncio.sleep(PAUSE_SECS)
        if self._ask_room and (self._room_tokens is None or not self._has_asked_room or self._excerpt()):
            told, self._has_asked_room = await self._ask_room(), True
            if told is None and self._room_tokens is None:
                self._put_off(SKIPPED_REPLIES)
            elif self._room_tokens is None:
                self._n_in_vain = 0
            self._room_tokens = told or self._room_tokens
        excerpt = self._excerpt()
        if excerpt is None:
            return
        summary = await self._ask(excerpt)
        if summary is None or not excerpt.is_sound(summary):
            self._put_off(SKIPPED_REPLIES)
            logger.info("the history stays as it is: no summary that could stand for its older turns")
            return
        messages = excerpt.replaced(self._context.messages, summary)
        if messages is not None:
            self._n_in_vain = 0
            self._context.set_messages(messages)
            logger.info(f"{len(excerpt.messages)} older messages of the history are a summary now")
            await self.push_frame(NotesMadeFrame(summary.strip()))

    def _excerpt(self) -> Excerpt | None:
        if self._room_tokens is None:
            return None
        beside_tokens = self._beside_tokens()
        return excerpt_of(self._context.messages, self._room_tokens, beside_tokens, is_placeholder=self._is_placeholder)

    async def _ask(self, excerpt: Excerpt) -> str | None:
        self._is_asking = True
        try:
            async with asyncio.timeout(LIMIT_SECS):
                return await self._summarise(excerpt.request(), INSTRUCTION, excerpt.max_tokens)
        except asyncio.CancelledError:
            self._put_off(SKIPPED_AFTER_GIVING_WAY)
            raise
        except Exception as error:  # noqa: BLE001 - whatever fails here costs the conversation nothing
            logger.warning(f"the history could not be summarised: {error!r}"[:300])
            return None
        finally:
            self._is_asking = False
