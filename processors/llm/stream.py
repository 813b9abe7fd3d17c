"""One request's reply: the model's chunks, watched for silence and freed from thoughts.

In:  a chat completion stream.   Out: chunks that hold text to speak, a piece of one tool call, or the usage.
"""

import asyncio
from collections.abc import AsyncGenerator, Awaitable
from dataclasses import dataclass
from typing import TypeVar

from openai import AsyncStream
from openai.types.chat import ChatCompletionChunk
from openai.types.chat.chat_completion_chunk import Choice, ChoiceDelta, ChoiceDeltaToolCall

from processors.llm.failure import ReplyTimeoutError
from processors.llm.thinking import ThinkFilter

T = TypeVar("T")

REASONING_FIELDS = ("reasoning_content", "reasoning")
SILENCE_MEND = "wait until the server is idle, choose a smaller model, or raise the timeout"


@dataclass(frozen=True)
class Patience:
    """How long a reply may keep silent.

    Attributes:
        first_token_secs: From the request to the first text, thought or tool call.
        stall_secs: Between two of them.
        reasoning_secs: From the first thought to the first text or tool call.
    """

    first_token_secs: float
    stall_secs: float
    reasoning_secs: float


class ReplyStream:
    """Reads one reply.

    Attributes:
        spoke: Text to speak has come out.
        called_tools: A tool call has come out.
        thought: The model has reasoned.
        finish_reason: The server's own word for why the reply ended; None while or unless it says so.
    """

    def __init__(self, patience: Patience, url: str, *, starts_inside_thought: bool = False) -> None:
        self.spoke = False
        self.called_tools = False
        self.thought = False
        self.finish_reason: str | None = None
        self._patience = patience
        self._think = ThinkFilter(starts_inside=starts_inside_thought)
        self._url = url
        self._clock = asyncio.get_running_loop().time
        self._asked_at = self._clock()
        self._alive_at: float | None = None
        self._thinking_since: float | None = None
        self._call_ids: list[str] = []

    @property
    def starts_inside_thought(self) -> bool:
        """Whether the next reply of this model is best read as starting inside a thought."""
        return self._think.closed_unopened

    @property
    def answered(self) -> bool:
        """Whether the reply holds anything for the listener or for a tool."""
        return self.spoke or self.called_tools

    async def chunks(
        self, request: Awaitable[AsyncStream[ChatCompletionChunk]]
    ) -> AsyncGenerator[ChatCompletionChunk, None]:
        """Send the request and pass on what matters; the HTTP response is closed however this ends.

        Raises:
            ReplyTimeoutError: The model was silent for longer than the patience allows.
        """
        stream = await self._in_time(request)
        try:
            while True:
                try:
                    chunk = await self._in_time(anext(stream))
                except StopAsyncIteration:
                    break
                for piece in self._sort(chunk):
                    yield piece
            if self.finish_reason != "length" or not self._think.thinking:
                for piece in self._text_chunk(self._think.flush()):
                    yield piece
        finally:
            await stream.close()

    async def _in_time(self, waiting: Awaitable[T]) -> T:
        deadline, silence = self._deadline()
        try:
            async with asyncio.timeout_at(deadline):
                return await waiting
        except TimeoutError as error:
            raise ReplyTimeoutError(f"the language model at {self._url} {silence}", SILENCE_MEND) from error

    def _deadline(self) -> tuple[float, str]:
        patience = self._patience
        if self._alive_at is None:
            return self._asked_at + patience.first_token_secs, (
                f"sent no first token within {patience.first_token_secs:g} s"
            )
        stalls_at = self._alive_at + patience.stall_secs
        stalled = f"stalled for {patience.stall_secs:g} s in the middle of its reply"
        if self._thinking_since is None or self.answered:
            return stalls_at, stalled
        reasons_until = self._thinking_since + patience.reasoning_secs
        return min((stalls_at, stalled), (reasons_until, f"was still reasoning after {patience.reasoning_secs:g} s"))

    def _sort(self, chunk: object) -> list[ChatCompletionChunk]:
        """Split a chunk into what is passed on: text, then one chunk for each tool call, then the usage."""
        if not isinstance(chunk, ChatCompletionChunk):
            return []
        pieces: list[ChatCompletionChunk] = []
        choice = chunk.choices[0] if chunk.choices else None
        if choice is not None:
            self.finish_reason = choice.finish_reason or self.finish_reason
            if choice.delta:
                pieces = [*self._text(choice.delta), *self._tool_calls(choice.delta)]
        if chunk.usage:
            pieces.append(chunk.model_copy(update={"choices": []}))
        return pieces

    def _text(self, delta: ChoiceDelta) -> list[ChatCompletionChunk]:
        thoughts_apart = any(getattr(delta, name, None) for name in REASONING_FIELDS)
        if thoughts_apart and not self.thought:
            self._think = ThinkFilter()
        text = self._think.feed(delta.content) if delta.content else ""
        if thoughts_apart or (delta.content and self._think.thinking):
            self.thought = True
            if self._thinking_since is None:
                self._thinking_since = self._clock()
            self._alive_at = self._clock()
        if delta.content:
            self._alive_at = self._clock()
        return self._text_chunk(text)

    def _text_chunk(self, text: str) -> list[ChatCompletionChunk]:
        if not self.spoke:
            text = text.lstrip()
        if not text:
            return []
        self.spoke = True
        return [_chunk_of(ChoiceDelta(content=text))]

    def _tool_calls(self, delta: ChoiceDelta) -> list[ChatCompletionChunk]:
        """One chunk a call: Pipecat reads only the first of a chunk, and tells calls apart by their index."""
        calls = delta.tool_calls or []
        if calls:
            self.called_tools = True
            self._alive_at = self._clock()
        return [_chunk_of(ChoiceDelta(tool_calls=[self._numbered(call)])) for call in calls]

    def _numbered(self, call: ChoiceDeltaToolCall) -> ChoiceDeltaToolCall:
        """Give every call id an index of its own; some servers send 0 for all."""
        if not call.id:
            return call
        if call.id not in self._call_ids:
            self._call_ids.append(call.id)
        return call.model_copy(update={"index": self._call_ids.index(call.id)})


def _chunk_of(delta: ChoiceDelta) -> ChatCompletionChunk:
    choice = Choice(index=0, delta=delta)
    return ChatCompletionChunk(id="", choices=[choice], created=0, model="", object="chat.completion.chunk")
