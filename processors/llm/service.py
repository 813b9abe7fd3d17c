"""Language model service: a conversation in, the words of the reply out, from any OpenAI-compatible server.

In:  LLMContextFrame.   Out: ReplyBegunFrame, LLMFullResponseStartFrame, LLMTextFrame..., LLMFullResponseEndFrame, tool
     call frames; TTSSpeakFrame (an apology, kept out of the conversation) and ErrorFrame upstream when the model fails.

Small local servers go away, come back, stall, think aloud, answer nothing and run out of context. None of that
ends the session: an error is never a permanent one in Pipecat's sense, and the next turn asks again.
"""

import asyncio
import re
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any, cast

import openai
import openai.resources.chat  # Loaded by the client on first use otherwise, which would stall the event loop.
from loguru import logger
from openai import AsyncOpenAI, AsyncStream, DefaultAsyncHttpxClient
from openai.types.chat import ChatCompletionChunk
from pipecat.adapters.llm.schemas.tools_schema import ToolsSchema
from pipecat.frames.frames import (
    EagerEndOfTurnCancelFrame,
    Frame,
    InterruptionFrame,
    LLMContextFrame,
    LLMFullResponseEndFrame,
    TTSSpeakFrame,
    UserStartedSpeakingFrame,
)
from pipecat.processors.aggregators.llm_context import LLMContext, LLMContextMessage
from pipecat.processors.frame_processor import FrameDirection
from pipecat.services.openai.llm import OpenAILLMService
from pipecat.utils.errors import ErrorCategory, classify_http_exception
from pipecat.utils.http import connection_limits

from processors.errors import MendedError
from processors.frames import ReplyBegunFrame, WrittenReplyFrame
from processors.llm.budget import ReplyBudget
from processors.llm.failure import (
    ReplyError,
    ReplyTimeoutError,
    explain,
    is_context_overflow,
    is_gone,
    lacks_version,
    let_go,
)
from processors.llm.history import as_sent, last_user_words, with_hint
from processors.llm.keeper import ServerKeeper, look_after
from processors.llm.rounds import ToolRounds
from processors.llm.settled_calls import SettledCalls
from processors.llm.shortening import Shortening
from processors.llm.sse import PatientOpenAI
from processors.llm.stream import MISCALL_MEND, Patience, ReplyStream
from processors.llm.templates import UNKNOWN_TEMPLATE, TemplateMarks
from processors.llm.thinking import ThinkFilter
from processors.shown_url import shown_url
from processors.turns.speculation import OpenSpeculationGate

# Beside a question whose answer is read; the persona asks for plain speech.
WRITTEN_HINT = "(I typed this and will read the answer: Markdown, lists and code are welcome.)"
LOST_THREAD = "Sorry, I lost my train of thought."

# Everything else the OpenAI client adds (the caller's platform, headers from the environment) stays here.
SENT_HEADERS = {"host", "accept", "accept-encoding", "connection", "content-type", "content-length"}

# Models whose chat template ends the prompt with the opening tag of a thought.
_STARTS_INSIDE_THOUGHT = re.compile(r"deepseek-?r1|qwq|thinking", re.IGNORECASE)


@dataclass(frozen=True)
class LLMOptions:
    """How to ask one model at one endpoint.

    Attributes:
        base_url: The OpenAI-compatible endpoint, ending in /v1.
        model: A name that the endpoint lists.
        api_key: Sent as bearer token.
        system_prompt: What the agent is told about itself.
        temperature: Sampling temperature.
        top_p: Nucleus sampling.
        max_tokens: Upper limit of one reply.
        first_token_timeout_secs: From the request to the first text, thought or tool call.
        token_stall_timeout_secs: Between two of them.
        reasoning_timeout_secs: From the first thought to the first text or tool call.
        connect_timeout_secs: To open the connection.
        empty_retries: How often an empty reply is asked for again.
        last_turn_only: Send the system prompt, `examples` and the user's last words; for the smallest models.
        examples: Pairs of user words and reply that show the tone; sent with `last_turn_only`.
        apology: Said when no reply came.
        extra_body: Further fields of the request, such as `{"chat_template_kwargs": {"enable_thinking": False}}`.
        template: What the model's chat template says about thoughts, where the server tells it.
        keeper: Mends the server, where it is ours.
    """

    base_url: str
    model: str
    api_key: str = field(default="none", repr=False)
    system_prompt: str = "You are a friendly voice assistant. Answer in one to three short spoken sentences."
    temperature: float = 0.7
    top_p: float = 0.95
    max_tokens: int = 512
    first_token_timeout_secs: float = 15.0
    token_stall_timeout_secs: float = 10.0
    reasoning_timeout_secs: float = 60.0
    connect_timeout_secs: float = 2.0
    empty_retries: int = 1
    last_turn_only: bool = False
    examples: tuple[tuple[str, str], ...] = ()
    apology: str = "Sorry, I can't think right now. Please try again in a moment."
    extra_body: Mapping[str, Any] = field(default_factory=dict)
    template: TemplateMarks = UNKNOWN_TEMPLATE
    keeper: ServerKeeper | None = field(default=None, repr=False, compare=False)


