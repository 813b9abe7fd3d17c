"""Language model service: a conversation in, the words of the reply out, from any OpenAI-compatible server.

In:  LLMContextFrame.   Out: ReplyBegunFrame, LLMFullResponseStartFrame, LLMTextFrame..., LLMFullResponseEndFrame, tool
     call frames; TTSSpeakFrame (an apology, kept out of the conversation) and ErrorFrame upstream when the model fails.

Small local servers go away, come back, stall, think aloud, answer nothing and run out of context. None of that
ends the session: an error is never a permanent one in Pipecat's sense, and the next turn asks again.
"""

import asyncio
import re
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from typing import Any, cast

import openai
import openai.resources.chat  # Loaded by the client on first use otherwise, which would stall the event loop.
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
from pipecat.processors.aggregators.llm_context import LLMContext, LLMContextMessage
from pipecat.processors.frame_processor import FrameDirection
from pipecat.services.openai.llm import OpenAILLMService
from pipecat.utils.errors import ErrorCategory, classify_http_exception

from processors.errors import MendedError
from processors.frames import REPLY_LANGUAGE, ReplyBegunFrame, WrittenReplyFrame
from processors.llm.answers import KeptAnswers
from processors.llm.budget import ReplyBudget
from processors.llm.call_ids import CallIds, tool_names
from processors.llm.client import quiet_client
from processors.llm.empty_reply import empty_reply
from processors.llm.failure import (
    ReplyError,
    ReplyTimeoutError,
    explain,
    is_context_overflow,
    is_gone,
    lacks_version,
    let_go,
    refuses_tools,
)
from processors.llm.history import as_sent, instruction_of, last_user_words, with_examples, with_hint, without_calls
from processors.llm.keeper import look_after
from processors.llm.options import LLMOptions
from processors.llm.pictures import Pictures, with_pictures
from processors.llm.reflex import REFLEX, FindReflex, Reflex, as_reply, reflex_for
from processors.llm.rounds import ToolRounds
from processors.llm.settled_calls import SettledCalls
from processors.llm.shortening import Shortening
from processors.llm.stream import Patience, ReplyStream
from processors.llm.thinking import ThinkFilter
from processors.shown_url import shown_url
from processors.turns.speculation import OpenSpeculationGate

# Beside a question whose answer is read; the persona asks for plain speech.
WRITTEN_HINT = "(I typed this and will read the answer: Markdown, lists and code are welcome.)"
LOST_THREAD = "Sorry, I lost my train of thought."

# Models whose chat template ends the prompt with the opening tag of a thought.
_STARTS_INSIDE_THOUGHT = re.compile(r"deepseek-?r1|qwq|thinking", re.IGNORECASE)


