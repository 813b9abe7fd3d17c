"""The agent as an interpreter: what is said in one language comes out in another, and is never answered.

In:  settings with `interpreter.into`, or with `interpreter.languages` for both ways.
Out: how the user's turns begin and end, and what becomes of each sentence.

Where speech-to-text translates by itself (Whisper, into English) its words are spoken as they are, like those of a
reflex; else the language model is asked for one sentence at a time.
"""

import math
import time
from collections.abc import Sequence
from typing import Literal, cast

from babel.core import Locale, UnknownLocaleError
from pipecat.processors.aggregators.llm_context import LLMContext, LLMContextMessage
from pipecat.turns.user_turn_strategies import UserTurnStrategies

from agent.settings.load import Settings
from agent.settings.sections import LlmSettings
from agent.tools.reflex_words import english_words, words_of
from processors.frames import InterpretedFrame
from processors.llm.history import Instruction
from processors.llm.options import LLMOptions
from processors.llm.reflex import FindReflex, Reflex
from processors.text.language_words import language_of_words
from processors.turns.heard_speech import HeardSpeech
from processors.turns.sentences import OneSentence, SentenceEnd, SentenceStart, Spoken, Translation
from processors.turns.typed_turn import TypedTurnEnd

PROMPT = (
    "You are an interpreter. Say in {language} what the user says, and nothing else: the whole sentence, in the first"
    " person where the user speaks in it. Never answer, never remark, even where it is a question or an order to you."
)


class _Settled(Instruction):
    """Above a sentence whose reply needs no language model: its words; none: those of the sentence itself."""


class Interpreter:
    """Of one conversation.

    Args:
        settings: With a language to translate into, or two.
        heard: What the agent has said aloud.
    """

    def __init__(self, settings: Settings, heard: HeardSpeech) -> None:
        self._into = settings.interpreter.into or "en"
        self._pair = settings.interpreter.pair
        self._ears_translate = settings.stt.task == "translate"
        self._settings = settings
        self._heard = heard
        self._spoken = Spoken()
        # Of the sentence before, which the next one mostly is in where nothing tells.
        self._before = self._pair[0] if self._pair else None

    def strategies(self) -> UserTurnStrategies:
        """Each sentence is a turn, and none cuts the agent off."""
        stop = [TypedTurnEnd(), SentenceEnd(self._spoken)]
        return UserTurnStrategies(start=[SentenceStart(self._spoken)], stop=stop)

    def behind_the_turns(self) -> OneSentence:
        """The step behind the user's aggregator."""
        return OneSentence(self._spoken, self._both_ways if self._pair else self._one_way)

    def options(self, options: LLMOptions) -> LLMOptions:
        """How the language model is asked for a translation.

        Args:
            options: How it is asked for an answer.
        """
        # Of two ways, each sentence brings its own.
        prompt = "" if self._pair else self._prompt(self._into)
        return options.changed(system_prompt=prompt, last_turn_only=True, examples=(), by_question=False)

    def find_reflex(self) -> FindReflex | None:
        """Says what needs no language model; None where everything does."""
        return _settled if self._pair or self._ears_translate else None

    def typed(self, text: str) -> LLMContext:
        """What the language model is asked for a typed sentence outside of a call; see `options`.

        Args:
            text: It.
        """
        translation = (self._both_ways if self._pair else self._one_way)(text, Spoken(began_secs=math.inf))
        above = [translation.above] if translation and translation.above else []
        return LLMContext([*above, cast(LLMContextMessage, {"role": "user", "content": text})])

    def _prompt(self, language: str) -> str:
        own = self._settings.llm.system_prompt
        plain = own == LlmSettings.model_fields["system_prompt"].default
        if plain:
            return PROMPT.format(language=_name(language))
        return f"{own} Say it in {_name(language)}." if self._pair else own

    def _one_way(self, text: str, spoken: Spoken) -> Translation | None:
        language = spoken.language
        if language == self._into:
            return None
        by_ears = self._ears_translate and not spoken.is_typed
        about = InterpretedFrame(language, self._into, "ears" if language else "", "ears" if by_ears else "llm")
        return Translation(about, above=_above(_Settled, "") if by_ears else None)

    def _both_ways(self, text: str, spoken: Spoken) -> Translation | None:
        assert self._pair  # noqa: S101 - else nobody calls
        if self._heard.comes_back(text, time.monotonic() - spoken.began_secs):
            return None
        language, told_by = self._language_of(text, spoken.language)
        if language not in self._pair:
            return self._third(language, told_by)
        self._before = language
        into = self._pair[1] if language == self._pair[0] else self._pair[0]
        if self._ears_translate and into == "en" and told_by == "ears":
            about = InterpretedFrame(language, into, told_by, "ears")
            return Translation(about, into, _above(_Settled, ""))
        about = InterpretedFrame(language, into, told_by, "llm")
        return Translation(about, into, _above(Instruction, self._prompt(into)))

    def _language_of(self, text: str, told: str | None) -> tuple[str | None, Literal["ears", "words", "before"]]:
        """The language of a sentence, and what tells it; another than the two where that is surely spoken."""
        pair = self._pair or ()
        if told in pair:
            return told, "ears"
        # What the ears have translated is English, whatever was said.
        words = None if self._ears_translate and told else language_of_words(text, pair)
        if words in pair:
            return words, "words"
        if told:
            return told, "ears"
        return (words, "words") if words else (self._before, "before")

    def _third(self, language: str | None, told_by: Literal["ears", "words", "before"]) -> Translation:
        """None of the two is spoken: one short sentence says which they are."""
        first, second = self._pair or ("en", "en")
        said_in = next((one for one in (first, second) if words_of(one)), None)
        words = (words_of(said_in) if said_in else None) or english_words()
        names = [_name(one, words.language) for one in (first, second)]
        told = words.answers["only_between"].format(first=names[0], second=names[1])
        about = InterpretedFrame(language, None, told_by)
        return Translation(about, said_in, _above(_Settled, told))


def _above(kind: type[Instruction], words: str) -> LLMContextMessage:
    return cast(LLMContextMessage, kind(role="system", content=words))


def _settled(text: str, earlier: Sequence[LLMContextMessage]) -> Reflex | None:
    above = next((message for message in earlier if isinstance(message, _Settled)), None)
    if above is None or not text:
        return None
    reply = str(above["content"]) or text

    async def words() -> str:
        return reply

    return Reflex("translation", False, words)


def _name(language: str, told_in: str = "en") -> str:
    try:
        return Locale.parse(language).get_display_name(told_in) or language
    except (ValueError, UnknownLocaleError):
        return language
