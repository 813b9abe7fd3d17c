"""How questions are answered in writing alone, whoever asks: by which model, reflexes and interpreter, and in turn.

In:  the loaded model's options, a question, a history.   Out: the answer in pieces; the history goes on.

What stays in the history: the question with its answer; where the answer broke off (the model failed, nobody takes it
any more), the question with the part that was handed out, marked as cut off. A question of whose answer not a word was
handed out leaves no trace, so that it can be asked again.
"""

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from functools import cached_property

from pipecat.processors.aggregators.llm_context import LLMContextMessage

from agent.conversation.abilities import written_reflexes
from agent.conversation.histories import History
from agent.conversation.interpreter import Interpreter
from agent.conversation.typed_question import write_answer
from agent.settings.load import Settings
from processors.llm.history import mark_interrupted
from processors.llm.options import LLMOptions
from processors.llm.pictures import asked_with, latest_pictures
from processors.llm.reflex import FindReflex
from processors.llm.routing import Answering
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
    """

    options: LLMOptions
    find_reflex: FindReflex | None
    interpreter: Interpreter | None = None


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

    def answerer(self, options: LLMOptions) -> Answerer:
        """Who answers a question: an interpreter of its own where there is one, for which language the sentence before
        was in belongs to a call.

        Args:
            options: Of the model that is loaded.
        """
        if not self._settings.interpreter.is_on:
            return Answerer(options, self._find_reflex)
        interpreter = Interpreter(self._settings, HeardSpeech())
        return Answerer(interpreter.options(options), interpreter.find_reflex(), interpreter)

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
    tell: Callable[[Answering], None] = lambda _: None,
    *,
    is_spoken: bool = False,
    pictures: Sequence[str] = (),
) -> AsyncGenerator[str, None]:
    """The answer to the next question of a conversation, piece by piece. Leaving early (`aclose`) ends the model's run.

    Args:
        history: Held by the caller.
        question: The text.
        answerer: Who answers.
        tell: See `write_answer`.
        is_spoken: See `write_answer`.
        pictures: Shown with the question, as data URLs.

    Raises:
        AnswerError: The model failed; what came before stands.
    """
    context = history.context
    asked = answerer.interpreter.typed(question) if answerer.interpreter else context
    message = asked_with(question, pictures)
    context.set_messages(latest_pictures([*context.messages, message]))
    handed_out: list[str] = []
    is_whole = False
    try:
        pieces = write_answer(answerer.options, asked, answerer.find_reflex, tell, is_spoken=is_spoken)
        async with aclosing(pieces):
            async for piece in pieces:
                handed_out.append(piece)
                yield piece
        is_whole = True
    finally:
        _remember(history, message, "".join(handed_out).strip(), is_whole=is_whole)


def _remember(history: History, question: LLMContextMessage, reply: str, *, is_whole: bool) -> None:
    context = history.context
    if not reply:
        context.set_messages([message for message in context.messages if message is not question])
        return
    context.add_message({"role": "assistant", "content": reply})
    if not is_whole:
        context.set_messages(mark_interrupted(context.messages, reply))
