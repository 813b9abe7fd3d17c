"""How questions are answered in writing alone, whoever asks: by which model, tools, reflexes and interpreter, and in
turn.

In:  the loaded model's options, a question, a history.   Out: the answer in pieces; the history goes on.

What stays in the history: the question with its answer; where the answer broke off (the model failed, nobody takes it
any more), the question with the part that was handed out, marked as cut off. A question of whose answer not a word was
handed out leaves no trace, so that it can be asked again. What tools gave stands between the two, as in calls.
"""

import asyncio
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, cast

from pipecat.processors.aggregators.llm_context import LLMContextMessage

from agent.conversation.abilities import permitted, served, written_reflexes, written_tools
from agent.conversation.histories import History
from agent.conversation.interpreter import Interpreter
from agent.conversation.typed_question import write_answer
from agent.conversation.written_tools import AnswerNotes, Choice, WrittenTools, only_reads
from agent.memory.tools import memory_tools
from agent.memory.user_memory import UserMemory
from agent.settings.load import Settings
from agent.tools.mcp_servers import McpServers
from agent.tools.tool import Tool
from agent.tools.tool_room import fitting, room_for
from processors.llm.history import mark_interrupted, n_earlier_turns
from processors.llm.options import LLMOptions
from processors.llm.pictures import asked_with, latest_pictures
from processors.llm.reflex import FindReflex
from processors.turns.heard_speech import HeardSpeech

# Nobody types faster; a flood of questions, each of which builds a pipeline, leaves calls their turns.
BETWEEN_SECS = 0.1


@dataclass(frozen=True)
class Answerer:
    """How one question is answered.

    Attributes:
        options: Which model, and how.
        find_reflex: Finds what needs no model.
        interpreter: Where questions are translated, and not answered.
        tools: What the model can call; for this one answer.
        memory: Whose memory they search, if anybody's.
    """

    options: LLMOptions
    find_reflex: FindReflex | None
    interpreter: Interpreter | None = None
    tools: WrittenTools = field(default_factory=WrittenTools)
    memory: UserMemory | None = None


class WrittenAnswers:
    """Of one server.

    Args:
        settings: Its own.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._next_secs = 0.0

    @cached_property
    def _find_reflex(self) -> FindReflex:
        return written_reflexes(self._settings)

    @cached_property
    def _tools(self) -> list[Tool]:
        return written_tools(self._settings)

    def answerer(
        self,
        options: LLMOptions,
        servers: McpServers | None = None,
        memory: UserMemory | None = None,
        functions: Sequence[Tool] | None = None,
        choice: Choice = "auto",
    ) -> Answerer:
        """Who answers a question: an interpreter of its own where there is one, for which language the sentence before
        was in belongs to a call.

        Args:
            options: Of the model that is loaded.
            servers: Of tools; it uses those that only read.
            memory: Of whoever asks; it is searched.
            functions: Of the caller's; where there are any, what needs no model is the model's, too. Empty, but not
                None: nothing may be called.
            choice: See WrittenTools.
        """
        if self._settings.interpreter.is_on:
            interpreter = Interpreter(self._settings, HeardSpeech())
            return Answerer(interpreter.options(options), interpreter.find_reflex(), interpreter)
        own = [] if functions is not None and not functions else self._own_tools(options, servers, memory, functions)
        tools = WrittenTools(own, functions or (), choice)
        return Answerer(options, None if functions else self._find_reflex, tools=tools, memory=memory)

    def _own_tools(
        self,
        options: LLMOptions,
        servers: McpServers | None,
        memory: UserMemory | None,
        functions: Sequence[Tool] | None,
    ) -> list[Tool]:
        wanted = self._settings.tools
        remembered = permitted(memory_tools(memory), wanted.memory) if memory else []
        own = [*self._tools, *filter(only_reads, remembered)]
        there = {tool.name for tool in own}
        lent = served(servers.tools(), wanted.servers) if servers else []
        lent = [tool for tool in lent if only_reads(tool) and tool.name not in there]
        return [*own, *fitting(lent, [*own, *(functions or ())], room_for(options))]

    async def turn(self) -> None:
        """Wait until a question may begin: one after the other, with a moment between."""
        now_secs = time.monotonic()
        begins_secs = max(now_secs, self._next_secs)
        self._next_secs = begins_secs + BETWEEN_SECS
        await asyncio.sleep(begins_secs - now_secs)


async def answer_in(
    history: History,
    question: str,
    answerer: Answerer,
    notes: AnswerNotes | None = None,
    *,
    is_spoken: bool = False,
    pictures: Sequence[str] = (),
) -> AsyncGenerator[str, None]:
    """The answer to the next question of a conversation, piece by piece. Leaving early (`aclose`) ends the model's run.

    Args:
        history: Held by the caller.
        question: The text.
        answerer: Who answers.
        notes: See `write_answer`.
        is_spoken: See `write_answer`.
        pictures: Shown with the question, as data URLs.

    Raises:
        AnswerError: The model failed; what came before stands.
    """
    context = history.context
    asked = answerer.interpreter.typed(question) if answerer.interpreter else context
    if answerer.memory:
        # Without the question, which nobody has seen yet.
        answerer.memory.n_turns_told = lambda: n_earlier_turns(context.messages)
    message = asked_with(question, pictures)
    context.set_messages(latest_pictures([*context.messages, message]))
    handed_out: list[str] = []
    is_whole = False
    try:
        pieces = write_answer(
            answerer.options, asked, answerer.find_reflex, notes, tools=answerer.tools, is_spoken=is_spoken
        )
        async with aclosing(pieces):
            async for piece in pieces:
                handed_out.append(piece)
                yield piece
        is_whole = True
    finally:
        _remember(history, message, "".join(handed_out).strip(), is_whole=is_whole)


def _remember(history: History, question: LLMContextMessage, reply: str, *, is_whole: bool) -> None:
    context = history.context
    messages = context.messages
    at = next((at for at, message in enumerate(messages) if message is question), None)
    if at is None:
        # It was enormous, and has lost its middle.
        users = (at for at, message in enumerate(messages) if isinstance(message, dict) and message["role"] == "user")
        at = max(users, default=len(messages))
    if not reply:
        context.set_messages(messages[:at])
        return
    # What was said before a call is part of the reply.
    called = [_without_words(message) for message in messages[at + 1 :]]
    context.set_messages(
        [*messages[: at + 1], *called, cast(LLMContextMessage, {"role": "assistant", "content": reply})]
    )
    if not is_whole:
        context.set_messages(mark_interrupted(context.messages, reply))


def _without_words(message: LLMContextMessage) -> LLMContextMessage:
    fields = cast(dict[str, Any], message)
    is_call = isinstance(message, dict) and bool(fields.get("tool_calls"))
    kept = {name: value for name, value in fields.items() if name != "content"} if is_call else fields
    return cast(LLMContextMessage, kept)
