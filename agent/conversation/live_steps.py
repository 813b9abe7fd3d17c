"""The steps of a pipeline whose settings may change while it runs, and what settings make of each.

In:  engines and settings.   Out: each step goes on with them from its next piece of work: the next reply in another
voice or from another model, the next utterance by other ears; what is under way is finished.
"""

from dataclasses import dataclass

from pipecat.processors.aggregators.llm_context import LLMContext

from agent.conversation.abilities import Abilities
from agent.conversation.compactors import context_bounds
from agent.engines.host import ModelHost
from agent.engines.session import in_voice
from agent.engines.tts import in_language
from agent.settings.load import Settings
from processors.ear.voice_activity import VoiceActivity
from processors.llm.answers import KeptAnswers
from processors.llm.changes import Asking
from processors.llm.compactor import Compactor
from processors.llm.dead_air import DeadAir, DeadAirOptions
from processors.llm.options import LLMOptions
from processors.llm.service import LocalLLMService
from processors.stt.calls import RecognizerCalls
from processors.stt.service import RecognizerSTTService
from processors.text.speakable import SpeakableText
from processors.tts.kept_speech import KeptVoice
from processors.tts.service import SynthesizerTTSService, Voicing
from processors.turns.interruption import BargeInStrategy
from processors.turns.pause import Patience
from processors.turns.turn import TurnEndStrategy

PATIENCE = {"brisk": 0.7, "normal": 1.0, "patient": 1.5}


@dataclass(frozen=True)
class LiveSteps:
    """Of one pipeline; the order is that of the sound.

    Attributes:
        turn_end: None where an interpreter ends turns.
    """

    activity: VoiceActivity
    ears: RecognizerSTTService
    barge_in: BargeInStrategy
    turn_end: TurnEndStrategy | None
    llm: LocalLLMService
    compactor: Compactor
    dead_air: DeadAir
    text: SpeakableText
    voice: SynthesizerTTSService

    async def change(
        self, host: ModelHost, settings: Settings, abilities: Abilities, context: LLMContext, changed: set[str]
    ) -> None:
        """Go on with other engines and settings.

        Args:
            host: The engines, loaded.
            settings: Of the conversation from now on.
            abilities: As those settings make them.
            context: The history.
            changed: Dotted keys of what differs.
        """
        if changed & {"tts.engine", "tts.model", "tts.voice", "tts.language"}:
            await self.text.change_language(settings.tts.language)
            self.voice.change_voice(voicing(host, settings))
        if "tts.speed" in changed:
            abilities.manner.speed = settings.tts.speed
        if changed & {"stt.engine", "stt.model", "stt.language"}:
            standby, expected = host.stt_standby, host.stt.speed
            self.ears.recognizer.change_to(
                RecognizerCalls(host.stt.loaded, host.stt_threads, standby, expected and expected.expected_secs)
            )
        if changed & {"llm.engine", "llm.model", "llm.system_prompt", "tts.language"}:
            self.llm.change(asking(host.llm_options, host, settings, abilities))
            self.compactor.change(**context_bounds(host.llm_options, context))
            # Another model may see, or not.
            abilities.toolbox.offer(context, self.llm)
        self.dead_air.change(dead_air_options(settings))
        self._take_turns(host, settings)

    def _take_turns(self, host: ModelHost, settings: Settings) -> None:
        turn = settings.turn
        self.activity.push_to_talk = turn.mode == "push_to_talk"
        self.ears.short.min_secs = min_speech_secs(settings)
        self.barge_in.change(
            language=settings.stt.language,
            shows_partials=host.stt.loaded.shows_partials,
            two_steps=turn.barge_in == "words",
        )
        if self.turn_end:
            self.turn_end.change(patience_of(settings), settings.stt.language, most_speculations(settings))


def voicing(host: ModelHost, settings: Settings) -> Voicing:
    """In whose voice, and how, a conversation speaks.

    Args:
        host: The engines.
        settings: Of the conversation.
    """
    tts, voice = settings.tts, host.tts.loaded
    if settings.llm.keep_answers and not settings.interpreter.is_on:
        voice = KeptVoice(voice, host.speech, tts.language, tts.speed)
    return Voicing(
        voice,
        host.tts_threads,
        tts.speed,
        at_speed=lambda speed: in_voice(voice, tts.model_copy(update={"speed": speed})),
        in_language=lambda engine, language: in_language(engine, tts, language),
    )


def asking(options: LLMOptions, host: ModelHost, settings: Settings, abilities: Abilities) -> Asking:
    """Whom a conversation asks that is no interpreter's.

    Args:
        options: Of its language model.
        host: The engines.
        settings: Of the conversation.
        abilities: What the agent can do.
    """
    answers = KeptAnswers(host.answers, _about(options)) if settings.llm.keep_answers else None
    return Asking(options, abilities.find_reflex, abilities.reflexes.amend, answers, abilities.chooser)


def dead_air_options(settings: Settings) -> DeadAirOptions:
    """What is said where there would be silence."""
    dialogue = settings.dialogue
    return DeadAirOptions(
        greeting=dialogue.greeting,
        filler=dialogue.filler,
        filler_after_secs=dialogue.filler_after_secs,
        filler_words=dialogue.filler_words,
        tool_words=dialogue.tool_words,
        tool_after_secs=dialogue.tool_after_secs,
    )


def patience_of(settings: Settings) -> Patience:
    """How long a pause is waited out."""
    turn = settings.turn
    return Patience(turn.min_pause_secs, turn.max_pause_secs, PATIENCE[turn.pace])


def most_speculations(settings: Settings) -> int:
    """How many answers may be prepared within a turn."""
    return settings.turn.max_speculations if settings.turn.speculate else 0


def min_speech_secs(settings: Settings) -> float:
    """Less voice than this is not meant; who holds a key means what is said."""
    return 0.0 if settings.turn.mode == "push_to_talk" else settings.turn.min_speech_secs


def _about(options: LLMOptions) -> str:
    """Whatever beside the words decides what a model answers."""
    rules = options.large and options.large.rules
    each = [(one.base_url, one.model, one.system_prompt, one.examples, _sampling(one)) for one in options.models]
    return repr((each, rules))


def _sampling(options: LLMOptions) -> tuple[object, ...]:
    return (options.temperature, options.top_p, options.max_tokens, options.by_question, dict(options.extra_body))
