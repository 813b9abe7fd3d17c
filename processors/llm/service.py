"""Language model service: a conversation in, the words of the reply out, from any OpenAI-compatible server.

In:  LLMContextFrame.   Out: ReplyBegunFrame, LLMFullResponseStartFrame, LLMTextFrame..., LLMFullResponseEndFrame, tool
     call frames; TTSSpeakFrame (an apology, kept out of the conversation) and ErrorFrame upstream when the model fails.

Small local servers go away, come back, stall, think aloud, answer nothing and run out of context. None of that
ends the session: an error is never a permanent one in Pipecat's sense, and the next turn asks again.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from functools import partial
from typing import Any, cast

from loguru import logger
from openai import AsyncOpenAI, AsyncStream
from openai.types.chat import ChatCompletionChunk
from pipecat.frames.frames import (
    EagerEndOfTurnCancelFrame,
    Frame,
    InterruptionFrame,
    LLMContextFrame,
    LLMFullResponseEndFrame,
    LLMFullResponseStartFrame,
    LLMTextFrame,
    TTSSpeakFrame,
    UserStartedSpeakingFrame,
)
from pipecat.metrics.metrics import LLMTokenUsage
from pipecat.processors.aggregators.llm_context import LLMContext, LLMContextMessage
from pipecat.processors.frame_processor import FrameDirection
from pipecat.utils.errors import ErrorCategory, classify_http_exception

from processors.addresses import asked_for
from processors.errors import MendedError
from processors.frames import REPLY_LANGUAGE, SPECULATED, USAGE, NextReplyFrame, ReplyBegunFrame, WrittenReplyFrame
from processors.llm.answers import KeptAnswers
from processors.llm.asked_model import AskedModel
from processors.llm.budget import ReplyBudget
from processors.llm.call_ids import CallIds, tool_names
from processors.llm.call_texts import is_quoted
from processors.llm.changes import Asking, ChangesModels
from processors.llm.choice import Chooser
from processors.llm.empty_reply import empty_reply
from processors.llm.failure import (
    NoToolsError,
    ReplyError,
    ReplyTimeoutError,
    ToolsRefusedError,
    explain,
    is_context_overflow,
    is_gone,
    let_go,
)
from processors.llm.keeper import look_after
from processors.llm.model_choice import Step, says_or_calls
from processors.llm.options import LLMOptions
from processors.llm.pictures import Pictures
from processors.llm.placed_arguments import parameters_of
from processors.llm.reflex import REFLEX, FindReflex, Reflex, as_reply, reflex_for
from processors.llm.rounds import ToolRounds
from processors.llm.routing import ANSWERING
from processors.llm.settled_calls import SettledCalls
from processors.llm.shortening import Shortening
from processors.llm.stream import ReplyStream
from processors.llm.terms import Terms
from processors.turns.speculation import OpenSpeculationGate

LOST_THREAD = "Sorry, I lost my train of thought."


class LocalLLMService(ChangesModels):
    """Asks one model, or the one of two that suits the turn; one instance a conversation."""

    supports_developer_role = False

    def __init__(
        self,
        options: LLMOptions,
        *,
        find_reflex: FindReflex | None = None,
        amend: Callable[[LLMContext], None] | None = None,
        answers: KeptAnswers | None = None,
        chooser: Chooser | None = None,
        calls_tools: bool = True,
        pictures: Pictures | None = None,
        **kwargs: Any,
    ) -> None:
        """Prepare to ask; nothing is sent yet.

        Args:
            options: Which model, where and how; a large one beside it, where there is one.
            find_reflex: Finds what needs no model.
            chooser: Has a model that calls no tools choose what is done.
            calls_tools: Whether the model is told of the history's tools.
            amend: Sets the history right before it is sent, with what cut calls have done meanwhile.
            answers: Those that are kept and given again.
            pictures: What the model is shown with a turn.
            **kwargs: For Pipecat's LLMService, such as `function_call_timeout_secs`.
        """
        self._calls_tools = calls_tools
        self._ask_by(Asking(options, find_reflex, amend, answers, chooser))
        self._pictures = pictures
        self._ended_by_itself = False
        self._reflex: Reflex | None = None
        # The model that is answering, and why.
        self._step: Step | None = None
        self._apology_due: str | None = None
        # Whether the reply is read, not heard; Pipecat's own switch marks its frames.
        self._written = False
        self._spoke = False
        self._reply_language: str | None = None
        self._terms = Terms()
        self._usage: LLMTokenUsage | None = None
        self._settled_calls = SettledCalls()
        self._rounds = ToolRounds()
        self._call_ids = CallIds()
        extra = {"extra_body": dict(options.extra_body)} if options.extra_body else {}
        super().__init__(
            settings=self.Settings(
                model=options.model,
                system_instruction=options.system_prompt or None,
                temperature=options.temperature,
                top_p=options.top_p,
                max_tokens=options.max_tokens,
                extra=extra,
            ),
            **kwargs,
        )
        self._speculation_gate = OpenSpeculationGate()

    def create_client(self, *_: Any, **__: Any) -> AsyncOpenAI:
        """The first model's, which Pipecat holds as the service's."""
        return self._models.first.client

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        """Reply to a context; an apology follows the end of the reply, where speech is never reordered."""
        if isinstance(frame, LLMContextFrame):
            if direction is FrameDirection.UPSTREAM and not self._settled_calls.ask_for_more:
                return
            self._rounds.begin(asked_by_tool=direction is FrameDirection.UPSTREAM)
            if direction is FrameDirection.DOWNSTREAM:
                self._take_change()
            if self._pictures and direction is FrameDirection.DOWNSTREAM:
                # Those of an earlier turn, whose reply had no end.
                self._pictures.drop()
            self._reply_language = frame.metadata.get(REPLY_LANGUAGE)
            frame = self._terms.begin(frame, direction)
            self._usage = None
            if self._asking.amend:
                self._asking.amend(frame.context)
            self._reflex = reflex_for(self._asking.find_reflex, frame.context.messages)
            if self._asking.answers and not self._reflex:
                self._reflex = self._asking.answers.reflex(frame.context, written=self._written)
            if self._reflex and self._reflex.acts and frame.speculation:
                # As with a tool: it is asked again when the turn is certain.
                await self.broadcast_frame(EagerEndOfTurnCancelFrame)
                return
            await self.push_frame(ReplyBegunFrame(frame.speculation))
        elif isinstance(frame, (WrittenReplyFrame, UserStartedSpeakingFrame)):
            self._skip_tts = self._written = isinstance(frame, WrittenReplyFrame) and frame.written
        elif isinstance(frame, NextReplyFrame):
            self._terms.expect(frame)
        await super().process_frame(frame, direction)
        if isinstance(frame, InterruptionFrame):
            self._settled_calls.cut()
            self._terms.cut()
        if isinstance(frame, LLMContextFrame) and self._apology_due:
            apology, self._apology_due = self._apology_due, None
            if self._written:
                return
            await self.push_frame(TTSSpeakFrame(apology, append_to_context=False))

    async def push_frame(self, frame: Frame, direction: FrameDirection = FrameDirection.DOWNSTREAM) -> None:
        """Push a frame; what tools answer is kept in mind. A reply that is being cut has no other end."""
        if isinstance(frame, LLMFullResponseEndFrame) and (task := asyncio.current_task()) and task.cancelling():
            return
        if self._reflex and isinstance(frame, LLMTextFrame):
            frame.metadata[REFLEX] = self._reflex.name
        elif self._step and self._step.model.size and isinstance(frame, LLMTextFrame):
            frame.metadata[ANSWERING] = self._step.answering
        if self._reply_language and isinstance(frame, LLMFullResponseStartFrame):
            frame.metadata[REPLY_LANGUAGE] = self._reply_language
        elif isinstance(frame, LLMFullResponseEndFrame) and self._usage:
            frame.metadata[USAGE] = self._usage
        elif isinstance(frame, EagerEndOfTurnCancelFrame):
            frame.metadata[SPECULATED] = self._terms.speculated
        self._settled_calls.note(frame)
        self._call_ids.note(frame)
        await super().push_frame(frame, direction)

    async def start_llm_usage_metrics(self, tokens: LLMTokenUsage) -> None:
        """What the model says that the reply took goes with its end."""
        self._usage = tokens
        await super().start_llm_usage_metrics(tokens)

    async def get_chat_completions(self, context: LLMContext) -> AsyncStream[ChatCompletionChunk]:
        """The chunks of the reply; empty replies and context overflows are asked for again on the way."""
        if self._reflex:
            chunks = self._by_reflex(self._reflex, context)
        elif self._asking.answers:
            chunks = self._asking.answers.noting(
                self._reply(context), context, written=self._written, ended_by_itself=lambda: self._ended_by_itself
            )
        else:
            chunks = self._reply(context)
        return cast(AsyncStream[ChatCompletionChunk], chunks)

    async def _by_reflex(self, reflex: Reflex, context: LLMContext) -> AsyncGenerator[ChatCompletionChunk, None]:
        """What the reflex says; what the model says, where it has no words."""
        words = await (reflex.written or reflex.answer if self._written else reflex.answer)()
        if not words:
            self._reflex = None
            if self._asking.amend:
                self._asking.amend(context)
        async with aclosing(as_reply(words, reflex.name) if words else self._reply(context)) as chunks:
            async for chunk in chunks:
                self._spoke |= bool(words)
                yield chunk

    async def _process_context(self, context: LLMContext) -> None:
        self._apology_due = None
        self._spoke = False
        try:
            self._rounds.check(self._asking.options.model, self._asking.options.shown)
            await super()._process_context(context)
        except Exception as error:  # noqa: BLE001 - the edge of the stage: whatever failed is told, and said aloud
            options = self._asking.options
            failure = error if isinstance(error, ReplyError) else explain(error, options.shown, options.model)
            self._apology_due = LOST_THREAD if self._spoke else self._asking.options.apology
            await self.push_error(str(failure), exception=failure, category=failure.category)

    async def _handle_eager_end_of_turn_cancel(self, frame: EagerEndOfTurnCancelFrame) -> None:
        """Nothing may stay of what was tried: not a request that is still queued, nor words that are being spoken."""
        await self._start_interruption()
        await self.stop_all_metrics()
        await self.push_frame(InterruptionFrame())

    def _classify_error(self, exception: Exception) -> ErrorCategory | None:
        return ErrorCategory.APPLICATION if classify_http_exception(exception).is_permanent else None

    async def _reply(self, context: LLMContext) -> AsyncGenerator[ChatCompletionChunk, None]:
        """The reply of the model that suits the turn; of the other one, where that fails before it says a word."""
        shown = bool(self._pictures and self._pictures.urls())
        *before, last = self._models.steps(context, shown=shown)
        failed: ReplyError | None = None
        for step in (*before, last):
            self._step, begun = step, False
            try:
                async with aclosing(self._answer_of(step.model, context)) as chunks:
                    async for chunk in chunks:
                        if not begun and says_or_calls(chunk):
                            begun = True
                            await self._tell_failover(failed, step)
                        yield chunk
            except ReplyError as error:
                # What is shown may be what a model does not take.
                if not (error.of_turn or shown):
                    step.model.options.rest.begin()
                if begun or step is last:
                    if failed and not begun:
                        raise error.behind(failed) from failed
                    raise
                failed = error
            else:
                step.model.options.rest.end()
                self._ended_by_itself = self._ended_by_itself and step.is_chosen
                return

    async def _answer_of(self, model: AskedModel, context: LLMContext) -> AsyncGenerator[ChatCompletionChunk, None]:
        """What a model calls or says; one that calls nothing may choose beforehand."""
        self._ended_by_itself = False
        for chooses in (not model.takes_tools, True):
            choice = self._choices.get(model) if chooses else None
            ask, otherwise = partial(self.ask_model, model), partial(self._reply_of, model)
            try:
                async with aclosing(
                    choice.or_else(context, ask, otherwise) if choice else otherwise(context)
                ) as chunks:
                    async for chunk in chunks:
                        yield chunk
                if choice and choice.has_offered:
                    # Words in place of an act are not kept for the next time.
                    self._ended_by_itself = False
                return
            except NoToolsError:
                continue

    async def _tell_failover(self, failed: ReplyError | None, step: Step) -> None:
        """It is told, and not apologised for."""
        if failed and not isinstance(failed, ToolsRefusedError):
            mended = MendedError(f"{failed}; {step.model.options.model} answers")
            await self.push_error(str(mended), exception=mended, category=failed.category)

    async def _reply_of(self, model: AskedModel, context: LLMContext) -> AsyncGenerator[ChatCompletionChunk, None]:
        options = model.options
        shortening = Shortening(context.messages)
        retries_left = options.empty_retries
        has_revived = False
        while True:
            reply = self._begin_reply(model, context)
            looking = self.create_task(look_after(options.keeper, reply.silent_secs)) if options.keeper else None
            try:
                asked = reply.chunks(self._request(model, shortening.messages, context))
                async with aclosing(model.bounded(asked, context, written=self._written)) as chunks:
                    async for chunk in chunks:
                        # What one of two models has no room for may have its place with the other.
                        if shortening.n_steps and not self._spoke and not model.size:
                            shortening.apply_to(context)
                        self._spoke = reply.spoke
                        self._rounds.spoke |= reply.spoke
                        yield chunk
            except ReplyTimeoutError as error:
                if has_revived or not await self._has_revived(options, reply, error):
                    raise
                has_revived = True
                continue
            except ReplyError:
                raise
            # Whatever else a server can bring about ends here, told in one line.
            except Exception as error:
                let_go(error)
                if model.tries_version(error):
                    continue
                if model.goes_without_tools(error, context):
                    if self._models.needs_other(model, context):
                        raise ToolsRefusedError(options.model) from error
                    if model in self._choices:
                        raise NoToolsError from error
                    continue
                if not has_revived and await self._has_revived(options, reply, error):
                    has_revived = True
                    continue
                fits_not = is_context_overflow(error) and not reply.answered and not options.last_turn_only
                if not fits_not or not shortening.step():
                    raise explain(error, options.shown, options.model) from error
                logger.info("context full: the oldest turns, or the middle of an enormous one, are left out")
                continue
            finally:
                if looking:
                    await self.cancel_task(looking)
            if reply.answered:
                model.starts_inside_thought = reply.starts_inside_thought
                self._ended_by_itself = reply.finish_reason == "stop"
                if reply.called_tools:
                    self._models.note_calls(model)
                if self._pictures and reply.spoke:
                    self._pictures.drop()
                return
            if retries_left == 0 or (reply.thought and reply.finish_reason == "length"):
                raise empty_reply(reply, options.shown, options.model)
            retries_left -= 1

    async def _has_revived(self, options: LLMOptions, reply: ReplyStream, error: Exception) -> bool:
        """Whether our own server has ended or hung before it said anything, and runs anew: then it is asked again."""
        keeper = options.keeper
        if keeper is None:
            return False
        hung = isinstance(error, ReplyTimeoutError) and await asyncio.to_thread(keeper.kill_if_hung)
        if reply.answered or not (hung or is_gone(error)) or not await asyncio.to_thread(keeper.wait_until_back):
            return False
        mended = MendedError("the language model's process had ended or hung; it was started anew and asked again")
        await self.push_error(str(mended), exception=mended, category=ErrorCategory.CONNECTIVITY)
        return True

    def _begin_reply(self, model: AskedModel, context: LLMContext) -> ReplyStream:
        self._call_ids.begin_reply()
        return ReplyStream(
            model.patience,
            model.options.shown,
            starts_inside_thought=model.starts_inside_thought,
            again=model.options.template.again,
            tools=tool_names(context),
            takes=parameters_of(context),
            makes_written=(lambda call: not is_quoted(call, context.messages)) if model.takes_tools else None,
            budget=ReplyBudget(model.options.max_tokens),
            # Where there are tools, Pipecat tells the model that this is none of them, and the model may do better.
            is_callable=lambda name: bool(self._functions) or self.has_function(name),
            call_id=lambda given: self._call_ids.unused(given, context.messages),
        )

    async def _request(
        self, model: AskedModel, messages: Sequence[LLMContextMessage], context: LLMContext
    ) -> AsyncStream[ChatCompletionChunk]:
        shown = self._pictures.urls() if self._pictures else ()
        view = model.view(messages, context, written=self._written, shown=shown)
        fields = await self._fields(model, view, self._terms.current.instructions or model.instruction(messages))
        with asked_for(context):
            return await model.client.chat.completions.create(**self._terms.bound(fields))
