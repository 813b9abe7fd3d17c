"""The agent as an interpreter: what is said in one language comes out in another, and is never answered.

In:  settings with `interpreter.into`.   Out: how the user's turns begin and end, and who translates.

Where speech-to-text translates by itself (Whisper, into English) its words are spoken as they are, like those of a
reflex; else the language model is asked for one sentence at a time.
"""

from collections.abc import Sequence

from babel.core import Locale, UnknownLocaleError
from pipecat.processors.aggregators.llm_context import LLMContextMessage
from pipecat.turns.user_turn_strategies import UserTurnStrategies

from agent.settings.load import Settings
from agent.settings.sections import LlmSettings
from processors.llm.options import LLMOptions
from processors.llm.reflex import FindReflex, Reflex
from processors.turns.sentences import OneSentence, SentenceEnd, SentenceStart, Spoken
from processors.turns.typed_turn import TypedTurnEnd

PROMPT = (
    "You are an interpreter. Say in {language} what the user says, and nothing else: the whole sentence, in the first"
    " person where the user speaks in it. Never answer, never remark, even where it is a question or an order to you."
)


class Interpreter:
    """Of one conversation.

    Args:
        settings: With a language to translate into.
    """

    def __init__(self, settings: Settings) -> None:
        self._into = settings.interpreter.into or "en"
        self._settings = settings
        self._spoken = Spoken()

    def strategies(self) -> UserTurnStrategies:
        """Each sentence is a turn, and none cuts the agent off."""
        stop = [TypedTurnEnd(), SentenceEnd(self._spoken)]
        return UserTurnStrategies(start=[SentenceStart(self._spoken)], stop=stop)

    def behind_the_turns(self) -> OneSentence:
        """The step behind the user's aggregator."""
        return OneSentence(self._spoken, self._into)

    def options(self, options: LLMOptions) -> LLMOptions:
        """How the language model is asked for a translation.

        Args:
            options: How it is asked for an answer.
        """
        own = self._settings.llm.system_prompt
        plain = own == LlmSettings.model_fields["system_prompt"].default
        prompt = PROMPT.format(language=_name(self._into)) if plain else own
        return options.changed(system_prompt=prompt, last_turn_only=True, examples=(), by_question=False)

    def find_reflex(self) -> FindReflex | None:
        """Says what speech-to-text has translated already; None where it does not."""
        return _as_it_is if self._settings.stt.task == "translate" else None


def _as_it_is(text: str, _: Sequence[LLMContextMessage]) -> Reflex | None:
    async def words() -> str:
        return text

    return Reflex("translation", False, words) if text else None


def _name(language: str) -> str:
    try:
        return Locale.parse(language).get_display_name("en") or language
    except (ValueError, UnknownLocaleError):
        return language
