"""POST /api/chat: typed questions, answered in writing within the same conversation as speech.

In:  `{"text", "conversation"?, "page"?}`.   Out: server-sent events: `conversation`, `delta`..., `done` or `error`.
"""

from contextlib import aclosing, suppress
from typing import Any

from fastapi import APIRouter
from loguru import logger
from starlette.requests import Request
from starlette.routing import Route
from starlette.types import Message, Receive, Scope, Send

from agent.conversation.histories import History
from agent.conversation.typed_question import AnswerError
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
        text = _question_of(body)
        options, live = self._state.host().llm_options, self._state.sessions()
        histories = self._state.histories
        with self._state.questions.taken(), suppress(ClientGoneError):
            await self._state.written.turn()
            history = histories.open(body.get("conversation"), owner_of(scope, body.get("page")))
            memory = self._memory_of(history, memory_owner_of(scope, body.get("browser")))
            answerer, notes = self._state.written.answerer(options, live.servers, memory), AnswerNotes()
            with histories.held(history, "question"):
                last = await unless_hung_up(receive, _answer(text, history, answerer, notes, send))
            if memory:
                _keep(text, history, memory, notes)
            # Whoever reads that the answer is done may ask on at once.
            await send_soon(send, last)
            await end_stream(send)

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


async def _answer(text: str, history: History, answerer: Answerer, notes: AnswerNotes, send: Send) -> Message:
    """Answer in pieces.

    Returns:
        The last event, which the caller is not told yet.
    """
    sent: list[str] = []
    await begin_stream(send)
    await send_soon(send, event({"conversation": history.id}, "conversation"))
    try:
        async with aclosing(answer_in(history, text, answerer, notes)) as pieces:
            async for piece in pieces:
                sent.append(piece)
                await send_soon(send, event({"text": piece}, "delta"))
    except AnswerError as error:
        return event({"stage": "llm", "message": str(error)}, "error")
    told = notes.answering.as_fields() if notes.answering else {}
    return event({"text": "".join(sent).strip(), **told}, "done")