class LocalLLMService(OpenAILLMService):
    """Asks one endpoint; one instance a conversation."""

    supports_developer_role = False

    def __init__(
        self,
        options: LLMOptions,
        *,
        find_reflex: FindReflex | None = None,
        amend: Callable[[LLMContext], None] | None = None,
        answers: KeptAnswers | None = None,
        calls_tools: bool = True,
        pictures: Pictures | None = None,
        **kwargs: Any,
    ) -> None:
        """Prepare to ask; nothing is sent yet.

        Args:
            options: Which model, where and how.
            find_reflex: Finds what needs no model.
            calls_tools: Whether the model is told of the history's tools.
            amend: Sets the history right before it is sent, with what cut calls have done meanwhile.
            answers: Those that are kept and given again.
            pictures: What the model is shown with a turn.
            **kwargs: For Pipecat's LLMService, such as `function_call_timeout_secs`.
        """
        self._options = options
        self._find_reflex = find_reflex
        self._amend = amend
        self._answers = answers
        self._pictures = pictures
        self._ended_by_itself = False
        self._reflex: Reflex | None = None
        # Also once the server has said that it, or its model, takes none.
        self._without_tools = not calls_tools
        self._apology_due: str | None = None
        # Whether the reply is read, not heard; Pipecat's own switch marks its frames.
        self._written = False
        self._spoke = False
        self._reply_language: str | None = None
        self._settled_calls = SettledCalls()
        self._rounds = ToolRounds()
        self._call_ids = CallIds()
        inside = options.template.starts_inside
        self._starts_inside_thought = bool(_STARTS_INSIDE_THOUGHT.search(options.model)) if inside is None else inside
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
        """A client that tells the endpoint nothing but the request."""
        options = self._options
        return quiet_client(
            options.base_url,
            options.api_key,
            silence_secs=max(options.first_token_timeout_secs, options.reasoning_timeout_secs),
            connect_secs=options.connect_timeout_secs,
            max_event_bytes=ReplyBudget(options.max_tokens).max_event_bytes,
        )

    async def cleanup(self) -> None:
        """Close the connections."""
        await super().cleanup()
        await self._client.close()

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        """Reply to a context; an apology follows the end of the reply, where speech is never reordered."""
        if isinstance(frame, LLMContextFrame):
            if direction is FrameDirection.UPSTREAM and not self._settled_calls.ask_for_more:
                return
            self._rounds.begin(asked_by_tool=direction is FrameDirection.UPSTREAM)
            self._reply_language = frame.metadata.get(REPLY_LANGUAGE)
            if self._amend:
                self._amend(frame.context)
            self._reflex = reflex_for(self._find_reflex, frame.context.messages)
            if self._answers and not self._reflex:
                self._reflex = self._answers.reflex(frame.context, written=self._written)
            if self._reflex and self._reflex.acts and frame.speculation:
                # As with a tool: it is asked again when the turn is certain.
                await self.broadcast_frame(EagerEndOfTurnCancelFrame)
                return
            await self.push_frame(ReplyBegunFrame(frame.speculation))
        elif isinstance(frame, (WrittenReplyFrame, UserStartedSpeakingFrame)):
            self._skip_tts = self._written = isinstance(frame, WrittenReplyFrame)
        await super().process_frame(frame, direction)
        if isinstance(frame, InterruptionFrame):
            self._settled_calls.cut()
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
        if self._reply_language and isinstance(frame, LLMFullResponseStartFrame):
            frame.metadata[REPLY_LANGUAGE] = self._reply_language
        self._settled_calls.note(frame)
        self._call_ids.note(frame)
        await super().push_frame(frame, direction)

    async def get_chat_completions(self, context: LLMContext) -> AsyncStream[ChatCompletionChunk]:
        """The chunks of the reply; empty replies and context overflows are asked for again on the way."""
        if self._reflex:
            chunks = self._by_reflex(self._reflex, context)
        elif self._answers:
            chunks = self._answers.noting(
                self._reply(context), context, written=self._written, ended_by_itself=lambda: self._ended_by_itself
            )
        else:
            chunks = self._reply(context)
        return cast(AsyncStream[ChatCompletionChunk], chunks)

    async def _by_reflex(self, reflex: Reflex, context: LLMContext) -> AsyncGenerator[ChatCompletionChunk, None]:
        """What the reflex says; what the model says, where it has no words."""
        words = await reflex.answer()
        if not words:
            self._reflex = None
            if self._amend:
                self._amend(context)
        async with aclosing(as_reply(words, reflex.name) if words else self._reply(context)) as chunks:
            async for chunk in chunks:
                self._spoke |= bool(words)
                yield chunk

    async def ask_once(self, request: LLMContext, instruction: str, max_tokens: int) -> str | None:
        """Ask once outside of the conversation; thoughts are taken out.

        Args:
            request: What.
            instruction: In place of the system prompt.
            max_tokens: Of the answer.

        Returns:
            The whole answer; None where there is none, or it was cut at so many tokens.
        """
        asked = await self.get_llm_adapter().get_llm_invocation_params(
            request, system_instruction=instruction, convert_developer_to_user=True
        )
        wanted = {**self.build_chat_completion_params(asked), "stream": False}
        wanted.pop("stream_options", None)
        wanted["max_completion_tokens" if "max_completion_tokens" in wanted else "max_tokens"] = max_tokens
        answer = (await self._client.chat.completions.create(**wanted)).choices[0]
        text = answer.message.content
        if text is None or answer.finish_reason == "length":
            return None
        think = ThinkFilter(starts_inside=self._starts_inside_thought, again=self._options.template.again)
        return (think.feed(text) + think.flush()).strip()

    async def _process_context(self, context: LLMContext) -> None:
        self._apology_due = None
        self._spoke = False
        try:
            self._rounds.check(self._options.model, shown_url(self._options.base_url))
            await super()._process_context(context)
        except Exception as error:  # noqa: BLE001 - the edge of the stage: whatever failed is told, and said aloud
            options = self._options
            failure = error if isinstance(error, ReplyError) else explain(error, options.base_url, options.model)
            self._apology_due = LOST_THREAD if self._spoke else self._options.apology
            await self.push_error(str(failure), exception=failure, category=failure.category)

    def _tries_version(self, error: Exception) -> bool:
        """Whether the address lacks its /v1 and is asked again with it; it is left out again if that fails, too."""
        if not isinstance(error, openai.NotFoundError) or not lacks_version(self._options.base_url):
            return False
        plain = self._options.base_url.rstrip("/")
        tried = lacks_version(str(self._client.base_url))
        self._client.base_url = f"{plain}/v1" if tried else plain
        return tried

    def _goes_without_tools(self, error: Exception, context: LLMContext) -> bool:
        """Whether the request was refused for its tools, and is sent again without them."""
        if self._without_tools or not tool_names(context) or not refuses_tools(error):
            return False
        self._without_tools = True
        logger.warning(f"{self._options.model} is asked without tools: {error}")
        return True

    async def _handle_eager_end_of_turn_cancel(self, frame: EagerEndOfTurnCancelFrame) -> None:
        """Nothing may stay of what was tried: not a request that is still queued, nor words that are being spoken."""
        await self._start_interruption()
        await self.stop_all_metrics()
        await self.push_frame(InterruptionFrame())

    def _classify_error(self, exception: Exception) -> ErrorCategory | None:
        return ErrorCategory.APPLICATION if classify_http_exception(exception).is_permanent else None

    async def _reply(self, context: LLMContext) -> AsyncGenerator[ChatCompletionChunk, None]:
        options = self._options
        shortening = Shortening(context.messages)
        retries_left = options.empty_retries
        has_revived = False
        while True:
            reply = self._begin_reply(context)
            looking = self._look_after_server(reply)
            try:
                async with aclosing(reply.chunks(self._request(shortening.messages, context))) as chunks:
                    async for chunk in chunks:
                        if shortening.n_steps and not self._spoke:
                            shortening.apply_to(context)
                        self._spoke = reply.spoke
                        self._rounds.spoke |= reply.spoke
                        yield chunk
            except ReplyTimeoutError as error:
                if has_revived or not await self._has_revived(reply, error):
                    raise
                has_revived = True
                continue
            except ReplyError:
                raise
            # Whatever else a server can bring about ends here, told in one line.
            except Exception as error:
                let_go(error)
                if self._tries_version(error) or self._goes_without_tools(error, context):
                    continue
                if not has_revived and await self._has_revived(reply, error):
                    has_revived = True
                    continue
                fits_not = is_context_overflow(error) and not reply.answered and not options.last_turn_only
                if not fits_not or not shortening.step():
                    raise explain(error, options.base_url, options.model) from error
                logger.info("context full: the oldest turns, or the middle of an enormous one, are left out")
                continue
            finally:
                if looking:
                    await self.cancel_task(looking)
            if reply.answered:
                self._starts_inside_thought = reply.starts_inside_thought
                self._ended_by_itself = reply.finish_reason == "stop"
                if self._pictures and reply.spoke:
                    self._pictures.drop()
                return
            if retries_left == 0 or (reply.thought and reply.finish_reason == "length"):
                raise empty_reply(reply, options.base_url, options.model)
            retries_left -= 1

    def _look_after_server(self, reply: ReplyStream) -> "asyncio.Task[None] | None":
        keeper = self._options.keeper
        return self.create_task(look_after(keeper, reply.silent_secs)) if keeper else None

    async def _has_revived(self, reply: ReplyStream, error: Exception) -> bool:
        """Whether our own server has ended or hung before it said anything, and runs anew: then it is asked again."""
        keeper = self._options.keeper
        if keeper is None:
            return False
        hung = isinstance(error, ReplyTimeoutError) and await asyncio.to_thread(keeper.kill_if_hung)
        if reply.answered or not (hung or is_gone(error)) or not await asyncio.to_thread(keeper.wait_until_back):
            return False
        mended = MendedError("the language model's process had ended or hung; it was started anew and asked again")
        await self.push_error(str(mended), exception=mended, category=ErrorCategory.CONNECTIVITY)
        return True

    def _begin_reply(self, context: LLMContext) -> ReplyStream:
        self._call_ids.begin_reply()
        return ReplyStream(
            self._patience(),
            shown_url(self._options.base_url),
            starts_inside_thought=self._starts_inside_thought,
            again=self._options.template.again,
            tools=tool_names(context),
            budget=ReplyBudget(self._options.max_tokens),
            # Where there are tools, Pipecat tells the model that this is none of them, and the model may do better.
            is_callable=lambda name: bool(self._functions) or self.has_function(name),
            call_id=lambda given: self._call_ids.unused(given, context.messages),
        )

    async def _request(
        self, messages: Sequence[LLMContextMessage], context: LLMContext
    ) -> AsyncStream[ChatCompletionChunk]:
        if self._options.last_turn_only:
            self._settings.system_instruction = instruction_of(messages) or self._options.system_prompt or None
            view = LLMContext(with_examples(self._options.examples, last_user_words(messages)))
        else:
            sent = as_sent(without_calls(messages) if self._without_tools else messages)
            sent = with_pictures(sent, self._pictures.urls() if self._pictures else ())
            view = LLMContext(
                with_hint(sent, WRITTEN_HINT) if self._written else sent,
                **({} if self._without_tools else {"tools": context.tools, "tool_choice": context.tool_choice}),
            )
        return await super().get_chat_completions(view)

    def _patience(self) -> Patience:
        options = self._options
        return Patience(
            first_token_secs=options.first_token_timeout_secs,
            stall_secs=options.token_stall_timeout_secs,
            reasoning_secs=options.reasoning_timeout_secs,
        )
