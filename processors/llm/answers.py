"""Answers that are kept: the same first question to the same model gets the same answer, at once.

In:  the history of a question, and the chunks of its reply.   Out: the text of an earlier reply, or None.
Only where nothing was said before, no tool was called and the reply ended by itself.
"""

from collections import OrderedDict
from collections.abc import AsyncGenerator, Callable, Hashable
from contextlib import aclosing

from openai.types.chat import ChatCompletionChunk
from pipecat.processors.aggregators.llm_context import LLMContext, standard_message_text

from processors.llm.call_ids import tool_names
from processors.llm.reflex import Reflex

MAX_ANSWERS = 256
# Of one answer, and of all.
MAX_CHARS, MAX_CHARS_IN_ALL = 2_000, 200_000


class Answers:
    """Of all conversations; the one that was used longest ago makes room."""

    def __init__(self, max_answers: int = MAX_ANSWERS) -> None:
        self._max_answers = max_answers
        self._texts: OrderedDict[Hashable, str] = OrderedDict()
        self._n_chars = 0

    def __len__(self) -> int:
        return len(self._texts)

    def find(self, key: Hashable) -> str | None:
        """The answer to a question, if there is one."""
        if key not in self._texts:
            return None
        self._texts.move_to_end(key)
        return self._texts[key]

    def keep(self, key: Hashable, text: str) -> None:
        """Keep an answer, unless it is very long."""
        if len(text) > MAX_CHARS:
            return
        self._n_chars += len(text) - len(self._texts.pop(key, ""))
        self._texts[key] = text
        while len(self._texts) > self._max_answers or self._n_chars > MAX_CHARS_IN_ALL:
            _, dropped = self._texts.popitem(last=False)
            self._n_chars -= len(dropped)


class KeptAnswers:
    """The answers as one conversation sees them.

    Args:
        answers: Of all conversations.
        about: Whatever beside the words decides what the model answers.
    """

    def __init__(self, answers: Answers, about: Hashable) -> None:
        self._answers = answers
        self._about = about

    def reflex(self, context: LLMContext, *, written: bool) -> Reflex | None:
        """The kept answer to the last message, as a reply without the model.

        Args:
            context: The history, with the question.
            written: Whether the answer is read, not heard.
        """
        key = self._key(context, written=written)
        text = self._answers.find(key) if key else None
        if text is None:
            return None

        async def answer() -> str:
            return text

        return Reflex("kept_answer", acts=False, answer=answer)

    async def noting(
        self,
        chunks: AsyncGenerator[ChatCompletionChunk, None],
        context: LLMContext,
        *,
        written: bool,
        ended_by_itself: Callable[[], bool],
    ) -> AsyncGenerator[ChatCompletionChunk, None]:
        """The chunks of a reply; what they say is kept if it is whole and nothing was called.

        Args:
            chunks: Of the model; closed with this.
            context: The history that it answers.
            written: Whether the answer is read, not heard.
            ended_by_itself: Whether the model, and no limit, ended the reply; asked when it is over.
        """
        key, texts, called = self._key(context, written=written), list[str](), False
        async with aclosing(chunks):
            async for chunk in chunks:
                for choice in chunk.choices:
                    texts.append(choice.delta.content or "")
                    called |= bool(choice.delta.tool_calls)
                yield chunk
        text = "".join(texts)
        if key and text.strip() and not called and ended_by_itself():
            self._answers.keep(key, text)

    def _key(self, context: LLMContext, *, written: bool) -> Hashable | None:
        told: list[tuple[str, str]] = []
        for message in context.messages[:-1]:
            if not isinstance(message, dict) or message.get("role") in ("user", "tool") or "tool_calls" in message:
                return None
            told.append((str(message.get("role")), standard_message_text(message)))
        last = context.messages[-1] if context.messages else None
        if not isinstance(last, dict) or last.get("role") != "user" or not isinstance(last.get("content"), str):
            return None
        # "C", "C#" and "C++" are three questions.
        words = " ".join(standard_message_text(last).casefold().split()).rstrip(".?! ")
        return (self._about, written, tuple(tool_names(context)), tuple(told), words) if words else None
