"""One request's reply: the model's chunks, watched for silence and freed from thoughts.

In:  a chat completion stream.   Out: chunks that hold text to speak, a piece of one tool call, or the usage.
"""

import asyncio
import json
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Set
from dataclasses import dataclass, replace
from typing import TypeVar

from loguru import logger
from openai import AsyncStream
from openai.types.chat import ChatCompletionChunk
from openai.types.chat.chat_completion_chunk import Choice, ChoiceDelta
from pipecat.utils.errors import ErrorCategory

from processors.llm.budget import ReplyBudget
from processors.llm.call_texts import WrittenCall, calls_in
from processors.llm.chunks import CallCollector, CallPiece, Piece, read_chunk
from processors.llm.failure import ReplyError, ReplyTimeoutError, quote
from processors.llm.placed_arguments import Parameters
from processors.llm.thinking import ThinkFilter

T = TypeVar("T")

MISCALL = "a tool call without a name or without arguments in JSON"
MISCALL_MEND = "try another model, or have its server read tool calls"
ENDLESS_MEND = "try another server, which keeps to the limit of tokens, or raise llm.max_tokens"
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
        content_type: What the server says its answer is; empty while or unless it says so.
    """

    def __init__(
        self,
        patience: Patience,
        url: str,
        *,
        starts_inside_thought: bool = False,
        again: bool = False,
        tools: Set[str] = frozenset(),
        takes: Mapping[str, Parameters] | None = None,
        makes_written: Callable[[WrittenCall], bool] | None = None,
        budget: ReplyBudget,
        is_callable: Callable[[str], bool] = lambda _: True,
        call_id: Callable[[str], str] = lambda given: given,
    ) -> None:
        """Begin to wait; nothing is sent yet.

        Args:
            patience: How long it may keep silent.
            url: Of the server, for errors.
            starts_inside_thought: It begins inside a thought.
            again: The model's template allows thoughts in the middle of a reply.
            tools: The history's, whose calls are not spoken.
            takes: What they take, where that is known.
            makes_written: Whether a call that it writes as text is made; None: none is, for it is offered no tools.
            budget: How long it may get.
            is_callable: Whether anybody makes a call of a name.
            call_id: A name for a call that no other one has.
        """
        self.content_type = ""
        self.spoke = False
        self.called_tools = False
        self.thought = False
        self.finish_reason: str | None = None
        self._patience = patience
        self._again = again
        self._tools = tools
        self._takes = takes
        self._makes_written = makes_written
        self._think = ThinkFilter(starts_inside=starts_inside_thought, again=again, tools=tools)
        self._half = ""
        self._url = url
        self._clock = asyncio.get_running_loop().time
        self._asked_at = self._clock()
        self._alive_at: float | None = None
        self._thinking_since: float | None = None
        self._calls = CallCollector()
        self._budget = budget
        self._is_callable = is_callable
        self._call_id = call_id
        self._uncallable: str | None = None

    @property
    def starts_inside_thought(self) -> bool:
        """Whether the next reply of this model is best read as starting inside a thought."""
        return self._think.closed_unopened

    @property
    def wrote_call(self) -> bool:
        """Whether a tool call came as text, which nobody is to hear."""
        return self._think.called

    @property
    def miscalled(self) -> bool:
        """Whether tools were called, but by no call that can be made: Pipecat would drop them without a word."""
        return self._calls.n_unreadable > 0 and not self.called_tools

    @property
    def misfit(self) -> str | None:
        """What is wrong with all the calls of the reply, if it holds any and nobody can make one."""
        if self._uncallable and not self.called_tools:
            return f"a call of a tool that nobody has ({quote(self._uncallable)})"
        return MISCALL if self.miscalled else None

    @property
    def answered(self) -> bool:
        """Whether the reply holds anything for the listener or for a tool."""
        return self.spoke or self.called_tools

    def silent_secs(self) -> float:
        """For how long nothing has come of it."""
        return self._clock() - (self._asked_at if self._alive_at is None else self._alive_at)

    async def chunks(
        self, request: Awaitable[AsyncStream[ChatCompletionChunk]]
    ) -> AsyncGenerator[ChatCompletionChunk, None]:
        """Send the request and pass on what matters; the HTTP response is closed however this ends.

        Raises:
            ReplyTimeoutError: The model was silent for longer than the patience allows.
            ReplyError: It said that it failed, or spoke and then called a tool in a way that nobody can read.
        """
        stream = await self._in_time(request)
        self.content_type = stream.response.headers.get("content-type", "").partition(";")[0].strip().lower()
        try:
            while True:
                try:
                    chunk = await self._in_time(anext(stream))
                except StopAsyncIteration:
                    break
                for piece in self._sort(chunk):
                    yield piece
                self._check_budget()
            if self.finish_reason != "length" or not self._think.thinking:
                for piece in self._text_chunk(self._think.flush()):
                    yield piece
            self._take_written()
            for piece in self._tool_calls():
                yield piece
            if self.misfit and self.spoke:
                raise ReplyError(
                    f"the language model at {self._url} sent {self.misfit}", MISCALL_MEND, ErrorCategory.SERVER
                )
        finally:
            await stream.close()

    def _check_budget(self) -> None:
        if self._budget.spent:
            raise ReplyError(
                f"the language model at {self._url} did not end its reply within {self._budget.max_chars} characters",
                ENDLESS_MEND,
                ErrorCategory.SERVER,
            )

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
        """Split a chunk into what is passed on: text, then the usage; tool calls wait for the end of the reply."""
        piece = read_chunk(chunk)
        if piece.problem:
            raise ReplyError(
                f"the language model at {self._url} broke off its reply ({quote(piece.problem)})",
                "look at the server's log",
                ErrorCategory.SERVER,
            )
        self.finish_reason = piece.finish_reason or self.finish_reason
        if piece.text or piece.thought or piece.calls:
            called = sum(len(call.name) + len(call.arguments) for call in piece.calls)
            piece = replace(piece, text=self._budget.take(piece.text, called))
        pieces = self._text(piece)
        for call in piece.calls:
            self.called_tools = True
            self._alive_at = self._clock()
            self._calls.add(call)
        if piece.usage:
            pieces.append(_chunk_of(ChoiceDelta()).model_copy(update={"choices": [], "usage": piece.usage}))
        return pieces

    def _text(self, piece: Piece) -> list[ChatCompletionChunk]:
        if piece.thought and not self.thought:
            self._think = ThinkFilter(again=self._again, tools=self._tools, thought_apart=True)
        text = self._think.feed(self._whole_characters(piece.text)) if piece.text else ""
        if piece.thought or (piece.text and self._think.thinking):
            self.thought = True
            if self._thinking_since is None:
                self._thinking_since = self._clock()
            self._alive_at = self._clock()
        if piece.text:
            self._alive_at = self._clock()
        return self._text_chunk(text)

    def _whole_characters(self, text: str) -> str:
        """The text with the halves of a character joined that servers put into two chunks; a lone half is replaced."""
        text = self._half + text
        self._half = text[-1] if "\ud800" <= text[-1] <= "\udbff" else ""
        whole = text[: len(text) - len(self._half)]
        return whole.encode("utf-16", "surrogatepass").decode("utf-16", "replace")

    def _text_chunk(self, text: str) -> list[ChatCompletionChunk]:
        if not self.spoke:
            text = text.lstrip()
        if not text:
            return []
        self.spoke = True
        return [_chunk_of(ChoiceDelta(content=text))]

    def _take_written(self) -> None:
        """Calls that were written as text are made like others, if their server has read none itself."""
        texts = self._think.call_texts
        if self.called_tools or not texts:
            return
        makes = self._makes_written if self.finish_reason != "length" else None
        found = [
            [call for call in calls_in(text, self._tools, self._takes) if makes(call)] if makes else []
            for text in texts
        ]
        calls = [call for one in found for call in one]
        for index, call in enumerate(call for at, call in enumerate(calls) if call not in calls[:at]):
            self.called_tools = True
            self._calls.add(CallPiece(index, None, call.name, json.dumps(call.arguments, ensure_ascii=False)))
        if n_dropped := sum(not one for one in found):
            why = "they stand in a sentence, name no tool that is offered, cannot be read, or are quoted"
            logger.warning(f"llm: tool calls that were written as text were dropped ({n_dropped}): {why}")

    def _tool_calls(self) -> list[ChatCompletionChunk]:
        """One chunk a call that somebody can make: Pipecat reads only the first of a chunk."""
        calls = []
        for call in self._calls.calls():
            name = call.function.name if call.function else None
            if name and self._is_callable(name):
                calls.append(call.model_copy(update={"index": len(calls), "id": self._call_id(call.id or "")}))
            else:
                self._uncallable = name
        self.called_tools = bool(calls)
        return [_chunk_of(ChoiceDelta(tool_calls=[call])) for call in calls]


def _chunk_of(delta: ChoiceDelta) -> ChatCompletionChunk:
    choice = Choice(index=0, delta=delta)
    return ChatCompletionChunk(id="", choices=[choice], created=0, model="", object="chat.completion.chunk")
