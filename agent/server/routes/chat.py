"""POST /api/chat: typed questions, answered in writing within the same conversation as speech.

In:  `{"text", "conversation"?, "page"?}`.   Out: server-sent events: `conversation`, `delta`..., `done` or `error`.

What stays in the history: the question with its answer; where the answer broke off (the model failed, the caller hung
up), the question with the part that was sent, marked as cut off. A question of whose answer not a word was sent leaves
no trace, so that it can be asked again.
"""

import asyncio
import functools
import time
from contextlib import aclosing, suppress
from typing import Any, cast

from fastapi import APIRouter
from loguru import logger
from pipecat.processors.aggregators.llm_context import LLMContext, LLMContextMessage
from starlette.requests import Request
from starlette.routing import Route
from starlette.types import Message, Receive, Scope, Send

from agent.conversation.abilities import written_reflexes
from agent.conversation.histories import History
from agent.conversation.interpreter import Interpreter
from agent.conversation.typed_question import AnswerError, write_answer
from agent.memory.turns import keep_written
from agent.memory.user_memory import UserMemory
from agent.plain_text import plain_text
from agent.server.state import ServerState
from agent.server.wire.events import begin_stream, end_stream, event, send_soon, unless_hung_up
from agent.server.wire.json_body import RequestError, json_object
from agent.server.wire.owner import memory_owner_of, owner_of
from agent.server.wire.slots import Slots
from agent.server.wire.uploads import ClientGoneError
from processors.llm.history import mark_interrupted
from processors.llm.options import LLMOptions
from processors.llm.reflex import FindReflex
from processors.llm.routing import Answering
from processors.turns.heard_speech import HeardSpeech

MAX_TEXT_CHARS = 8000
RETRY_AFTER_SECS = 1
# Nobody types faster; a flood of questions, each of which builds a pipeline, leaves calls their turns.
BETWEEN_SECS = 0.1


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
        self._places = Slots(state.settings.server.max_chats, self._too_many)
        self._next_secs = 0.0
        self._find_reflex = functools.cache(lambda: written_reflexes(state.settings))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        body = await json_object(Request(scope, receive))
        text = _question_of(body)
        options, find = self._state.host().llm_options, self._find_reflex()
        interpreter = self._interpreter()
        if interpreter:
            options, find = interpreter.options(options), interpreter.find_reflex()
        histories = self._state.histories
        with self._places.taken(), suppress(ClientGoneError):
            await self._turn()
            history = histories.open(body.get("conversation"), owner_of(scope, body.get("page")))
            with histories.held(history, "question"):
                asked = interpreter.typed(text) if interpreter else None
                last = await unless_hung_up(receive, _answer(text, history, options, find, send, asked))
            self._keep(text, history, memory_owner_of(scope, body.get("browser")))
            # Whoever reads that the answer is done may ask on at once.
            await send_soon(send, last)
            await end_stream(send)

    def _interpreter(self) -> Interpreter | None:
        """One a question: which language the sentence before was in belongs to a call."""
        settings = self._state.settings
        return Interpreter(settings, HeardSpeech()) if settings.interpreter.is_on else None

    def _keep(self, text: str, history: History, owner: str | None) -> None:
        """Remember the question and its answer, if that is wanted."""
        memory = self._state.sessions().memory
        question, answer = history.turns()[-2:] if len(history.turns()) > 1 else ({}, {})
        if memory and owner and question.get("text") == text and self._state.settings.tools.memory != "off":
            keep_written(UserMemory(memory, owner, history.id), text, answer["text"], logger.error)

    def _too_many(self) -> RequestError:
        most = self._state.settings.server.max_chats
        message = f"{most} typed question{'s are' if most > 1 else ' is'} being answered; try again in a moment"
        return RequestError(429, message, {"Retry-After": str(RETRY_AFTER_SECS)})

    async def _turn(self) -> None:
        """Wait until this question may begin: one after the other, with a moment between."""
        now_secs = time.monotonic()
        begins_secs = max(now_secs, self._next_secs)
        self._next_secs = begins_secs + BETWEEN_SECS
        await asyncio.sleep(begins_secs - now_secs)


def _question_of(body: dict[str, Any]) -> str:
    text = body.get("text")
    if not isinstance(text, str) or not text.strip():
        raise RequestError(400, "text is missing")
    if len(text) > MAX_TEXT_CHARS:
        raise RequestError(400, f"text is longer than {MAX_TEXT_CHARS} characters")
    return plain_text(text).strip()


async def _answer(
    text: str,
    history: History,
    options: LLMOptions,
    find: FindReflex | None,
    send: Send,
    asked: LLMContext | None,
) -> Message:
    """Answer in pieces, and remember what was sent; `asked` is for, where it is not the whole history.

    Returns:
        The last event, which the caller is not told yet.
    """
    context = history.context
    question = cast(LLMContextMessage, {"role": "user", "content": text})
    context.add_message(question)
    sent: list[str] = []
    failure = "cancelled"
    answered: list[Answering] = []
    try:
        await begin_stream(send)
        await send_soon(send, event({"conversation": history.id}, "conversation"))
        async with aclosing(write_answer(options, asked or context, find, answered.append)) as pieces:
            async for piece in pieces:
                sent.append(piece)
                await send_soon(send, event({"text": piece}, "delta"))
        failure = ""
    except AnswerError as error:
        failure = str(error)
        return event({"stage": "llm", "message": failure}, "error")
    finally:
        _remember(history, question, "".join(sent).strip(), cut=bool(failure))
    told = answered[-1].as_fields() if answered else {}
    return event({"text": "".join(sent).strip(), **told}, "done")


def _remember(history: History, question: LLMContextMessage, reply: str, *, cut: bool) -> None:
    context = history.context
    if not reply:
        context.set_messages([message for message in context.messages if message is not question])
        return
    context.add_message({"role": "assistant", "content": reply})
    if cut:
        context.set_messages(mark_interrupted(context.messages, reply))
