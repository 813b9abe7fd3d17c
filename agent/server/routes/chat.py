"""POST /api/chat: typed questions, answered in writing within the same conversation as speech.

In:  `{"text", "conversation"?, "page"?, "pictures"?, "back"?}`; pictures: marks of POST /api/pictures; back, `{"text",
     "later"?}`: a turn of the user's that goes, with all that came after it, before the question is asked.
Out: server-sent events: `conversation`, `delta`..., `done` or `error`.
"""

from contextlib import aclosing, suppress
from typing import Any

from fastapi import APIRouter
from loguru import logger
from starlette.requests import Request
from starlette.routing import Route
from starlette.types import Message, Receive, Scope, Send

from agent.conversation.conversation import GONE
from agent.conversation.histories import History
from agent.conversation.typed_question import AnswerError
from agent.conversation.waiting_pictures import BLIND, UnknownPictureError
from agent.conversation.written_answers import Answerer, answer_in
from agent.conversation.written_tools import AnswerNotes
from agent.memory.turns import keep_written
from agent.memory.user_memory import UserMemory
from agent.plain_text import plain_text
from agent.server.state import ServerState
from agent.server.wire.events import begin_stream, end_stream, event, send_soon, unless_hung_up
from agent.server.wire.json_body import RequestError, json_object
from agent.server.wire.owner import memory_owner_of, owner_of
from agent.server.wire.uploads import ClientGoneError
from processors.llm.options import LLMOptions
from processors.llm.turn_point import TurnPoint, WayBack

MAX_TEXT_CHARS = 8000


def chat_routes(state: ServerState) -> APIRouter:
    """The route.

    Args:
        state: Gives the language model once it is loaded, and the conversations so far.
    """
    return APIRouter(routes=[Route("/api/chat", _Chat(state), methods=["POST"])])


class _Chat:
    """An ASGI application, for it watches the caller all the while."""

    def __init__(self, state: ServerState) -> None:
        self._state = state

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        body = await json_object(Request(scope, receive))
        text, point = _question_of(body), _point_of(body)
        options, live = self._state.host().llm_options, self._state.sessions()
        histories = self._state.histories
        pictures = self._pictures_of(body.get("pictures"), options)
        with self._state.questions.taken(), suppress(ClientGoneError):
            await self._state.written.turn()
            history = histories.open(body.get("conversation"), owner_of(scope, body.get("page")))
            owner = memory_owner_of(scope, body.get("browser"))
            memory = self._memory_of(history, owner)
            answerer, notes = self._state.written.answerer(options, live.servers, memory), AnswerNotes()
            with histories.held(history, "question"):
                if point:
                    await self._go_back(history, point, owner)
                if not answerer.options.sees:
                    history.hide_pictures()
                last = await unless_hung_up(receive, _answer(text, history, answerer, notes, send, pictures))
            if memory:
                _keep(text, history, memory, notes)
            # Whoever reads that the answer is done may ask on at once.
            await send_soon(send, last)
            await end_stream(send)

    def _pictures_of(self, marks: object, options: LLMOptions) -> list[str]:
        if marks and not options.sees:
            raise RequestError(400, BLIND)
        try:
            return self._state.sessions().pictures.take(marks)
        except UnknownPictureError as error:
            raise RequestError(400, str(error)) from error

    async def _go_back(self, history: History, point: TurnPoint, owner: str | None) -> None:
        way = WayBack(point)
        history.context.set_messages(way.change(list(history.context.messages)))
        if not way.found:
            raise RequestError(410, GONE)
        memory = self._state.sessions().memory
        if memory and owner:
            await memory.ask(lambda store: store.forget_from(owner, history.id, point, taken=way.taken))

    def _memory_of(self, history: History, owner: str | None) -> UserMemory | None:
        memory = self._state.sessions().memory
        is_off = self._state.settings.tools.memory == "off"
        return None if memory is None or owner is None or is_off else UserMemory(memory, owner, history.id)


def _keep(text: str, history: History, memory: UserMemory, notes: AnswerNotes) -> None:
    """Remember the question and its answer, if that is wanted."""
    question, answer = history.turns()[-2:] if len(history.turns()) > 1 else ({}, {})
    if question.get("text") == text:
        keep_written(memory, text, answer["text"], logger.error, notes.used)


def _question_of(body: dict[str, Any]) -> str:
    text = body.get("text")
    if not isinstance(text, str) or not text.strip():
        raise RequestError(400, "text is missing")
    if len(text) > MAX_TEXT_CHARS:
        raise RequestError(400, f"text is longer than {MAX_TEXT_CHARS} characters")
    return plain_text(text).strip()


def _point_of(body: dict[str, Any]) -> TurnPoint | None:
    told = body.get("back")
    point = TurnPoint.read(told)
    if told is not None and point is None:
        raise RequestError(400, 'back must be {"text": the words of a turn, "later": how many turns came after it}')
    return point


async def _answer(
    text: str, history: History, answerer: Answerer, notes: AnswerNotes, send: Send, pictures: list[str]
) -> Message:
    """Answer in pieces.

    Returns:
        The last event, which the caller is not told yet.
    """
    sent: list[str] = []
    await begin_stream(send)
    await send_soon(send, event({"conversation": history.id}, "conversation"))
    try:
        async with aclosing(answer_in(history, text, answerer, notes, pictures=pictures)) as pieces:
            async for piece in pieces:
                sent.append(piece)
                await send_soon(send, event({"text": piece}, "delta"))
    except AnswerError as error:
        return event({"stage": "llm", "message": str(error)}, "error")
    told = notes.answering.as_fields() if notes.answering else {}
    return event({"text": "".join(sent).strip(), **told}, "done")
