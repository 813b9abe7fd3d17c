"""What a page says beside its sound: the push-to-talk key, typed turns, one asked again, say again, interrupt, start
over, undo, no picture, other settings.

In:  JSON objects from the data channel or the WebSocket.   Out: calls of the conversation, in order, a few a second.
A message that is none of these is not the page's, and is left alone.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any

from loguru import logger

from agent.conversation.conversation import Conversation
from agent.conversation.waiting_pictures import PICTURE, UnknownPictureError, WaitingPictures
from agent.plain_text import plain_text
from processors.llm.turn_point import TurnPoint

MAX_TEXT_CHARS = 8_000
# However fast they come, the pipeline is told a few times a second, and of the newest few only.
MESSAGE_SECS = 0.1
MAX_WAITING = 8
MAX_MARK_CHARS = 64
# Of what is said once more: an answer may be long.
MAX_SAID_CHARS = 20_000


class ClientMessages:
    """Acts on one page's messages.

    Args:
        conversation: The page's.
        change: Changes the settings of the call to these options.
        pictures: Those that its messages may name.
        begin_anew: Called as the history is emptied; gives the id of the conversation that begins.
    """

    def __init__(
        self,
        conversation: Conversation,
        change: Callable[[object], None] = lambda options: None,
        pictures: WaitingPictures | None = None,
        begin_anew: Callable[[], str] = str,
    ) -> None:
        self._conversation = conversation
        self._change = change
        self._pictures = pictures or WaitingPictures()
        self._begin_anew = begin_anew
        self._key_wanted = self._key_told = False
        self._waiting: deque[Callable[[], Awaitable[None]]] = deque(maxlen=MAX_WAITING)
        self._working: asyncio.Task[None] | None = None

    def handle(self, message: object) -> None:
        """Take one message.

        Args:
            message: As JSON was read; anything.
        """
        match message:
            case {"type": "push_to_talk", "active": active}:
                self._key_wanted = active is True
            case {"type": "camera", "mark": str(mark), "problem": str(problem)} if len(mark) <= MAX_MARK_CHARS:
                self._conversation.camera.refuse(mark, problem)
                return
            case {"type": "settings", "options": options}:
                self._change(options)
                return
            case dict() if wanted := self._wanted(message):
                self._waiting.append(wanted)
            case _:
                return
        if self._working is None or self._working.done():
            self._working = asyncio.create_task(self._work(), name="client-messages")

    def _wanted(self, message: dict[Any, Any]) -> Callable[[], Awaitable[None]] | None:
        """What is to be done in its turn; None for a message that is not the page's."""
        conversation = self._conversation
        match message:
            case {"type": "text", "text": str(text), **more} if len(text) <= MAX_TEXT_CHARS:
                typed, spoken = plain_text(text), more.get("spoken") is not False
                if (pictures := self._taken(more.get("pictures"))) is None:
                    return None
                return lambda: conversation.type(typed, spoken=spoken, **pictures)
            case {"type": "text"}:
                logger.warning(f"a typed turn that is no text of at most {MAX_TEXT_CHARS} characters was left alone")
            case {"type": "ask_again", "text": str(text), "back": back, **more} if len(text) <= MAX_TEXT_CHARS:
                typed, spoken, point = plain_text(text), more.get("spoken") is not False, TurnPoint.read(back)
                if point and typed.strip() and (pictures := self._taken(more.get("pictures"))) is not None:
                    return lambda: conversation.ask_again(point, typed, spoken=spoken, **pictures)
            case {"type": "say_again", "text": str(text)} if len(text) <= MAX_SAID_CHARS:
                said = plain_text(text)
                return lambda: conversation.say_again(said)
            case {"type": "interrupt"}:
                return conversation.interrupt
            case {"type": "start_over"}:
                return lambda: conversation.start_over(self._begin_anew)
            case {"type": "undo", "undo": str(mark)} if len(mark) <= MAX_MARK_CHARS:
                return lambda: conversation.undo(mark)
        return None

    def _taken(self, marks: object) -> dict[str, list[str]] | None:
        """What a message is asked with; None, and a word to the page, where a picture is not there any more."""
        try:
            pictures = self._pictures.take(marks)
        except UnknownPictureError as error:
            self._conversation.report(PICTURE, str(error))
            return None
        return {"pictures": pictures} if pictures else {}

    async def _work(self) -> None:
        while self._waiting or self._key_told != self._key_wanted:
            if self._key_told != self._key_wanted:
                self._key_told = self._key_wanted
                await self._conversation.push_to_talk(self._key_told)
            if self._waiting:
                await self._waiting.popleft()()
            await asyncio.sleep(MESSAGE_SECS)
