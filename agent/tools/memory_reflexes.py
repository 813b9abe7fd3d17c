"""What is said of the memory without a language model: that it is off, and whether all of it shall go.

In:  the user's words.   Out: a Reflex, or None: the words are about something else.
"""

from collections.abc import Awaitable, Callable
from typing import Any

from pipecat.processors.aggregators.llm_context import LLMContext, standard_message_text

from agent.tools.reflex_words import Matched, ReflexWords
from agent.tools.toolbox import Toolbox
from processors.llm.reflex import Reflex

REMEMBER, FORGET_ALL = "remember", "forget_everything"
# What keeps nothing, for whoever asks for it.
OFF = "memory_off"
# For a language model, as a note beside the words that ask for it.
NOTE = (
    "(No words of the user's: nothing is remembered from one conversation to the next, for the memory is off. If you "
    "are asked to remember something, say in one sentence that you know it in this conversation alone, and that the "
    "memory can be switched on in the settings; where you write, name the setting: {setting}.)"
)


class MemoryReflexes:
    """Of one conversation.

    Args:
        words: The language's.
        toolbox: Does what acts.
        hindered: Does a tool's work in this turn; gives what is said where it was not done, else nothing.
        off: The setting that keeps the memory off; empty where it is on, or is not this user's to switch on.
    """

    def __init__(
        self,
        words: ReflexWords,
        toolbox: Toolbox,
        hindered: Callable[[str, dict[str, Any]], Awaitable[str]],
        off: str,
    ) -> None:
        self._words = words
        self._toolbox = toolbox
        self._hindered = hindered
        self._off = off

    def find(self, text: str, matched: Matched | None) -> Reflex | None:
        """The reflex about the memory that these words ask for.

        Args:
            text: The user's turn.
            matched: What its words are by themselves.
        """
        if matched and matched.name == "forget_all":
            if self._toolbox.has(FORGET_ALL):
                return Reflex(matched.name, True, self._forget_all)
            return Reflex(OFF, False, self._nothing_kept) if self._off else None
        if self._off and not self._toolbox.has(REMEMBER) and self._words.memory.fact(text):
            return Reflex(OFF, False, self._tell_off, self._write_off)
        return None

    def amend(self, context: LLMContext) -> None:
        """Tell the language model that the memory is off, once a turn whose words may ask for it.

        Args:
            context: The conversation's.
        """
        if not self._off or self._toolbox.has(REMEMBER):
            return
        messages = list(context.messages)
        said = [at for at, one in enumerate(messages) if isinstance(one, dict) and one.get("role") == "user"]
        if not said:
            return
        choice, last = self._words.choice, messages[said[-1]]
        text = standard_message_text(last) if isinstance(last, dict) else ""
        note: Any = {"role": "developer", "content": NOTE.format(setting=self._off)}
        if choice.may_ask_for(REMEMBER, choice.turn(text)) and note not in messages[max(0, said[-1] - 1) : said[-1]]:
            context.set_messages([*messages[: said[-1]], note, *messages[said[-1] :]])

    async def _forget_all(self) -> str:
        return await self._hindered(FORGET_ALL, {}) or self._words.say("done")

    async def _nothing_kept(self) -> str:
        return self._words.say("nothing_kept")

    async def _tell_off(self) -> str:
        return self._words.say("memory_off")

    async def _write_off(self) -> str:
        return self._words.say("memory_off_written", setting=self._off)
