"""POST /v1/chat/completions: the agent's own brain for programs that talk to OpenAI's chat API.

In:  the conversation so far.   Out: the agent's answer, whole or as server-sent events; Markdown.
Source: the OpenAI API reference, and what its Python client parses.

Persona, reflexes, tools, the second model and the interpreter are the page's. Nothing is remembered: the caller keeps
the conversation. His own functions are told to the model beside the agent's tools; a call of one ends the answer. A
failure before the first word is an error like any other; a later one is the last event.
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
from agent.conversation.written_answers import Answerer
from agent.conversation.written_tools import AnswerNotes, as_told
from agent.memory.user_memory import UserMemory
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
from agent.server.wire.owner import memory_owner_of
from agent.server.wire.uploads import ClientGoneError
from processors.llm.options import LLMOptions

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
            with suppress(ClientGoneError, ClientDisconnect):
                # A body that comes slowly keeps nobody from a place.
                request = completion_request_of(await api_object(Request(scope, body)))
                with self._state.questions.taken():
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
        notes = AnswerNotes()
        pieces = self._pieces(request, options, memory_owner_of(scope), notes)
        completion = _Completion(request, notes)
        async with aclosing(_begun(pieces)) as begun:
            if request.stream:
                await _stream(begun, completion, send)
                return
            text = "".join([piece async for piece in begun])
        await JSONResponse(completion.whole(text))(scope, receive, send)

    def _pieces(
        self, request: CompletionRequest, options: LLMOptions, owner: str | None, notes: AnswerNotes
    ) -> AsyncGenerator[str, None]:
        live = self._state.sessions()
        memory = UserMemory(live.memory, owner, "") if live.memory and owner else None
        answerer = self._state.written.answerer(options, live.servers, memory, request.functions, request.choice)
        _check_functions(request, answerer)
        asked = answerer.interpreter.typed(request.question) if answerer.interpreter else None
        return write_answer(
            request.of(answerer.options),
            asked or LLMContext(list(request.messages)),
            answerer.find_reflex,
            notes,
            tools=answerer.tools,
        )


def _check_functions(request: CompletionRequest, answerer: Answerer) -> None:
    if not request.functions:
        return
    if answerer.interpreter:
        raise ApiError(400, "tools: an interpreter calls nothing", param="tools", code="unsupported_value")
    options = answerer.options
    if request.choice == "required" and all(one.last_turn_only or one.calls_tools is False for one in options.models):
        message = f"tool_choice: the language model {options.model} calls no tools; with auto it answers in words"
        raise ApiError(400, message, param="tool_choice", code="unsupported_value")


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
    said = first if first or not completion.calls else None
    await send_soon(send, event(completion.piece({"role": "assistant", "content": said})))
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
    notes: AnswerNotes
    id: str = field(default_factory=lambda: f"chatcmpl-{uuid.uuid4().hex}")
    created: int = field(default_factory=lambda: int(time.time()))

    @property
    def calls(self) -> list[dict[str, Any]]:
        """Of the caller's functions; known once all words are."""
        calls = self.notes.calls if self.request.parallel_tool_calls else self.notes.calls[:1]
        return [as_told(call) for call in calls]

    def whole(self, text: str) -> dict[str, Any]:
        """All of it at once."""
        called = {"tool_calls": self.calls} if self.calls else {}
        content = text.strip() or (None if called else "")
        message = {"role": "assistant", "content": content, "refusal": None, **called}
        choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": self._finish_reason}
        return {**self._head("chat.completion"), "choices": [choice], "usage": self._usage}

    def piece(self, delta: dict[str, Any]) -> dict[str, Any]:
        """Some words."""
        return self._chunk([{"index": 0, "delta": delta, "logprobs": None, "finish_reason": None}])

    def end(self) -> list[dict[str, Any]]:
        """What follows the last word."""
        calls = [{"tool_calls": [{"index": index, **call}]} for index, call in enumerate(self.calls)]
        last = {"index": 0, "delta": {}, "logprobs": None, "finish_reason": self._finish_reason}
        ended = [*map(self.piece, calls), self._chunk([last])]
        if not self.request.stream_options.include_usage:
            return ended
        return [*ended, {**self._chunk([]), "usage": self._usage}]

    @property
    def _finish_reason(self) -> str:
        return "tool_calls" if self.calls else "stop"

    @property
    def _usage(self) -> dict[str, int]:
        asked, said = self.notes.prompt_tokens, self.notes.completion_tokens
        return {"prompt_tokens": asked, "completion_tokens": said, "total_tokens": asked + said}

    def _chunk(self, choices: list[dict[str, Any]]) -> dict[str, Any]:
        return {**self._head("chat.completion.chunk"), "choices": choices}

    def _head(self, kind: str) -> dict[str, Any]:
        return {"id": self.id, "object": kind, "created": self.created, "model": self.request.model}
