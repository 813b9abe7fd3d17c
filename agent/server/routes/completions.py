"""POST /v1/chat/completions: the agent's own brain for programs that talk to OpenAI's chat API.

In:  the conversation so far.   Out: the agent's answer, whole or as server-sent events; Markdown.
Source: the OpenAI API reference, and what its Python client parses.

Persona, reflexes, the second model and the interpreter are the page's. Nothing is remembered: the caller keeps the
conversation. A failure before the first word is an error like any other; a later one is the last event.
"""

import time
import uuid
from collections.abc import AsyncGenerator
from contextlib import aclosing, suppress
from dataclasses import dataclass, field
from typing import Any

from pipecat.processors.aggregators.llm_context import LLMContext
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse
from starlette.types import Receive, Scope, Send

from agent.conversation.typed_question import AnswerError, write_answer
from agent.server.calls.sessions import BusyError
from agent.server.routes.completion_request import CompletionRequest, completion_request_of
from agent.server.state import ServerState
from agent.server.wire.errors import ApiError, LoadingError
from agent.server.wire.events import (
    Body,
    begin_stream,
    chunk,
    end_stream,
    event,
    refuse_unread,
    send_soon,
    unless_hung_up,
)
from agent.server.wire.json_body import api_object
from agent.server.wire.uploads import ClientGoneError
from processors.llm.routing import Answering

# Clients want to read it; engines are not asked what a token is.
USAGE = {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}
# As it is listed; any other name will do.
AGENT_MODEL = "sotto"
DONE = b"data: [DONE]\n\n"


class CompletionsRoute:
    """An ASGI application, for it watches the caller all the while.

    Args:
        state: Gives the language model once it is loaded.
    """

    def __init__(self, state: ServerState) -> None:
        self._state = state

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        body = Body(receive)
        try:
            if self._state.api_only:
                raise ApiError(
                    501,
                    "this server has no language model (--api-only); to have it answer: sotto serve",
                    code="no_language_model_loaded",
                )
            with self._state.questions.taken(), suppress(ClientGoneError, ClientDisconnect):
                request = completion_request_of(await api_object(Request(scope, body)))
                await self._state.written.turn()
                await unless_hung_up(receive, self._answer(request, send, scope, receive))
        except ApiError as error:
            if body.ended:
                raise
            await refuse_unread(error.response(), body, send)

    async def _answer(self, request: CompletionRequest, send: Send, scope: Scope, receive: Receive) -> None:
        try:
            options = self._state.host().llm_options
        except BusyError:
            raise LoadingError from None
        answerer = self._state.written.answerer(options)
        context = answerer.interpreter.typed(request.question) if answerer.interpreter else None
        completion = _Completion(request)
        asked = context or LLMContext(list(request.messages))
        answered: list[Answering] = []
        pieces = write_answer(request.of(answerer.options), asked, answerer.find_reflex, answered.append)
        async with aclosing(_begun(pieces)) as begun:
            if request.stream:
                await _stream(begun, completion, send)
                return
            text = "".join([piece async for piece in begun])
        await JSONResponse(completion.whole(text))(scope, receive, send)


async def _begun(pieces: AsyncGenerator[str, None]) -> AsyncGenerator[str, None]:
    """The pieces; what fails is an ApiError."""
    try:
        async with aclosing(pieces):
            async for piece in pieces:
                yield piece
    except AnswerError as error:
        raise ApiError(502, str(error), code="model_failed") from error


async def _stream(pieces: AsyncGenerator[str, None], completion: "_Completion", send: Send) -> None:
    first = await anext(pieces, "")
    await begin_stream(send)
    await send_soon(send, event(completion.piece({"role": "assistant", "content": first})))
    try:
        async for piece in pieces:
            await send_soon(send, event(completion.piece({"content": piece})))
    except ApiError as error:
        await send_soon(send, event(error.body()))
    else:
        for last in completion.end():
            await send_soon(send, event(last))
        await send_soon(send, chunk(DONE))
    await end_stream(send)


@dataclass
class _Completion:
    """One answer in the protocol's shape."""

    request: CompletionRequest
    id: str = field(default_factory=lambda: f"chatcmpl-{uuid.uuid4().hex}")
    created: int = field(default_factory=lambda: int(time.time()))

    def whole(self, text: str) -> dict[str, Any]:
        """All of it at once."""
        message = {"role": "assistant", "content": text.strip(), "refusal": None}
        choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}
        return {**self._head("chat.completion"), "choices": [choice], "usage": USAGE}

    def piece(self, delta: dict[str, str]) -> dict[str, Any]:
        """Some words."""
        return self._chunk([{"index": 0, "delta": delta, "logprobs": None, "finish_reason": None}])

    def end(self) -> list[dict[str, Any]]:
        """What follows the last word."""
        ended = self._chunk([{"index": 0, "delta": {}, "logprobs": None, "finish_reason": "stop"}])
        if not self.request.stream_options.include_usage:
            return [ended]
        return [ended, {**self._chunk([]), "usage": USAGE}]

    def _chunk(self, choices: list[dict[str, Any]]) -> dict[str, Any]:
        return {**self._head("chat.completion.chunk"), "choices": choices}

    def _head(self, kind: str) -> dict[str, Any]:
        return {"id": self.id, "object": kind, "created": self.created, "model": self.request.model}
