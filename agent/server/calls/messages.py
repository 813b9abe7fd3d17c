"""What a page says beside its sound: the push-to-talk key, typed turns, interrupt, start over, undo, no picture,
other settings.

In:  JSON objects from the data channel or the WebSocket.   Out: calls of the conversation, in order, a few a second.
A message that is none of these is not the page's, and is left alone.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable

from loguru import logger

from agent.conversation.conversation import Conversation
from agent.plain_text import plain_text

MAX_TEXT_CHARS = 8_000
# However fast they come, the pipeline is told a few times a second, and of the newest few only.
MESSAGE_SECS = 0.1
MAX_WAITING = 8
MAX_MARK_CHARS = 64


class ClientMessages:
    """Acts on one page's messages.

    Args:
        conversation: The page's.
        change: Changes the settings of the call to these options.
    """

    def __init__(self, conversation: Conversation, change: Callable[[object], None] = lambda options: None) -> None:
        self._conversation = conversation
        self._change = change
        self._key_wanted = self._key_told = False
        self._waiting: deque[Callable[[], Awaitable[None]]] = deque(maxlen=MAX_WAITING)
        self._working: asyncio.Task[None] | None = None

    def handle(self, message: object) -> None:
        """Take one message.

        Args:
            message: As JSON was read; anything.
        """
        if not isinstance(message, dict):
            return
        match message:
            case {"type": "push_to_talk", "active": active}:
                self._key_wanted = active is True
            case {"type": "text", "text": str(text), **more} if len(text) <= MAX_TEXT_CHARS:
                typed, spoken = plain_text(text), more.get("spoken") is not False
                self._waiting.append(lambda: self._conversation.type(typed, spoken=spoken))
            case {"type": "text"}:
                logger.warning(f"a typed turn that is no text of at most {MAX_TEXT_CHARS} characters was left alone")
            case {"type": "interrupt"}:
                self._waiting.append(self._conversation.interrupt)
            case {"type": "start_over"}:
                self._waiting.append(self._conversation.start_over)
            case {"type": "undo", "undo": str(mark)} if len(mark) <= MAX_MARK_CHARS:
                self._waiting.append(lambda: self._conversation.undo(mark))
            case {"type": "camera", "mark": str(mark), "problem": str(problem)} if len(mark) <= MAX_MARK_CHARS:
                self._conversation.camera.refuse(mark, problem)
                return
            case {"type": "settings", "options": options}:
                self._change(options)
                return
            case _:
                return
        if self._working is None or self._working.done():
            self._working = asyncio.create_task(self._work(), name="client-messages")

    async def _work(self) -> None:
        while self._waiting or self._key_told != self._key_wanted:
            if self._key_told != self._key_wanted:
                self._key_told = self._key_wanted
                await self._conversation.push_to_talk(self._key_told)
            if self._waiting:
                await self._waiting.popleft()()
            await asyncio.sleep(MESSAGE_SECS)