class LocalLLMService(OpenAILLMService):
    """Asks one endpoint; one instance a conversation."""

    supports_developer_role = False

    def __init__(self, options: LLMOptions, **kwargs: Any) -> None:
        """Prepare to ask; nothing is sent yet.

        Args:
            options: Which model, where and how.
            **kwargs: For Pipecat's LLMService, such as `function_call_timeout_secs`.
        """
        self._options = options
        self._apology_due: str | None = None
        # Whether the reply is read, not heard; Pipecat's own switch marks its frames.
        self._written = False
        self._spoke = False
        self._settled_calls = SettledCalls()
        self._rounds = ToolRounds()
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
        """A client that reads no environment, follows no redirect, and tells the endpoint nothing but the request."""
        options = self._options
        plain = options.base_url.startswith("http:")

        async def strip_headers(request: Any) -> None:
            for name in [name for name in request.headers if name.lower() not in SENT_HEADERS]:
                del request.headers[name]
            request.headers["Authorization"] = f"Bearer {options.api_key or 'none'}"

        # A local server may close an idle connection in the moment it is used again; a new one costs nothing there.
        longest_silence_secs = max(options.first_token_timeout_secs, options.reasoning_timeout_secs)
        http_client = DefaultAsyncHttpxClient(
            timeout=openai.Timeout(longest_silence_secs, connect=options.connect_timeout_secs),
            limits=connection_limits(max_keepalive_connections=0 if plain else 4, keepalive_expiry=4.0),
            event_hooks={"request": [strip_headers]},
            follow_redirects=False,
            trust_env=False,
            verify=not plain,  # Reading the certificates takes 20 ms of the event loop.
        )
        return PatientOpenAI(
            max_event_bytes=ReplyBudget(options.max_tokens).max_event_bytes,
            api_key=options.api_key or "none",
            organization="",
            project="",
            base_url=options.base_url,
            max_retries=0,
            http_client=http_client,
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
        self._settled_calls.note(frame)
        await super().push_frame(frame, direction)

    async def get_chat_completions(self, context: LLMContext) -> AsyncStream[ChatCompletionChunk]:
        """The chunks of the reply; empty replies and context overflows are asked for again on the way."""
        return cast(AsyncStream[ChatCompletionChunk], self._reply(context))

    async def run_inference(self, *args: Any, **kwargs: Any) -> str | None:
        """Ask once outside of the conversation; thoughts are taken out."""
        text = await super().run_inference(*args, **kwargs)
        if text is None:
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
                if self._tries_version(error):
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
                return
            if retries_left == 0 or (reply.thought and reply.finish_reason == "length"):
                raise self._empty(reply)
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
        return ReplyStream(
            self._patience(),
            shown_url(self._options.base_url),
            starts_inside_thought=self._starts_inside_thought,
            again=self._options.template.again,
            tools=_tool_names(context),
            budget=ReplyBudget(self._options.max_tokens),
            # Where there are tools, Pipecat tells the model that this is none of them, and the model may do better.
            is_callable=lambda name: bool(self._functions) or self.has_function(name),
        )

    async def _request(
        self, messages: Sequence[LLMContextMessage], context: LLMContext
    ) -> AsyncStream[ChatCompletionChunk]:
        if self._options.last_turn_only:
            view = LLMContext(_example_messages(self._options.examples, last_user_words(messages)))
        else:
            sent = as_sent(messages)
            view = LLMContext(
                with_hint(sent, WRITTEN_HINT) if self._written else sent,
                tools=context.tools,
                tool_choice=context.tool_choice,
            )
        return await super().get_chat_completions(view)

    def _patience(self) -> Patience:
        options = self._options
        return Patience(
            first_token_secs=options.first_token_timeout_secs,
            stall_secs=options.token_stall_timeout_secs,
            reasoning_secs=options.reasoning_timeout_secs,
        )

    def _empty(self, reply: ReplyStream) -> ReplyError:
        url = shown_url(self._options.base_url)
        if reply.wrote_call:
            what, mend = "a tool call written as text", "have its server read tool calls, or try another model"
        elif reply.misfit:
            what, mend = reply.misfit, MISCALL_MEND
        elif reply.thought:
            what, mend = "only thoughts", "raise the limit of tokens, or switch the model's reasoning off"
        elif reply.content_type not in ("", "text/event-stream"):
            what = f"no stream of words, but {reply.content_type}"
            mend = "give the address of an OpenAI-compatible server, usually ending in /v1"
        else:
            what, mend = "nothing", "try another model, or a larger context"
        return ReplyError(f"{self._options.model} at {url} replied with {what}", mend, ErrorCategory.APPLICATION)


def _tool_names(context: LLMContext) -> frozenset[str]:
    tools = context.tools
    if not isinstance(tools, ToolsSchema):
        return frozenset()
    return frozenset(tool.name for tool in tools.standard_tools)


def _example_messages(examples: Sequence[tuple[str, str]], words: str) -> list[LLMContextMessage]:
    messages: list[dict[str, str]] = []
    for said, replied in examples:
        messages += [{"role": "user", "content": said}, {"role": "assistant", "content": replied}]
    messages.append({"role": "user", "content": words})
    return cast(list[LLMContextMessage], messages)
