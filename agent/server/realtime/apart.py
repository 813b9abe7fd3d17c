"""Responses that are of no conversation: each answers what its client gave it, beside whatever is being said.

In:  ResponseRequests.   Out: `response.*`, of several responses at once; the conversation and its items do not notice.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import ExitStack, aclosing
from typing import Any

from loguru import logger
from pipecat.adapters.llm.schemas.tools_schema import ToolsSchema
from pipecat.frames.frames import (
    Frame,
    FunctionCallsStartedFrame,
    LLMContextFrame,
    LLMFullResponseEndFrame,
    LLMTextFrame,
)
from pipecat.processors.aggregators.llm_context import LLMContext

from agent.conversation.typed_question import AnswerError, frames_of
from agent.engines.speaking import RATE_HZ, Speaking, Wish
from agent.server.calls.plans import SessionPlan
from agent.server.realtime.agent_side import AgentSide
from agent.server.realtime.calls import function_tools
from agent.server.realtime.given_input import messages_of
from agent.server.realtime.items import Item, Items
from agent.server.realtime.open_response import Call
from agent.server.realtime.outgoing import Send
from agent.server.realtime.problems import RealtimeProblem
from agent.server.realtime.response_request import ResponseRequest
from agent.server.realtime.responses import Responses
from agent.server.wire.errors import TooBusyError
from agent.tools.results import as_json
from agent.tools.schemas import function_of
from processors.errors import EngineError, EngineUnavailableError
from processors.frames import TERMS, USAGE, ReplyTerms
from processors.llm.told_on import CallsToldOn

MOST = 8
STEP_BYTES = RATE_HZ * 2 // 5


class ResponsesApart:
    """Those of one client.

    Args:
        send: Sends an event.
        agent: Whose language model, voice and history it is.
        items: Of the conversation, which may be referred to.

    Attributes:
        ready: Waits while the client has not taken in what it was sent; sound comes faster than it would be played.
    """

    def __init__(self, send: Send, agent: AgentSide, items: Items) -> None:
        self.ready: Callable[[], Awaitable[None]] = _at_once
        self._send = send
        self._agent = agent
        self._items = items
        self._running: dict[str, tuple[Responses, asyncio.Task[None]]] = {}

    def begin(self, request: ResponseRequest) -> None:
        """Answer it.

        Args:
            request: Of one that is apart.

        Raises:
            RealtimeProblem: What it is to answer is wrong, or too many are under way, here or at other doors.
        """
        if len(self._running) >= MOST:
            raise RealtimeProblem(
                f"{MOST} responses are under way beside the conversation; wait for one, or cancel one",
                code="rate_limit_exceeded",
            )
        plan = self._agent.plan
        messages = (
            list(self._agent.context.messages) if request.given is None else messages_of(request.given, self._items)
        )
        held = _place(plan, request)
        responses = Responses(self._send, _NoPlace(), None, lambda: None)
        responses.out_rate_hz = RATE_HZ
        responses.ask(request.metadata, request.config)
        response_id = str(responses.open_id)
        task = asyncio.create_task(self._run(responses, request, plan, messages), name=f"realtime-{response_id}")
        self._running[response_id] = responses, task

        def ended(_: asyncio.Task[None]) -> None:
            del self._running[response_id]
            held.close()

        task.add_done_callback(ended)

    def cancel(self, response_id: object) -> bool:
        """Nothing more of it comes.

        Args:
            response_id: Anything at all.

        Returns:
            Whether it was one of these.
        """
        running = self._running.get(response_id) if isinstance(response_id, str) else None
        if running is None or not running[0].is_open:
            return False
        # It counts until nothing of it works any more.
        responses, task = running
        responses.cut("client_cancelled")
        task.cancel()
        return True

    async def close(self) -> None:
        """The client is gone."""
        tasks = [task for _, task in self._running.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _run(
        self, responses: Responses, request: ResponseRequest, plan: SessionPlan, messages: list[Any]
    ) -> None:
        responses.begin_reply()
        frames = _asked(request, plan, messages)
        try:
            async with aclosing(frames):
                if request.config.is_written:
                    async for frame in frames:
                        if isinstance(frame, LLMTextFrame):
                            responses.text(frame.text)
                        else:
                            _note(responses, frame)
                else:
                    await _speak(responses, request, plan, frames, self.ready)
            responses.end()
        except AnswerError as error:
            self._fail(responses, "llm", str(error))
        except (EngineError, EngineUnavailableError) as error:
            self._fail(responses, "tts", str(error))
        except Exception as error:  # noqa: BLE001 - the edge of one response: the session and the others go on
            logger.error(f"a Realtime response failed: {' '.join(repr(error).split())}")
            responses.fail("an error within the server; its log says more", code="internal_error")

    def _fail(self, responses: Responses, stage: str, message: str) -> None:
        if self._agent.session:
            self._agent.session.conversation.report(stage, message)
        responses.fail(message, code=f"{stage}_failed")


def _asked(request: ResponseRequest, plan: SessionPlan, messages: list[Any]) -> AsyncGenerator[Frame, None]:
    tools = function_tools(request.tools or ())
    instructions = request.instructions
    if not any(message.get("role") != "developer" for message in messages if isinstance(message, dict)):
        # Many chat templates want words of the user's.
        messages, instructions = [*messages, {"role": "user", "content": instructions or "Hello."}], None
    context = LLMContext(messages, tools=ToolsSchema([function_of(tool) for tool in tools])) if tools else None
    service = CallsToldOn(plan.host.llm_options, calls_tools=bool(tools))
    service.may_call([tool.name for tool in tools])
    asked = LLMContextFrame(context or LLMContext(messages))
    asked.metadata[TERMS] = ReplyTerms(instructions, max_tokens=request.max_tokens)
    return frames_of(service, asked, is_spoken=not request.config.is_written)


def _note(responses: Responses, frame: Frame) -> None:
    if isinstance(frame, FunctionCallsStartedFrame):
        calls = frame.function_calls
        responses.call([Call(call.tool_call_id, call.function_name, as_json(call.arguments)) for call in calls])
    elif isinstance(frame, LLMFullResponseEndFrame):
        responses.note_usage(frame.metadata.get(USAGE))


async def _speak(
    responses: Responses,
    request: ResponseRequest,
    plan: SessionPlan,
    frames: AsyncIterator[Frame],
    ready: Callable[[], Awaitable[None]],
) -> None:
    """Its sound goes out as soon as it is made and the client takes it in: nobody plays it to the user while the
    conversation speaks.
    """

    async def words() -> AsyncGenerator[str, None]:
        async for frame in frames:
            if isinstance(frame, LLMTextFrame):
                responses.transcript(frame.text)
                yield frame.text
            else:
                _note(responses, frame)

    host, settings, wanted = plan.host, plan.settings.tts, request.config.audio.output
    speaking = Speaking(host.tts.loaded, host.tts_threads, settings, host.tts_standby)
    wish = Wish(request.config.voice, speed=settings.speed if wanted.speed == 1.0 else wanted.speed)
    async with aclosing(words()) as pieces, aclosing(speaking.speak(pieces, wish)) as sounds:
        async for pcm16 in sounds:
            for at in range(0, len(pcm16), STEP_BYTES):
                responses.sound(pcm16[at : at + STEP_BYTES])
                await asyncio.sleep(0)
                await ready()


def _place(plan: SessionPlan, request: ResponseRequest) -> ExitStack:
    """What it takes of what all doors share; raises a RealtimeProblem where nothing is left."""
    held = ExitStack()
    if plan.places is None:
        return held
    try:
        held.enter_context(plan.places.questions.taken())
        if not request.config.is_written:
            held.enter_context(plan.places.speeches.taken())
    except TooBusyError as error:
        held.close()
        raise RealtimeProblem(str(error), code="rate_limit_exceeded") from error
    return held


async def _at_once() -> None:
    """Nothing holds it up."""


class _NoPlace:
    """Items that are of no conversation."""

    def add(self, item: Item, *, done: bool) -> None:
        """It is told within its response alone."""

    def done(self, item: Item) -> None:
        """It is told within its response alone."""
